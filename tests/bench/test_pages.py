"""The measure of main content says where its pages come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import pages


@pytest.mark.parametrize(
    "name", ["scrapinghub/article-extraction-benchmark", "adbar/trafilatura", "mozilla/readability"]
)
def test_without_its_sets_it_says_what_to_clone(tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit, match=f"git clone https://github.com/{name}"):
        pages.main(str(tmp_path))

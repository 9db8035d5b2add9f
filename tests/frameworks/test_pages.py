"""The pages of the documentation whose blocks import other frameworks: what tests/docs does for the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import PAGES, name_of, needs_frameworks
from tests.docs.test_blocks import run_page

from flowpool.simulator import SimServer


@pytest.mark.parametrize("page", [p for p in PAGES if needs_frameworks(p)], ids=name_of)
def test_the_blocks_of_a_page_run_one_after_another(
    page: Path, sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_page(page, sim.url, tmp_path, monkeypatch)

"""Which servers are one's own."""

from __future__ import annotations

import pytest

from flowpool.limits.lanes import is_own


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1:11434/v1", True),
        ("http://[::1]:8080", True),
        ("http://10.1.2.3/v1", True),
        ("http://gpu.local/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("", False),
    ],
)
def test_servers_on_this_machine_or_in_a_private_network_are_ones_own(url: str, own: bool) -> None:
    assert is_own(url) is own

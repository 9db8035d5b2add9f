"""How a value's JSON stands in the store's two columns."""

from __future__ import annotations

import pytest

from flowpool.store.compression import SHORT, Packer, unpack


@pytest.mark.parametrize("size", [1, SHORT - 2, SHORT, 5000])
def test_what_was_packed_comes_back(size: int) -> None:
    json = b'"' + b"a" * (size - 1) + b'"'
    assert unpack(*Packer().pack(json)) == json


def test_short_values_stand_as_text_that_anybody_can_read_and_long_ones_take_less_room() -> None:
    packer = Packer()
    assert packer.pack(b'"a"') == ('"a"', None)
    text, frame = packer.pack(b'"' + b"a" * 5000 + b'"')
    assert text is None
    assert frame is not None
    assert len(frame) < 500


def test_no_value_is_null() -> None:
    assert Packer().pack(None) == (None, None)
    assert unpack(None, None) == b"null"

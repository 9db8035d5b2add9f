from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from flowpool.sim_model.patterns import compiled, find_match, make_match


def any_length(text: str) -> bool:
    return True


def test_equal_seeds_make_equal_texts_and_others_others() -> None:
    pattern = compiled(r"^\w{12}$")
    made = [make_match(pattern, any_length, seed) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_a_match_is_found_within_a_text() -> None:
    pattern = compiled(r"^\d{2}:\d{2}$")
    assert find_match(pattern, "It begins at 10:30, not at 11:00.", any_length) == "10:30"
    assert find_match(pattern, "It begins at 10:30.", lambda text: len(text) > 5) is None


def test_what_nothing_can_match_has_no_match() -> None:
    assert make_match(compiled(r"a(?!.)b"), any_length) is None


pieces = st.sampled_from([r"\d", "[a-c]", "[^a]", "x", ".", "(ab|c)", r"\w", r"\s", r"\."])
repeats = st.sampled_from(["", "*", "+", "?", "{2,5}", "{3}", "+?"])


@given(st.lists(st.tuples(pieces, repeats), min_size=1, max_size=6))
def test_what_is_made_matches_as_a_whole(parts: list[tuple[str, str]]) -> None:
    expression = "".join(piece + repeat for piece, repeat in parts)
    made = make_match(compiled(f"^{expression}$"), any_length)
    assert made is not None
    assert re.fullmatch(expression, made)

"""Errors keep their parts, whoever carries them."""

from __future__ import annotations

import pickle

import pytest

from flowpool import errors
from flowpool.errors import (
    BadRow,
    CallError,
    FlowpoolError,
    InvalidInput,
    RateLimited,
    StepFailed,
    UnknownColumn,
    UnreadableDocument,
    Verdict,
)
from flowpool.store.reading import restored_error
from flowpool.usage import Usage

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type)]
KINDS = [kind for kind in ALL if issubclass(kind, FlowpoolError)]

WITH_PARTS = [
    BadRow("rows.csv, line 3", "2 cells for 3 columns."),
    UnknownColumn("stars > 3", "stars", ("lang", "text")),
    UnreadableDocument("a.pdf", "no text in it."),
    RateLimited(
        "HTTP 429", fix="wait", status=429, retry_after=2.0, usage=Usage(3, 4), partial="a"
    ),
    InvalidInput("no such thing: use another."),
]


@pytest.mark.parametrize("error", WITH_PARTS, ids=lambda error: type(error).__name__)
def test_an_error_has_the_same_words_and_parts_in_another_process(error) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_failed_step_keeps_its_cause_in_another_process() -> None:
    again = pickle.loads(pickle.dumps(StepFailed("parse", KeyError("x"))))
    assert (again.step, str(again)) == ("parse", "parse: KeyError: 'x'")
    assert isinstance(again.__cause__, KeyError)


@pytest.mark.parametrize("error", WITH_PARTS, ids=lambda error: type(error).__name__)
def test_an_error_out_of_a_store_has_its_words(error) -> None:
    assert str(restored_error(type(error).__name__, str(error))) == str(error)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_any_kind_can_come_out_of_a_store(kind) -> None:
    again = restored_error(kind.__name__, "what it said")
    assert type(again) is kind
    assert str(again) == "what it said"


def test_what_a_wrong_word_means_is_in_its_parts() -> None:
    error = UnknownColumn("stars > 3", "stars", ("lang", "text"))
    assert (error.column, error.columns) == ("stars", ("lang", "text"))
    assert str(error) == "where='stars > 3': there is no column 'stars' (there are: lang, text)."


def test_only_what_a_wait_can_mend_is_retried() -> None:
    calls = [kind for kind in KINDS if issubclass(kind, CallError)]
    assert not [kind for kind in calls if kind.retryable and kind.verdict is Verdict.HOPELESS]

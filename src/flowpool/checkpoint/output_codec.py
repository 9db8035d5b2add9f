"""A runner's output as the store keeps it, and back the same. Knows no store.

A typed answer is kept in its plain form where that makes an equal one again. Else the value that was accepted
stands beside it: the plain form may have lost something (a secret, a field that isn't shown), or be read as another
(by a validator that divides by 100).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowpool.chain import Chain
from flowpool.encoding import Answered, CantEncode, encode
from flowpool.errors import InvalidOutput
from flowpool.skill import Skill
from flowpool.structured import Answer, plain
from flowpool.structured.check import faults
from flowpool.structured.equal import are_equal
from flowpool.tools.base import Tool

Runner = Skill | Chain | Tool


class Origins:
    """Of which values an item's typed answers were made."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        # Each with what its ids are of, so that those aren't given to others.
        self._of: dict[tuple[int, int], tuple[Answer, Any, Any]] = {}

    def note(self, answer: Answer, output: Any, value: Any) -> None:
        """An output of `answer` was made of this value."""
        if answer.kind is not None:
            self._of[id(answer), id(output)] = (answer, output, value)

    def note_all(self, other: Origins) -> None:
        """The same of another item's, whose outputs this one shares."""
        self._of.update(other._of)

    def find(self, answer: Answer, output: Any) -> Answered | None:
        """The value that the answer's output was made of, if that is known."""
        found = self._of.get((id(answer), id(output)))
        return None if found is None else Answered(None, found[2])


def encoded(runner: Runner, output: Any, origins: Origins) -> bytes:
    """The output as JSON; raises `CantEncode` for what would not come back the same."""
    if not has_types(runner):
        return encode(output)
    answers = list(_answers(runner))
    return encode(_each_answer(runner, output, lambda a, o: _kept(a, o, origins, answers)))


def restored(runner: Runner, output: Any, origins: Origins | None = None) -> Any:
    """The output again that was encoded, and decoded with `typed`. origins: notes what it is made of.

    Raises `InvalidOutput` where its type refuses it by now.
    """
    if not has_types(runner):
        return output.value if isinstance(output, Answered) else output
    return _each_answer(runner, output, lambda a, o: _loaded(runner, a, o, origins or Origins()))


def restored_or_plain(runner: Runner, output: Any, refused: Counter[str]) -> Any:
    """The same, where what its type refuses stands in its plain form, and is counted by the type's name."""
    if not has_types(runner):
        return restored(runner, output)

    def load(answer: Answer, kept: Any) -> Any:
        try:
            return _loaded(runner, answer, kept, Origins())
        except InvalidOutput:
            refused[_type_name(_of(runner, answer, kept))] += 1
            return _shown(kept)

    return _each_answer(runner, output, load)


def has_types(runner: Runner) -> bool:
    """Whether its outputs may be of other kinds than JSON's own, and so need `restored`."""
    if isinstance(runner, Skill):
        return runner.answer.kind is not None
    return isinstance(runner, Chain) and any(has_types(step.runner) for step in runner.stages[-1])


def _answers(runner: Runner) -> Iterator[Answer]:
    """Those of all its skills, in order."""
    if isinstance(runner, Skill):
        yield runner.answer
    elif isinstance(runner, Chain):
        for stage in runner.stages:
            for step in stage:
                yield from _answers(step.runner)


def _each_answer(runner: Runner, output: Any, change: Callable[[Answer, Any], Any]) -> Any:
    """The output with each skill's typed answer in it changed."""
    if isinstance(runner, Skill):
        return output if runner.answer.kind is None else change(runner.answer, output)
    if isinstance(runner, Tool):
        return output
    last = runner.stages[-1]
    if len(last) == 1:
        return _each_answer(last[0].runner, output, change)
    if not isinstance(output, Mapping):
        return output
    steps = {step.key: step.runner for step in last}
    return {
        key: _each_answer(steps[key], value, change) if key in steps else value
        for key, value in output.items()
    }


def _kept(answer: Answer, output: Any, origins: Origins, answers: list[Answer]) -> Any:
    """What to keep of an output that stands where this answer's does."""
    shown = plain(output, str)
    if _gives(answer, shown, output):
        return shown
    found = origins.find(answer, output)
    if found is not None and _gives(answer, found.made_of, output):
        return Answered(shown, found.made_of)
    for by, other in enumerate(answers):  # another step's, where a chain ended early
        found = origins.find(other, output)
        if found is not None and _gives(other, found.made_of, output):
            return Answered(shown, found.made_of, by)
    if are_equal(shown, output):
        return Answered(shown, by=-1)
    raise CantEncode(f"a value of type {type(output).__name__} that would come back as another")


def _loaded(runner: Runner, answer: Answer, output: Any, origins: Origins) -> Any:
    by = _of(runner, answer, output)
    if by is None:
        return _shown(output)
    value = output.made_of if isinstance(output, Answered) else output
    try:
        made = by.load(value)
    except InvalidOutput:
        if isinstance(runner, Chain) and _is_anothers(by, output):
            return output
        raise
    origins.note(by, made, value)
    return made


def _of(runner: Runner, answer: Answer, output: Any) -> Answer | None:
    """Whose answer a kept output is that stands where this answer's does; None for what has no type."""
    if not isinstance(output, Answered) or output.by is None:
        return answer
    answers = list(_answers(runner))
    return answers[output.by] if output.by in range(len(answers)) else None


def _is_anothers(answer: Answer, output: Any) -> bool:
    """Whether it is another step's of before those were marked: it hasn't the form that is asked for here."""
    is_marked = isinstance(output, Answered)
    return not is_marked and next(iter(faults(output, answer.schema)), None) is not None


def _shown(output: Any) -> Any:
    return output.value if isinstance(output, Answered) else output


def _type_name(answer: Answer | None) -> str:
    kind = None if answer is None else answer.kind
    return getattr(kind, "__name__", None) or repr(kind)


def _gives(answer: Answer, value: Any, output: Any) -> bool:
    """Whether the answer makes an equal output of the value."""
    try:
        return are_equal(answer.load(value), output)
    except InvalidOutput:
        return False

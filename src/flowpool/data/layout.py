"""Which columns a result has: the input's, beside them the answer's, then the run's. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flowpool.data.cells import typed
from flowpool.errors import InvalidInput
from flowpool.values import UNKNOWN_ANSWERS, AnswerColumns

if TYPE_CHECKING:
    from flowpool.record import Record

Choice = bool | Collection[str]
OUTPUT = "output"
META: dict[str, Callable[[Record], Any]] = {
    "_status": lambda record: record.status.name.lower(),
    "_error": lambda record: record.error and f"{type(record.error).__name__}: {record.error}",
    "_attempts": lambda record: record.attempts,
    "_seconds": lambda record: round(record.duration, 6),
    "_input_tokens": lambda record: record.usage.input_tokens,
    "_output_tokens": lambda record: record.usage.output_tokens,
    "_cost": lambda record: record.cost,
}
_ON_REQUEST: dict[str, Callable[[Record], Any]] = {
    "_index": lambda record: record.index,
    "_model": lambda record: record.model,
}
_KNOWN = META | _ON_REQUEST
_log = logging.getLogger("flowpool.data")


class Layout:
    """Makes a row of a record. Knows more of the answers' columns with every record that it is shown.

    output: the column of an answer that has no fields; the fields of one that has are columns of their own.
    inputs: whether the input's columns are there, or which of them.
    meta: whether `_status _error _attempts _seconds _input_tokens _output_tokens _cost` are there, or which of
        them; `_index` and `_model` too when they are named.
    names: the data's column by the variable that it was renamed to.
    answers: what is known of the answers' columns before there is an answer.

    A column of the answer or of the run that the input has too is called `NAME_output`, and that is logged once.
    """

    def __init__(
        self,
        output: str = OUTPUT,
        inputs: Choice = True,
        meta: Choice = False,
        names: Mapping[str, str] | None = None,
        answers: AnswerColumns = UNKNOWN_ANSWERS,
    ) -> None:
        self.output = output
        expected = dict(answers.fields)
        if not expected and answers.kind is not None:
            expected = {output: answers.kind}
        self._expected = expected
        self._is_fresh = True
        self._meta = _wanted_meta(meta)
        self._meta_columns = dict.fromkeys(self._meta, "")  # by what they tell of the run
        self.fields: dict[str, str] = {}  # the answers' columns by the names of their fields
        self._inputs = (inputs,) if isinstance(inputs, str) else inputs
        self._names = dict(names or {})
        self._is_checked = isinstance(self._inputs, bool)

    @property
    def has_all(self) -> bool:
        """Whether all of the input's columns are there."""
        return self._inputs is True

    @property
    def kinds(self) -> dict[str, str]:
        """The JSON types of the answers' columns, where they are known."""
        return {self.fields.get(name, name): kind for name, kind in self._expected.items()}

    @property
    def knows_answers(self) -> bool:
        """Whether the answers' columns are known before there is one."""
        return bool(self._expected)

    def is_meta(self, column: str) -> bool:
        """Whether the column tells of the run."""
        return column in self._meta_columns.values()

    def check_inputs(self, items: Iterable[Any]) -> None:
        """Raises `InvalidInput` for a wanted column that none of the items has; reads them until it was found."""
        if isinstance(self._inputs, bool):
            return
        lacking, there = list(self._inputs), dict[str, None]()
        for variables in items:
            if isinstance(variables, Mapping):
                there.update(dict.fromkeys(self._in_columns(variables)))
            lacking = [name for name in lacking if name not in there]
            if not lacking:
                self._is_checked = True
                return
        if lacking:
            raise InvalidInput(
                f"inputs={list(self._inputs)!r}: no column {lacking[0]!r}: there are "
                f"{', '.join(map(str, there)) or 'none'}."
            )

    def learn(self, records: Iterable[Record]) -> None:
        """Looks at all records first, so that every row has the columns of all answers."""
        for record in records:
            taken = self._input(record)
            self._name_meta(taken)
            self._expect(taken)
            if record.error is None and record.output is not None:
                self._answer(record, taken)

    def columns(self, variables: Iterable[str]) -> tuple[str, ...]:
        """What is known of a row's columns before there is an answer, for an item that has these variables."""
        from flowpool.record import Record
        from flowpool.values import Status

        error = InvalidInput("")
        return tuple(self.row(Record(0, dict.fromkeys(variables), Status.FAILED, error=error)))

    def row(self, record: Record) -> dict[str, Any]:
        """The record's columns, in order; a record without an answer has None in the columns known so far."""
        row = self._input(record)
        meta = self._told(record, row)
        self._expect(row)
        answer = self._answer(record, row) if self._has_answer(record) else {}
        if len(answer) < len(self.fields):
            row.update(dict.fromkeys(self.fields.values()))
        row.update(answer)
        row.update(meta)
        return row

    def answers(self, record: Record) -> dict[str, Any]:
        """The answer's columns and the run's, without the input's."""
        taken = self._input(record)
        meta = self._told(record, taken)
        self._expect(taken)
        names = self.fields.values()
        answer = self._answer(record, taken) if self._has_answer(record) else {}
        return dict.fromkeys(names) | answer | meta

    def _told(self, record: Record, taken: Mapping[str, Any]) -> dict[str, Any]:
        """What the record tells of the run, by column."""
        self._name_meta(taken)
        return {self._meta_columns[name]: value(record) for name, value in self._meta.items()}

    def _name_meta(self, taken: Mapping[str, Any]) -> None:
        """Has columns for what is told of the run, beside those of this input."""
        for name, column in self._meta_columns.items():
            if column and (column != name or name not in taken):
                continue
            self._meta_columns[name] = _free(name, {*taken, *self.fields.values()}, "run")

    def _has_answer(self, record: Record) -> bool:
        """Whether the record has one; None is none where answers have fields that are known."""
        is_none = record.output is None and bool(self._expected.keys() - {self.output})
        return record.error is None and not is_none

    def _expect(self, taken: Mapping[str, Any]) -> None:
        """Has the columns that are known of the answers, beside those of the first input."""
        if self._is_fresh:
            self._is_fresh = False
            for field in self._expected:
                if field not in self.fields:
                    self._column_for(field, taken)

    def _input(self, record: Record) -> dict[str, Any]:
        variables = record.variables
        if self._inputs is False or not isinstance(variables, Mapping):
            return {}
        found = self._in_columns(variables)
        if isinstance(self._inputs, bool):
            return found
        if not self._is_checked:
            self._is_checked = True
            if lacking := [name for name in self._inputs if name not in found]:
                there = ", ".join(map(str, found))
                _log.warning("inputs=: the first item has no %r: there are %s.", lacking[0], there)
        return {name: found[name] for name in self._inputs if name in found}

    def _in_columns(self, variables: Mapping[Any, Any]) -> dict[Any, Any]:
        """The values by the data's own columns."""
        return {self._names.get(name, name): value for name, value in variables.items()}

    def _answer(self, record: Record, taken: Mapping[str, Any]) -> dict[str, Any]:
        output = typed(record.output)
        if not isinstance(output, dict):
            output = {self.output: output}
        columns = {}
        for field, value in output.items():
            column = self.fields.get(field)
            if column is None or (column in taken and column == field):
                column = self._column_for(field, taken)
            columns[column] = value
        return columns

    def _column_for(self, field: str, taken: Mapping[str, Any]) -> str:
        others = {*self._meta, *self._meta_columns.values(), *self.fields.values()}
        column = self.fields[field] = _free(field, {*taken, *others}, "answer")
        return column


def _free(name: str, taken: Collection[str], whose: str) -> str:
    """The column for a value of the answer or the run: its name, or what is free beside the columns there are."""
    column = name
    while column in taken:
        column += "_output"
    if column != name:
        _log.warning(
            "The %s's %r stands in the column %r: the input has a %r too.",
            *(whose, name, column, name),
        )
    return column


def _wanted_meta(meta: Choice) -> dict[str, Callable[[Record], Any]]:
    if isinstance(meta, bool):
        return dict(META) if meta else {}
    names = [meta] if isinstance(meta, str) else list(meta)
    if odd := [name for name in names if name not in _KNOWN]:
        raise InvalidInput(f"meta={meta!r}: no {odd[0]!r}: there are {', '.join(_KNOWN)}.")
    return {name: _KNOWN[name] for name in names}

"""Typed answers: a type or schema in, what a model is asked for and how its text is read out. Pure, no I/O."""

from __future__ import annotations

from flowpool.structured.answer import TEXT, Answer, answer_of
from flowpool.structured.plain import fields_of, plain

__all__ = ["TEXT", "Answer", "answer_of", "fields_of", "plain"]

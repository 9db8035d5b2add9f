"""Vectors of texts: OpenAI's embeddings, and Google's embedContent and batchEmbedContents."""

from __future__ import annotations

import base64
from array import array
from typing import Any

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.sim_model import model
from flowpool.simulator.plan import ReplyPlan, ServedAnswer, SimRequest, Vectors
from flowpool.simulator.wires.gemini import in_camel_case
from flowpool.simulator.wires.reading import NotDone, Taken, counted, read_body

_SIZE, _GEMINI_SIZE, _LARGEST = 1536, 3072, 4096
_MOST_TEXTS = 2048


class _Body(Struct, forbid_unknown_fields=True):
    model: str
    # Texts, or tokens by their numbers.
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: str | None = None
    user: Taken = None


class _Part(Struct):
    text: str


class _Content(Struct):
    parts: list[_Part]
    role: str | None = None


class _GeminiBody(Struct, rename="camel", forbid_unknown_fields=True):
    content: _Content
    output_dimensionality: int | None = None
    model: Taken = None
    task_type: Taken = None
    title: Taken = None


class _GeminiBatch(Struct, forbid_unknown_fields=True):
    requests: list[_GeminiBody]


_decoder = msgspec.json.Decoder(_Body)
_one_decoder = msgspec.json.Decoder(_GeminiBody)
_batch_decoder = msgspec.json.Decoder(_GeminiBatch)


def parse(route: Any, body: bytes) -> SimRequest:
    """What a body of OpenAI's asks for; raises `InvalidInput` for what the simulator doesn't do."""
    asked = read_body(_decoder, body)
    if asked.encoding_format not in (None, "float", "base64"):
        raise NotDone(f"encoding_format {asked.encoding_format}")
    given = asked.input
    if isinstance(given, list) and given and isinstance(given[0], int):
        texts = [_text(given)]
    else:
        texts = [given] if isinstance(given, str) else [_text(one) for one in given]
    size = counted("dimensions", asked.dimensions, _LARGEST) or _SIZE
    packed = asked.encoding_format == "base64"
    return _request("embeddings", asked.model, Vectors(_checked(texts), size, packed))


def parse_gemini(route: Any, body: bytes) -> SimRequest:
    """What a body of Google's asks for, one text or many."""
    body = in_camel_case(body)
    many = (
        read_body(_batch_decoder, body).requests if route.many else [read_body(_one_decoder, body)]
    )
    texts = ["\n".join(part.text for part in one.content.parts) for one in many]
    sizes = {counted("outputDimensionality", one.output_dimensionality, _LARGEST) for one in many}
    if len(sizes) > 1:
        raise NotDone("requests of different outputDimensionality")
    vectors = Vectors(
        _checked(texts), sizes.pop() or _GEMINI_SIZE if sizes else 0, False, not route.many
    )
    return _request("gemini-embeddings", route.model, vectors)


def _request(wire: Any, name: str, vectors: Vectors) -> SimRequest:
    text = "\n".join(vectors.texts)
    return SimRequest(wire=wire, model=name, text=text, user=text, vectors=vectors)


def _text(given: Any) -> str:
    return given if isinstance(given, str) else " ".join(map(str, given))


def _checked(texts: list[str]) -> tuple[str, ...]:
    if not 0 < len(texts) <= _MOST_TEXTS:
        raise InvalidInput(f"There are {len(texts)} texts: use 1 to {_MOST_TEXTS}.")
    if "" in texts:
        raise InvalidInput(f"The text at position {texts.index('')} is empty.")
    return tuple(texts)


def body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    """OpenAI's answer."""
    vectors = _vectors(plan)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _packed(one) if vectors.packed else one,
        }
        for index, one in enumerate(_numbers(vectors))
    ]
    tokens = answer.input_tokens
    return {
        "object": "list",
        "data": [] if plan.shape == "empty" else data,
        "model": plan.request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def gemini_body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    """Google's answer."""
    vectors = _vectors(plan)
    found = [{"values": one} for one in _numbers(vectors)]
    if plan.shape == "empty":
        found = []
    return {"embedding": found[0] if found else {}} if vectors.single else {"embeddings": found}


def _vectors(plan: ReplyPlan) -> Vectors:
    assert plan.request.vectors is not None
    return plan.request.vectors


def _numbers(vectors: Vectors) -> list[list[float]]:
    return [model.vector(text, vectors.size) for text in vectors.texts]


def _packed(numbers: list[float]) -> str:
    return base64.b64encode(array("f", numbers).tobytes()).decode()

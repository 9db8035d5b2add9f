"""PDF and DOCX to markdown, by markitdown, which is an extra. Runs in worker processes."""

from __future__ import annotations

import logging
import struct
from functools import cache
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile

from flowpool.errors import InvalidInput, UnreadableDocument

_INSTALL = "to read PDF and DOCX: pip install 'flowpool[documents]'"
# Bytes of a document's parts once decompressed. The largest that people write are pictures, which don't compress.
_MOST_UNPACKED = 200_000_000


def kind_of(content: bytes) -> str:
    """The suffix of the document format that `content` begins like; empty for another."""
    if b"%PDF-" in content[:1024]:
        return ".pdf"
    # The names in a zip's directory stand in the clear.
    if content.startswith(b"PK\x03\x04") and b"word/document.xml" in content:
        return ".docx"
    return ""


def document_to_text(content: bytes, suffix: str, name: str) -> str:
    """The document's markdown. Raises `InvalidInput` if the extra is missing, or the document has no text."""
    converter, stream_info = _converter()
    if suffix == ".docx":
        _check_unpacked(content, name)
    try:
        result = converter.convert_stream(
            BytesIO(content),
            stream_info=stream_info(extension=suffix, filename=f"document{suffix}"),
        )
    except Exception as error:
        if type(error).__name__ == "MissingDependencyException":
            raise InvalidInput(_INSTALL) from None
        if any(isinstance(cause, MemoryError) for cause in _causes(error)):
            raise MemoryError from None
        problem = f"this {suffix[1:].upper()} can't be read ({_reason(error)}): is it whole?"
        raise UnreadableDocument(name, problem) from error
    text = str(result.markdown).strip()
    if not text:
        raise UnreadableDocument(
            name, "no text in it: it is empty, cut short, or a scan without OCR."
        )
    return text


def _check_unpacked(content: bytes, name: str) -> None:
    """Refuses a document that its compression makes small. Whoever unpacks it reads no more than it declares."""
    try:
        with ZipFile(BytesIO(content)) as packed:
            size = sum(part.file_size for part in packed.infolist())
    except (BadZipFile, ValueError, NotImplementedError, struct.error):
        return  # the converter says what is wrong with it
    if size > _MOST_UNPACKED:
        raise UnreadableDocument(
            name,
            f"it unpacks to {size / 1e6:,.0f} MB, and {_MOST_UNPACKED / 1e6:,.0f} MB are the most that is read.",
        )


def _causes(error: Exception) -> list[BaseException]:
    """What the converters that were tried raised."""
    attempts = getattr(error, "attempts", None) or ()
    return [error, *(attempt.exc_info[1] for attempt in attempts if attempt.exc_info)]


def _reason(error: Exception) -> str:
    """The first line of what the last converter that was tried says."""
    return str(_causes(error)[-1]).strip().partition("\n")[0]


@cache
def _converter() -> tuple[Any, Any]:
    try:
        from markitdown import MarkItDown, StreamInfo
        from markitdown import converters as known
    except ImportError:
        raise InvalidInput(_INSTALL) from None
    # Its PDF parser logs every oddity of a font as a warning.
    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    reader = MarkItDown(enable_builtins=False, enable_plugins=False)
    # No others: the one for plain text takes a damaged file's bytes for words.
    kinds: Any = known
    reader.register_converter(kinds.PdfConverter())
    reader.register_converter(kinds.DocxConverter())
    return reader, StreamInfo

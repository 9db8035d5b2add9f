"""PDF to text by pypdfium2, DOCX to markdown by markitdown, which are an extra. Runs in worker processes."""

from __future__ import annotations

import struct
from contextlib import closing
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
    read = _docx_to_text if suffix == ".docx" else _pdf_to_text
    if suffix == ".docx":
        _check_unpacked(content, name)
    try:
        text = read(content).strip()
    except InvalidInput:
        raise
    except Exception as error:
        if any(isinstance(cause, MemoryError) for cause in _causes(error)):
            raise MemoryError from None
        problem = f"this {suffix[1:].upper()} can't be read ({_reason(error)}): is it whole?"
        raise UnreadableDocument(name, problem) from error
    if not text:
        raise UnreadableDocument(
            name, "no text in it: it is empty, cut short, or a scan without OCR."
        )
    return text


def _pdf_to_text(content: bytes) -> str:
    """The pages' text, with an empty line between two."""
    try:
        from pypdfium2 import PdfDocument
    except ImportError:
        raise InvalidInput(_INSTALL) from None
    with closing(PdfDocument(content)) as document:
        pages = (page.get_textpage().get_text_bounded() for page in document)
        return "\n\n".join("\n".join(page.split("\r\n")).strip() for page in pages)


def _docx_to_text(content: bytes) -> str:
    converter, stream_info = _converter()
    information = stream_info(extension=".docx", filename="document.docx")
    try:
        return str(converter.convert_stream(BytesIO(content), stream_info=information).markdown)
    except Exception as error:
        if type(error).__name__ == "MissingDependencyException":
            raise InvalidInput(_INSTALL) from None
        raise


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
    reader = MarkItDown(enable_builtins=False, enable_plugins=False)
    # No others: the one for plain text takes a damaged file's bytes for words.
    kinds: Any = known
    reader.register_converter(kinds.DocxConverter())
    return reader, StreamInfo

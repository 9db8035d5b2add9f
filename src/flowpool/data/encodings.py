"""A text file's character set: recognised where its bytes leave no doubt, else given. Pure: bytes in, UTF-8 out."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec import Struct

from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_MARKED = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
# Supersets that files with these names are written in.
_SUPERSETS = {"shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949"}
# What files that aren't UTF-8 are most often: those that can read a text are named where none was given.
_LIKELY = ("cp1252", "cp932", "gb18030", "cp1251", "cp1250")
# Bytes: of the head that is looked at, and of what is decoded at once.
HEAD = PIECE = 1 << 16
_BROKEN = "flowpool-broken"
# Half of a character stands for what can't be read: no text holds one, and as UTF-8 it isn't valid.
codecs.register_error(_BROKEN, lambda error: ("\udc80", getattr(error, "end", 0)))


class Form(Struct, frozen=True):
    """How a file's text is written. mark: the bytes that it begins with. is_cr: its lines end with a CR alone."""

    codec: str = "utf-8"
    mark: bytes = b""
    is_cr: bool = False

    def encode(self, text: str) -> bytes:
        """The text's bytes, without a mark; raises `UnicodeEncodeError`."""
        return text.encode(self.codec)


def form_of(encoding: str | None) -> Form:
    """How a file of this encoding is begun; None is UTF-8. Raises `InvalidInput` for a name that there isn't."""
    if encoding is None:
        return Form()
    try:
        found: Any = codecs.lookup(encoding)
        if not found._is_text_encoding:
            raise LookupError
        name: str = found.name
    except (LookupError, TypeError, ValueError, AttributeError):
        raise InvalidInput(
            f'encoding={encoding!r}: there is no such encoding: use "utf-8", "cp1252", "shift_jis" or another '
            "of Python's."
        ) from None
    codec = _MARKED.get(name, _SUPERSETS.get(name, name))
    mark = next((mark for mark, marked in _MARKS if marked == codec), b"")
    return Form(codec, mark if name in _MARKED else b"")


def as_utf8(stream: BinaryIO, encoding: str | None) -> tuple[io.BufferedReader, Form]:
    """The stream's text as UTF-8, in lines that end with LF, and how it was written.

    A mark at its beginning is believed over `encoding`. What can't be read comes as bytes that aren't UTF-8, so
    that only its row is bad. Waits for no more than the first line.
    """
    head = stream.readline(HEAD)
    form = _recognised(head, encoding)
    whole = rejoined(head.removeprefix(form.mark), stream)
    if form.codec == "utf-8" and not form.is_cr:
        return whole, form
    return io.BufferedReader(_Transcoded(whole, form), PIECE), form


def rejoined(head: bytes, stream: BinaryIO) -> io.BufferedReader:
    """The stream with what was read of it before the rest."""
    return io.BufferedReader(_Rejoined(head, stream), PIECE)


def unreadable(line: bytes, form: Form) -> str:
    """What to say of a line that isn't what its file is: as which encodings it would be a text."""
    if form.codec != "utf-8":
        return f"not {form.codec}: say encoding=, as the file was saved."
    at = next((index for index, byte in enumerate(line) if byte > 127), 0)
    word = line[at - 10 if at > 10 else 0 : at + 10].split(b"\n")[0]
    readings = []
    for encoding in _LIKELY:
        text = " ".join(word.decode(encoding, "ignore").split())
        if text.isprintable() and _decodes(line, encoding):
            readings.append(f"{encoding!r} reads {text!r}")
    choice = f", where {', '.join(readings[:3])}" if readings else ""
    return f"not UTF-8: say encoding={choice}."


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _recognised(head: bytes, encoding: str | None) -> Form:
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return _with_line_end(head, Form(codec, mark))
    codec = form_of(encoding).codec if encoding is not None else _unmarked(head)
    return _with_line_end(head, Form(codec))


def _unmarked(head: bytes) -> str:
    """UTF-16 without a mark has a zero beside each sign of ASCII; no other text has any."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 4 * even:  # a few signs beyond ASCII have one in the other byte
        return "utf-16-le"
    return "utf-16-be" if even > 4 * odd else "utf-8"


def _with_line_end(head: bytes, form: Form) -> Form:
    text = head.removeprefix(form.mark).decode(form.codec, "ignore")
    if "\n" in text or "\r" not in text[:-1]:  # the head may end between the two
        return form
    return Form(form.codec, form.mark, is_cr=True)


class _Rejoined(io.RawIOBase):
    """Bytes that were read of a stream, and then its rest, as it comes."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._read: Any = getattr(stream, "read1", stream.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        piece = self._head or self._read(len(view))
        self._head = piece[len(view) :]
        piece = piece[: len(view)]
        view[: len(piece)] = piece
        return len(piece)


class _Transcoded(io.RawIOBase):
    """A stream's text as UTF-8, its line ends as LF where they are a CR alone."""

    def __init__(self, stream: BinaryIO, form: Form) -> None:
        self._read: Any = getattr(stream, "read1", stream.read)
        self._decoder = codecs.getincrementaldecoder(form.codec)(_BROKEN)
        self._is_cr = form.is_cr
        self._ready = b""
        self._is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready and not self._is_over:
            piece = self._read(PIECE)
            self._is_over = not piece
            text = self._decoder.decode(piece, final=self._is_over)
            if self._is_cr:
                text = text.replace("\r", "\n")
            self._ready = text.encode("utf-8", "surrogatepass")
        view = memoryview(buffer)
        piece, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(piece)] = piece
        return len(piece)

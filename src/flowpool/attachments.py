"""Images and files in prompts: what stands for one, and what its bytes are. Reads nothing.

A source is a path, an address, a `data:` address or bytes; in braces, the variable of the item that holds one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from pathlib import Path, PurePath
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes, urlsplit

from msgspec import Struct

from flowpool.errors import InvalidItem
from flowpool.folders import local_path
from flowpool.template import Template, look_up
from flowpool.values import Media

# About the largest request that providers take; what is larger is refused before it is read into memory.
MAX_BYTES = 20_000_000

_ADDRESS = re.compile(r"(https?|gs)://", re.IGNORECASE)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"PK\x03\x04", "application/zip"),  # Office's files too
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_ENDINGS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".htm": "text/html",
}
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_FILES = ("application/pdf", "audio/", "text/", "image/")


class Attachment(Struct, frozen=True):
    """An image or a file in a prompt: use `Image` or `File`."""

    source: Any
    media_type: str = ""
    name: str = ""
    root: Any = None  # a folder's path, or several as a tuple: `folders.Folders`

    kind: ClassVar[str] = "file"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self.source)})"

    @property
    def names(self) -> frozenset[str]:
        """The variables in it."""
        return frozenset().union(*(template.names for template in self.templates))

    @property
    def is_literal(self) -> bool:
        """Whether it is the same for every item."""
        return not any(template.names or template.doubtful for template in self.templates)

    @property
    def templates(self) -> tuple[Template, ...]:
        """Its texts, whose variables an item fills."""
        texts = (text for text in (self.source, self.name) if isinstance(text, str))
        return tuple(map(Template, texts))

    def needs(self, path: str, variables: Mapping[str, Any]) -> bool:
        """Whether it is nothing but this one of the variables: without a value there, nothing can be sent."""
        return isinstance(self.source, str) and Template(self.source).sole(variables) == path

    def as_part(self) -> dict[str, Any]:
        """It as a file of definitions has it."""
        source = str(self.source) if isinstance(self.source, PurePath) else self.source
        root = "" if self.root is None or isinstance(self.root, tuple) else str(self.root)
        more = {"media_type": self.media_type, "name": self.name, "root": root}
        return {self.kind: source} | {name: value for name, value in more.items() if value}

    def render(
        self, variables: Mapping[str, Any], made: Set[str] = frozenset()
    ) -> Attachment | Media:
        """What an item's variables make of it: an address as `Media`, else what is to be read.

        made: the variables that came out of a step: their text is never a path.

        Raises `InvalidItem` for a variable that holds nothing of the kind.
        """
        source = self._source_for(variables)
        name = Template(self.name).render(variables) if "{" in self.name else self.name
        if isinstance(source, Media):
            return source
        if isinstance(source, Attachment):
            root = self.root if source.root is None else source.root
            return type(source)(source.source, source.media_type, source.name, root).render({})
        if isinstance(source, str) and source.strip():
            found = self._of_text(source.strip(), name)
            if isinstance(found, Attachment) and isinstance(found.source, PurePath):
                self._refuse_made(variables, made)
            return found
        if isinstance(source, PurePath):
            return type(self)(self._located(source), self.media_type, name, self.root)
        if isinstance(source, (bytes, bytearray, memoryview)):
            held = source if isinstance(source, bytes) else bytes(source)
            return type(self)(held, self.media_type, name)
        raise InvalidItem(
            f"{self.kind} {shown(self.source)} is {shown(source)}: give a path, an address or bytes."
        )

    def _source_for(self, variables: Mapping[str, Any]) -> Any:
        source = self.source
        if not isinstance(source, str) or "{" not in source:
            return source
        template = Template(source)
        sole = template.sole(variables)
        return template.render(variables) if sole is None else look_up(sole, variables)

    def _of_text(self, text: str, name: str) -> Attachment | Media:
        if text[:5].lower() == "data:":
            return type(self)(*_of_data_address(text, self.media_type), name)
        if _ADDRESS.match(text):
            ending = PurePath(urlsplit(text).path).suffix.lower()
            usual = "image/png" if self.kind == "image" else "application/pdf"
            return Media(self.media_type or _ENDINGS.get(ending, usual), url=text, name=name)
        return type(self)(self._located(PurePath(text)), self.media_type, name, self.root)

    def _located(self, path: PurePath) -> Path:
        found = local_path(path)
        if self.root is None or isinstance(self.root, tuple):
            return found
        return local_path(self.root) / found

    def _refuse_made(self, variables: Mapping[str, Any], made: Set[str]) -> None:
        """A path that a model, a page or another step gave could be that of any file."""
        if not made or not isinstance(self.source, str):
            return
        if came := sorted(Template(self.source).variables(variables) & made):
            raise InvalidItem(
                f"{self.kind} {shown(self.source)}: {came[0]!r} came out of a step, and text from there is never a "
                "path: have the step give bytes, an address or a pathlib.Path."
            )


class Image(Attachment, frozen=True):
    """An image in a prompt: PNG, JPEG, GIF or WebP.

    source: its path, its address (which the provider fetches), or its bytes; `"{photo}"` is the variable of an item
        that holds one of these. Files have at most 20 MB.
    media_type: its type, such as `"image/png"`, where its bytes don't tell.
    root: the folder in which paths begin and that none leads out of: for items that name files. What came out of a
        step of a chain is never a path.

    Skill("gpt-5-mini", prompt=["What is this?", Image("{photo}")])
    """

    kind: ClassVar[str] = "image"


class File(Attachment, frozen=True):
    """A document in a prompt: a PDF, text, or sound where the provider takes it.

    source, media_type, root: as `Image` has them. name: the file's name for the model.

    Skill("claude-haiku-4-5", prompt=["Summarise.", File("{path}")])
    """

    kind: ClassVar[str] = "file"


def attachment_of(part: Mapping[str, Any]) -> Attachment | None:
    """The attachment that a part such as {image: "{photo}"} describes, or None for another part."""
    for kind, made in (("image", Image), ("file", File)):
        source = part.get(kind)
        if part.get("type") == kind and "path" in part:
            source = part["path"]
        if source is not None:
            root = part.get("root") or None
            return made(source, part.get("media_type") or "", part.get("name") or "", root)
    return None


def type_of(data: bytes, ending: str) -> str:
    """The media type of some bytes, by what they begin with; else by the file's ending; "" where nothing tells."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data.startswith(b"RIFF"):
        return _RIFF.get(bytes(data[8:12]), "")
    known = _ENDINGS.get(ending.lower(), "")
    if known.startswith("text/") or not known:
        return known or "text/plain" if _is_text(data) else ""
    return ""  # its bytes are not what its ending says


def check_type(attachment: Attachment, media_type: str) -> None:
    """Raises `InvalidItem` for what no provider takes as such a part."""
    where = f"{attachment.kind} {shown(attachment.source)}"
    if not media_type:
        raise InvalidItem(f"{where}: its bytes tell no type: pass media_type=, or a PDF or text.")
    if media_type == "application/zip":
        raise InvalidItem(f"{where}: an archive or Office file: make text of it with to_markdown.")
    if attachment.kind == "image" and not media_type.startswith("image/"):
        raise InvalidItem(f"{where}: is {media_type}, no image: use File for it.")
    if media_type.startswith("image/") and media_type not in _IMAGES:
        raise InvalidItem(f"{where}: is {media_type}: convert it to PNG or JPEG.")
    if not media_type.startswith(_FILES):
        raise InvalidItem(f"{where}: is {media_type}: pass a PDF, text or an image.")


def shown(source: Any) -> str:
    """A source in few characters, whatever it holds."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{len(source):,} bytes>"
    text = str(source) if isinstance(source, PurePath) else repr(source)
    return text if len(text) <= 80 else text[:77] + "..."


def brief(variables: Any) -> Any:
    """An item's variables for a record's plain form: bytes are shown by their size, not held."""
    if not isinstance(variables, Mapping):
        return variables
    heavy = (bytes, bytearray, memoryview, Attachment, Media)
    if not any(isinstance(value, heavy) for value in variables.values()):
        return variables
    return {
        name: shown(value) if isinstance(value, heavy) else value
        for name, value in variables.items()
    }


def _of_data_address(text: str, media_type: str) -> tuple[bytes, str]:
    import base64
    import binascii

    head, comma, data = text[5:].partition(",")
    declared, *settings = head.split(";")
    raw = unquote_to_bytes(data)
    if "base64" in settings:
        try:
            raw = base64.b64decode(raw, validate=True)
        except (binascii.Error, ValueError):
            comma = ""
    if not comma:
        raise InvalidItem(f"{text[:40]!r}: a data: address is data:image/png;base64,....")
    return raw, media_type or declared


def _is_text(data: bytes) -> bool:
    try:
        return b"\x00" not in data and bool(data.decode("utf-8") or True)
    except UnicodeDecodeError:
        return False

"""Reads the images and files of prompts from disk, each up to a size. Blocks: called in threads."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import PurePath

from flowpool.attachments import MAX_BYTES, Attachment, check_type, shown, type_of
from flowpool.errors import InvalidItem
from flowpool.values import Media


def size_of(attachment: Attachment) -> int:
    """How many bytes it has; raises `InvalidItem` for a file that isn't there, is none, or is too large."""
    source = attachment.source
    if isinstance(source, PurePath):
        try:
            found = os.stat(source)
        except (OSError, ValueError) as error:
            raise _unreadable(attachment, error) from None
        if not stat.S_ISREG(found.st_mode):
            raise InvalidItem(f"{attachment.kind} {shown(source)}: is no file.")
        size = found.st_size
    else:
        size = len(source)
    if size > MAX_BYTES:
        raise InvalidItem(
            f"{attachment.kind} {shown(source)}: has {size:,} bytes; at most {MAX_BYTES:,} are sent."
        )
    if not size:
        raise InvalidItem(f"{attachment.kind} {shown(source)}: is empty.")
    return size


def read(attachment: Attachment) -> Media:
    """The image or file with its content; raises `InvalidItem` for what can't be read or sent."""
    source = attachment.source
    ending = name = ""
    size_of(attachment)
    if isinstance(source, PurePath):
        ending, name = source.suffix, source.name
        try:
            with open(source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(attachment, error) from None
    else:
        data = source
    media_type = attachment.media_type or type_of(data, ending)
    check_type(attachment, media_type)
    name = attachment.name or ("" if attachment.kind == "image" else name)
    return Media(media_type, base64.b64encode(data).decode("ascii"), name=name)


def _unreadable(attachment: Attachment, error: Exception) -> InvalidItem:
    why = getattr(error, "strerror", None) or str(error)
    missing = isinstance(error, FileNotFoundError)
    return InvalidItem(
        f"{attachment.kind} {shown(attachment.source)}: {'no such file' if missing else why}."
    )

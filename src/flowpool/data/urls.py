"""Files at URLs, `s3://bucket/rows.csv`, `https://...`, as fsspec opens them: they are opened as paths are."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from flowpool.data.writer import Writer
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.record import Record

_GLOB = frozenset("*?[")


class Url:
    """A file at a URL. Shown without what may be secret in it: a password, or a signature in its query."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.name = PurePosixPath(parts.path or parts.netloc).name
        self.suffix = PurePosixPath(self.name).suffix
        self.is_secret = bool(parts.query or "@" in parts.netloc)
        host = parts.netloc.rpartition("@")[2]
        self._shown = f"{parts.scheme}://{host}{parts.path}" + ("?..." if parts.query else "")

    def __str__(self) -> str:
        return self._shown

    def open(self, mode: str = "rb", **_: Any) -> BinaryIO:
        """Its content; raises `InvalidInput` where that can't be read."""
        system, path = self._found()
        try:
            stream: BinaryIO = system.open(path, mode)
            return stream
        except Exception as error:
            raise InvalidInput(f"{self}: {self._says(error)}.") from None

    def exists(self) -> bool:
        """Whether there is such a file; raises `InvalidInput` where nobody can say."""
        system, path = self._found()
        try:
            return bool(system.exists(path))
        except Exception as error:
            raise InvalidInput(f"{self}: {self._says(error)}.") from None

    def matches(self) -> list[Url]:
        """The files that it is a glob of, sorted; itself where it is none."""
        if not _GLOB & set(self.name) or self.url.startswith("http"):
            return [self]
        system, path = self._found()
        try:
            found = [str(system.unstrip_protocol(one)) for one in sorted(system.glob(path))]
        except Exception as error:
            raise InvalidInput(f"{self}: {self._says(error)}.") from None
        if not found:
            raise InvalidInput(f"{self}: no file matches.")
        return [Url(one) for one in found]

    def fetch(self, file: Path) -> None:
        """Copies its content to a file."""
        with self.open() as stream, file.open("wb") as copy:
            shutil.copyfileobj(stream, copy)

    def put(self, file: Path) -> None:
        """Makes its content that of a file, whole or not at all where the storage is one of objects."""
        system, path = self._found()
        system.put_file(str(file), path)

    def _found(self) -> tuple[Any, str]:
        try:
            import fsspec
        except ImportError:
            raise InvalidInput(
                f"{self}: to read and write URLs: pip install 'flowpool[urls]'"
            ) from None
        try:
            system, path = fsspec.core.url_to_fs(self.url)
            return system, str(path)
        except (
            Exception
        ) as error:  # an unknown protocol; one whose package is missing, which it names
            raise InvalidInput(f"{self}: {self._says(error)}.") from None

    def _says(self, error: Exception) -> str:
        if isinstance(error, FileNotFoundError):
            return "no such file"
        words = " ".join(str(error).split()).rstrip(".").replace(self.url, str(self))
        return f"can't be opened: {words or type(error).__name__}"


class UrlWriter(Writer):
    """Writes beside the machine's temporary files, and uploads the whole when it is closed."""

    def __init__(self, url: Url, folder: Path, inner: Writer) -> None:
        super().__init__(str(url), inner.layout)
        self._url = url
        self._folder = folder
        self._inner = inner
        self.rows = inner.rows
        self.there = inner.there
        self._before = inner.rows

    def write(self, record: Record) -> None:
        self._inner.write(record)
        self.rows = self._inner.rows

    def close(self) -> None:
        if not self._folder.is_dir():
            return
        self._inner.close()
        file = self._folder / self._url.name
        if file.exists() and self._inner.rows > self._before:
            try:
                self._url.put(file)
            except Exception as error:  # whatever the storage's package raises
                words = " ".join(str(error).split()) or type(error).__name__
                raise InvalidInput(
                    f"{self.path}: can't be written: {words}: {self.rows:,} rows are kept in {file}."
                ) from None
        shutil.rmtree(self._folder)


def spooled(url: Url, *, append: bool) -> Path:
    """A path of the URL's name in a new temporary folder, with what is there where it is added to."""
    path = Path(tempfile.mkdtemp(prefix="flowpool-")) / url.name
    if append and url.exists():
        url.fetch(path)
    return path

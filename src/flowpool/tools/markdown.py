"""Markdown of whatever a step has: HTML, a fetched page, a file, a URL.

Parsing takes CPU, so the conversion runs in a worker process; a URL is fetched before that, on the event loop,
with `fetch`'s guard. Must not know how HTML or documents are converted, nor chains or pools.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from flowpool.errors import InvalidInput, UnreadableDocument
from flowpool.folders import Folders, check_beneath, folders, is_beneath, local_path
from flowpool.tools.base import FunctionTool, Prepare, Tool
from flowpool.values import Caps

Source = str | bytes | Mapping[str, Any] | os.PathLike[str]

_HTML = (".html", ".htm", ".xhtml")
_DOCUMENTS = (".pdf", ".docx")
_SUFFIXES = (*_HTML, ".txt", ".text", ".md", ".markdown", *_DOCUMENTS)
# Characters: Linux's own limit, so that a longer text is taken for content and asked of no disk.
_LONGEST_PATH = 4096
_OF_A_PAGE = ("html", "content", "url", "content_type", "title")
# Converting waits for a worker anyway; the width lets URLs be fetched meanwhile.
_WIDTH = 50
# A page takes some 10 ms, a long PDF some 10 s. What takes more is no page that anybody reads.
_CAPS = Caps(seconds=60.0, memory=2_000_000_000, output=10_000_000)


def _to_markdown(
    source: Source,
    main_content: bool = True,
    allow_private: bool = False,
    root: str | os.PathLike[str] | None = None,
) -> str:
    """Makes markdown of HTML, a fetched page, a file or a URL, with headings, lists, tables, links and code.

    Args:
        source: HTML or text; a page that `fetch` gave; a path of an .html, .txt, .md, .pdf or .docx file;
            the bytes of one; or an http(s) URL, which is fetched first. Text that came out of a step of a
            chain is content, never a path.
        main_content: leave menus, footers and the like of a web page out. False keeps the whole page, and so does a
            page with under 300 characters of main content, which is logged.
        allow_private: fetch from private addresses too. Only code or a step's options set it.
        root: the folder in which paths begin and that none leads out of. Only code or a step's options set it.

    As a step it works in a worker process, for at most 60 seconds (or the step's `timeout`), with 2 GB of memory,
    and gives 10 MB at most; `to_markdown.caps = Caps(...)` sets other caps.

    Returns the markdown. Raises `InvalidInput` for a file that isn't there or can't be read, and what
    `fetch` raises for a URL. Main content needs the extra `flowpool[pages]`, PDF and
    DOCX `flowpool[documents]`.

    Example:
        to_markdown("<h1>Hello</h1><ol><li>one<li>two</ol>")  # '# Hello\\n\\n1. one\\n2. two'
    """
    if isinstance(source, str) and _is_url(source):
        from flowpool.tools.running import drive
        from flowpool.tools.web import fetch

        source = drive(fetch.fn(source, allow_private=allow_private))
    return _convert(_located(source, root, None), main_content)


def _located(
    source: Source, root: str | os.PathLike[str] | None, allowed: Folders | None
) -> Source:
    """The source with what is a path as one that may be read from here, and other text as content.

    Raises `InvalidInput` for a path out of its root, or out of the folders that a file is kept to.
    """
    if isinstance(source, os.PathLike):
        path: Path | None = local_path(Path(source))
    elif isinstance(source, str):
        path = _path_in(source)
    else:
        return source
    if path is None:
        return as_content(source)
    if root is not None:
        path = local_path(Path(root)) / path
        check_beneath(path, folders(os.fspath(root)), is_trusted=True)
    check_beneath(path, allowed)
    return path.absolute()  # a worker may have been started in another directory


def as_content(value: Source) -> Source:
    """A value that came out of a step: its text is content, whatever it looks like; an address stays one."""
    return {"html": value} if isinstance(value, str) and not _is_url(value) else value


def kept_to(tool: Tool, allowed: Folders | None) -> Tool:
    """The tool for a file that isn't trusted: its paths stay in these folders."""
    if allowed is None or not tool.from_steps:
        return tool
    (parameter,) = tool.from_steps
    kept = tool.with_options()
    kept.prepare = _preparing(parameter, allowed)
    kept._files = partial(_files_in, parameter=parameter, allowed=allowed)  # type: ignore[method-assign]
    return kept


def _preparing(parameter: str, allowed: Folders | None = None) -> Prepare:
    """What happens to the argument of this name before it leaves for a worker."""

    async def prepare(arguments: dict[str, Any]) -> dict[str, Any]:
        source: Any = arguments.get(parameter)
        if isinstance(source, str) and _is_url(source):
            from flowpool.tools.web import fetch

            source = await fetch.fn(source, allow_private=arguments.get("allow_private", False))
        if isinstance(source, Mapping):
            source = {key: source[key] for key in _OF_A_PAGE if key in source}
        root = arguments.pop("root", None)
        return {**arguments, parameter: _located(source, root, allowed)}

    return prepare


def _files_in(
    arguments: Mapping[str, Any], parameter: str = "source", allowed: Folders | None = None
) -> list[PurePath]:
    """The file that is converted, where it is one, and one that may be read."""
    source, root = arguments.get(parameter), arguments.get("root")
    path = local_path(Path(source)) if isinstance(source, os.PathLike) else None
    if isinstance(source, str) and not _is_url(source):
        path = _path_in(source)
    if path is not None and root is not None:
        path = local_path(Path(root)) / path
        allowed = folders(os.fspath(root)) if allowed is None else allowed
    return [] if path is None or not (allowed is None or is_beneath(path, allowed)) else [path]


to_markdown = FunctionTool(_to_markdown, name="to_markdown", options_only=("allow_private", "root"))
to_markdown.mode = "process"
to_markdown.caps = _CAPS
to_markdown.max_flows = _WIDTH
to_markdown.dotted = "flowpool.tools:to_markdown"
to_markdown.prepare = _preparing("source")
to_markdown.from_steps = {"source": as_content}
to_markdown.reads = frozenset({"source"})
to_markdown._files = _files_in  # type: ignore[method-assign]


_FROM_STEPS: Mapping[str, Callable[[Any], Any]] = {"input": as_content}


class ConvertToMD(Tool):
    """`to_markdown` in the form of AIchain 1.x: its parameter is `input`, and a call gives a `ToolResult`.

    Scripts use it as it is or with brackets; both are the same tool.

    Example:
        convertToMD("<h1>Hello</h1>")  # ToolResult(success=True, output='# Hello', error=None)
        convertToMD().run(input="<h1>Hello</h1>")  # '# Hello'
    """

    name = "convertToMD"
    description = "Makes markdown of HTML, a fetched page, a file or a URL."
    mode = "process"
    caps = _CAPS
    max_flows = _WIDTH
    dotted = "flowpool.tools:convertToMD"
    options_only = frozenset(("allow_private", "root"))
    from_steps = _FROM_STEPS
    reads = frozenset({"input"})
    outputs = ()

    def __init__(self) -> None:
        self.prepare = _preparing("input")

    def _files(self, arguments: Mapping[str, Any]) -> list[PurePath]:
        """The file that is converted, where it is one."""
        return _files_in(arguments, "input")

    def run(  # type: ignore[override]
        self,
        input: Source,
        main_content: bool = True,
        allow_private: bool = False,
        root: str | os.PathLike[str] | None = None,
    ) -> str:
        """The markdown of `input`; raises what went wrong."""
        return _to_markdown(input, main_content, allow_private, root)

    def __call__(self, input: Any = None, options: Any = None, **kwargs: Any) -> Any:
        """The outcome as a `ToolResult`; the tool itself when there is nothing to convert."""
        if input is None and options is None and not kwargs:
            return self
        return super().__call__(input, options, **kwargs)

    def __reduce__(self) -> str:
        return "convertToMD"


convertToMD = ConvertToMD()  # noqa: N816  (AIchain's name)


def _convert(source: Source, main_content: bool) -> str:
    if isinstance(source, Mapping):
        return _convert_page(source, main_content)
    if isinstance(source, bytes):
        return _convert_bytes(source, "these bytes", "", "", main_content)
    if isinstance(source, os.PathLike):
        return _convert_file(Path(source), main_content)
    return _convert_text(_text(source), "", main_content)


def _text(source: Any) -> str:
    if not isinstance(source, str):
        kind = type(source).__name__
        raise InvalidInput(
            f"to_markdown: source is of type {kind}: pass text, a page, a path or a URL."
        )
    return source


def _convert_page(page: Mapping[str, Any], main_content: bool) -> str:
    url, content_type = str(page.get("url") or ""), str(page.get("content_type") or "")
    content = page.get("content")
    if isinstance(content, bytes):
        return _convert_bytes(content, url or "this page", content_type, url, main_content)
    if not isinstance(page.get("html"), str):
        raise InvalidInput("to_markdown: source is a dict without 'html': pass a page from fetch.")
    return _convert_text(page["html"], url, main_content, content_type)


def _convert_bytes(
    content: bytes, name: str, content_type: str, url: str, main_content: bool
) -> str:
    from flowpool.tools.decoding import decode, is_text, media_type
    from flowpool.tools.documents import document_to_text, kind_of
    from flowpool.tools.redirects import shown

    if suffix := kind_of(content):
        return document_to_text(content, suffix, name)
    if not is_text(content, content_type):
        kind = media_type(content_type)[:40] or "this binary format"
        problem = f"can't make markdown of {kind}: HTML, text, PDF and DOCX work."
        raise UnreadableDocument(name, problem)
    text = decode(content, content_type, shown(url) or name)
    return _convert_text(text, url, main_content, content_type)


def _convert_text(text: str, url: str, main_content: bool, content_type: str = "") -> str:
    from flowpool.tools.decoding import is_html
    from flowpool.tools.page import has_markup, html_to_text, why_without_text

    is_page = is_html(text, content_type) or (not content_type.strip() and has_markup(text))
    markdown = html_to_text(text, url, main_content) if is_page else text.strip()
    if not markdown.strip() and (is_page or url):
        raise UnreadableDocument(url or "this page", f"no text in it{why_without_text(text)}.")
    return markdown


def _convert_file(path: Path, main_content: bool) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InvalidInput(
            f"{path}: can't make markdown of {suffix or 'it'}: use {', '.join(_SUFFIXES)}."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableDocument(str(path), f"{error.strerror}: check the path.") from None
    content_type = "text/html" if suffix in _HTML else "text/plain"
    if suffix in _DOCUMENTS:
        from flowpool.tools.documents import document_to_text

        return document_to_text(content, suffix, path.name)
    return _convert_bytes(content, path.name, content_type, "", main_content)


def _is_url(text: str) -> bool:
    return text.lstrip()[:8].lower().startswith(("http://", "https://")) and not text.strip().count(
        "\n"
    )


def _path_in(text: str) -> Path | None:
    """The path that `text` is, if it looks like one of a file that can be converted."""
    if len(text) > _LONGEST_PATH or "\n" in text or "<" in text:
        return None
    path = local_path(text.strip())
    if path.suffix.lower() not in _SUFFIXES:
        return None
    # A sentence may end in "readme.md"; what has no blanks is meant as a path, whether it is there or not.
    return path if path.is_file() or not any(c.isspace() for c in text.strip()) else None

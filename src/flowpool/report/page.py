"""The page itself: one file of HTML that asks for nothing else. Its scripts and styles stand in `assets/`."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from flowpool import __version__
from flowpool.errors import InvalidInput
from flowpool.printable import printable
from flowpool.report.compare import comparison
from flowpool.report.content import without_content
from flowpool.report.data import RunData
from flowpool.report.payload import run_payload
from flowpool.report.target import checked_target
from flowpool.report.texts import CHUNK, Texts, item_texts, pack
from flowpool.sharing.directory import PUBLIC, write_whole

# Bytes of the whole file: what anybody can send in a mail.
MOST = 7_600_000
ENDINGS = (".html", ".htm")
# At least so many are left to the items' texts, whatever the figures take.
_LEAST_TEXTS = 400_000
_SCRIPTS = {
    "run": (
        "uPlot.iife.min.js",
        "base.js",
        "charts.js",
        "gantt.js",
        "grid.js",
        "item.js",
        "run.js",
    ),
    "compare": ("base.js", "compare.js"),
}
_STYLES = {"run": ("uPlot.min.css", "page.css"), "compare": ("page.css",)}
_START = {"run": "F.showRun", "compare": "F.showComparison"}


def write_report(
    path: str | Path,
    runs: Sequence[RunData],
    kept: Iterable[Path] = (),
    *,
    content: bool = True,
    overwrite: bool = False,
) -> Path:
    """Writes the page of a run, or of two beside each other; returns where it is.

    kept: files that it may not be. content: False leaves out prompts, variables, answers, and what errors repeat of
    them. Raises `InvalidInput` for a file that exists, without `overwrite`, or can't be written.
    """
    file = checked_target(path, kept, ENDINGS, overwrite=overwrite)
    page = (
        run_page(runs[0], content=content)
        if len(runs) == 1
        else compare_page(*runs, content=content)
    )
    try:
        write_whole(file, page, mode=PUBLIC)
    except OSError as error:
        raise InvalidInput(
            f"{path} can't be written ({error.strerror or error}): name another file."
        ) from None
    return file


def run_page(run: RunData, *, content: bool = True) -> bytes:
    """The page of a run."""
    if not content:
        run = without_content(run)
    payload = run_payload(run, content=content)
    taken = len(pack(msgspec.json.encode(payload)))
    texts = item_texts(run.items, _room(taken))
    return _page("run", run.name, {**payload, "cut": texts.cut}, texts)


def compare_page(one: RunData, other: RunData, *, content: bool = True) -> bytes:
    """The page of two runs beside each other."""
    payload, texts = comparison(one, other, _room(200_000), content=content)
    return _page("compare", f"{_label(one)} and {_label(other)}", payload, texts)


def _label(run: RunData) -> str:
    return f"{run.name} ({run.source})" if run.source else run.name


def _room(taken: int) -> int:
    """Bytes for texts beside `taken` packed bytes of figures: base64 makes four of three."""
    return max(_LEAST_TEXTS, int((MOST - 150_000) * 0.75) - taken)


def _page(kind: str, name: str, payload: Mapping[str, Any], texts: Texts) -> bytes:
    nonce = secrets.token_urlsafe(18)
    title = escape(printable(name))
    shown = {**payload, "version": __version__}
    data = [("data", pack(msgspec.json.encode(shown)))]
    data += [(f"texts-{number}", chunk) for number, chunk in enumerate(texts.chunks)]
    blocks = "\n".join(
        f'<script type="application/gzip" id="{id}">{b64encode(packed).decode()}</script>'
        for id, packed in data
    )
    scripts = "\n".join(map(_asset, _SCRIPTS[kind]))
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; "
        "form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="flowpool {__version__}">
<title>{title}</title>
<style nonce="{nonce}">
{chr(10).join(map(_asset, _STYLES[kind]))}
</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main id="main"><p id="wait">Unpacking the report ...</p></main>
<noscript><p>This report needs JavaScript, which it brings along: it asks nothing of the network.</p></noscript>
<div id="tip" role="status" hidden></div>
{blocks}
<script nonce="{nonce}">
{scripts}
F.chunk = {CHUNK};
F.start({_START[kind]});
</script>
</body>
</html>
""".encode()


def _asset(name: str) -> str:
    return files("flowpool.report").joinpath("assets", name).read_text(encoding="utf-8")

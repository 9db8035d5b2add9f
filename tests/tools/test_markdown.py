"""`to_markdown` and `convertToMD`: every kind of source, in this process and in a worker."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tools.documents import pdf

from flowpool import Chain, Pool, workers
from flowpool.errors import AddressRefused, InvalidInput, StepTimeout, UnreadableDocument
from flowpool.tools import ToolResult, as_tool, convertToMD, to_markdown
from flowpool.values import Caps

HTML = "<title>T</title><h1>Hello</h1><ol><li>one<li>two</ol><p><a href='x'>more</a></p>"
MARKDOWN = "# Hello\n\n1. one\n2. two\n\n[more](x)"


def as_the_engine_does(tool: Any, variables: dict[str, Any], options: Any = None) -> Any:
    """Binds, prepares on the loop, and computes in a worker process."""

    async def main() -> Any:
        arguments = await tool.prepare(tool.bind(variables, options))
        return await workers.shared().run(tool.dotted, arguments)

    assert tool.mode == "process"
    return asyncio.run(main())


def test_html_becomes_markdown_here_and_in_a_worker() -> None:
    assert to_markdown(HTML) == MARKDOWN
    assert as_the_engine_does(to_markdown, {"source": HTML}) == MARKDOWN
    assert as_the_engine_does(convertToMD, {"input": HTML}) == MARKDOWN


def test_a_fetched_page_resolves_its_links() -> None:
    page = {
        "html": HTML,
        "url": "https://example.test/a/",
        "content_type": "text/html",
        "status": 200,
    }
    assert as_the_engine_does(to_markdown, {"source": page}).endswith("(https://example.test/a/x)")


def test_text_that_is_no_html_stays_as_it_is() -> None:
    assert to_markdown("# Already\n\n- markdown") == "# Already\n\n- markdown"
    json = {"html": '{"a": "<b>"}', "content_type": "application/json"}
    assert to_markdown(json) == '{"a": "<b>"}'


@pytest.mark.parametrize(
    "kind",
    ["text/html, charset=utf-8", "text/plain", "application/xml", "application/octet-stream", ""],
)
def test_html_is_converted_whatever_it_is_called(kind: str) -> None:
    for start in ("<!DOCTYPE html>", "\n<!-- x --><html>", "<?xml version='1.0'?><html>"):
        html = start + "<body><h1>Hello</h1><p>World"
        page = {"html": html, "content_type": kind, "url": ""}
        assert to_markdown(page) == "# Hello\n\nWorld"
        if kind:
            assert (
                to_markdown({"content": html.encode(), "content_type": kind}) == "# Hello\n\nWorld"
            )


def test_text_with_some_markup_in_it_stays_text() -> None:
    for kind in ("text/plain", "text/markdown", "application/xml"):
        page = {"html": "# Head\n\n<b>x</b>\n\n<html>", "content_type": kind}
        assert to_markdown(page) == page["html"]
    rss = '<?xml version="1.0"?><rss><item>&lt;p&gt;</item></rss>'
    assert to_markdown({"html": rss, "content_type": "application/xml"}) == rss


SPREADING = "<table>" + "<tr><td colspan=1000 rowspan=1000>x" * 5000 + "</table>"
HOSTILE = "<html><body class='" + "<span hidden>" * 80_000  # the renderer takes minutes for it


def test_a_page_does_not_grow_by_the_spans_of_its_cells() -> None:
    assert len(to_markdown(SPREADING)) < len(SPREADING)
    honest = "<p>Words.</p><table><tr><td colspan=2>a<td>b<tr><td>c<td>d<td>e</table>"
    assert "| a | | b |" in to_markdown(honest)


@pytest.mark.parametrize("own", [True, False])
def test_honest_pages_go_on_beside_one_that_takes_too_long(monkeypatch, own: bool) -> None:
    items = [{"page": page} for page in (HOSTILE, HTML, HOSTILE, HTML, HTML)]
    if own:
        monkeypatch.setattr(to_markdown, "caps", Caps(seconds=5.0))
    chain = Chain([(to_markdown, "text", {"source": "page"}, {} if own else {"timeout": 4.0})])
    results = Pool(chain, items).run()
    assert [output == MARKDOWN for output in results] == [False, True, False, True, True]
    for record in (results.records[0], results.records[2]):
        assert type(record.error) is StepTimeout
        assert f"within {5 if own else 4} s" in str(record.error)


def test_a_page_that_gives_too_much_fails_by_the_cap_s_name(monkeypatch) -> None:
    monkeypatch.setattr(to_markdown, "caps", Caps(output=1000))
    results = Pool(to_markdown, [{"source": "x" * 2000}, {"source": "fine"}]).run()
    assert list(results) == [None, "fine"]
    assert "longer than 0 MB" in str(results.errors[0])


def test_a_url_is_fetched_first(site) -> None:
    url = site.html("/a/", HTML)
    expected = MARKDOWN.replace("(x)", f"({site.url('/a/x')})")
    assert to_markdown(url, allow_private=True) == expected
    assert as_the_engine_does(to_markdown, {"source": url}, {"allow_private": True}) == expected
    assert as_the_engine_does(convertToMD, {"input": url}, {"allow_private": True}) == expected


def test_a_url_is_fetched_with_the_guard(site) -> None:
    url = site.html("/", HTML)
    with pytest.raises(AddressRefused):
        to_markdown(url)
    with pytest.raises(AddressRefused):
        as_the_engine_does(to_markdown, {"source": url, "allow_private": True})
    assert convertToMD(url).success is False
    assert site.seen == []


def test_the_whole_page_is_an_option() -> None:
    words = "<p>Words of the page, in sentences that go on for a while.</p>" * 10
    page = f"<body><nav><ul><li><a href='/'>Home</a></ul></nav><main>{words}</main></body>"
    assert "Home" not in to_markdown(page)
    assert "Home" in as_the_engine_does(to_markdown, {"source": page}, {"main_content": False})


def test_what_a_worker_logs_is_in_this_process_s_log(caplog) -> None:
    content = "<meta name=x><p>Caf\xe9</p>".encode("latin-1")
    page = {"content": content, "content_type": "text/html", "url": "https://a.test/b?key=1"}
    assert as_the_engine_does(to_markdown, {"source": page}) == "Café"
    (line,) = caplog.messages
    assert line.startswith("https://a.test/b: no character set that fits is named")


def test_files_are_read_by_their_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.html").write_bytes("<meta charset=koi8-r><h1>Мир</h1>".encode("koi8-r"))
    (tmp_path / "b.txt").write_text("<b>as it is</b>")
    (tmp_path / "with blanks.md").write_text("# Head\n")
    assert to_markdown(str(tmp_path / "a.html")) == "# Мир"
    assert to_markdown(tmp_path / "b.txt") == "<b>as it is</b>"
    assert to_markdown(str(tmp_path / "with blanks.md")) == "# Head"
    monkeypatch.chdir(tmp_path)
    assert as_the_engine_does(to_markdown, {"source": "a.html"}) == "# Мир"


def test_only_documents_are_read_as_files(tmp_path: Path) -> None:
    secret = tmp_path / "passwd"
    secret.write_text("root")
    assert to_markdown(str(secret)) == str(secret)  # text like any other
    with pytest.raises(InvalidInput, match=r"can't make markdown of it: use \.html"):
        to_markdown(secret)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("no/such/file.pdf", "no/such/file.pdf: No such file or directory: check the path"),
        ({"text": "x"}, "a dict without 'html'"),
        (7, "source is of type int"),
        (
            {"content": b"\x89PNG\0", "content_type": "image/png", "url": "u"},
            "can't make markdown of image/png",
        ),
        (b"%PDF-1.4 cut short", "this PDF can't be read"),
        (pdf(""), "no text in it"),
        (b"PK\x03\x04 word/document.xml cut short", "this DOCX can't be read"),
    ],
)
def test_what_can_not_be_converted_is_refused_in_one_line(source: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        to_markdown(source)
    assert "\n" not in str(caught.value)


def test_a_sentence_that_ends_like_a_path_is_text() -> None:
    assert to_markdown("please read the readme.md") == "please read the readme.md"


def test_convert_to_md_is_called_as_aichain_does() -> None:
    assert convertToMD(HTML) == ToolResult(True, MARKDOWN, None)
    assert convertToMD({"input": HTML}).output == MARKDOWN
    assert convertToMD().run(input=HTML) == MARKDOWN
    assert convertToMD.run(input=HTML) == MARKDOWN
    failed = convertToMD("gone.pdf")
    assert (failed.success, failed.output) == (False, None)
    assert "gone.pdf: No such file" in str(failed.error)
    assert as_tool(convertToMD) is as_tool(convertToMD())
    assert convertToMD.parameters["required"] == ["input"]
    assert convertToMD.name == "convertToMD"


def test_heavy_libraries_are_loaded_only_when_they_are_used() -> None:
    import subprocess

    code = (
        "import sys; import flowpool.tools as t; t.fetch, t.to_markdown, t.convertToMD, t.tool;"
        "heavy = {'lxml', 'html_to_markdown', 'markitdown', 'trafilatura'} & set(sys.modules);"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pages_that_scripts_write_fail_their_own_rows_and_say_why() -> None:
    words = "Words of the page, in sentences that go on for a while. " * 10
    written = "<html><body><div id='root'></div><script>draw()</script></body></html>"
    pages = [written if i % 8 == 0 else f"<article><p>{words}{i}</p></article>" for i in range(40)]
    results = Pool(to_markdown, [{"source": page} for page in pages]).run()
    assert [i for i, output in enumerate(results) if output is None] == [0, 8, 16, 24, 32]
    failed = [record.error for record in results.records if record.error is not None]
    assert all("its scripts write it in a browser" in str(error) for error in failed)
    assert str(results[39]).endswith("39")


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("", ""),
        ("<html><body></body></html>", ""),
        ("<div id=root></div><script>draw()</script>", "its scripts write it in a browser"),
        ("<meta http-equiv='refresh' content='0; url=/b'><p></p>", "sends a browser on to another"),
    ],
)
def test_a_page_without_text_is_a_failure_that_says_why(html: str, why: str) -> None:
    page = {"html": html, "url": "https://example.com/a", "content_type": "text/html"}
    with pytest.raises(UnreadableDocument, match=f"^https://example.com/a: no text in it.*{why}"):
        to_markdown(page)

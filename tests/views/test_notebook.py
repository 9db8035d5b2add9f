"""Progress under a notebook's cell: a real kernel, and what its notebook then holds."""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ET
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from flowpool.views.notebook import as_html, as_text, sparkline
from flowpool.views.words import ProgressText

RUN = """
import time
from flowpool import Pool

def work(n):
    time.sleep(0.1)
    if n == 3:
        raise ValueError("an <odd> number")
    return n
"""


@pytest.fixture(scope="module")
def cells():
    """The cells of a notebook after it was run."""
    make: Any = nbformat.v4
    notebook = make.new_notebook()
    notebook.cells = [
        make.new_code_cell(source)
        for source in (
            RUN,
            "long = Pool(work, [{'n': n} for n in range(24)], max_flows=2, name='long').run(); None",
            "short = Pool(work, [{'n': 1}]).run(); None",
            "quiet = Pool(work, [{'n': n} for n in range(24)], max_flows=2, progress=False).run(); None",
            "await Pool(work, [{'n': n} for n in range(8)], name='asked', progress=True).arun(); None",
            "Pool(work, [{'n': 3} for n in range(30)], progress=False).run()",
        )
    ]
    path = os.pathsep.join(sys.path)
    client = NotebookClient(notebook, timeout=60, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": path})
    return notebook.cells


def test_a_run_has_one_output_under_its_cell_that_ends_with_what_became_of_it(cells) -> None:
    [output] = cells[1].outputs
    assert output.output_type == "display_data"
    html, text = output.data["text/html"], output.data["text/plain"]
    assert "<b>long</b>" in html
    assert "23 done, 1 failed in " in html
    assert "last failure: items[3]: StepFailed" in html
    assert "an &lt;odd&gt; number" in html
    assert text.startswith("long  23 done, 1 failed in ")


def test_a_run_has_a_line_of_its_rate_and_no_script() -> None:
    html = as_html(ProgressText("a&b", 0.5, 0.25, "3 of 4", [], rates=(1.0, 2.0, 3.0)))
    [line] = ET.fromstring(html).findall(".//polyline")
    assert line.attrib["points"].startswith("0.0,")
    assert "<script" not in html


def test_a_line_of_rates_is_drawn_to_scale_and_only_of_several() -> None:
    picture = ET.fromstring(sparkline([0.0, 10.0, 5.0]))
    [title, line] = picture
    assert title.text == "items a second, 3 s, at most 10.0/s"
    assert line.attrib["points"] == "0.0,17.0 60.0,1.0 120.0,9.0"
    assert sparkline([1.0, 2.0]) == sparkline([0.0] * 9) == ""


def test_a_run_of_less_than_a_second_shows_nothing_unasked(cells) -> None:
    assert cells[2].outputs == []


def test_asked_not_to_it_shows_nothing(cells) -> None:
    assert cells[3].outputs == []


def test_asked_for_it_shows_a_short_run_too_from_async_code(cells) -> None:
    [output] = cells[4].outputs
    assert "7 done, 1 failed in " in output.data["text/html"]


def test_results_at_the_end_of_a_cell_are_a_table(cells) -> None:
    [output] = cells[5].outputs
    html = output.data["text/html"]
    assert html.count("<tr>") == 21
    assert "an &lt;odd&gt; number" in html
    assert output.data["text/plain"].endswith("... 10 more]")


def test_the_bar_has_parts_for_what_is_done_and_what_failed() -> None:
    html = as_html(ProgressText("a&b", 0.5, 0.25, "3 of 4", [("fine", False), ("bad <b>", True)]))
    assert "width:50.00%" in html
    assert "width:25.00%" in html
    assert "a&amp;b" in html
    assert "bad &lt;b&gt;" in html


def test_of_an_unknown_number_there_is_no_bar() -> None:
    text = ProgressText("x", None, 0.0, "3 items", [("1 in progress", False)])
    assert "width:" not in as_html(text).replace("max-width:", "")
    assert as_text(text) == "x  3 items\n  1 in progress"

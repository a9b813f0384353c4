"""The elements of a page: escaped once, and nothing that data can end."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.report.page import Cell, figure, number_cell, page, section, table, text


class Read(HTMLParser):
    """What a browser would read: elements, and the text between them."""

    def __init__(self, whole: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.feed(whole)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Keep an element's name."""
        del attrs
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.texts.append(data)


@given(st.text())
def test_text_stays_text(value: str) -> None:
    """Whatever it is, it opens no element, in a heading, a caption and a cell."""
    parts = section(value, figure("curves", value), table([value], [[Cell(value)]], sortable=True))
    usual = section("x", figure("curves", "x"), table(["x"], [[Cell("x")]], sortable=True))
    assert Read(parts).elements == [name for name in Read(usual).elements if value or name != "button"]
    assert Read(f"<p>{value}<b></p>").elements != ["p"]  # the break: as it is, it would be read


@given(st.text())
def test_data_cannot_end_the_script(value: str) -> None:
    """The charts' data is one script, whatever a table's names are."""
    whole = page("title", [], {"curves": {"data": {"values": [{"column": f"{value}</script><!--<script>"}]}}})
    start = whole.index('id="charts">') + len('id="charts">')
    assert "<" not in whole[start : whole.index("</script>", start)]


def test_numbers_sort_by_what_they_are() -> None:
    """Rounded in sight, whole in the cell's value; what there is none of is empty and no number."""
    shown = table(["a", "b"], [[number_cell(1.23456789, ".2f"), number_cell(float("nan"))]], sortable=False)
    assert '<td class="number" data-value="1.23456789">1.23</td>' in shown
    assert "<td></td>" in shown
    assert "button" not in shown


@pytest.mark.parametrize(("value", "escaped"), [("<b>", "&lt;b&gt;"), ('"', "&quot;"), (3, "3")])
def test_text(value: Any, escaped: str) -> None:
    """As HTML writes it."""
    assert text(value) == escaped

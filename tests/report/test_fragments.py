"""What a notebook shows of a result: the words and numbers of the text, as HTML that holds nothing foreign."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from example_tables import QUICK, mixed

import fitwell
from fitwell.report.words import compared

TARGET = "<script>alert(1)</script>"
VOID = {"br"}


class Reader(HTMLParser):
    """Tags and texts of a piece of HTML, and whether each tag is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        """Count it."""
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Hold that it ends the last that began."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data.strip())


def read(fragment: str) -> Reader:
    """Parse a fragment to its end."""
    reader = Reader()
    reader.feed(fragment)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def found() -> fitwell.Result:
    """Of a target whose name is a script."""
    return fitwell.tune(mixed().rename({"ill": TARGET}), TARGET, **QUICK)


@pytest.fixture(scope="module")
def diagnosis() -> fitwell.Diagnosis:
    """Of the same."""
    table = mixed().rename({"ill": TARGET})
    return fitwell.diagnose(table, TARGET, strengths=2, epochs=4, hidden=(8,), cv=3, larger=False, learning_curve=False)


def test_a_result_shows_what_its_text_says(found) -> None:
    """Every sentence and every network that is compared, with its numbers."""
    texts = read(found._repr_html_()).texts
    sentences = [line for line in str(found).splitlines() if line.endswith(".")]
    assert sentences
    assert set(sentences) <= set(texts)
    for row in compared(found.search, found.answer):
        place = texts.index(row["network"])
        shown = texts[place : place + 7]
        assert shown[1:3] == [f"{row['training']:.4g}", f"{row['held out']:.4g}"]
        assert shown[5:] == [str(row["epoch"]), row["regularization"]]
    assert texts[0].startswith(f"Predicting {TARGET}; 90 rows; 3 row sets x 4 strengths = 12 networks; log loss")


def test_a_diagnosis_shows_its_verdict_and_reasons(diagnosis) -> None:
    """The lines of its text."""
    texts = read(diagnosis._repr_html_()).texts
    assert texts[0] == f"Predicting {TARGET}; 90 rows; log loss"
    assert texts[1:] == str(diagnosis).splitlines()


def test_nothing_of_the_data_is_html(found, diagnosis) -> None:
    """The name of a column is text, and there is no script, image or address in it; a raw name would be seen."""
    for shown in (found, diagnosis):
        fragment = shown._repr_html_()
        allowed = {"style", "div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
        assert read(fragment).tags <= allowed
        assert "http" not in fragment
        assert "url(" not in fragment
        raw = fragment.replace("&lt;script&gt;", "<script>").replace("&lt;/script&gt;", "</script>")
        assert not read(raw).tags <= allowed


def test_a_model_on_arrays_has_no_target(found) -> None:
    """Nothing is said of what was not read."""
    alone = replace(found, record=replace(found.record, summary={}))
    assert read(alone._repr_html_()).texts[0] == "3 row sets x 4 strengths = 12 networks; log loss"

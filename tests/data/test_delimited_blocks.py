from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fitwell.data import blocks, delimited_blocks
from fitwell.data.blocks import ReadWholeError
from fitwell.data.delimited import TextTable
from fitwell.data.delimited_blocks import open_delimited
from fitwell.data.table_files import read_file
from fitwell.errors import FitwellError


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of three columns."""
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 6)


def in_blocks(path: Path, separator: str | None = None) -> TextTable | None:
    """All blocks as one table; None if the file must be read whole."""
    try:
        file = open_delimited(path, separator, 1)
        parts = None if file is None else [block.table for block in file]
    except ReadWholeError:
        return None
    if parts is None:
        return None
    tables = [part for part in parts if isinstance(part, TextTable)]
    assert all(tables[0].frame.height == table.frame.height for table in tables[:-1])
    return TextTable(pl.concat([table.frame for table in tables]), tables[0].separator)


def same(one: TextTable, other: object) -> bool:
    return isinstance(other, TextTable) and one.separator == other.separator and one.frame.equals(other.frame)


ROWS = [["1,5", "a", ""], ["2", ' b "c" ', "x\ny"], ["", "", "#"], ["3", "é;", "-"], ["4", "d", "z"]]


def written(rows: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows([["one", "two", "three"], *rows])
    return text.getvalue()


STREAMED = {
    "plain": written(ROWS),
    "semicolons": written(ROWS, ";"),
    "tabs, Windows": written(ROWS, "\t", "\r\n"),
    "no newline at the end": written(ROWS).rstrip("\n"),
    "byte order mark": "\ufeff" + written(ROWS),
    "blank lines above": "\n\r\n\n" + written(ROWS),
    "separator told": "sep=;\n" + written(ROWS, ";"),
    "comments above": "# who\n# when, where\n" + written(ROWS),
    "comments between": written(ROWS).replace("3,", "# a comment\n3,").replace("4,", "#\n4,") + "# the end",
    "header in a comment": "# made today\n#" + written(ROWS),
    "blank lines between": written(ROWS).replace("3,", "\n  \n3,") + "\n\n",
    "one column": "one\n1\n2\n3\n",
    "one column with blank lines": "one\n1\n\n2\n3\n\n",
    "unnamed columns": ",,\n" + "1,2,3\n" * 5,
}


@pytest.mark.parametrize("text", STREAMED.values(), ids=STREAMED)
@pytest.mark.parametrize("zipped", [False, True])
def test_blocks_are_the_whole(tmp_path: Path, text: str, zipped: bool) -> None:
    """Rows, names and separator are those of the file read at once; a block too little would be seen."""
    path = tmp_path / ("t.csv.gz" if zipped else "t.csv")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    whole = read_file(path)
    found = in_blocks(path)
    assert found is not None
    assert same(found, whole)
    assert not same(TextTable(found.frame.head(-1), found.separator), whole)


NOT_STREAMED = {
    "line ends of old Macintosh files": written(ROWS).replace("x\ny", "xy").replace("\n", "\r"),
    "a lone carriage return": written(ROWS).replace("4,d", "4,\rd"),
    "a quote in the middle of a text": written(ROWS).replace("4,d", '4,d"'),
    "JSON": "{a,b\n1,2\n}",
    "only comments": "# a\n# b\n",
    "no rows": "a,b\n",
    "spaces above": "   \na,b\n1,2\n",
}


@pytest.mark.parametrize("text", NOT_STREAMED.values(), ids=NOT_STREAMED)
def test_what_is_read_whole(tmp_path: Path, text: str) -> None:
    """Where a part may mean something else than the whole, nothing is read in parts."""
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert outcome(lambda: in_blocks(path)) is None


LINES = ["1,2,3", "", " ", '"a\nb",2,3', "#c", "#,2,3", '"#",,', ",,", '1"2",,"']
FIELDS = st.text(alphabet='ab1, \n"#;\r', max_size=5)


@settings(max_examples=300)
@given(
    text=st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=7).map(written)
    | st.text(alphabet='ab1,,,\n\n"# \r', min_size=10, max_size=60).map("one,two,three\n".__add__)
    | st.lists(st.sampled_from(LINES), max_size=9).map(lambda lines: "\n".join(["one,two,three", *lines]))
)
@example("one,two,three\n\n,,\n\n1,2,3\n")
def test_any_text_in_blocks_is_the_text_read_whole(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever stands in a file: its blocks are the whole table, or end in its error, or ask for the whole file."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.encode())
    whole, found = outcome(lambda: read_file(path)), outcome(lambda: in_blocks(path))
    if isinstance(whole, TextTable):
        assert found is None or same(whole, found)
    else:
        assert found in (None, whole)


def outcome(call: Callable[[], object]) -> object:
    """What is returned, or the sentence of the error."""
    try:
        return call()
    except FitwellError as error:
        return str(error)


def test_an_error_names_its_line(tmp_path: Path) -> None:
    """A ragged line or a wrong byte far below is named as in a file read whole."""
    for bad, mark in itertools.product((b"1,2\n", b"1,2,\xff\n"), (b"", codecs.BOM_UTF8)):
        path = tmp_path / "t.csv"
        path.write_bytes(mark + b"# comment\n" + written(ROWS * 3).encode() + bad)
        with pytest.raises(FitwellError) as whole:
            read_file(path)
        with pytest.raises(FitwellError) as found:
            in_blocks(path)
        assert str(found.value) == str(whole.value)
        assert "line 21" in str(found.value)


def test_a_gzip_file_that_ends_too_early(tmp_path: Path) -> None:
    """Its reader says so, not the blocks."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(written(ROWS * 1000).encode())[:-20])
    assert in_blocks(path) is None


def test_a_header_longer_than_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decided by half a header."""
    path = tmp_path / "t.csv"
    path.write_text(written(ROWS))
    monkeypatch.setattr(delimited_blocks, "HEAD", 8)
    assert in_blocks(path) is None


def test_the_share_that_is_done_rises_to_all(tmp_path: Path) -> None:
    """A bar that follows it ends full."""
    path = tmp_path / "t.csv"
    path.write_text(written(ROWS * 100))
    file = open_delimited(path, None, 1)
    assert file is not None
    done = [block.done for block in file]
    assert done == sorted(done)
    assert done[-1] == 1.0

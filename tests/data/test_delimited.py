"""Delimited text: what is read, and a sentence for what cannot be."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
import pytest

from fitwell.data.delimited import read_delimited, sniff_separator
from fitwell.errors import FileError, InputError


def read(text: str | bytes, **options: object) -> pl.DataFrame:
    """Read a file's content."""
    content = text if isinstance(text, bytes) else text.encode()
    return read_delimited(content, "t.csv", **options).typed()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("separator", "header"), [(",", "a,b"), (";", "a;b"), ("\t", "a\tb"), (",", "a")])
def test_the_separator_is_sniffed(separator: str, header: str) -> None:
    """The header line decides; a single column needs none."""
    assert sniff_separator(header + "\n1\n") == separator


def test_a_separator_in_quotes_does_not_count() -> None:
    """Commas inside a quoted name do not make a semicolon file a comma file."""
    assert read('"a, b, c";d\n1;2\n').columns == ["a, b, c", "d"]


def test_all_rows_decide_a_type() -> None:
    """A column that is integers for 10,000 rows and then a decimal is a decimal column."""
    frame = read("a\n" + "1\n" * 10_000 + "1.5\n")
    assert frame["a"].dtype == pl.Float64
    assert frame["a"][-1] == 1.5


@pytest.mark.parametrize("mark", ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", " ? "])
def test_missing_marks_are_null(mark: str) -> None:
    """The usual marks are missing in number and text columns alike, padded or not."""
    assert read(f"a,b\n1,x\n{mark.strip()},{mark}\n").row(1) == (None, None)


def test_what_has_to_be_interpreted_stays_text() -> None:
    """Decimal commas stay text until the columns are described; whole numbers, and points in other files, do not."""
    frame = read("a;b;c;d\n1,5;1.234,5;1,5;7\n2;12;x;8\n")
    assert frame.rows() == [("1,5", "1.234,5", "1,5", 7), ("2", "12", "x", 8)]
    assert read('a,b\n"1,5",2.5\n"2",2\n').rows() == [("1,5", 2.5), ("2", 2)]
    assert read("a;b\n1.5;x\n2;y\n")["a"].to_list() == [1.5, 2]


def test_iso_dates_are_read_and_others_left_as_text() -> None:
    """ISO dates become dates; a day/month order is not guessed here."""
    frame = read("a,b,c\n2020-01-02,2020-01-02T03:04,01/02/2020\n,,\n")
    assert frame.row(0) == (date(2020, 1, 2), datetime(2020, 1, 2, 3, 4), "01/02/2020")


def test_a_byte_order_mark_and_line_ends_do_not_matter() -> None:
    """A byte order mark, Windows or old Macintosh line ends and blank lines change nothing."""
    expected = read("a,b\n1,x\n2,y\n").rows()
    for text in (
        "\ufeffa,b\n1,x\n2,y\n",
        "a,b\r\n1,x\r\n2,y",
        "a,b\r1,x\r2,y\r",
        "\na,b\n \n\n1,x\n  \n2,y\n\n",
    ):
        assert read(text).rows() == expected
        assert read(text).columns == ["a", "b"]


def test_quoted_fields_hold_separators_and_line_ends() -> None:
    """Quotes protect separators, line ends and quotes."""
    assert read('"a\nb",c\n"x,\n""y""",1\n').to_dict(as_series=False) == {"a\nb": ['x,\n"y"'], "c": [1]}


def test_names_are_stripped_and_made_up() -> None:
    """Spaces around names go; a column without a name gets one from its place."""
    assert read("a , ,c\n1,2,3\n").columns == ["a", "column_2", "c"]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b" \n\n", FileError, "is empty"),
        (b"a,b\n", InputError, "a header but no rows"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", FileError, "not a table: it holds binary data"),
        ('{"a": [1]}', FileError, r"a JSON document.*\.jsonl"),
        (
            b"a,b\n1,x\n2,\xe9t\xe9\n",
            FileError,
            r"not UTF-8 text: line 3, byte 3 is 0xe9.*iconv -f latin1 -t utf-8",
        ),
        (b"\xef\xbb\xbfa,b\n1,\xff\n", FileError, "line 2, byte 3 is 0xff"),
        ("a,b\n".encode("utf-16"), FileError, "is UTF-16"),
        ("a,b\n1,2\n1,2,3\n", InputError, "line 3 has 3 fields, the header has 2"),
        ("a,b\n1\n1,2\n", InputError, "line 2 has 1 field, the header has 2"),
        ("a,b, a\n1,2,3\n", InputError, "more than one column named 'a'"),
        ("5.1,3.5\n1.2,3.0\n", InputError, "no header"),
        ('a,b\n1,"x\n2,y\n', InputError, "t.csv"),
    ],
    ids=str,
)
def test_bad_files_get_a_sentence(content: str | bytes, error: type[Exception], message: str) -> None:
    """Each bad file is refused in one sentence that names it and says what was found."""
    with pytest.raises(error, match=message) as caught:
        read(content)
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)

"""How a table is written: its decimal mark and its marks of missing values, decided once and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.columns import describe_columns, extract
from fitwell.data.notation import MISSING_MARKS, DecimalVotes, decide_notation, missing_marks, without_marks
from fitwell.data.table_files import read_new, read_training
from fitwell.errors import InputTypeError


def numbers_of(path: Path, content: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a file as training reads them, and as they are read once more for prediction."""
    path.write_text(content, encoding="utf-8")
    frame, notation = read_training(path, MISSING_MARKS)
    columns = describe_columns(frame, notation=notation)
    again, _ = read_new(path, MISSING_MARKS)
    return extract(frame, columns).numbers, extract(again, columns).numbers


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", "a;b\n19,47;2.155\n3,5;1.020\n", [[19.47, 2155], [3.5, 1020]]),
        ("t.csv", "a;b\n19.47;2.155\n3.5;1.020\n", [[19.47, 2.155], [3.5, 1.02]]),
        ("t.tsv", "a\tb\n0,125\t12,345\n0,250\t1,500\n", [[0.125, 12.345], [0.25, 1.5]]),
        ("t.tsv", "a\tb\n12,345\t7\n1,500\t8\n", [[12.345, 7], [1.5, 8]]),
        ("t.csv", "a;b\n1.234;5\n2.345;6\n", [[1.234, 5], [2.345, 6]]),
        ("t.csv", 'a,b\n"1,234",5\n"2,345",6\n', [[1234, 5], [2345, 6]]),
        ("t.csv", 'a,b\n"1,5",2.5\n"2",3\n', [[1.5, 2.5], [2, 3]]),
        ("t.csv", "a;b\n1.234,5;52.3702\n2;13.4\n", [[1234.5, 52.3702], [2, 13.4]]),
        ("t.csv", "a;b\n1.234.567;1,5\n1.000;2,5\n", [[1234567, 1.5], [1000, 2.5]]),
    ],
)
def test_the_whole_file_decides_the_decimal_mark(
    tmp_path: Path, name: str, content: str, expected: list[list[float]]
) -> None:
    """What shows its mark is read by it, and decides for the columns that do not; prediction reads alike."""
    trained, again = numbers_of(tmp_path / name, content)
    np.testing.assert_array_equal(trained, expected)
    np.testing.assert_array_equal(again, expected)


def test_the_mark_of_training_holds_for_new_rows(tmp_path: Path) -> None:
    """A file in which nothing shows the decimal mark is read by that of training; without it, otherwise."""
    frame, notation = read_training({"a": ["19,47", "3,5", "7,25"], "b": ["2.155", "1.020", "3.000"]}, MISSING_MARKS)
    columns = describe_columns(frame, notation=notation)
    (tmp_path / "new.csv").write_text("a;b\n4;7.001\n", encoding="utf-8")
    new, _ = read_new(tmp_path / "new.csv", MISSING_MARKS)
    assert extract(new, columns).numbers.tolist() == [[4, 7001]]
    assert new["b"].cast(pl.Float64).to_list() == [7.001]


def test_a_guess_is_said() -> None:
    """Where no value shows the mark, the column says how one of them was read."""
    column = describe_columns(pl.DataFrame({"a": ["12,345", "1,500"], "b": [1, 2]}))[0]
    assert "'12,345' is read as 12345" in column.reason
    decided = describe_columns(pl.DataFrame({"a": ["12,345", "1,500"], "b": ["0,5", "0,7"]}))
    assert [one.decimal for one in decided] == [",", ","]
    assert "is read as" not in decided[0].reason


ROWS = {"a": ["NA", "x", "None", "y", "x"], "n": [1.0, 2.0, 3.0, 4.0, 5.0]}


def test_marks_mean_missing_in_every_source(tmp_path: Path) -> None:
    """`NA` and `None` are missing in a frame, a file of any kind and in records; named marks replace them."""
    frame = pl.DataFrame(ROWS)
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    categories = pd.DataFrame(ROWS).astype({"a": "category"})
    records = frame.to_dicts()
    for missing, expected in ((None, [None, "x", None, "y", "x"]), (["y"], ["NA", "x", "None", None, "x"])):
        marks = missing_marks(missing)
        for table in (frame, pd.DataFrame(ROWS), categories, tmp_path / "t.csv", tmp_path / "t.parquet", records, ROWS):
            read, notation = read_training(table, marks)
            assert read["a"].cast(pl.String).to_list() == expected
            assert read_new(table, marks)[0]["a"].cast(pl.String).to_list() == expected
            assert notation.missing == marks


def test_a_mark_may_be_a_number(tmp_path: Path) -> None:
    """-999 is missing as text and as a number."""
    (tmp_path / "t.csv").write_text("a,b\n-999,x\n1.5,-999\n-999.0,y\n", encoding="utf-8")
    read, _ = read_training(tmp_path / "t.csv", missing_marks([-999]))
    assert read.rows() == [(None, "x"), (1.5, None), (None, "y")]
    assert without_marks(pl.DataFrame({"a": [-999, 1]}), missing_marks("-999")).rows() == [(None,), (1,)]


def test_wrong_marks_get_a_sentence() -> None:
    """What is no list of texts is refused."""
    with pytest.raises(InputTypeError, match="'missing' must be a list of texts"):
        missing_marks([None])
    with pytest.raises(InputTypeError, match="'missing' must be"):
        missing_marks(len)


def test_text_alone_shows_no_mark() -> None:
    """Words, whole numbers and dates decide nothing."""
    frame = pl.DataFrame({"a": ["x", "y"], "b": ["1", "2"], "c": ["2020-01-01", "01.02.2020"], "d": [1.5, 2]})
    assert decide_notation(frame, ()).decimal == ""


VALUES = st.sampled_from(
    ["1", "2.5", "2,5", "1.234", "1,234", "12,3456", "word", "St. 5", "-3", ".5", "7,", "inf", None]
)


@settings(max_examples=400)
@given(
    columns=st.lists(st.lists(VALUES, min_size=8, max_size=8), min_size=1, max_size=4),
    separator=st.sampled_from([",", ";", "\t"]),
)
def test_votes_of_parts_are_the_decision_of_the_whole(columns: list[list[str | None]], separator: str) -> None:
    """Two rows at a time, the decimal mark is that of the table read at once, or it takes the whole table."""
    frame = pl.DataFrame({f"c{i}": pl.Series(column, dtype=pl.String) for i, column in enumerate(columns)})
    votes = DecimalVotes()
    for start in range(0, 8, 2):
        votes.look(frame.slice(start, 2))
    assert votes.decide(separator) in (None, decide_notation(frame, (), separator).decimal or ".")


@pytest.mark.parametrize(
    ("values", "decimal"),
    [(["1.5", "2"], "."), (["1,5", "2"], ","), (["7", "8"], "."), (["1,5", "2,25", "word"], None), (["1,234"], None)],
)
def test_votes_that_are_sure(values: list[str], decimal: str | None) -> None:
    """Plain columns decide in parts; the break: a vote for the other mark would be seen."""
    votes = DecimalVotes()
    for value in values:
        votes.look(pl.DataFrame({"a": [value]}))
    assert votes.decide(";") == decimal
    votes.look(pl.DataFrame({"b": ["0,25"], "c": ["0,75"], "d": ["0,5"]}))
    assert votes.decide(";") == ","

"""Columns that only name the rows: which are found, and which are features all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fitwell.data.columns import describe_columns, extract
from fitwell.data.row_names import ROW_ID, ROW_INDEX, ROW_NUMBER, fill_names, is_id_name
from fitwell.data.table_files import as_frame

SHUFFLED = [7, 0, 12, 3, 9, 5]
MODELS = ["Mazda RX4", "Datsun 710", "Valiant", "Duster 360", "Merc 240D", "Fiat 128"]


def reasons(*columns: tuple[str, Any]) -> list[str]:
    """Why each column of a table is set aside; nothing for a feature. A feature `f` stands last."""
    series = [pl.Series(name, values) for name, values in columns]
    frame = pl.DataFrame([*series, pl.Series("f", np.linspace(0.5, 1, len(series[0])))])
    return [column.reason if column.kind == "set aside" else "" for column in describe_columns(frame)[:-1]]


@pytest.mark.parametrize("values", [SHUFFLED, [float(i) for i in SHUFFLED], [str(i) for i in SHUFFLED], MODELS])
@pytest.mark.parametrize(
    "name",
    [
        "Unnamed: 0",
        "Unnamed: 0.1",
        "Unnamed: 0.1.1",
        "__index_level_0__",
        "...1",
        "index",
        "level_0",
        "rownames",
        "row.names",
        "rowname",
        "X",
        "X.1",
    ],
)
def test_an_index_is_set_aside(name: str, values: list[Any]) -> None:
    """Every name of an index is one if its values name the rows, as numbers in any order or as texts."""
    assert reasons((name, values)) == [ROW_INDEX]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("index", [3, 1, 3, 2, 2, 1]),
        ("level_0", ["train", "train", "train", "test", "test", "test"]),
        ("level_1", [1, 2, 3, 1, 2, 3]),
        ("X", [4, 4, 5, 6, 1, 2]),
        ("X", [-4, 3, 5, 6, 1, 2]),
        ("x", SHUFFLED),
        ("index", [0.5, 1.5, 2.5, 4.5, 6.5, 3.5]),
        ("index", [1, 2, 3, 4, 5, None]),
        ("Unnamed: 0", [0, 1, 1, 1, 0, 0, 1]),
        ("Unnamed: 0", [0.5, 1.5, 2.5, 4.5, 6.5, 3.5]),
        ("price index", SHUFFLED),
    ],
)
def test_a_name_alone_makes_no_index(name: str, values: list[Any]) -> None:
    """With repeats, gaps or fractions a column of such a name is a feature."""
    assert reasons((name, values)) == [""]


def test_an_index_of_dates_says_when() -> None:
    """A date is a feature, whatever the column is called."""
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 6), eager=True)
    assert reasons(("Unnamed: 0", days)) == [""]


def test_tables_put_together_have_repeats_in_their_index() -> None:
    """Where the name leaves no doubt, the numbers of two or three tables one below the other are an index as well."""
    assert reasons(("Unnamed: 0", [*range(20), *range(20)])) == [ROW_INDEX]
    assert reasons(("__index_level_0__", [*range(20), *range(20), *range(20)])) == [ROW_INDEX]
    assert reasons(("Unnamed: 0", [*range(5)] * 8)) == [""]


def test_r_names_stand_first() -> None:
    """`X` is R's name of a blank header, which stands first; elsewhere, and beside `Y`, it is a coordinate."""
    assert reasons(("X.1", SHUFFLED), ("X", SHUFFLED[::-1])) == [ROW_INDEX, ROW_INDEX]
    assert reasons(("a", [0.5, 1, 2, 3, 4, 6]), ("X", SHUFFLED)) == ["", ""]
    assert reasons(("X", SHUFFLED), ("Y", SHUFFLED)) == ["", ""]
    assert reasons(("a", [0.5, 1, 2, 3, 4, 6]), ("Unnamed: 1", SHUFFLED)) == ["", ""]
    assert reasons(("Unnamed: 0", SHUFFLED), ("Unnamed: 1", SHUFFLED[::-1])) == [ROW_INDEX, ROW_INDEX]


def test_ids_and_row_numbers() -> None:
    """Distinct whole numbers are an id by their name, and the row number if they count up at the front."""
    assert reasons(("PassengerId", SHUFFLED), ("age", SHUFFLED)) == [ROW_ID, ""]
    assert reasons(("client_id", ["0012", "0007", "0100", "0003", "0005", "0001"])) == [ROW_ID]
    assert reasons(("Unnamed: 0", SHUFFLED), ("n", [1, 2, 3, 4, 5, 6])) == [ROW_INDEX, ROW_NUMBER]
    assert reasons(("seconds", [0.0, 1.0, 2.0, 3.0])) == [""]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", True),
        ("PassengerId", True),
        ("customerID", True),
        ("row_number", True),
        ("idea", False),
        ("humid", False),
        ("price index", False),
        ("", False),
    ],
)
def test_id_names(name: str, expected: bool) -> None:
    """A name says that it identifies rows by its last word or by a few whole names."""
    assert is_id_name(name) is expected


@pytest.mark.parametrize(
    ("names", "filled"),
    [
        (["", "a"], ["Unnamed: 0", "a"]),
        ([" a", " ", "b"], ["a", "column_2", "b"]),
        (["", "Unnamed: 0", "a"], ["Unnamed: 0.1", "Unnamed: 0", "a"]),
        (["", "Unnamed: 0.1", "Unnamed: 0"], ["Unnamed: 0.2", "Unnamed: 0.1", "Unnamed: 0"]),
        ([], []),
    ],
)
def test_blank_names(names: list[str], filled: list[str]) -> None:
    """A blank first header is called as pandas calls it, also when the table was saved more than once."""
    assert fill_names(names) == filled


# Written by R 4.4: `write.csv(cars[sample(4), ], "t.csv")`, and the same again of what `read.csv` made of it.
R_ONCE = '"","speed","dist"\n"3",7,4\n"1",4,2\n"4",7,22\n"2",4,10\n'
R_TWICE = '"","X","speed","dist"\n"1",3,7,4\n"2",1,4,2\n"3",4,7,22\n"4",2,4,10\n'


@pytest.mark.parametrize("text", [R_ONCE, R_TWICE])
def test_tables_of_r(tmp_path: Path, text: str) -> None:
    """What R's write.csv puts before the columns is set aside, once and twice."""
    (tmp_path / "t.csv").write_text(text)
    columns = describe_columns(as_frame(tmp_path / "t.csv"))
    assert [column.name for column in columns if column.kind != "set aside"] == ["speed", "dist"]


def shuffled() -> pd.DataFrame:
    """A table with its rows in disorder, as a split leaves it."""
    random = np.random.default_rng(0)
    return pd.DataFrame({"a": random.normal(size=30), "b": random.normal(size=30)}).sample(frac=0.8, random_state=0)


def twice(path: Path) -> None:
    """Save, read and save again, as people do without `index=False`."""
    shuffled().to_csv(path)
    pd.read_csv(path).to_csv(path)


WAYS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "csv": ("t.csv", lambda path: shuffled().to_csv(path)),
    "tsv": ("t.tsv", lambda path: shuffled().to_csv(path, sep="\t")),
    "twice": ("t.csv", twice),
    "parquet": ("t.parquet", lambda path: shuffled().to_parquet(path)),
    "feather": ("t.feather", lambda path: shuffled().reset_index().to_feather(path)),
    "lines": ("t.jsonl", lambda path: shuffled().reset_index().to_json(path, orient="records", lines=True)),
}


@pytest.mark.parametrize(("name", "write"), WAYS.values(), ids=WAYS)
def test_a_saved_index_is_no_feature_in_any_format(tmp_path: Path, name: str, write: Callable[[Path], Any]) -> None:
    """A shuffled table has the features of the table itself, however it was saved, and needs no index to predict."""
    write(tmp_path / name)
    frame = as_frame(tmp_path / name)
    columns = describe_columns(frame)
    assert [column.name for column in columns if column.kind != "set aside"] == ["a", "b"]
    # JSON has fewer digits
    np.testing.assert_allclose(extract(frame, columns).numbers, shuffled().to_numpy(), atol=1e-9)
    np.testing.assert_allclose(extract(as_frame(shuffled()), columns).numbers, shuffled().to_numpy())

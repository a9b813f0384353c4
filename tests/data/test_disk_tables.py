"""Tables read column after column from disk: what is read is what the whole table says, bit for bit."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fitwell.data import disk_tables
from fitwell.data.disk_tables import on_disk
from fitwell.errors import FileError, FitwellWarning, InputError
from fitwell.problems.tables import TableData, read_table

ROWS = 300


def every_kind(seed: int) -> pl.DataFrame:
    """One column at least of every kind that a table may have, and a target that some rows lack."""
    random = np.random.default_rng(seed)
    normal, city = random.normal(size=ROWS), random.choice(["Oslo", "Łódź", "São Paulo"], ROWS)
    days = random.integers(0, 700, ROWS).tolist()
    gaps = random.random(ROWS) < 0.2

    def with_gaps(values: Any) -> list[Any]:
        return [None if gap else value for gap, value in zip(gaps, list(values), strict=True)]

    return pl.DataFrame(
        {
            "row_id": np.arange(1, ROWS + 1),
            "number": with_gaps(normal.tolist()),
            "whole": random.integers(0, 50, ROWS),
            "float32": normal.astype(np.float32) ** 2,
            "flag": with_gaps((normal > 0).tolist()),
            "city": with_gaps(city.tolist()),
            "declared": pl.Series(city.tolist(), dtype=pl.Categorical),
            "many": [f"level {one}" for one in random.integers(0, 200, ROWS)],
            "price": [f"${1000 + 10 * one:,.2f}" for one in normal],
            "comma": [f"{one:.2f}".replace(".", ",") for one in normal],
            "day": [date(2022, 1, 1) + timedelta(days=one) for one in days],
            "moment": with_gaps([datetime(2022, 1, 1, 7, 30) + timedelta(hours=one) for one in days]),
            "written day": [f"{date(2022, 1, 1) + timedelta(days=one):%d.%m.%Y}" for one in days],
            "duration": [timedelta(minutes=one) for one in days],
            "clock": [time(one % 24) for one in days],
            "constant": [1] * ROWS,
            "empty": pl.Series([None] * ROWS, dtype=pl.Float64),
            "prose": [f"the patient number {one} came on foot" for one in range(ROWS)],
            "marks": ["?" if gap else f"{one:.1f}" for gap, one in zip(gaps, normal, strict=True)],
            "again": [f"{'sick' if one > 0.2 else 'well'}" for one in normal],
            "ill": [None if row % 50 == 7 else "yes" if one > 0.2 else "no" for row, one in enumerate(normal)],
        }
    )


def check_same(mine: TableData, whole: TableData) -> None:
    """All that was found in a table is the same, and its features, folds and encodings bit for bit."""
    assert mine.columns == whole.columns
    assert mine.summary() == whole.summary()
    for one, other in ((mine.raw.numbers, whole.raw.numbers), (mine.raw.codes, whole.raw.codes)):
        assert one.tobytes() == other.tobytes()
    assert mine.target.values.tobytes() == whole.target.values.tobytes()
    for one, other in zip(mine.row_sets.train, whole.row_sets.train, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(mine.encodings, whole.encodings, strict=True):
        assert one.to_json() == other.to_json()


def read_both(path: Path, **options: Any) -> tuple[TableData, TableData]:
    """A table from disk, and as memory has it."""
    with on_disk(path) as table, pytest.warns(FitwellWarning, match="again"):
        mine = read_table(table, "ill", on_disk=True, **options)
    with pytest.warns(FitwellWarning, match="again"):
        return mine, read_table(path, "ill", **options)


def test_parquet_is_read_as_in_memory(tmp_path: Path, seed: int) -> None:
    """Every kind of column, rows without a target left out; the break: another table differs."""
    every_kind(seed).write_parquet(tmp_path / "table.parquet", row_group_size=70)
    mine, whole = read_both(tmp_path / "table.parquet", key="row_id")
    check_same(mine, whole)
    kept = [row + 1 for row in range(ROWS) if row % 50 != 7]
    assert [one.keys.to_list() for one in (mine, whole) if one.keys is not None] == [list(map(str, kept))] * 2
    every_kind(seed + 1).write_parquet(tmp_path / "table.parquet")
    with pytest.raises(AssertionError):
        check_same(mine, read_both(tmp_path / "table.parquet", key="row_id")[1])


def test_a_directory_is_its_files_one_after_another(tmp_path: Path, seed: int) -> None:
    """In the order of their names, on disk and in memory; names with brackets are names."""
    frame = every_kind(seed)
    frame.write_parquet(tmp_path / "whole.parquet")
    folder = tmp_path / "parts[1]"
    folder.mkdir()
    for number, at in enumerate(range(0, ROWS, 110)):
        frame[at : at + 110].write_parquet(folder / f"{number}.parquet")
    (folder / "_SUCCESS").touch()
    mine, in_memory = read_both(folder, time="day")
    check_same(mine, in_memory)
    check_same(mine, read_both(tmp_path / "whole.parquet", time="day")[1])


def test_delimited_text_is_read_as_in_memory(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In many pieces; what decides the decimal mark and types is all of a column."""
    monkeypatch.setattr(disk_tables, "PIECE_VALUES", 2500)
    monkeypatch.setattr("fitwell.data.blocks.VALUES_AT_ONCE", 500)
    for separator in ",;":
        every_kind(seed).drop("duration").write_csv(tmp_path / "table.csv", separator=separator)
        check_same(*read_both(tmp_path / "table.csv"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two Parquet files of one table."""
    for name in "ab":
        pl.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def opened_and_read(path: Path) -> None:
    """Read all columns."""
    with on_disk(path) as table:
        list(table.iter_columns())


def test_what_is_wrong_with_files_is_a_sentence(folder: Path) -> None:
    """Other types, a damaged file, one that vanishes meanwhile, and text that can only be read whole."""
    with on_disk(folder) as table:
        (folder / "b.parquet").unlink()
        with pytest.raises(FileError, match=r"cannot be read as Parquet: .*still there"):
            list(table.iter_columns())
    pl.DataFrame({"x": ["one"], "y": [0]}).write_parquet(folder / "b.parquet")
    for read in (opened_and_read, lambda path: read_table(path, "y")):
        with pytest.raises(FileError, match=r"'x' is Float64 in a.parquet and String in b.parquet"):
            read(folder)
    pl.DataFrame({"y": [0], "x": [1.0]}).write_parquet(folder / "b.parquet")
    with pytest.raises(FileError, match=r"another order in b.parquet"):
        opened_and_read(folder)
    (folder / "b.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-20])
    with pytest.raises(FileError, match=r"b.parquet cannot be read as Parquet"):
        opened_and_read(folder)
    (folder / "quotes.csv").write_text('x,y\n1,"a\n' * 30)
    with pytest.raises(InputError, match=r"save it as Parquet, or raise 'memory'"):
        opened_and_read(folder / "quotes.csv")

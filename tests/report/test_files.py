from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from fitwell.data.delimited import TextTable
from fitwell.data.table_files import read_file
from fitwell.errors import FileError
from fitwell.report import files
from fitwell.report.files import WRITERS, check_table_file, write_tables

TABLE = pl.DataFrame({"diagnosis": ["benign", "malignant"], "probability of benign": [0.75, 0.25]})


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_reads_back(tmp_path: Path, suffix: str) -> None:
    """What is written in the format of an ending is what our own reader reads."""
    path = tmp_path / f"table{suffix}"
    write_tables(iter([TABLE]), path, force=False)
    read = read_file(path)
    assert (read.typed() if isinstance(read, TextTable) else read).equals(TABLE)


def test_a_format_nobody_knows(tmp_path: Path) -> None:
    """An ending without a format is refused, and the known ones are named."""
    with pytest.raises(FileError, match=r"must end in one of \.csv"):
        check_table_file(tmp_path / "table.xlsx", force=False)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_a_table_in_parts_is_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows: int) -> None:
    """Byte for byte, whatever the parts; and nothing lies beside it. A part that is lost would be seen."""
    monkeypatch.setattr(files, "ROWS_OF_GROUP", 50)
    table = pl.concat([TABLE.with_columns(n=number) for number in range(100)])
    once, parts = tmp_path / f"once{suffix}", tmp_path / f"parts{suffix}"
    assert write_tables(iter([table]), once, force=False) == 200
    assert write_tables(table.iter_slices(rows), parts, force=False) == 200
    assert parts.read_bytes() == once.read_bytes()
    write_tables(table.head(-1).iter_slices(rows), parts, force=True)
    assert parts.read_bytes() != once.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["t[1].parquet", "t*.arrow", "t?.feather"])
def test_names_are_no_patterns(tmp_path: Path, name: str) -> None:
    """Nor are folders': parts of a table are looked for under the file's name."""
    folder = tmp_path / "a[1]"
    folder.mkdir()
    assert write_tables(TABLE.iter_slices(1), folder / name, force=False) == 2
    assert [path.name for path in folder.iterdir()] == [name]


def test_an_error_in_a_part_leaves_the_file(tmp_path: Path) -> None:
    """Its own sentence comes through, and the earlier file stays."""
    path = tmp_path / "t.csv"
    path.write_text("earlier")

    def parts() -> Iterator[pl.DataFrame]:
        yield TABLE
        raise FileError("The file that is read is damaged.")

    with pytest.raises(FileError, match=r"^The file that is read is damaged\.$"):
        write_tables(parts(), path, force=True)
    assert path.read_text() == "earlier"

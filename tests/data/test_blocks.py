from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fitwell.data import blocks
from fitwell.data.blocks import ReadWholeError, open_lazily, rows_of_block
from fitwell.data.table_files import read_file

TABLE = pl.DataFrame(
    {
        " a ": [1.5, None, float("nan"), 4, 5],
        "text": ["x", None, "", "y", "x"],
        "kind": pl.Series(["b", "a", "b", None, "c"], dtype=pl.Categorical),
        "day": [date(2024, 1, day) for day in range(1, 6)],
        "": [True, False, None, True, True],
    }
)
WRITE: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "t.parquet": lambda table, path: table.write_parquet(path, row_group_size=2),
    "t.arrow": lambda table, path: table.write_ipc(path, compression="zstd"),
}


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("multiple", [1, 2, 3, 8])
def test_blocks_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, multiple: int) -> None:
    """Names, types and values are those of the file read at once; a block that is lost would be seen."""
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 1)
    WRITE[name](TABLE, tmp_path / name)
    whole = read_file(tmp_path / name)
    file = open_lazily(tmp_path / name, multiple)
    assert file is not None
    assert isinstance(whole, pl.DataFrame)
    tables = [block.table for block in file if isinstance(block.table, pl.DataFrame)]
    assert [table.height for table in tables[:-1]] == [multiple] * (len(tables) - 1)
    assert file.names == whole.columns
    assert pl.concat(tables).equals(whole)
    assert pl.concat(tables).schema == whole.schema
    assert not pl.concat(tables).head(-1).equals(whole)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
@pytest.mark.parametrize("name", ["t*", "t?", "t[1]"])
@pytest.mark.parametrize("folder", ["a=1", "b[1]"])
def test_names_are_no_patterns(tmp_path: Path, folder: str, name: str, format: str) -> None:
    """Stars and brackets in names, and a folder called a=1, are names; what they would stand for is another file."""
    for other in (folder, "b1"):
        (tmp_path / other).mkdir()
        for number, title in enumerate((name, "tt", "t1")):
            table = TABLE.head(len(TABLE) - number - (other == "b1"))
            write = table.write_parquet if format == "parquet" else table.write_ipc
            write(tmp_path / other / f"{title}.{format}")
    path = tmp_path / folder / f"{name}.{format}"
    file = open_lazily(path, 8)
    assert file is not None
    found, whole = pl.concat(block.table for block in file), read_file(path)
    assert isinstance(found, pl.DataFrame)
    assert isinstance(whole, pl.DataFrame)
    assert found.equals(whole)


@pytest.mark.parametrize("values", [[b"\xff", b"a"], [[1], [2]], [{"a": 1}, {"a": 2}]])
def test_columns_whose_meaning_depends_on_all_values(tmp_path: Path, values: list) -> None:
    """Bytes may be text, or not: such a file is read whole."""
    pl.DataFrame({"a": values}).write_parquet(tmp_path / "t.parquet")
    assert open_lazily(tmp_path / "t.parquet", 1) is None


def test_damaged_files_are_left_to_their_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage at the end, or in the middle."""
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": [f"{number * 7919}" for number in range(9999)]}).write_parquet(path, row_group_size=999)
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert open_lazily(path, 1) is None
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 999)
    path.write_bytes(content[:8000] + bytes(9000) + content[17000:])
    file = open_lazily(path, 1)
    assert file is not None
    with pytest.raises(ReadWholeError):
        list(file)


def test_the_rows_of_a_block() -> None:
    """About half a million values, in whole parts, and at least one part."""
    assert rows_of_block(30, 1024) == 17 * 1024
    assert rows_of_block(10_000_000, 16) == 16

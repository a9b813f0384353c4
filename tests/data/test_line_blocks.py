from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from fitwell.data import blocks, line_blocks
from fitwell.data.blocks import ReadWholeError
from fitwell.data.line_blocks import open_lines
from fitwell.data.table_files import read_file


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is a row, and types are looked at line by line."""
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 1)
    monkeypatch.setattr(line_blocks, "GLANCE_BYTES", 1)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n{"a": -3, "b": "y"}',
        '{"a": null}\n\n  \n{"a": 2, "c": true}\n{"a": 2.5}\n',
        '{"b": "2024-01-01"}\n{"a": 1e300, "b": "noon"}\r\n{}\n{"a": 1}\n',
        '{" a": null}\n{" a": null}\n{"": 2}\n',
    ],
)
def test_blocks_are_the_whole(tmp_path: Path, text: str, zipped: bool) -> None:
    """Columns that begin late, whole numbers beside others, blank lines: as if read at once."""
    path = tmp_path / ("t.jsonl.gz" if zipped else "t.jsonl")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    whole = read_file(path)
    file = open_lines(path, 1)
    assert file is not None
    assert isinstance(whole, pl.DataFrame)
    tables = [block.table for block in file if isinstance(block.table, pl.DataFrame)]
    assert len(tables) > 1
    # polars has an order of its own for columns that begin late
    assert sorted(file.names) == sorted(whole.columns)
    found = pl.concat(tables).select(whole.columns)
    assert found.equals(whole)
    assert found.schema == whole.schema
    assert not found.head(-1).equals(whole)


@pytest.mark.parametrize("last", ['{"a": "x"}', '{"a": [1]}', "[1]", "{", '{"a": 1} {"a": 2}', '{"a": "\\ud800"}'])
def test_what_is_read_whole(tmp_path: Path, last: str) -> None:
    """Types that polars joins by rules of its own, and lines that are no records, are left to the whole."""
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n' + last)
    with pytest.raises(ReadWholeError):
        file = open_lines(path, 1)
        list(file or ())
        raise ReadWholeError

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fitwell.data import opened_blocks
from fitwell.data.blocks import LazyBlocks
from fitwell.data.delimited_blocks import DelimitedBlocks
from fitwell.data.line_blocks import LineBlocks
from fitwell.data.opened_blocks import is_large, open_blocks
from fitwell.data.table_files import to_polars

TEXTS = {".csv": "a,b\n1,2\n", ".tsv": "a\tb\n1\t2\n", ".data": "a;b\n1;2\n", ".jsonl": '{"a": 1, "b": 2}\n'}


@pytest.mark.parametrize("suffix", [*TEXTS, ".TSV"])
@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_every_text_format_is_opened(tmp_path: Path, suffix: str, zipped: str) -> None:
    """By the ending of its name, as a whole file is; zipped or not."""
    path = tmp_path / f"t{suffix}{zipped}"
    content = TEXTS[suffix.lower()].encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    file = open_blocks(path, 1)
    assert isinstance(file, LineBlocks if suffix == ".jsonl" else DelimitedBlocks)
    assert file.names == ["a", "b"]


def test_binary_formats_are_opened(tmp_path: Path) -> None:
    """Parquet and Arrow."""
    table = to_polars({"a": [1], "b": [2]})
    table.write_parquet(tmp_path / "t.parquet")
    table.write_ipc(tmp_path / "t.feather")
    assert all(isinstance(open_blocks(tmp_path / name, 1), LazyBlocks) for name in ("t.parquet", "t.feather"))


@pytest.mark.parametrize(
    ("name", "content"), [("t.xlsx", b"PK"), ("t.csv", b""), ("t.csv", b"a,a\n1,2\n"), ("t.jsonl", b"[\n"), ("t", None)]
)
def test_what_is_wrong_is_left_to_the_reader_of_whole_files(tmp_path: Path, name: str, content: bytes | None) -> None:
    """It says it in its sentences."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert open_blocks(tmp_path / name, 1) is None


def test_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their size; a folder, or what is not there, is not large."""
    (tmp_path / "t.csv").write_bytes(b"a\n1\n")
    assert not is_large(tmp_path / "t.csv")
    monkeypatch.setattr(opened_blocks, "LARGE", 4)
    assert is_large(tmp_path / "t.csv")
    assert not is_large(tmp_path)
    assert not is_large(tmp_path / "none.csv")
    assert not is_large(tmp_path / ("x" * 5000))

"""Files by suffix, and the one door for data."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from fitwell.data.table_files import as_frame, read_file
from fitwell.errors import FileError, FitwellError, InputError

FRAME = pl.DataFrame({"a": [1, 2], "b": ["x", None]})


def write(path: Path) -> Path:
    """Write `FRAME` in the format of the path's suffix."""
    suffix = path.suffixes[0]
    if path.suffix == ".gz":
        plain = write(path.with_suffix(""))
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif suffix == ".parquet":
        FRAME.write_parquet(path)
    elif suffix in (".arrow", ".feather"):
        FRAME.write_ipc(path)
    elif suffix == ".ipc":
        FRAME.write_ipc_stream(path)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        FRAME.write_ndjson(path)
    else:
        FRAME.write_csv(path, separator="\t" if suffix in (".tsv", ".tab") else ",")
    return path


SUFFIXES = ".csv .tsv .tab .CSV .data .csv.gz .tsv.gz .parquet .arrow .feather .ipc .jsonl .ndjson .json .jsonl.gz"


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_every_format_reads_the_same(tmp_path: Path, suffix: str) -> None:
    """One table reads the same from every format, by a path or its text."""
    path = write(tmp_path / f"table{suffix}")
    assert as_frame(path).equals(FRAME)
    assert as_frame(str(path)).equals(FRAME)


def test_nan_in_a_file_is_missing(tmp_path: Path) -> None:
    """NaN is null, so that missing has one form."""
    pl.DataFrame({"a": [1.0, float("nan")]}).write_parquet(tmp_path / "t.parquet")
    assert read_file(tmp_path / "t.parquet")["a"].to_list() == [1.0, None]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv.gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_get_a_sentence(tmp_path: Path, suffix: str, share: float) -> None:
    """A file that was not copied whole is refused by its name, wherever it ends."""
    path = write(tmp_path / f"table{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileError, match=r"table.*copied whole"):
        read_file(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.parquet", b"", "is empty"),
        ("t.xlsx", b"PK", "save it as CSV"),
        ("t.jsonl", b'[{"a": 1},\n{"a": 2}]', "one JSON record per line.*line 1"),
        ("t.jsonl", b'{"a": 1}\n\n{"a":', "line 3"),
        ("t.jsonl", b'{"a": "\xe9"}', "not UTF-8 text: line 1, byte 8"),
        ("t.csv.gz", b"a,b\n1,2\n", "not a complete gzip file"),
    ],
    ids=str,
)
def test_bad_files_get_a_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Each bad file is refused in one sentence that names it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=message) as caught:
        read_file(tmp_path / name)
    assert name in str(caught.value)


def test_missing_files_and_directories_get_a_sentence(tmp_path: Path) -> None:
    """A path that is no file says so, and the error is an OSError too."""
    with pytest.raises(FileError, match="There is no file"):
        as_frame(tmp_path / "absent.csv")
    with pytest.raises(OSError, match="is a directory"):
        as_frame(tmp_path)


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    """A table without rows is refused with the file's name, in binary formats too."""
    FRAME.clear().write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet has no rows"):
        read_file(tmp_path / "t.parquet")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_never_crash(tmp_path: Path, seed: int) -> None:
    """Whatever bytes a Parquet file was damaged by: it reads, or it is one of our errors."""
    path = write(tmp_path / "t.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) * seed // 20] ^= 0xFF
    path.write_bytes(content)
    try:
        frame = read_file(path)
    except FitwellError:
        return
    assert isinstance(frame, pl.DataFrame)

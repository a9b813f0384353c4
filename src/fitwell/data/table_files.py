"""Files and tables of any kind to a polars frame: the door through which all data comes in."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from fitwell.data.delimited import decode, read_delimited
from fitwell.data.frames import tidy, to_polars
from fitwell.errors import FileError

TAB_SUFFIXES = (".tsv", ".tab")
# .json too, for many files of one record a line are called so; a single document is refused with a hint
LINES_SUFFIXES = (".jsonl", ".ndjson", ".json")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
# listed only to be refused in a sentence of their own
SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".ods")


def as_frame(table: Any) -> pl.DataFrame:
    """Any table as a polars frame; missing values are null.

    `table`: a path (see `read_file`), a dataframe that narwhals understands (pandas, polars, pyarrow, modin,
    lazy ones), a 2-D NumPy array (columns x0, x1, ...), a dict of columns or a list of records.
    """
    if isinstance(table, str | Path):
        return read_file(table)
    return to_polars(table)


def read_file(path: str | Path) -> pl.DataFrame:
    """Read a table by its suffix: CSV, TSV, Parquet, Arrow/Feather, JSON lines, each perhaps with .gz.

    Any other suffix is tried as delimited text.
    """
    path = Path(path)
    content = _read_bytes(path)
    inner = path
    if path.suffix.lower() == ".gz":
        content, inner = _unzip(content, path), path.with_suffix("")
    if not content.strip():
        raise FileError(f"The file {path} is empty: a table with a header and rows was expected.")
    frame = _read_content(content, inner.suffix.lower(), str(path))
    return tidy(frame, f"The file {path}")


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise FileError(f"{path} is a directory, not a file: name the table file in it.")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"There is no file {path}: check the path (the current directory is {Path.cwd()}).") from None
    except OSError as error:
        raise FileError(f"The file {path} cannot be read: {error.strerror or error}.") from None


def _unzip(content: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        raise FileError(f"The file {path} is not a complete gzip file: check that it was copied whole.") from None


def _read_content(content: bytes, suffix: str, name: str) -> pl.DataFrame:
    if suffix in SPREADSHEET_SUFFIXES:
        raise FileError(f"The file {name} is a spreadsheet, which fitwell does not read: save it as CSV.")
    if suffix == ".parquet":
        return _read_binary(content, name, "Parquet", pl.read_parquet)
    if suffix in ARROW_SUFFIXES:
        return _read_binary(content, name, "Arrow", _read_arrow)
    if suffix in LINES_SUFFIXES:
        return _read_lines(content, name)
    return read_delimited(content, name, separator="\t" if suffix in TAB_SUFFIXES else None)


def _read_binary(content: bytes, name: str, format: str, read: Callable[[io.BytesIO], pl.DataFrame]) -> pl.DataFrame:
    try:
        return read(io.BytesIO(content))
    # a damaged file can make polars panic, and that is not even an `Exception`
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise FileError(
            f"The file {name} is not a readable {format} file: {reason}. "
            f"Check that it was copied whole and that its suffix is right."
        ) from None


def _read_arrow(stream: io.BytesIO) -> pl.DataFrame:
    """An Arrow file (Feather version 2) or, under the same suffixes, an Arrow stream."""
    if stream.getvalue().startswith(b"ARROW1"):
        return pl.read_ipc(stream)
    return pl.read_ipc_stream(stream)


def _read_lines(content: bytes, name: str) -> pl.DataFrame:
    lines = _decode_lines(content, name)
    try:
        # types from all lines, because a field may be empty for thousands of them
        return pl.read_ndjson("\n".join(lines).encode(), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise FileError(f"The file {name} cannot be read as JSON lines: {reason}.") from None


def _decode_lines(content: bytes, name: str) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = decode(content, name)  # raises, and says where and how to convert
    # not `splitlines`, which also cuts at marks that JSON text may hold, such as U+2028
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    for number, line in numbered:
        if not _is_record(line):
            raise FileError(
                f'The file {name} must hold one JSON record per line, such as {{"age": 3}}; '
                f"line {number} is not one: {line.strip()[:40]!r}."
            )
    return [line for _, line in numbered]


def _is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False

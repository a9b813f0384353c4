"""Files and tables of any kind (data frames, arrays, dicts, records) to a polars frame: the door for all data."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from fitwell.data.delimited import TextTable, decode, read_delimited, refuse_duplicates
from fitwell.data.notation import FORMER_MARKS, Notation, decide_notation, without_marks
from fitwell.data.plain_types import plain_series
from fitwell.data.row_names import fill_names
from fitwell.data.values import canonical_text
from fitwell.errors import FileError, InputError, InputTypeError

TAB_SUFFIXES = (".tsv", ".tab")
# .json too, for many files of one record a line are called so; a single document is refused with a hint
LINES_SUFFIXES = (".jsonl", ".ndjson", ".json")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
# listed only to be refused in a sentence of their own
SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".ods")


def as_frame(table: Any) -> pl.DataFrame:
    """Any table as a polars frame; missing values are null.

    What text means is decided by this table alone: a table of new rows is opened instead, see `open_table`.

    `table`: a path (see `read_file`), a dataframe that narwhals understands (pandas, polars, pyarrow, modin,
    lazy ones), a 2-D NumPy array (columns x0, x1, ...), a dict of columns or a list of records.
    """
    opened = open_table(table)
    return opened.typed() if isinstance(opened, TextTable) else opened


def open_table(table: Any) -> pl.DataFrame | TextTable:
    """Any table, see `as_frame`, before its texts are read: of a delimited file all values are text."""
    if isinstance(table, TextTable):
        return table
    return read_file(table) if isinstance(table, str | Path) else to_polars(table)


def read_training(table: Any, missing: Sequence[str]) -> tuple[pl.DataFrame, Notation]:
    """Any table as a frame, null where it has a mark of missing values, and how it is written."""
    opened = open_table(table)
    if isinstance(opened, TextTable):
        notation = decide_notation(without_marks(opened.frame, missing), missing, opened.separator)
        return opened.typed(notation), notation
    frame = without_marks(opened, missing)
    return frame, decide_notation(frame, missing)


def read_new(table: Any, missing: Sequence[str] | None) -> tuple[pl.DataFrame, Notation]:
    """New rows, to be read as in training, and how they are written where training did not show it.

    Without `missing`, which runs of former versions did not keep, only files have marks.
    """
    opened = open_table(table)
    frame = marked(opened, missing)
    return frame, decide_notation(frame, (), opened.separator) if isinstance(opened, TextTable) else Notation()


def marked(opened: pl.DataFrame | TextTable, missing: Sequence[str] | None) -> pl.DataFrame:
    """New rows, null where they have a mark of missing values; `missing` as in `read_new`."""
    if isinstance(opened, TextTable):
        return without_marks(opened.frame, FORMER_MARKS if missing is None else missing)
    return opened if missing is None else without_marks(opened, missing)


def as_it_stands(table: pl.DataFrame | TextTable) -> pl.DataFrame:
    """A table before its texts are read: ids keep their zeros."""
    return table.frame if isinstance(table, TextTable) else table


def read_file(path: str | Path) -> pl.DataFrame | TextTable:
    """Read a table by its suffix: CSV, TSV, Parquet, Arrow/Feather, JSON lines, each perhaps with .gz.

    Any other suffix is tried as delimited text.
    """
    path = Path(path)
    if path.is_dir() and (files := files_of(path)):
        return _joined(path, files)
    content = _read_bytes(path)
    inner = path
    if path.suffix.lower() == ".gz":
        content, inner = _unzip(content, path), path.with_suffix("")
    if not content.strip():
        raise FileError(f"The file {path} is empty: a table with a header and rows was expected.")
    read = _read_content(content, inner.suffix.lower(), str(path))
    if isinstance(read, TextTable):
        return replace(read, frame=tidy(read.frame, f"The file {path}"))
    return tidy(read, f"The file {path}")


def files_of(path: Path) -> list[Path]:
    """The Parquet files that a path names: itself, or those in a directory, in the order of their names."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() == ".parquet" and file.is_file())
    return [path] if path.suffix.lower() == ".parquet" and path.is_file() else []


def _joined(path: Path, files: Sequence[Path]) -> pl.DataFrame:
    """The rows of the Parquet files of a directory, one file after another."""
    frames = [_read_binary(_read_bytes(file), str(file), "Parquet", pl.read_parquet) for file in files]
    first = frames[0]
    for file, frame in zip(files, frames, strict=True):
        if frame.schema != first.schema:
            raise FileError(differing_files(path, first.schema, frame.schema, files[0], file))
    return tidy(pl.concat(frames), f"The directory {path}")


def differing_files(path: Path, schema: pl.Schema, other: pl.Schema, file: Path, other_file: Path) -> str:
    """Say what a Parquet file of a directory has otherwise than the first."""
    name = next((name for name in [*schema, *other] if schema.get(name) != other.get(name)), None)
    if name is None:
        told = f"they have another order in {other_file.name}"
    else:
        kinds = [
            f"{one.get(name) or 'missing'} in {where.name}" for one, where in ((schema, file), (other, other_file))
        ]
        told = f"{name!r} is {kinds[0]} and {kinds[1]}"
    return f"The files in {path} must have the same columns: {told}. Write them alike, or name one file."


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


def _read_content(content: bytes, suffix: str, name: str) -> pl.DataFrame | TextTable:
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
        if not is_record(line):
            raise FileError(
                f'The file {name} must hold one JSON record per line, such as {{"age": 3}}; '
                f"line {number} is not one: {line.strip()[:40]!r}."
            )
    return [line for _, line in numbered]


def is_record(line: str) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


TABLES_ACCEPTED = (
    "a file path, a dataframe (pandas, polars, pyarrow, ...), a 2-D NumPy array, a dict of columns or a list of records"
)


def to_polars(table: Any) -> pl.DataFrame:
    """The table as a polars frame with unique names, at least one row, and null (not NaN) for missing."""
    return tidy(_convert(table), "The table")


def tidy(frame: pl.DataFrame, holder: str) -> pl.DataFrame:
    """The frame with its unnamed columns named and null for NaN; `holder` ("The table") begins messages."""
    if frame.width == 0:
        raise InputError(f"{holder} has no columns: at least one feature and a target are needed.")
    if frame.height == 0:
        raise InputError(f"{holder} has no rows: check the filter or file that it came from.")
    names = fill_names(frame.columns)
    refuse_duplicates(names, holder)
    columns = zip(names, map(plain_series, frame.iter_columns()), strict=True)
    return pl.DataFrame(dict(columns)).with_columns(cs.float().fill_nan(None))


def _convert(table: Any) -> pl.DataFrame:
    if isinstance(table, np.ndarray):
        return _from_array(table)
    if isinstance(table, dict):
        return pl.DataFrame(_columns_of(table), strict=False)
    if isinstance(table, list):
        return _from_records(table)
    return _from_dataframe(table)


def _from_array(array: np.ndarray) -> pl.DataFrame:
    if array.ndim != 2:
        raise InputTypeError(f"The table must be a 2-D array of rows and columns. Got an array of shape {array.shape}.")
    return pl.DataFrame([_series(f"x{index}", array[:, index]) for index in range(array.shape[1])])


def _columns_of(table: dict[Any, Any]) -> dict[str, Any]:
    columns = {str(name): _series(str(name), values) for name, values in table.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} has {length}" for name, length in list(lengths.items())[:5])
        raise InputError(f"The columns of the table must be equally long; {shown} values.")
    return columns


def _from_records(records: list[Any]) -> pl.DataFrame:
    if not records:
        raise InputError("The table has no rows: the list of records is empty.")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputTypeError(
                f"A list must hold records, a dict per row. Got {type(record).__name__} at index {index}."
            )
    names = dict.fromkeys(name for record in records for name in record)
    return pl.DataFrame(_columns_of({name: [record.get(name) for record in records] for name in names}))


def _from_dataframe(table: Any) -> pl.DataFrame:
    import narwhals as nw

    refuse_duplicates(_names_of(table), "The table")
    try:
        native = nw.from_native(table)
    except TypeError:
        raise InputTypeError(f"The table must be {TABLES_ACCEPTED}. Got {type(table).__name__}.") from None
    frame = native.collect(backend="polars") if isinstance(native, nw.LazyFrame) else native
    # not a list of series, of which polars names the blank ones by itself
    return pl.DataFrame({str(column.name): _from_column(column) for column in frame.iter_columns()})


def _names_of(table: Any) -> list[str]:
    names = getattr(table, "column_names", None)  # pyarrow: there `columns` are the values
    if names is None and not hasattr(table, "collect"):  # a lazy frame's names are unique, and asking costs
        names = getattr(table, "columns", ())
    return [str(name) for name in ([] if names is None else names)]


def _from_column(column: Any) -> pl.Series:
    """A narwhals column as a polars one; a pandas object column of mixed values becomes text."""
    import narwhals as nw

    name = str(column.name)
    try:
        series = plain_series(column.to_polars().alias(name))
    except Exception:  # pyarrow and narwhals raise many kinds for a column of mixed values
        return _series(name, column.to_list())
    # pandas categories that are numbers arrive as numbers; they were declared categories, and stay so.
    declared = column.dtype in (nw.Categorical, nw.Enum)
    return canonical_text(series).cast(pl.Categorical) if declared else series


def as_series(name: str, values: Any) -> pl.Series:
    """One column of any kind: a series of pandas or polars, an array, a list."""
    import narwhals as nw

    if isinstance(values, pl.Series | np.ndarray | list | tuple):
        return plain_series(_series(name, values))
    try:
        return _from_column(nw.from_native(values, series_only=True)).alias(name)
    except TypeError:
        raise InputTypeError(f"The {name} column must be a series, an array or a list. Got {values!r}.") from None


def _series(name: str, values: Any) -> pl.Series:
    """A column of any Python or NumPy values; mixed values become text, a single value one row."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _from_native_array(name, values)
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        values = [values]
    return _from_objects(name, [None if _is_missing(value) else value for value in values])


def _from_native_array(name: str, values: np.ndarray) -> pl.Series:
    try:
        return pl.Series(name, np.ascontiguousarray(values))
    except Exception:  # a dtype without a polars counterpart (complex, float16 variants)
        return _from_objects(name, values.tolist())


def _from_objects(name: str, values: list[Any]) -> pl.Series:
    try:
        return pl.Series(name, values, strict=False)
    except Exception:  # complex numbers, and other types of NumPy's own
        return pl.Series(name, values, dtype=pl.Object)


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas.NA (whose comparison with itself has no truth value)."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"

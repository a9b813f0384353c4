"""Tables in memory to a polars frame: dataframes of any kind, arrays, dicts of columns, lists of records."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from fitwell.data.canonical import canonical_text
from fitwell.data.delimited import refuse_duplicates
from fitwell.errors import InputError, InputTypeError

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
    names = [name.strip() or f"column_{index}" for index, name in enumerate(frame.columns, start=1)]
    refuse_duplicates(names, holder)
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    return frame.with_columns(column.fill_nan(None) for column in frame if column.dtype.is_float())


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
    return pl.DataFrame([_from_column(column) for column in frame.iter_columns()])


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
        series = column.to_polars().alias(name)
    except Exception:  # pyarrow and narwhals raise many kinds for a column of mixed values
        return _series(name, column.to_list())
    # pandas categories that are numbers arrive as numbers; they were declared categories, and stay so.
    declared = column.dtype in (nw.Categorical, nw.Enum)
    return canonical_text(series).cast(pl.Categorical) if declared else series


def as_series(name: str, values: Any) -> pl.Series:
    """One column of any kind: a series of pandas or polars, an array, a list."""
    import narwhals as nw

    if isinstance(values, pl.Series | np.ndarray | list | tuple):
        return _series(name, values)
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
    plain = [None if _is_missing(value) else value for value in values]
    return pl.Series(name, plain, strict=False)


def _from_native_array(name: str, values: np.ndarray) -> pl.Series:
    try:
        return pl.Series(name, np.ascontiguousarray(values))
    except Exception:  # a dtype without a polars counterpart (complex, float16 variants)
        return pl.Series(name, values.tolist(), strict=False)


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas.NA (whose comparison with itself has no truth value)."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"

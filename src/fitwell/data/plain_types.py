"""Columns of types that only some libraries have, as plain types that say the same: intervals, periods, UUIDs, bytes.

They become the text that pandas writes into a CSV file: a table means the same as a frame and as a file. What has no
such text (lists, records, Python objects) stays as it is, and whoever meets it says so in a sentence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import polars as pl

from fitwell.errors import InputError

UUID_BYTES = 16
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
MICROSECONDS = 1e6  # in a second
MIDNIGHT = r" 00:00:00(\.0*)?$"
NO_FRACTION = r"\.0+$"
# objects whose text says all that they are, by the names of their types; pandas need not be there
SAID_BY_TEXT = frozenset({"UUID", "Interval", "Period"})


def plain_series(values: pl.Series) -> pl.Series:
    """A column as text if that has a meaning, else as it is; missing values stay missing."""
    dtype = values.dtype
    if dtype == pl.Binary:
        return _from_bytes(values)
    if dtype == pl.Object:
        return _from_objects(values)
    # by its name, for polars has extension types since version 1.36 only
    return _from_extension(values) if type(dtype).__name__ == "Extension" else values


def unusable_values(dtype: Any) -> str:
    """What a column of this type holds, in words, if that is neither numbers, text, truth nor time; else nothing."""
    if isinstance(dtype, pl.List | pl.Array):
        return "lists"
    if isinstance(dtype, pl.Struct):
        return "records"
    if dtype == pl.Binary:
        return "bytes that are no UTF-8 text"
    if dtype == pl.Object:
        return "Python objects"
    return f"values of type {dtype.ext_name()}" if type(dtype).__name__ == "Extension" else ""


def textual(values: pl.Series) -> pl.Series:
    """The column, ready to be cast to text: durations as seconds, moments at midnight as their day.

    A date is then written the same whatever the other rows hold. Raises an `InputError` where no text has a meaning.
    """
    dtype = values.dtype
    what = unusable_values(dtype)
    if what:
        raise InputError(f"Column {values.name!r} must hold texts, numbers or dates. It holds {what}.")
    if isinstance(dtype, pl.Duration):
        return values.dt.total_microseconds() / MICROSECONDS
    if isinstance(dtype, pl.Datetime):
        return values.dt.to_string("%Y-%m-%d %H:%M:%S%.f").str.replace(MIDNIGHT, "").str.replace(NO_FRACTION, "")
    return values


def _from_bytes(values: pl.Series) -> pl.Series:
    present = values.drop_nulls().to_list()
    text = _decoded(present)
    if text is not None:
        return _replaced(values, text)
    # Parquet's UUIDs arrive as the bytes that they are
    if present and all(len(value) == UUID_BYTES for value in present):
        return _replaced(values, [str(UUID(bytes=value)) for value in present])
    return values


def _decoded(present: list[bytes]) -> list[str] | None:
    try:
        text = [value.decode("utf-8") for value in present]
    except UnicodeDecodeError:
        return None
    return None if any(map(CONTROL.search, text)) else text


def _replaced(values: pl.Series, present: list[str]) -> pl.Series:
    """The texts of the values that are there, each in its place."""
    texts = iter(present)
    found = [next(texts) if is_there else None for is_there in values.is_not_null()]
    return pl.Series(values.name, found, dtype=pl.String)


def _from_objects(values: pl.Series) -> pl.Series:
    objects = [None if _is_nothing(value) else value for value in values]
    present = [value for value in objects if value is not None]
    if present and all(type(value).__name__ in SAID_BY_TEXT for value in present):
        return pl.Series(values.name, [None if value is None else str(value) for value in objects], dtype=pl.String)
    return values


def _is_nothing(value: Any) -> bool:
    return (
        value is None or type(value).__name__ in ("NaTType", "NAType") or (isinstance(value, float) and value != value)
    )


def _from_extension(values: pl.Series) -> pl.Series:
    dtype: Any = values.dtype
    holder: Any = values
    storage = holder.ext.storage()
    write = _writer(dtype.ext_name(), dtype.ext_metadata())
    if write is None:
        # other extensions (JSON of pyarrow) are what they are stored as
        return plain_series(storage.alias(values.name)) if not unusable_values(storage.dtype) else values
    # Python sees the distinct values only, for it is slow and values repeat
    distinct = storage.drop_nulls().unique()
    texts = {index: write(value) for index, value in enumerate(distinct)}
    places = storage.to_frame("value").join(
        pl.DataFrame({"value": distinct, "place": pl.int_range(len(distinct), eager=True)}),
        on="value",
        how="left",
        maintain_order="left",
    )["place"]
    return pl.Series(values.name, [None if place is None else texts[place] for place in places], dtype=pl.String)


def _writer(name: str, metadata: str | None) -> Callable[[Any], str | None] | None:
    about = json.loads(metadata) if metadata else {}
    if name == "pandas.interval":
        return lambda value: _interval_text(value, about.get("closed", "right"))
    if name == "pandas.period":
        try:
            from pandas import Period
        except ImportError:  # a file of somebody who has it; without it nobody knows what its numbers count
            return None
        return lambda value: str(Period(ordinal=value, freq=about["freq"]))
    return None


def _interval_text(value: dict[str, Any], closed: str) -> str | None:
    left, right = value["left"], value["right"]
    if left is None or (isinstance(left, float) and math.isnan(left)):
        return None
    first, last = "[" if closed in ("left", "both") else "(", "]" if closed in ("right", "both") else ")"
    return f"{first}{left}, {right}{last}"

"""One canonical text for a value, whatever type it arrives as: levels and codes are compared in it."""

from __future__ import annotations

import re

import polars as pl

# what R, Python, databases and people write for nothing; a longer list would swallow real categories
MISSING_MARKS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
INTEGER = re.compile(r"[+-]?\d+")
EXACT_DIGITS = 1e15  # a float64 holds every integer below this


def canonical_text(values: pl.Series) -> pl.Series:
    """Text in which equal values are equal, whether read as text, numbers or booleans; missing is null.

    `1`, `1.0`, `"1"`, `" 1 "` and `"01"` are all `"1"`; `True` and `"TRUE"` are `"true"`; any other text is
    itself without the spaces around it; the empty text is missing. A column's type depends on the other rows
    of its file (`"1"` beside `"none"` is text, alone it is an integer): anything less would miss a level.
    """
    text = plain_text(values)
    distinct = text.drop_nulls().unique()
    if distinct.is_empty():
        return text
    # Python sees the distinct values only, for it is slow and values repeat
    canonical = pl.Series([canonical_value(value) for value in distinct], dtype=pl.String)
    return text.replace_strict(distinct, canonical, default=None, return_dtype=pl.String)


def plain_text(values: pl.Series) -> pl.Series:
    """Text as written, without the spaces around it; empty text and NaN are null."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    text = values.cast(pl.String).str.strip_chars()
    return text.set((text == "").fill_null(False), None)


def canonical_value(text: str) -> str:
    """The canonical text of one value, see `canonical_text`."""
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if INTEGER.fullmatch(text):
        return str(int(text)) if len(text) < 4000 else text  # int() refuses longer ones
    if not NUMBER.fullmatch(text):
        return text
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < EXACT_DIGITS else repr(value)

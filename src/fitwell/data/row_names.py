"""Columns that only say which row it is: ids, row numbers, and the index that a data frame was saved with.

Read as a feature, the index of a sorted table tells the target on training and held-out rows alike, and nothing on new
ones. A name alone convicts nobody: the values must be what an index is, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

from fitwell.data.numbers import parse_numbers
from fitwell.data.values import as_numbers

# last words of names, and whole names, of columns that only say which row it is
ID_WORDS = frozenset({"id", "ids", "idx", "uuid", "guid"})
ID_NAMES = frozenset({"key", "no", "nr", "row", "row no", "row nr", "row number", "rowid"})

UNNAMED = "Unnamed: 0"
"""What pandas calls the index of a CSV file, whose header is blank."""

# Written by pandas (CSV and Parquet, once and again) and readr: nobody calls a feature so.
SURE_INDEX = re.compile(r"Unnamed: 0(\.\d+)*|__index_level_\d+__|\.\.\.1")
# Of pandas' reset_index, of R, and of those who use them; people call features so, too.
LIKELY_INDEX = re.compile(r"index|level_\d+|row[._ ]?names?", re.IGNORECASE)
# Said of the first columns only: a blank header that R has read, and the further levels of an index.
LEADING_INDEX = re.compile(r"X(\.\d+)?|Unnamed: \d+")
# a table that was put together of three others has repeats in its index
REPEATED_SHARE = 1 / 3

ROW_NUMBER = "the row number"
ROW_ID = "a number that names the row"
ROW_INDEX = "the index of a data frame: it names the row"


def row_naming_reason(values: pl.Series, kind: str, *, leading: bool, next_name: str = "") -> str:
    """Why a column only names the rows, or nothing.

    Parameters
    ----------
    values, kind
        The column, and what it was read as; dates name no rows: they say when.
    leading
        Whether only such columns stand before it, and there are others.
    next_name
        The name of the column behind it.
    """
    sure, index = _is_index_name(values.name, leading=leading, next_name=next_name)
    if kind == "categorical":
        return ROW_INDEX if index and _is_unique(values) else ""
    if kind != "numeric" or not (index or leading or is_id_name(values.name)):
        return ""
    # text with a decimal comma, or with a few words, names no row
    numbers = as_numbers(parse_numbers(values)[0] if values.dtype == pl.String else values)
    if np.isnan(numbers).any() or not np.array_equal(numbers, np.floor(numbers)):
        return ""
    index = index and numbers.min() >= 0
    if not _is_unique(values):
        return ROW_INDEX if index and sure and values.n_unique() >= REPEATED_SHARE * len(values) else ""
    if index:
        return ROW_INDEX
    if is_id_name(values.name):
        return ROW_ID
    # of floats that count up, time is one
    counts_up = values.dtype.is_integer() and values[0] in (0, 1) and bool((np.diff(numbers) == 1).all())
    return ROW_NUMBER if leading and counts_up else ""


def _is_index_name(name: str, *, leading: bool, next_name: str) -> tuple[bool, bool]:
    """Whether a name is surely that of an index, and whether it is if the values are unique."""
    if SURE_INDEX.fullmatch(name):
        return True, True
    # X beside Y are coordinates
    first = leading and LEADING_INDEX.fullmatch(name) and not (name == "X" and next_name == "Y")
    return False, bool(first or LIKELY_INDEX.fullmatch(name))


def _is_unique(values: pl.Series) -> bool:
    # a gap or a repeat, and it names no row
    return not values.has_nulls() and values.n_unique() == len(values)


def is_id_name(name: str) -> bool:
    """Whether a name says that the column identifies rows: PassengerId, row_number, customer-ID."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    return bool(words) and (words[-1] in ID_WORDS or " ".join(words) in ID_NAMES)


def fill_names(names: Sequence[str]) -> list[str]:
    """Names without the spaces around them; a blank one is `column_3` by its place, a first one is an index."""
    stripped = [name.strip() for name in names]
    filled = [name or f"column_{place}" for place, name in enumerate(stripped, start=1)]
    if stripped and not stripped[0]:
        taken, again = set(stripped), 0
        filled[0] = UNNAMED
        # as pandas counts when an index was saved as a column and the table saved again
        while filled[0] in taken:
            again += 1
            filled[0] = f"{UNNAMED}.{again}"
    return filled

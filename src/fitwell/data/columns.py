"""What each column is: a number, a boolean, a category, a date, or set aside, with the reason.

The kinds are found on the whole table and never look at the target.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from fitwell.data.canonical import canonical_text, plain_text
from fitwell.data.dates import AMBIGUOUS, ISO, as_moments, find_date_format, has_time_of_day
from fitwell.data.numeric import as_numbers, is_number_like, parse_numbers

Kind = Literal["numeric", "boolean", "categorical", "date", "set aside"]

# inputs for one column; more would widen the first layer for levels that few rows have
MAX_LEVELS = 100
DISTINCT_SHARE = 0.9  # text with more distinct values than this share of its rows names the row
FREE_TEXT_WORDS = 3.0  # mean words per value above which mostly distinct text is prose
# of the rows; text of many words with fewer distinct values may be standard answers, and stays a category
FREE_TEXT_SHARE = 0.5
FEW_DISTINCT = 10  # so few distinct values are always categories

# last words of names, and whole names, of columns that only say which row it is
ID_WORDS = frozenset({"id", "ids", "idx", "uuid", "guid"})
ID_NAMES = frozenset({"index", "key", "no", "nr", "row", "row no", "row nr", "row number", "rownames", "unnamed 0"})


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes
    ----------
    name : str
    kind : Kind
    reason : str
        Why it is set aside, or what is worth knowing ("numbers written as text"); empty if nothing is.
    levels : tuple of str
        The levels of a categorical column as canonical text, sorted; at most `MAX_LEVELS`.
    has_missing : bool
    has_time : bool
        Whether the moments of a date column have a time of day.
    date_format : str
        How dates were written as text: "iso" or a strptime format.
    """

    name: str
    kind: Kind
    reason: str = ""
    levels: tuple[str, ...] = ()
    has_missing: bool = False
    has_time: bool = False
    date_format: str = ISO

    def to_json(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {**asdict(self), "levels": list(self.levels)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Column:
        """The column that `to_json` wrote."""
        return cls(**{**stored, "levels": tuple(stored["levels"])})


def describe_columns(frame: pl.DataFrame, *, without: Collection[str] = ()) -> tuple[Column, ...]:
    """Describe every column but those named in `without` (the target, the groups, the time)."""
    names = [name for name in frame.columns if name not in without]
    numbering = frame.columns[0] if len(names) > 1 else None  # an only feature is never a mere row number
    return tuple(_describe(frame[name], may_number=name == numbering) for name in names)


def _describe(values: pl.Series, *, may_number: bool) -> Column:
    present = values.drop_nulls()
    if present.dtype.is_float():
        present = present.drop_nans()
    if present.is_empty():
        return Column(values.name, "set aside", "no values", has_missing=True)
    describe = _describer(values.dtype)
    if describe is None:
        return Column(values.name, "set aside", f"values of type {values.dtype} are not understood")
    column = describe(values)
    # with gaps even one value tells something: whether it is there
    if not column.has_missing and present.n_unique() == 1:
        return Column(values.name, "set aside", "only one value")
    reason = _numbering_reason(values, may_number=may_number)
    return Column(values.name, "set aside", reason) if reason else column


def _describer(dtype: pl.DataType) -> Callable[[pl.Series], Column] | None:
    if dtype == pl.Boolean:
        return _describe_boolean
    if is_number_like(dtype):
        return _describe_numbers
    if dtype in (pl.Date, pl.Datetime):
        return _describe_dates
    if dtype in (pl.Categorical, pl.Enum):
        return _describe_categories
    return _describe_text if dtype == pl.String else None


def _describe_boolean(values: pl.Series) -> Column:
    return Column(values.name, "boolean", has_missing=values.has_nulls())


def _describe_numbers(values: pl.Series, reason: str = "") -> Column:
    has_missing = bool(np.isnan(as_numbers(values)).any())  # also where infinities are refused
    return Column(values.name, "numeric", reason, has_missing=has_missing)


def _describe_dates(values: pl.Series, format: str = ISO) -> Column:
    moments = as_moments(values, format)
    return Column(
        values.name,
        "date",
        has_missing=moments.has_nulls(),
        has_time=has_time_of_day(moments),
        date_format=format,
    )


def _describe_text(values: pl.Series) -> Column:
    text = plain_text(values)
    if text.null_count() == len(text):
        return Column(values.name, "set aside", "no values", has_missing=True)
    numbers, failed = parse_numbers(text)
    if not failed.any() and numbers.count():
        return _describe_numbers(values, "numbers written as text")
    format = find_date_format(text)
    if format == AMBIGUOUS:
        reason = "dates whose day and month cannot be told apart: write them as YYYY-MM-DD"
        return Column(values.name, "set aside", reason, has_missing=text.has_nulls())
    if format is not None:
        return _describe_dates(values, format)
    reason = _unusable_text_reason(text.drop_nulls())
    return Column(values.name, "set aside", reason) if reason else _describe_categories(values)


def _unusable_text_reason(text: pl.Series) -> str:
    distinct = text.n_unique()
    if distinct <= FEW_DISTINCT:
        return ""
    words = text.str.split(" ").list.len().mean()
    assert isinstance(words, float)
    if words > FREE_TEXT_WORDS and distinct > FREE_TEXT_SHARE * len(text):
        return f"free text (about {words:.0f} words in a value)"
    if distinct > DISTINCT_SHARE * len(text):
        return f"{distinct} different values in {len(text)} rows: it names the row"
    return ""


def _describe_categories(values: pl.Series) -> Column:
    text = canonical_text(values)
    counts = text.drop_nulls().value_counts()
    label = text.name
    # ties by name: which levels are kept must not depend on the order of the rows
    ranked = counts.sort(["count", label], descending=[True, False])[label].to_list()
    reason = ""
    if len(ranked) > MAX_LEVELS:
        reason = f'{len(ranked)} levels: the {MAX_LEVELS} most frequent are kept, the rest count as "other"'
    levels = tuple(sorted(ranked[:MAX_LEVELS]))
    return Column(values.name, "categorical", reason, levels=levels, has_missing=text.has_nulls())


def _numbering_reason(values: pl.Series, *, may_number: bool) -> str:
    """Why an integer column only numbers the rows, or nothing."""
    # a gap or a repeat, and it names no row
    if not values.dtype.is_integer() or values.has_nulls() or values.n_unique() < len(values):
        return ""
    if is_id_name(values.name):
        return "a number that names the row"
    first = values[0]
    counts_up = first in (0, 1) and (values.diff().drop_nulls() == 1).all()
    return "the row number" if may_number and counts_up else ""


def is_id_name(name: str) -> bool:
    """Whether a name says that the column identifies rows: PassengerId, row_number, customer-ID, index."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    return bool(words) and (words[-1] in ID_WORDS or " ".join(words) in ID_NAMES)

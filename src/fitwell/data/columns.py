"""What each column is (a number, a boolean, a category, a date, or set aside with the reason), and what it holds.

Kinds are found on the whole table and never look at the target (`copies.py` does, for columns that are the target once
more). Values are plain numbers and level codes before
anything is fitted: nothing here depends on which rows train, so it is done once and shared by all row sets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.data.notation import Notation, decide_notation
from fitwell.data.numbers import COMMA, PERCENT, POINT, NumberStyle, find_style, first_failure, parse_numbers
from fitwell.data.plain_types import unusable_values
from fitwell.data.row_names import row_naming_reason
from fitwell.data.values import (
    AMBIGUOUS,
    ISO,
    Unread,
    as_moments,
    as_numbers,
    canonical_text,
    date_numbers,
    date_parts,
    find_date_format,
    has_time_of_day,
    is_number_like,
    known_row,
    plain_text,
    read_moments,
)
from fitwell.errors import InputError

Kind = Literal["numeric", "boolean", "categorical", "date", "set aside"]

# inputs for one column; more would widen the first layer for levels that few rows have
MAX_LEVELS = 100
DISTINCT_SHARE = 0.9  # text with more distinct values than this share of its rows names the row
FREE_TEXT_WORDS = 3.0  # mean words per value above which mostly distinct text is prose
# of the rows; text of many words with fewer distinct values may be standard answers, and stays a category
FREE_TEXT_SHARE = 0.5
DROPPED = "left out, as you asked"
FEW_DISTINCT = 10  # so few distinct values are always categories


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
    decimal : "." or "," or ""
        The decimal mark of numbers that are text; empty if training did not show it: a file of new
        rows then decides.
    sign : str
        The currency, or "%", that the numbers of a column of text carry.
    """

    name: str
    kind: Kind
    reason: str = ""
    levels: tuple[str, ...] = ()
    has_missing: bool = False
    has_time: bool = False
    date_format: str = ISO
    decimal: str = ""
    sign: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {**asdict(self), "levels": list(self.levels)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Column:
        """The column that `to_json` wrote."""
        return cls(**{**stored, "levels": tuple(stored["levels"])})


def describe_columns(
    frame: pl.DataFrame,
    *,
    without: Collection[str] = (),
    dropped: Collection[str] = (),
    notation: Notation | None = None,
) -> tuple[Column, ...]:
    """Describe every column but those in `without` (the target, the groups, the time); set aside those in `dropped`.

    Without a `notation` these columns decide how they are written.
    """
    notation = notation or decide_notation(frame, ())
    excluded, left_out = set(without), set(dropped)
    columns: list[Column] = []
    # an only feature is never a mere row number
    leading = frame.width - len(excluded | left_out) > 1
    for values, next_name in zip(frame.iter_columns(), [*frame.columns[1:], ""], strict=True):
        if values.name in excluded:
            leading = False
            continue
        if values.name in left_out:
            # known all the same: it is no surprise in new tables
            columns.append(Column(values.name, "set aside", DROPPED))
            continue
        column = _describe(values, notation)
        reason = row_naming_reason(values, column.kind, leading=leading, next_name=next_name)
        column = Column(values.name, "set aside", reason) if reason else column
        leading = leading and column.kind == "set aside"
        columns.append(column)
    return tuple(columns)


def _describe(values: pl.Series, notation: Notation) -> Column:
    present = values.drop_nulls()
    if present.dtype.is_float():
        present = present.drop_nans()
    if present.is_empty():
        return Column(values.name, "set aside", "no values", has_missing=True)
    describe = _describer(values.dtype)
    if describe is None:
        return Column(values.name, "set aside", f"{unusable_values(values.dtype) or values.dtype} are not understood")
    column = describe(values, notation)
    # with gaps even one value tells something: whether it is there
    if not column.has_missing and present.n_unique() == 1:
        return Column(values.name, "set aside", "only one value")
    return column


def _describer(dtype: pl.DataType) -> Callable[[pl.Series, Notation], Column] | None:
    if dtype == pl.Boolean:
        return _describe_boolean
    if is_number_like(dtype):
        return _describe_spans if dtype == pl.Time or isinstance(dtype, pl.Duration) else _describe_numbers
    if dtype in (pl.Date, pl.Datetime):
        return _describe_dates
    if dtype in (pl.Categorical, pl.Enum):
        return _describe_categories
    return _describe_text if dtype == pl.String else None


def _describe_boolean(values: pl.Series, notation: Notation) -> Column:
    del notation
    return Column(values.name, "boolean", has_missing=values.has_nulls())


def _describe_numbers(values: pl.Series, notation: Notation) -> Column:
    has_missing = bool(np.isnan(as_numbers(values)).any())  # also where infinities are refused
    return Column(values.name, "numeric", has_missing=has_missing, decimal=notation.decimal)


def _describe_spans(values: pl.Series, notation: Notation) -> Column:
    reason = "times of day, in seconds" if values.dtype == pl.Time else "durations, in seconds"
    return replace(_describe_numbers(values, notation), reason=reason)


def _describe_number_texts(text: pl.Series, style: NumberStyle, notation: Notation) -> Column:
    decimal = style.decimal or notation.decimal
    numbers, _ = parse_numbers(text, decimal, style.sign)
    column = _describe_numbers(numbers, notation)
    return replace(column, reason=_number_reason(text, numbers, style, notation), decimal=decimal, sign=style.sign)


def _number_reason(text: pl.Series, numbers: pl.Series, style: NumberStyle, notation: Notation) -> str:
    """How numbers were written, where that is not as computers write them."""
    if style.sign == PERCENT:
        how = "percentages, as the numbers before the sign"
    elif style.sign:
        how = f"numbers in {style.sign}"
    else:
        how = "numbers written as text"
    if style.is_open and notation.is_guess:
        row = text.str.contains(r"[.,]").fill_null(False).arg_max() or 0
        how += f"; no value of the table shows the decimal mark: {text[row]!r} is read as {numbers[row]:g}"
    elif style.decimal == COMMA:
        how += " with a decimal comma"
    return how + (f"; {style.count} of {style.total} values are numbers" if style.count < style.total else "")


def _describe_dates(values: pl.Series, notation: Notation) -> Column:
    del notation
    return _describe_moments(as_moments(values))


def _describe_moments(moments: pl.Series, format: str = ISO, reason: str = "") -> Column:
    return Column(
        moments.name,
        "date",
        reason,
        has_missing=moments.has_nulls(),
        has_time=has_time_of_day(moments),
        date_format=format,
    )


def _describe_text(values: pl.Series, notation: Notation) -> Column:
    text = plain_text(values)
    if text.null_count() == len(text):
        return Column(values.name, "set aside", "no values", has_missing=True)
    style = find_style(text, notation.decimal)
    if style.is_numeric:
        return _describe_number_texts(text, style, notation)
    format = find_date_format(text)
    if format == AMBIGUOUS:
        reason = "dates whose day and month cannot be told apart: write them as YYYY-MM-DD"
        return Column(values.name, "set aside", reason, has_missing=text.has_nulls())
    if format is not None:
        moments, failed = read_moments(text, format)
        total = text.count()
        reason = f"{total - failed.sum()} of {total} values are dates" if failed.any() else ""
        return _describe_moments(moments, format, reason)
    reason = _unusable_text_reason(text.drop_nulls())
    facts = _mixed_numbers(text, style)
    if reason:
        return Column(values.name, "set aside", facts or reason)
    column = _describe_categories(values, notation)
    return replace(column, reason=column.reason or facts)


def _mixed_numbers(text: pl.Series, style: NumberStyle) -> str:
    """What a column of many numbers and too many other texts holds, or nothing."""
    if style.count < style.total / 2 or text.n_unique() <= FEW_DISTINCT:
        return ""
    row, held = first_failure(text, parse_numbers(text, style.decimal or POINT, style.sign)[1]) or (0, "")
    return f"{style.count} of {style.total} values are numbers, but data row {row + 1} holds {held!r}"


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


def _describe_categories(values: pl.Series, notation: Notation) -> Column:
    del notation
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


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """The features of a table's rows.

    Attributes
    ----------
    numbers : float64 [n, p]
        In the order of the columns: one number for a numeric or boolean column, several for a date (see
        `dates.date_numbers`). NaN is missing; infinities do not occur.
    codes : int32 [n, q]
        One for each categorical column with V levels: 0 to V - 1 the level, V missing, V + 1 any other value.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        """Rows."""
        return len(self.numbers)

    @property
    def nbytes(self) -> int:
        """Of both arrays."""
        return self.numbers.nbytes + self.codes.nbytes

    def take(self, rows: Any) -> RawFeatures:
        """Return the rows with these numbers (or of a slice), in that order."""
        return RawFeatures(self.numbers[rows], self.codes[rows])

    def forget(self) -> None:
        """Let go what was read of files into memory; nothing of arrays."""


def extract(
    frame: pl.DataFrame,
    columns: Sequence[Column],
    *,
    rows: NDArray[np.int64] | None = None,
    decimal: str = POINT,
    unread: Unread | None = None,
) -> RawFeatures:
    """Raw features of a frame, of the training table or of new rows, by the columns found in training.

    Columns that the frame has beside them are ignored (`extra_columns` lists them); `rows` and `unread` as in
    `as_numbers`.
    `decimal` is the mark in columns of text where training did not show it.
    """
    used = [column for column in columns if column.kind != "set aside"]
    # once for all: a frame that is asked for a name looks through all of them
    given = {values.name: values for values in frame.iter_columns()}
    _require(given, used)
    numeric = [column for column in used if column.kind != "categorical"]
    numbers = np.empty((len(frame), sum(len(number_names(column)) for column in numeric)))
    place = 0
    for column in numeric:  # each written where it stays: a list of all would be the table once more
        found = _numbers(given[column.name], column, rows, decimal, unread)
        numbers[:, place : (place := place + found.shape[1])] = found
    codes = [_codes(given[column.name], column) for column in used if column.kind == "categorical"]
    return RawFeatures(numbers, np.stack(codes, axis=1) if codes else np.empty((len(frame), 0), np.int32))


def unseen_levels(raw: RawFeatures, columns: Sequence[Column]) -> dict[str, int]:
    """Count, by column, the rows whose category training did not have; columns without such rows are left out."""
    categorical = [column for column in columns if column.kind == "categorical"]
    counts = {c.name: int((raw.codes[:, i] == len(c.levels) + 1).sum()) for i, c in enumerate(categorical)}
    # of a column with more levels than are kept, nobody knows which training had
    return {c.name: counts[c.name] for c in categorical if counts[c.name] and len(c.levels) < MAX_LEVELS}


def extra_columns(names: Sequence[str], columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of a frame's columns that are not among `columns` (set aside or not)."""
    known = {column.name for column in columns}
    return tuple(name for name in names if name not in known)


def number_names(column: Column) -> tuple[str, ...]:
    """What the numbers of a column in `RawFeatures.numbers` are called; none for a categorical column."""
    if column.kind == "date":
        return tuple(f"{column.name}: {part}" for part in date_parts(column.has_time))
    return (column.name,) if column.kind in ("numeric", "boolean") else ()


def _require(given: Collection[str], used: Sequence[Column]) -> None:
    missing = [repr(column.name) for column in used if column.name not in given]
    if missing:
        noun = "a column" if len(missing) == 1 else f"{len(missing)} columns"
        raise InputError(f"The table lacks {noun} that the network was trained on: {', '.join(missing)}.")


def _numbers(
    values: pl.Series, column: Column, rows: NDArray[np.int64] | None, decimal: str, unread: Unread | None
) -> NDArray[np.float64]:
    if column.kind == "date":
        moments = as_moments(values, column.date_format, rows=rows, unread=unread)
        return date_numbers(moments, has_time=column.has_time)
    if column.kind == "boolean":
        return _booleans(values, rows)[:, None]
    numbers = as_numbers(values, column.decimal or decimal, column.sign, rows=rows, unread=unread)
    return numbers[:, None]


def _booleans(values: pl.Series, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """0, 1 or NaN from booleans, from the numbers 0 and 1, or from the texts true and false."""
    text = canonical_text(values) if values.dtype != pl.Null else values.cast(pl.String)
    # other tools write flags as 0 and 1
    known = {"false": 0.0, "0": 0.0, "true": 1.0, "1": 1.0}
    numbers = text.replace_strict(known, default=None, return_dtype=pl.Float64)
    failed = numbers.is_null() & text.is_not_null()
    row = failed.arg_max() if failed.any() else None
    if row is not None:
        raise InputError(
            f"Column {values.name!r} must hold true or false, but data row {known_row(row, rows)} holds "
            f"{values[row]!r}."
        )
    return numbers.fill_null(np.nan).to_numpy().astype(np.float64)


def _codes(values: pl.Series, column: Column) -> NDArray[np.int32]:
    what = unusable_values(values.dtype)
    if what:
        raise InputError(f"Column {column.name!r} must hold categories, as in training; it holds {what}.")
    missing = len(column.levels)
    text = canonical_text(values)
    places = {level: code for code, level in enumerate(column.levels)}
    # a level that training did not have counts as "other"
    codes = text.replace_strict(places, default=missing + 1, return_dtype=pl.Int32)
    # last, because the default above was given to missing values too
    return codes.set(text.is_null(), missing).to_numpy().astype(np.int32)

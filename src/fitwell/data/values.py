"""One value at a time, whatever it arrives as: canonical texts, numbers with NaN for missing, dates and their formats.

Times with an offset or a time zone are taken in UTC.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.data.numbers import BLANKS, ENOUGH, POINT, first_failure, parse_numbers
from fitwell.data.plain_types import MICROSECONDS, textual
from fitwell.errors import FitwellWarning, InputError

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
    values = textual(values)
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


NANOSECONDS = 1e9


def is_number_like(dtype: pl.DataType) -> bool:
    """Whether a column of this type is numbers: integers, floats, decimals, durations and times of day."""
    return dtype.is_numeric() or dtype == pl.Time or isinstance(dtype, pl.Duration)


def as_numbers(
    values: pl.Series,
    decimal: str = POINT,
    sign: str = "",
    *,
    rows: NDArray[np.int64] | None = None,
    unread: Unread | None = None,
) -> NDArray[np.float64]:
    """Float64 [n], NaN for missing; durations and times of day in seconds, booleans 0 and 1.

    Text is read with this decimal mark and currency; a few texts that are no numbers are missing, with a warning.
    `rows` are the numbers of the rows (from 0) in the table that a person knows; see `Unread`.
    Raises an `InputError` that names the column, the data row (from 1) and the value for text that is no
    number and for infinities.
    """
    # polars gives NaN for null by itself
    numbers = _to_float(values, decimal, sign, rows, unread).to_numpy().astype(np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        raise InputError(
            f"Column {values.name!r} holds an infinite value in data row {known_row(int(infinite[0]), rows)}: "
            f"replace it with a finite number or leave it empty."
        )
    return numbers


def known_row(place: int, rows: NDArray[np.int64] | None) -> int:
    """The number (from 1) that a person knows a row by; `rows` as in `as_numbers`."""
    return (place if rows is None else int(rows[place])) + 1


def _to_float(
    values: pl.Series, decimal: str, sign: str, rows: NDArray[np.int64] | None, unread: Unread | None
) -> pl.Series:
    dtype = values.dtype
    if isinstance(dtype, pl.Duration):
        return values.cast(pl.Duration("us")).cast(pl.Int64).cast(pl.Float64) / MICROSECONDS
    if dtype == pl.Time:
        return values.cast(pl.Int64).cast(pl.Float64) / NANOSECONDS
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return values.cast(pl.Float64)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        numbers, failed = parse_numbers(values, decimal, sign)
        _report(_failures(values, failed, "numbers", rows), unread)
        return numbers
    raise InputError(f"Column {values.name!r} must hold numbers, as in training; it holds {dtype} values.")


@dataclass(frozen=True)
class Failures:
    """Values of one column that are neither what it must hold nor missing.

    Attributes
    ----------
    name : str
    what : "numbers" or "dates"
    count, total : int
        How many there are among how many values.
    row : int
        The data row (from 1) of the first one.
    text : str
        What it holds.
    """

    name: str
    what: str
    count: int
    total: int
    row: int
    text: str

    def __add__(self, later: Failures) -> Failures:
        """Those of the same column in both parts of a table."""
        first = self if self.count else later
        return Failures(self.name, self.what, self.count + later.count, self.total + later.total, first.row, first.text)

    def say(self) -> None:
        """Raise; where they are few, warn that they are missing."""
        if not self.count:
            return
        if self.count <= (1 - ENOUGH) * self.total:
            rest = "it is" if self.count == 1 else f"this and {self.count - 1} more are"
            warnings.warn(
                f"Column {self.name!r} holds {self.what} in {self.total - self.count} of {self.total} values, but "
                f"data row {self.row} holds {self.text!r}: {rest} read as missing.",
                FitwellWarning,
                stacklevel=2,
            )
            return
        numbers = self.what == "numbers"
        found, remedy = ("the text ", "write a number there") if numbers else ("", "write it as YYYY-MM-DD")
        raise InputError(
            f"Column {self.name!r} must hold {self.what}, but data row {self.row} holds {found}{self.text!r}: {remedy} "
            f"or leave it empty."
        )


Unread = dict[str, Failures]
"""By column, for a table that is read in parts: whether its failures are few is known, and said, at its end only."""


def _failures(values: pl.Series, failed: pl.Series, what: str, rows: NDArray[np.int64] | None) -> Failures:
    place, text = first_failure(values, failed) or (None, "")
    row = 0 if place is None else known_row(place, rows)
    return Failures(values.name, what, int(failed.sum()), values.count(), row, text)


def _report(failures: Failures, unread: Unread | None) -> None:
    """Say them at once, or add them to those of the parts before."""
    if unread is None:
        failures.say()
        return
    earlier = unread.get(failures.name)
    unread[failures.name] = failures if earlier is None else earlier + failures


ISO: Final = "iso"
AMBIGUOUS: Final = "ambiguous"

ISO_PATTERN = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?(?:Z|([+-]\d{2}):?(\d{2}))?)?$"
# Beside ISO. A dot always means day first; with "/" and "-" only a day above 12 shows which comes first.
DATE_FORMATS = (
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
    "%d-%m-%y",
    "%m-%d-%y",
    "%d %B %Y",  # short names of months, too
    "%d-%B-%Y",
    "%d %B %y",
    "%d-%B-%y",
    "%B %d, %Y",
    "%B %d %Y",
)
YEAR = r"\d{4}"  # in every format with %Y: chrono would read "20" as the year 20
# in every format with %y: chrono would read "5" as the year 2005
SHORT_YEAR = r"^\s*\d{1,2}\s*[-/.]?\s*(?:\d{1,2}|[A-Za-z]{3,9})\s*[-/.,]?\s*\d{2}(?:\D|$)"
LIKE_DATES = r"(?i)\d[-/.]\d|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- ]?\d"
SAMPLED_DATES = 40
TIME_FORMATS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")

# any day would do, for inputs are scaled; it is fixed so that new rows count from the same
EPOCH = datetime(2000, 1, 1)
MICROSECONDS_PER_DAY = 86_400_000_000
# of the mean year: 31 December ends up beside 1 January in all of them
DAYS_PER_YEAR = 365.25
DAYS_PER_WEEK = 7
DATE_PARTS = ("days", "sin of day of year", "cos of day of year", "sin of weekday", "cos of weekday")
TIME_PARTS = ("sin of time of day", "cos of time of day")


def find_date_format(text: pl.Series) -> str | None:
    """The format in which most, and nearly all, values that are not missing are dates: `ISO` or a strptime format.

    None if there is none; `AMBIGUOUS` if two formats read as many values, and as different dates (03/04/2020).
    """
    present = text.drop_nulls()
    present = present.filter(~present.str.to_lowercase().is_in(list(BLANKS)))
    if present.is_empty():
        return None
    # a few values rule out most formats, and cost little
    sample = present.gather_every(max(1, len(present) // SAMPLED_DATES))
    if sample.str.contains(LIKE_DATES).sum() < len(sample) / 2:
        return None
    formats = [ISO, *(date + time for date in DATE_FORMATS for time in TIME_FORMATS)]
    likely = [format for format in formats if _count_read(sample, format) >= len(sample) / 2]
    counts = {format: _count_read(present, format) for format in likely}
    most = max(counts.values(), default=0)
    if most < max(1, ENOUGH * len(present)):
        return None
    best = [format for format, count in counts.items() if count == most]
    first = parse_dates(present, best[0])
    agree = all(parse_dates(present, other).equals(first) for other in best[1:])
    return best[0] if agree else AMBIGUOUS


def is_iso(text: pl.Series) -> bool:
    """Whether there are values and all of them are ISO dates."""
    present = text.drop_nulls()
    return len(present) > 0 and all(_count_read(some, ISO) == len(some) for some in (present.head(1), present))


def _count_read(present: pl.Series, format: str) -> int:
    return parse_dates(present, format).count()


def parse_dates(text: pl.Series, format: str) -> pl.Series:
    """Dates [n] as Datetime (microseconds, UTC); null where the text is not a date in this format."""
    if format == ISO:
        return _parse_iso(text)
    text = text.str.strip_chars()
    text = text.set(~text.str.contains(SHORT_YEAR if "%y" in format else YEAR).fill_null(False), None)
    return text.str.strptime(pl.Datetime("us"), format, strict=False)


def _parse_iso(text: pl.Series) -> pl.Series:
    """ISO 8601 with or without time, seconds, fraction and offset, mixed as they come."""
    groups = text.str.strip_chars().str.extract_groups(ISO_PATTERN).struct
    date, clock, seconds, hours, minutes = (groups.field(str(index)) for index in range(1, 6))
    local = date + " " + clock.fill_null("00:00") + seconds.fill_null(":00")
    moment = local.str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M:%S%.f", strict=False)
    if hours.null_count() == len(hours):
        return moment.alias(text.name)
    sign = pl.Series(np.where(hours.str.starts_with("-").fill_null(False), -1, 1))
    # the sign is taken from the text, because the hours of -00:30 have none
    ahead = sign * (hours.cast(pl.Int64).abs() * 60 + minutes.cast(pl.Int64)) * 60_000_000
    return (moment - ahead.fill_null(0).cast(pl.Duration("us"))).alias(text.name)


def as_moments(
    values: pl.Series, format: str = ISO, *, rows: NDArray[np.int64] | None = None, unread: Unread | None = None
) -> pl.Series:
    """A column as Datetime (microseconds, UTC), from dates or from text in `format` or ISO.

    Raises an `InputError` that names the column, the data row (from 1) and the text that is no date; where those are
    few, they are missing, with a warning. `rows` and `unread` as in `as_numbers`.
    """
    if values.dtype == pl.Null:
        return values.cast(pl.Datetime("us"))
    if values.dtype in (pl.Date, pl.Datetime):
        return _without_zone(values)
    if values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise InputError(f"Column {values.name!r} must hold dates, as in training; it holds {values.dtype} values.")
    moments, failed = read_moments(values, format)
    _report(_failures(values, failed, "dates", rows), unread)
    return moments


def read_moments(values: pl.Series, format: str) -> tuple[pl.Series, pl.Series]:
    """Dates from text in `format` or ISO, and whether each value is neither a date nor missing."""
    text = values.cast(pl.String).str.strip_chars()
    # new rows may come in ISO, from a database or JSON, whatever the training file was written in
    moments = parse_dates(text, format)
    if format != ISO and moments.null_count() > text.null_count():
        moments = moments.fill_null(parse_dates(text, ISO))
    failed = moments.is_null() & text.is_not_null() & ~text.str.to_lowercase().is_in(["", *BLANKS])
    return moments, failed.fill_null(False)


def _without_zone(values: pl.Series) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return values.cast(pl.Datetime("us"))


def has_time_of_day(moments: pl.Series) -> bool:
    """Whether any moment is not midnight."""
    return bool((moments.drop_nulls().dt.time() != time(0)).any())


def date_parts(has_time: bool) -> tuple[str, ...]:
    """What each number of `date_numbers` is."""
    return DATE_PARTS + TIME_PARTS if has_time else DATE_PARTS


def date_numbers(moments: pl.Series, *, has_time: bool) -> NDArray[np.float64]:
    """Numbers [n, 5], or [n, 7] with the time of day; NaN for missing.

    Days since 2000-01-01 00:00 with their fraction; then sine and cosine of 2 pi (day of year - 1) / 365.25,
    of 2 pi weekday / 7 (Monday is 0), and of 2 pi times the fraction of the day.
    """
    since = (moments - pl.Series([EPOCH]).cast(pl.Datetime("us"))).cast(pl.Int64).cast(pl.Float64)
    days = since.fill_null(np.nan).to_numpy() / MICROSECONDS_PER_DAY
    year_day = (moments.dt.ordinal_day().cast(pl.Float64) - 1).fill_null(np.nan).to_numpy()
    weekday = (moments.dt.weekday().cast(pl.Float64) - 1).fill_null(np.nan).to_numpy()
    turns = [year_day / DAYS_PER_YEAR, weekday / DAYS_PER_WEEK]
    if has_time:
        turns.append(days - np.floor(days))
    waves = [wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos)]
    return np.stack([days, *waves], axis=1)

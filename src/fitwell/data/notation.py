"""How a table writes what is missing and its decimal mark: decided once for the whole table, kept with the encoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fitwell.data.numbers import COMMA, POINT, find_style
from fitwell.errors import InputError, InputTypeError

# what R, Python, databases, spreadsheets and people write for nothing; a longer list would swallow real categories
MISSING_MARKS = (
    *("", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None", "?", "\\N", "#N/A", "#NA"),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"),
)
FORMER_MARKS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""Of files, for runs that were saved before the marks were kept with them."""

MARK_SAMPLE = 64
LIKE_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"


@dataclass(frozen=True)
class Notation:
    """How a table is written.

    Attributes
    ----------
    missing
        The texts that mean missing; the empty text always does.
    decimal : "." or "," or ""
        The decimal mark; empty if no value has a mark that could be one.
    is_guess
        Whether no value of the table shows which mark it is.
    """

    missing: tuple[str, ...] = MISSING_MARKS
    decimal: str = ""
    is_guess: bool = False


def missing_marks(missing: Any) -> tuple[str, ...]:
    """The marks of missing values that a person names, checked; None names the usual ones."""
    if missing is None:
        return MISSING_MARKS
    given = [missing] if isinstance(missing, str | int | float) else missing
    given = [*given] if isinstance(given, Iterable) else [None]
    if not all(isinstance(mark, str | int | float) for mark in given):
        raise InputTypeError(f"'missing' must be a list of texts such as ['NA', '-999']. Got {missing!r}.")
    return tuple(dict.fromkeys(["", *(str(mark).strip() for mark in given)]))


def without_marks(frame: pl.DataFrame, missing: Sequence[str]) -> pl.DataFrame:
    """The frame with null for every mark of missing values; a mark that is a number is one as a number, too."""
    numbers = _numbers_of(missing)
    return pl.DataFrame([_without_marks(column, missing, numbers) for column in frame.iter_columns()])


def _without_marks(column: pl.Series, missing: Sequence[str], numbers: list[float]) -> pl.Series:
    if column.dtype in (pl.Categorical, pl.Enum):
        marked = column.cast(pl.String).str.strip_chars().is_in(list(missing)).fill_null(False)
        return (
            column.to_frame().select(pl.when(~marked).then(pl.col(column.name))).to_series() if marked.any() else column
        )
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        marked = text.is_in(list(missing)).fill_null(False)
        return text.set(marked, None) if marked.any() else text
    if numbers and column.dtype.is_numeric():
        marked = column.cast(pl.Float64).is_in(numbers).fill_null(False)
        return column.set(marked, None) if marked.any() else column
    return column


def _numbers_of(missing: Sequence[str]) -> list[float]:
    found = []
    for mark in missing:
        try:
            found.append(float(mark))
        except ValueError:
            continue
    return [number for number in found if number == number]


def decide_notation(frame: pl.DataFrame, missing: Sequence[str], separator: str | None = None) -> Notation:
    """How a table without its missing marks is written: most columns whose values show the decimal mark decide.

    If no value shows it, commas are decimal in text that semicolons or tabs separate, and between thousands elsewhere.
    """
    votes, decided, commas, is_open = 0, False, False, False
    for column in frame.iter_columns():
        if column.dtype != pl.String or not _may_have_marks(column):
            continue
        if _is_plain(column):
            votes, decided = votes - 1, True
            continue
        style = find_style(column)
        if not style.is_numeric:
            continue
        if style.is_open:
            is_open, commas = True, commas or bool(column.str.contains(",", literal=True).any())
        elif style.decimal:
            votes, decided = votes + (1 if style.decimal == COMMA else -1), True
    if votes:
        return Notation(tuple(missing), COMMA if votes > 0 else POINT)
    if not decided and not is_open:
        return Notation(tuple(missing))
    likely = COMMA if (commas or decided) and separator in (";", "\t") else POINT
    return Notation(tuple(missing), likely, is_guess=not decided)


SURELY_COMMA = r"^-?[0-9]+(,[0-9]+)?$"
SHOWS_COMMA = r",(?:[0-9]{1,2}|[0-9]{4,})$"  # between thousands stand three digits


@dataclass
class _Signs:
    """What the values of one column have shown so far; what holds of all, and what of any."""

    all_plain: bool = True
    all_comma: bool = True
    any_digit: bool = False
    any_mark: bool = False
    shows_point: bool = False
    shows_comma: bool = False

    def look(self, present: pl.Series) -> None:
        digits = present.str.contains("[0-9]")
        plain = present.cast(pl.Float64, strict=False)
        self.any_digit |= bool(digits.any())
        self.any_mark |= bool(present.str.contains(r"[.,]").any())
        self.all_plain &= bool(digits.all()) and not plain.has_nulls()
        self.all_comma &= bool(present.str.contains(SURELY_COMMA).all())
        self.shows_point |= bool(
            (present.str.contains(".", literal=True) & ~present.str.contains(LIKE_THOUSANDS)).any()
        )
        self.shows_comma |= bool(present.str.contains(SHOWS_COMMA).any())

    @property
    def vote(self) -> int | None:
        """1 for the comma, -1 for the point, 0 for neither; None if the column must be seen as a whole."""
        if not (self.any_mark and self.any_digit):
            return 0
        if self.all_plain and self.shows_point:
            return -1
        return 1 if self.all_comma and self.shows_comma else None


class DecimalVotes:
    """The decimal mark that `decide_notation` finds, of a table that is read in parts."""

    def __init__(self) -> None:
        self._signs: dict[str, _Signs] = {}

    def look(self, frame: pl.DataFrame) -> None:
        """Look at more rows, without their missing marks."""
        for column in frame.iter_columns():
            signs = self._signs.setdefault(column.name, _Signs())
            if column.dtype == pl.String and len(present := column.drop_nulls()):
                signs.look(present)

    def decide(self, separator: str | None) -> str | None:
        """The mark; None if it takes more than was kept."""
        votes = [signs.vote for signs in self._signs.values()]
        sure = [vote for vote in votes if vote]
        if abs(sum(sure)) > votes.count(None):
            return COMMA if sum(sure) > 0 else POINT
        if None in votes:
            return None
        # as many against as for, or none at all
        return COMMA if sure and separator in (";", "\t") else POINT


def _is_plain(text: pl.Series) -> bool:
    """Whether all values are plain numbers with a point that stands between no thousands: fast, for tables of many."""
    glance = text.drop_nulls().head(MARK_SAMPLE)
    if any(some.cast(pl.Float64, strict=False).null_count() > some.null_count() for some in (glance, text)):
        return False
    return bool((text.str.contains(".", literal=True) & ~text.str.contains(LIKE_THOUSANDS)).any())


def _may_have_marks(text: pl.Series) -> bool:
    """Whether a few of the values look like numbers, one of them with a mark."""
    present = text.drop_nulls()
    if present.is_empty():
        return False
    sample = present.gather_every(max(1, len(present) // MARK_SAMPLE))
    if sample.str.contains(r"[0-9]").sum() < len(sample) / 2:
        return False
    return bool(present.str.contains(r"[.,]").any())


def refuse_missing(missing: Any) -> None:
    """Raise where marks are named and no table is read."""
    if missing is not None:
        raise InputError("'missing' names the marks of missing values in a table: a Keras model's arrays have none.")

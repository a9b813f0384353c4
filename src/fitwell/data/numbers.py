"""Numbers as people write them: decimal comma or point, marks between thousands, currencies, percent, parentheses.

`encode.js` reads by the same rules. A percentage is the number before its sign: 12.5% is 12.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

POINT: Final = "."
COMMA: Final = ","
PERCENT: Final = "%"

# of the values; the others of a column of numbers or dates are mistakes of writing, and said
ENOUGH = 0.95

# what a column of numbers or dates may hold for nothing, in lower case; as a category "-" may mean something
BLANKS = (
    *(
        "-",
        "--",
        "---",
        "\u2013",
        "\u2014",
        "\u2212",
        ".",
        "..",
        "...",
        "?",
        "na",
        "n/a",
        "n.a.",
        "<na>",
        "nan",
        "+nan",
        "-nan",
    ),
    *("nat", "null", "\\n", "#n/a", "#na", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"),
)

SPACE = " \u00a0\u2007\u2009\u202f"
QUOTE = "'\u2019"
MINUS = "\u2212\u2013\ufe63\uff0d"
CURRENCIES = (
    "US\\$|C\\$|A\\$|R\\$|NZ\\$|HK\\$|S\\$|[$\u00a2-\u00a5\u20a0-\u20c0\uff04]|USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|INR"
    "|BRL|MXN|SEK|NOK|DKK|PLN|CZK|HUF|TRY|ZAR|KRW|SGD|HKD|RUB|kr|z\u0142|K\u010d|Ft|Fr"
)
CLOTHED = (
    rf"^(\()?[{SPACE}]*([+-])?[{SPACE}]*({CURRENCIES})?[{SPACE}]*([+-])?[{SPACE}]*"
    rf"([0-9.,](?:[0-9.,{QUOTE}_{SPACE}]*[0-9.,])?(?:[eE][+-]?[0-9]{{1,4}})?)[{SPACE}]*({CURRENCIES}|%)?[{SPACE}]*(\))?$"
)
BARE = r"^-?[0-9][0-9.,]*$"  # without clothes: fast
STYLE_SAMPLE = 64  # values that show whether a column holds numbers at all
INFINITE = r"^[+-]?(?i:inf|infinity)$"


def _pattern(decimal: str, thousands: str) -> str:
    """Numbers with this decimal mark: plain ones, or groups of three that one mark cuts and no zero leads."""
    marks = [thousands, "_", *QUOTE, *SPACE]
    groups = "|".join(rf"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+" for mark in marks)
    return rf"^(?:(?:[0-9]+{decimal}?[0-9]*|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?|(?:{groups})(?:{decimal}[0-9]*)?)$"


PATTERNS = {POINT: _pattern(r"\.", ","), COMMA: _pattern(",", r"\.")}
BETWEEN = {POINT: rf"[,_{QUOTE}{SPACE}]", COMMA: rf"[._{QUOTE}{SPACE}]"}


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : "." or "," or ""
        The decimal mark; empty if no value has a mark that could be one.
    sign : str
        The currency, or "%", that the numbers carry; empty if none.
    count, total : int
        How many of the values that are there are numbers.
    is_open : bool
        Whether the values may be read with either mark, as other numbers (1.234).
    """

    decimal: str
    sign: str
    count: int
    total: int
    is_open: bool

    @property
    def is_numeric(self) -> bool:
        """Whether nearly all values are numbers."""
        return self.count > 0 and self.count >= ENOUGH * self.total


def find_style(text: pl.Series, decimal: str = "") -> NumberStyle:
    """How the numbers in a column of stripped text are written; `decimal` is taken where the values leave it open."""
    present = text.drop_nulls().alias("text")
    sample = present.gather_every(max(1, len(present) // STYLE_SAMPLE)).unique()
    # words are left at once: most of text is
    if sample.str.contains("[0-9]").sum() < len(sample) / 4:
        return NumberStyle("", "", 0, len(present), False)
    counts = present.value_counts(name="count")
    table = _read_distinct(counts["text"]).with_columns(count=counts["count"]).filter(~_is_blank(pl.col("text")))
    total = int(table["count"].sum())
    sign = _main_sign(table)
    mine = table.filter(_carries(sign))
    by_mark = {mark: int(mine.filter(pl.col(mark).is_not_null())["count"].sum()) for mark in (POINT, COMMA)}
    if by_mark[POINT] != by_mark[COMMA]:
        decided = POINT if by_mark[POINT] > by_mark[COMMA] else COMMA
        return NumberStyle(decided, sign, by_mark[decided], total, False)
    is_open = bool((mine[POINT] != mine[COMMA]).fill_null(True).any())
    return NumberStyle((decimal or POINT) if is_open else "", sign, by_mark[decimal or POINT], total, is_open)


def _main_sign(table: pl.DataFrame) -> str:
    """The sign whose readings take in most values."""
    numbers = table.filter(pl.col(POINT).is_not_null() | pl.col(COMMA).is_not_null())
    signs = sorted(numbers["sign"].unique())
    weights = {sign: numbers.filter(_carries(sign))["count"].sum() for sign in signs}
    return max(signs, key=lambda sign: weights[sign]) if signs else ""


def _carries(sign: str) -> pl.Expr:
    """Whether values may stand in a column of this sign: those that carry it, and bare numbers.

    12.5% beside 0.125 are not one scale, so that a bare number is no percentage unless it is 0.
    """
    bare = pl.col("sign") == ""
    if sign == PERCENT:
        bare &= (pl.col(POINT) == 0) | (pl.col(COMMA) == 0)
    return (pl.col("sign") == sign) | bare


def parse_numbers(
    text: pl.Series, decimal: str = POINT, sign: str = "", *, any_bare: bool = False
) -> tuple[pl.Series, pl.Series]:
    """Numbers written as text, and whether each value is neither a number nor missing."""
    text = text.cast(pl.String).str.strip_chars()
    text = text.set((text == "").fill_null(False), None)
    plain = pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
    if decimal == POINT and sign != PERCENT:  # the plain ones at once, whatever stands in other rows
        plain = text.cast(pl.Float64, strict=False)
        if plain.null_count() == text.null_count():
            return plain.fill_nan(None), pl.repeat(False, len(text), dtype=pl.Boolean, eager=True)
    # NaN is not null yet, so that it counts among the plain ones
    clothed = text.set(plain.is_not_null(), None)
    distinct = clothed.drop_nulls().unique()
    table = _read_distinct(distinct)
    accepted = pl.col("sign") == "" if any_bare else pl.lit(False)
    values = table.select(pl.when(_carries(sign) | accepted).then(pl.col(decimal or POINT))).to_series()
    blank = table.select(_is_blank(pl.col("text"))).to_series()
    numbers = clothed.replace_strict(distinct, values, default=None, return_dtype=pl.Float64)
    failed = clothed.replace_strict(distinct, values.is_null() & ~blank, default=False, return_dtype=pl.Boolean)
    return plain.fill_null(numbers).fill_nan(None).alias(text.name), failed.alias(text.name)


def _is_blank(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().is_in(list(BLANKS))


def _read_distinct(text: pl.Series) -> pl.DataFrame:
    """For each text its sign and its value under either decimal mark, null where it is no number."""
    bare = text.str.contains(BARE)
    clothed = _read_clothed(text.filter(~bare))
    if not bare.any():
        return clothed
    plain = text.filter(bare)
    cores = pl.DataFrame({"text": plain, "core": plain.str.strip_prefix("-")})
    factor = pl.when(pl.col("text").str.starts_with("-")).then(-1.0).otherwise(1.0)
    marked = {mark: _value(mark) * factor for mark in (POINT, COMMA)}
    read = cores.with_columns(**marked, sign=pl.lit("")).select("text", "sign", POINT, COMMA)
    both = pl.concat([read, clothed])
    return text.alias("text").to_frame().join(both, on="text", how="left", maintain_order="left")


def _read_clothed(text: pl.Series) -> pl.DataFrame:
    plain = text.alias("text").str.replace_all(f"[{MINUS}]", "-")
    names = ("open", "before", "left", "inner", "core", "right", "close")
    groups = plain.str.extract_groups(CLOTHED).struct.rename_fields(list(names)).struct.unnest()
    has = {name: pl.col(name).is_not_null() for name in names}
    well_formed = (
        (has["open"] == has["close"])
        & ~(has["left"] & has["right"])
        & (has["before"].cast(pl.Int8) + has["inner"] + has["open"] <= 1)
    )
    negative = has["open"] | (pl.col("before") == "-").fill_null(False) | (pl.col("inner") == "-").fill_null(False)
    infinite = pl.when(plain.str.contains(INFINITE)).then(np.inf)
    marked = {
        mark: pl.coalesce(
            pl.when(well_formed).then(_value(mark) * pl.when(negative).then(-1.0).otherwise(1.0)), infinite
        )
        for mark in (POINT, COMMA)
    }
    signs = pl.coalesce("left", "right", pl.lit(""))
    return groups.with_columns(**marked, sign=signs, text=text).select("text", "sign", POINT, COMMA)


def _value(decimal: str) -> pl.Expr:
    core = pl.col("core")
    digits = core.str.replace_all(BETWEEN[decimal], "").str.replace(",", ".", literal=True)
    return pl.when(core.str.contains(PATTERNS[decimal])).then(digits.cast(pl.Float64, strict=False))


def first_failure(values: pl.Series, failed: pl.Series) -> tuple[int, str] | None:
    """The row (from 0) and the text of the first value that could not be read."""
    row = failed.arg_max() if failed.any() else None
    return None if row is None else (row, str(values[row]))

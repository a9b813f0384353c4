"""Numbers as people write them."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.columns import describe_columns
from fitwell.data.numbers import COMMA, POINT, find_style, parse_numbers


@pytest.mark.parametrize(
    ("text", "decimal", "sign", "number"),
    [
        ("$1,200.50", POINT, "$", 1200.5),
        ("-$5", POINT, "$", -5),
        ("$-5", POINT, "$", -5),
        ("($5.00)", POINT, "$", -5),
        ("(5.00)", POINT, "", -5),
        ("12 \u20ac", POINT, "\u20ac", 12),
        ("1.200,50 \u20ac", COMMA, "\u20ac", 1200.5),
        ("EUR 12", POINT, "EUR", 12),
        ("12.5%", POINT, "%", 12.5),
        ("12,5 %", COMMA, "%", 12.5),
        ("0", POINT, "%", 0),
        ("1 234,5", COMMA, "", 1234.5),
        ("1\u00a0234,5", COMMA, "", 1234.5),
        ("1\u2009234,5", COMMA, "", 1234.5),
        ("1\u202f234", POINT, "", 1234),
        ("1'234.5", POINT, "", 1234.5),
        ("1\u2019234.5", POINT, "", 1234.5),
        ("\u22125", POINT, "", -5),
        ("+5", POINT, "", 5),
        ("1e3", POINT, "", 1000),
        ("1,5e3", COMMA, "", 1500),
        ("0,125", COMMA, "", 0.125),
    ],
)
def test_what_is_clearly_a_number_is_read(text: str, decimal: str, sign: str, number: float) -> None:
    """Currencies, percent, parentheses, marks between thousands and minus signs of any script."""
    numbers, failed = parse_numbers(pl.Series([text]), decimal, sign)
    assert numbers.to_list() == [number]
    assert failed.to_list() == [False]


@pytest.mark.parametrize(
    ("text", "decimal", "sign"),
    [
        ("0,125", POINT, ""),  # thousands never begin with 0
        ("1,23", POINT, ""),
        ("1,234 567", POINT, ""),  # two marks
        ("1.5", COMMA, ""),
        ("5 \u20ac", POINT, "$"),  # another currency
        ("$5", POINT, ""),
        ("12.5", POINT, "%"),  # of which scale?
        ("$5$", POINT, "$"),
        ("(5", POINT, ""),
        ("(-5)", POINT, ""),
        ("1 2", POINT, ""),
        ("5 kg", POINT, ""),
        ("12oo", POINT, ""),
    ],
)
def test_what_is_not_clear_is_no_number(text: str, decimal: str, sign: str) -> None:
    """Misplaced marks, other currencies and words fail; they are not guessed."""
    numbers, failed = parse_numbers(pl.Series([text]), decimal, sign)
    assert (numbers.to_list(), failed.to_list()) == ([None], [True])


@pytest.mark.parametrize("mark", ["-", "--", ".", "n/a", "#N/A", "<NA>", "#DIV/0!", "NaN", "", "NULL", "\u2013"])
def test_marks_for_nothing_are_missing_among_numbers(mark: str) -> None:
    """In a column of numbers they are missing, and no mistakes."""
    numbers, failed = parse_numbers(pl.Series(["1,5", mark]), COMMA)
    assert (numbers.to_list(), failed.to_list()) == ([1.5, None], [False, False])


@pytest.mark.parametrize(
    ("texts", "kind", "sign"),
    [
        (["$1", "$2", "3", "$4"], "numeric", "$"),
        (["$1", "2 \u20ac", "$3", "4 \u20ac"], "categorical", ""),
        (["1%", "2%", "0", "4%"], "numeric", "%"),
        (["1%", "2%", "0.5", "0.4"], "categorical", ""),
        (["+", "-", "+", "-"], "categorical", ""),
        (["1", "2", "unknown", "3"], "categorical", ""),
        ([*["1", "2.5"] * 10, "x"], "numeric", ""),
        ([*["1", "2.5"] * 9, "x"], "categorical", ""),
    ],
)
def test_one_currency_in_a_column(texts: list[str], kind: str, sign: str) -> None:
    """A column is numeric if nearly all its values are numbers of one currency; others are not merged."""
    column = describe_columns(pl.DataFrame({"b": [1.5] * len(texts), "a": texts}))[1]
    assert (column.kind, column.sign) == (kind, sign)


def test_too_many_texts_are_counted() -> None:
    """A column of many numbers and too many texts says how many, and which row holds what."""
    texts = [f"{row}.5" for row in range(80)] + [f"about {row}" for row in range(20)]
    column = describe_columns(pl.DataFrame({"b": [1.5] * 100, "a": texts}))[1]
    assert column.kind == "set aside"
    assert column.reason == "80 of 100 values are numbers, but data row 81 holds 'about 0'"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9).map(lambda number: round(number, 2)), min_size=1), st.sampled_from(",. '\u202f"))
def test_grouped_numbers_read_back(numbers: list[float], thousands: str) -> None:
    """Numbers written with two decimals and any mark between thousands come back, and the marks are found."""
    decimal = COMMA if thousands == "." else POINT
    texts = [f"{number:,.2f}".replace(".", "~").replace(",", thousands).replace("~", decimal) for number in numbers]
    style = find_style(pl.Series(texts))
    assert style.decimal == decimal
    assert parse_numbers(pl.Series(texts), style.decimal)[0].to_list() == numbers

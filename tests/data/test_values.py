"""Values of columns: texts that mean the same, numbers and dates in texts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.numbers import parse_numbers
from fitwell.data.values import (
    AMBIGUOUS,
    ISO,
    as_moments,
    as_numbers,
    canonical_text,
    canonical_value,
    date_numbers,
    date_parts,
    find_date_format,
    parse_dates,
    plain_text,
)
from fitwell.errors import InputError


@pytest.mark.parametrize(
    "values",
    [[1], [1.0], ["1"], [" 1 "], ["1.0"], ["01"], ["+1"], ["1e0"]],
    ids=str,
)
def test_equal_values_have_one_text(values: list[object]) -> None:
    """The number one is the text "1" in whatever type and spelling a file brings it."""
    assert canonical_text(pl.Series(values)).to_list() == ["1"]


@pytest.mark.parametrize("values", [[True], ["True"], ["TRUE"], ["true"]], ids=str)
def test_booleans_have_one_text(values: list[object]) -> None:
    """True is the text "true", as a boolean and in any spelling."""
    assert canonical_text(pl.Series(values)).to_list() == ["true"]


def test_different_values_keep_different_texts() -> None:
    """What is not equal is not merged: 1.5 and 15, a and A, long integers that a float would round."""
    values = ["1.5", "15", "a", "A", "12345678901234567890", "12345678901234567891", "-1", "1"]
    assert canonical_text(pl.Series(values)).n_unique() == len(values)


def test_missing_is_null() -> None:
    """Nulls, NaN and empty text are missing."""
    assert canonical_text(pl.Series([None, "", "  "])).to_list() == [None] * 3
    assert canonical_text(pl.Series([None, float("nan"), 2.0])).to_list() == [None, None, "2"]
    assert plain_text(pl.Series([" a ", ""])).to_list() == ["a", None]


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=8), st.floats(allow_nan=False).map(str), st.integers().map(str)))
def test_canonical_text_is_canonical(text: str) -> None:
    """Writing the canonical text and reading it again changes nothing."""
    assert canonical_value(canonical_value(text)) == canonical_value(text)


@settings(max_examples=60, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_as_its_text(number: float) -> None:
    """A float column and the same numbers as text agree."""
    as_text = pl.Series([repr(number)])
    assert canonical_text(pl.Series([number])).to_list() == canonical_text(as_text).to_list()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None], [1.0, np.nan]),
        ([True, False], [1.0, 0.0]),
        ([Decimal("1.25")], [1.25]),
        ([timedelta(minutes=1, milliseconds=500)], [60.5]),
        ([time(1, 0, 1)], [3601.0]),
        ([" 1", "2.5e1 ", "?", "NA", ""], [1.0, 25.0, np.nan, np.nan, np.nan]),
        (["1,234.5", "12 345", "1'000'000", "7"], [1234.5, 12345.0, 1e6, 7.0]),
        ([None], [np.nan]),
    ],
    ids=["integers", "booleans", "decimals", "durations", "times", "text", "thousands", "nulls"],
)
def test_values_become_numbers(values: list[object], expected: list[float]) -> None:
    """Numbers of every type and spelling become float64, durations and times of day seconds."""
    np.testing.assert_array_equal(as_numbers(pl.Series("x", values)), expected)


@pytest.mark.parametrize("text", ["1,23", "12,3456", "1 2", "x1", "0x10"])
def test_what_is_no_number_is_not_guessed(text: str) -> None:
    """Misplaced thousands marks and words are not numbers."""
    numbers, failed = parse_numbers(pl.Series([text]))
    assert failed.to_list() == [True]
    assert numbers.to_list() == [None]


def test_text_among_numbers_is_named() -> None:
    """The message names the column, the data row from 1, and the text."""
    with pytest.raises(InputError, match=r"'age' .* row 3 .* 'old'"):
        as_numbers(pl.Series("age", ["1", "2", "old"]))


@pytest.mark.parametrize("values", [[1.0, float("inf")], ["1", "-inf"]], ids=["float", "text"])
def test_infinities_are_refused(values: list[object]) -> None:
    """An infinite value is named by column and data row, with what to do."""
    with pytest.raises(InputError, match=r"'x' holds an infinite value in data row 2: replace"):
        as_numbers(pl.Series("x", values))


def test_dates_are_no_numbers() -> None:
    """A column of another kind is refused by its type."""
    with pytest.raises(InputError, match="'x' must hold numbers"):
        as_numbers(pl.Series("x", [date(2020, 1, 1)]))


MOMENTS = st.datetimes(min_value=datetime(1800, 1, 1), max_value=datetime(2200, 1, 1))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2020-01-31", None], ISO),
        (["2020-01-31 10:00", "2020-01-31T10:00:01.5Z", "2020-02-01"], ISO),
        (["01/02/2020", "31/01/2020"], "%d/%m/%Y"),
        (["01/02/2020", "01/31/2020"], "%m/%d/%Y"),
        (["01.02.2020", "02.03.2020"], "%d.%m.%Y"),
        (["3 Feb 2020", "14 March 2021"], "%d %B %Y"),
        (["March 5, 2021", "Apr 15, 2021"], "%B %d, %Y"),
        (["5-Mar-21", "15-Apr-21"], "%d-%B-%y"),
        (["03/04/21", "13/04/21"], "%d/%m/%y"),
        (["03/04/21", "03/14/21"], "%m/%d/%y"),
        (["03/04/21", "05/06/21"], AMBIGUOUS),
        (["03.04.21", "05.06.21"], "%d.%m.%y"),
        (["2020-02-30", *["2020-01-02"] * 19], ISO),
        (["2020-02-30", *["2020-01-02"] * 18], None),
        (["13/04/2021", *["03/04/2021"] * 99], "%d/%m/%Y"),
        (["soon", "04/13/2021", *["03/04/2021"] * 99], "%m/%d/%Y"),
        (["1/2/5", "3/4/6"], None),
        (["1.5.2", "2.0.1"], None),
        (["13/01/2020 07:30"], "%d/%m/%Y %H:%M"),
        (["01/02/2020", "03/04/2020"], AMBIGUOUS),
        (["31/01/2020", "01/31/2020"], None),
        (["2020-01-31", "soon"], None),
        (["2020-02-30"], None),
        (["1/2/20"], AMBIGUOUS),
        ([None], None),
    ],
    ids=str,
)
def test_the_format_is_found_or_not_guessed(texts: list[str | None], expected: str | None) -> None:
    """One format must read every value; two that disagree are ambiguous, none is none."""
    assert find_date_format(pl.Series(texts, dtype=pl.String)) == expected


@settings(max_examples=50, deadline=None)
@given(MOMENTS)
def test_iso_text_reads_back(moment: datetime) -> None:
    """What Python writes as ISO 8601 is read to the microsecond."""
    assert parse_dates(pl.Series([moment.isoformat()]), ISO).to_list() == [moment]


def test_offsets_and_zones_are_taken_in_utc() -> None:
    """One moment written with an offset, with Z, or typed with a time zone is one moment."""
    text = as_moments(pl.Series(["2020-01-01T00:30:00+02:00", "2019-12-31T22:30Z", "2019-12-31T18:00-0430"]))
    zoned = pl.Series([datetime(2019, 12, 31, 22, 30, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo")
    assert set(text) == set(as_moments(zoned)) == {datetime(2019, 12, 31, 22, 30)}


def test_text_that_is_no_date_is_named() -> None:
    """The message names the column, the data row from 1, and the text."""
    with pytest.raises(InputError, match=r"'day' .* row 2 holds 'never'"):
        as_moments(pl.Series("day", ["2020-01-01", "never"]))


def test_numbers_are_no_dates() -> None:
    """A column of another kind is refused by its type."""
    with pytest.raises(InputError, match="'day' must hold dates"):
        as_moments(pl.Series("day", [1, 2]))


def test_numbers_of_a_known_moment() -> None:
    """Monday 2000-01-03, 06:00: 2.25 days, third day of the year, first of the week, a quarter day."""
    numbers = date_numbers(pl.Series([datetime(2000, 1, 3, 6)]), has_time=True)
    angle = 2 * np.pi * 2 / 365.25
    np.testing.assert_allclose(numbers, [[2.25, np.sin(angle), np.cos(angle), 0, 1, 1, 0]], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), MOMENTS), min_size=1, max_size=5), st.booleans())
def test_missing_moments_are_nan_and_others_finite(moments: list[datetime | None], has_time: bool) -> None:
    """Every number of a missing moment is NaN, and no other."""
    numbers = date_numbers(pl.Series(moments, dtype=pl.Datetime("us")), has_time=has_time)
    assert numbers.shape == (len(moments), len(date_parts(has_time)))
    assert np.array_equal(np.isnan(numbers), [[moment is None] * numbers.shape[1] for moment in moments])


def test_dates_and_midnights_agree() -> None:
    """A Date column and the same days as Datetime give the same numbers."""
    days = pl.Series([date(1999, 5, 6), None])
    as_days, as_midnights = (date_numbers(as_moments(s), has_time=False) for s in (days, days.cast(pl.Datetime)))
    np.testing.assert_array_equal(as_days, as_midnights)

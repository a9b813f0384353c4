"""Dates as text, as moments and as numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.dates import (
    AMBIGUOUS,
    ISO,
    as_moments,
    date_numbers,
    date_parts,
    find_date_format,
    parse_dates,
)
from fitwell.errors import InputError

MOMENTS = st.datetimes(min_value=datetime(1800, 1, 1), max_value=datetime(2200, 1, 1))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2020-01-31", None], ISO),
        (["2020-01-31 10:00", "2020-01-31T10:00:01.5Z", "2020-02-01"], ISO),
        (["01/02/2020", "31/01/2020"], "%d/%m/%Y"),
        (["01/02/2020", "01/31/2020"], "%m/%d/%Y"),
        (["01.02.2020", "02.03.2020"], "%d.%m.%Y"),
        (["3 Feb 2020", "14 Mar 2021"], "%d %b %Y"),
        (["13/01/2020 07:30"], "%d/%m/%Y %H:%M"),
        (["01/02/2020", "03/04/2020"], AMBIGUOUS),
        (["31/01/2020", "01/31/2020"], None),
        (["2020-01-31", "soon"], None),
        (["2020-02-30"], None),
        (["1/2/20"], None),
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

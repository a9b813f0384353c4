"""Groups and times as arrays."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from fitwell.data.row_keys import moments_of, read_groups
from fitwell.errors import InputError


@pytest.mark.parametrize("groups", [["b", "a", "b"], [2, 1, 2], np.array([2.5, 1.5, 2.5]), pl.Series(["b", "a", "b"])])
def test_groups_of_any_type_are_numbered(groups: Any) -> None:
    """Equal values are one group, whatever their type."""
    assert read_groups(groups, 3)[0].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "time",
    [
        [3, 1, 2.5],
        ["3", "1", "2"],
        [date(2020, 3, 1), date(2020, 1, 1), date(2020, 2, 1)],
        np.array(["2020-03", "2020-01", "2020-02"], "M8[D]"),
        ["2020-03-01", "2020-01-01", "2020-02-01 10:00"],
        ["13/03/2020", "31/01/2020", "01/02/2020"],
    ],
    ids=str,
)
def test_times_of_any_type_sort_as_times(time: Any) -> None:
    """Numbers, dates and text that is either are ordered as what they mean."""
    assert moments_of(time, 3).argsort().tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (["01/02/2020", "02/03/2020"], "whether day or month comes first"),
        (["soon", "later"], "'time' must hold dates, but data row 1 holds 'soon'"),
        ([1, None], "1 missing value, first in data row 2"),
        ([None, None], "2 missing values, first in data row 1"),
        ([1, 2, 3], "must have 2 values, one per row. Got 3"),
    ],
    ids=str,
)
def test_bad_times_get_a_sentence(time: Any, message: str) -> None:
    """A time column that cannot order the rows is refused."""
    with pytest.raises(InputError, match=message):
        moments_of(time, 2)


def test_missing_groups_are_named() -> None:
    """A row without a group cannot be placed."""
    with pytest.raises(InputError, match="groups column has 1 missing value, first in data row 2"):
        read_groups(["a", None, "b"], 3)

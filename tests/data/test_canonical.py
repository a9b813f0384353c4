"""The canonical text of values."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.canonical import canonical_text, canonical_value, plain_text


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

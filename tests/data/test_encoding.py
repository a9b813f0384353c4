"""Encodings: their layout, what they are fitted on, and what they make of any row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from fitwell.data import encoding as encoding_module
from fitwell.data.columns import RawFeatures, describe_columns, extract
from fitwell.data.encoding import Encoding, Layout, fit_encoding, make_layout, moments, stack
from fitwell.errors import InputError

LAYOUT = Layout(("a", "b", "a is missing", "c = x", "c = y", "c = (missing)", "c = (other)"), 2, (0,), (2,), (True,))
N = 12
TRAIN = np.arange(8)
NUMBERS = arrays(np.float64, (N, 2), elements=st.floats(-1e308, 1e308) | st.just(np.nan) | st.sampled_from([0.0, 1.0]))
CODES = arrays(np.int32, (N, 1), elements=st.integers(0, 3))
RAW = st.builds(RawFeatures, NUMBERS, CODES)


def example(seed: int = 0) -> RawFeatures:
    """Twelve ordinary rows of `LAYOUT`, with missing values among the training rows."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(N, 2))
    numbers[[0, 9], 0] = np.nan
    return RawFeatures(numbers, np.array([[0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 0, 1]], np.int32).T)


def as_text(encoding: Encoding) -> str:
    """All of an encoding, to the last bit."""
    return json.dumps(encoding.to_json())


def test_layout_of_a_table() -> None:
    """Numbers, then indicators, then one-hot inputs, each with a name; the code starts fit the levels."""
    frame = pl.DataFrame({"c": ["x", None, "y"], "a": [1.5, None, 2], "t": [True, False, True], "d": ["u", "v", "u"]})
    columns = describe_columns(frame)
    layout = make_layout(columns, extract(frame, columns))
    assert layout.names == (
        *("a", "t", "a is missing"),
        *("c = x", "c = y", "c = (missing)", "c = (other)"),
        *("d = u", "d = v", "d = (other)"),
    )
    assert layout.width == 10
    assert layout.one_hot_starts == (3, 7)
    assert layout.code_starts.tolist() == [0, 4]


def test_a_date_has_one_indicator() -> None:
    """A date that can be missing has several numbers but one indicator."""
    frame = pl.DataFrame({"d": pl.Series(["2020-01-01", None, "2020-05-05"]).str.to_date()})
    columns = describe_columns(frame)
    layout = make_layout(columns, extract(frame, columns))
    assert layout.indicators == (0,)
    assert layout.names[-1] == "d is missing"


def test_a_layout_needs_features_that_fit() -> None:
    """Features of other columns, or none at all, are refused."""
    columns = describe_columns(pl.DataFrame({"a": [1.5, 2.5], "b": [1, 1]}))
    with pytest.raises(InputError, match=r"1 numbers and 0 codes.*Got 2 and 1"):
        make_layout(columns, example())
    with pytest.raises(InputError, match="all of them are set aside"):
        make_layout(columns[1:], RawFeatures(np.empty((2, 0)), np.empty((2, 0), np.int32)))


def plain(layout: Layout, raw: RawFeatures, rows: NDArray[Any]) -> list[list[float]]:
    """The inputs by a slow loop over single values, as the docstring of `Encoding` states them."""
    encoding = fit_encoding(layout, raw, rows)
    fill, center, scale = (values.tolist() for values in (encoding.fill, encoding.center, encoding.scale))
    inputs = []
    for numbers, codes in zip(raw.numbers.tolist(), raw.codes.tolist(), strict=True):
        row = [0.0] * layout.width
        for j, number in enumerate(numbers):
            z = ((fill[j] if np.isnan(number) else number) - center[j]) / scale[j]
            z = min(max(z, -1e6), 1e6)
            row[j] = z / (1 + (z / 3) ** 2) ** 0.5
        for place, j in enumerate(layout.indicators):
            row[layout.n_numbers + place] = float(np.isnan(numbers[j]))
        for column, code in enumerate(codes):
            row[encoding.slots[layout.code_starts[column] + code]] = 1.0
        inputs.append([value if live else 0.0 for value, live in zip(row, encoding.live, strict=True)])
    return inputs


@pytest.mark.parametrize("seed", range(3))
def test_transform_equals_the_stated_formula(seed: int) -> None:
    """The vectorised transformation is the documented one, value by value."""
    raw = example(seed)
    inputs = fit_encoding(LAYOUT, raw, TRAIN).transform(raw, dtype=np.float64)
    np.testing.assert_allclose(inputs, plain(LAYOUT, raw, TRAIN), rtol=1e-14)
    as_float32 = fit_encoding(LAYOUT, raw, TRAIN).transform(raw)
    assert as_float32.dtype == np.float32
    np.testing.assert_array_equal(as_float32, inputs.astype(np.float32))


def test_scaling_equals_scikit_learn() -> None:
    """Median imputation, mean and population deviation are NumPy's and scikit-learn's."""
    raw = example()
    encoding = fit_encoding(LAYOUT, raw, TRAIN)
    numbers = raw.numbers[TRAIN]
    median = np.nanmedian(numbers, axis=0)
    np.testing.assert_allclose(encoding.fill, median, rtol=1e-15)
    scaler = StandardScaler().fit(np.where(np.isnan(numbers), median, numbers))
    np.testing.assert_allclose(encoding.center, np.asarray(scaler.mean_, float), rtol=1e-13)
    np.testing.assert_allclose(encoding.scale, np.asarray(scaler.scale_, float), rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(RAW, RAW)
def test_rows_that_do_not_train_change_nothing(raw: RawFeatures, other: RawFeatures) -> None:
    """No leak: whatever the other rows hold, the encoding is the same to the last bit."""
    changed = RawFeatures(raw.numbers.copy(), raw.codes.copy())
    changed.numbers[8:], changed.codes[8:] = other.numbers[8:], other.codes[8:]
    assert as_text(fit_encoding(LAYOUT, raw, TRAIN)) == as_text(fit_encoding(LAYOUT, changed, TRAIN))


@pytest.mark.parametrize("row", [0, 7])
def test_rows_that_train_change_the_encoding(row: int) -> None:
    """The counterpart: a changed training row shows, so the test above can fail."""
    raw, changed = example(), example()
    changed.numbers[row] += 1.0
    changed.numbers[row, 0] = 5.0
    assert as_text(fit_encoding(LAYOUT, raw, TRAIN)) != as_text(fit_encoding(LAYOUT, changed, TRAIN))


@settings(max_examples=100, deadline=None)
@given(RAW)
def test_inputs_are_finite_and_bounded(raw: RawFeatures) -> None:
    """Whatever finite numbers a table holds, the inputs are finite and within the clipping bound of 3."""
    inputs = fit_encoding(LAYOUT, raw, TRAIN).transform(raw)
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() <= 3


@pytest.mark.parametrize("size", [1e3, 1e9, 1e160, 1e308])
def test_far_values_are_far(size: float) -> None:
    """A value however far out comes near the bound on its own side: it does not turn to 0 by overflow."""
    raw = example()
    raw.numbers[8:] = size
    raw.numbers[10:] = -size
    inputs = fit_encoding(LAYOUT, raw, TRAIN).transform(raw)[8:, :2]
    np.testing.assert_allclose(inputs, [[3, 3]] * 2 + [[-3, -3]] * 2, rtol=1e-4)


def test_the_median_of_large_numbers_does_not_overflow() -> None:
    """The median between two numbers near the largest is between them."""
    raw = example()
    raw.numbers[TRAIN, 0] = [1e308, 1.5e308, np.nan, np.nan] * 2
    assert 1e308 < fit_encoding(LAYOUT, raw, TRAIN).fill[0] < 1.5e308


@settings(max_examples=60, deadline=None)
@given(RAW)
def test_json_round_trip_is_exact(raw: RawFeatures) -> None:
    """An encoding read back from JSON text gives the same inputs, bit for bit."""
    encoding = fit_encoding(LAYOUT, raw, TRAIN)
    again = Encoding.from_json(json.loads(as_text(encoding)))
    assert again.layout == encoding.layout
    assert as_text(again) == as_text(encoding)
    assert again.transform(raw).tobytes() == encoding.transform(raw).tobytes()


def one_hot(codes: list[int], rows: NDArray[Any]) -> NDArray[Any]:
    """The one-hot inputs [n, 4] of `LAYOUT` (x, y, missing, other) for these codes."""
    raw = RawFeatures(np.zeros((len(codes), 2)), np.array(codes, np.int32)[:, None])
    return fit_encoding(LAYOUT, raw, rows).transform(raw)[:, 3:]


def test_rare_levels_share_other() -> None:
    """A level with three training rows has its own input; rarer ones, unseen ones and missing share one."""
    codes = [0] * 5 + [1, 1, 2] + [3, 1, 2, 0]
    assert one_hot(codes, TRAIN).argmax(axis=1).tolist() == [0] * 5 + [3] * 6 + [0]
    codes[7] = 1  # the third row of level 1: from now on it has its own
    assert one_hot(codes, TRAIN).argmax(axis=1).tolist()[5:10] == [1, 1, 1, 0, 1]


def test_missing_is_a_level() -> None:
    """Missing has its own input if enough training rows lack the value."""
    assert one_hot([0, 0, 0, 2, 2, 2, 2, 2], TRAIN).argmax(axis=1).tolist() == [0] * 3 + [2] * 5


def test_inputs_that_never_varied_are_zero() -> None:
    """An input that was the same in every training row is off on new rows: its weights are untrained."""
    raw = example()
    raw.numbers[TRAIN, 1] = 0.1
    raw.numbers[8:, 1] = 50.0
    raw.numbers[0, 0] = 0.5
    raw.codes[TRAIN] = np.array([[0, 0, 0, 0, 1, 1, 1, 1]]).T
    encoding = fit_encoding(LAYOUT, raw, TRAIN)
    assert encoding.live.tolist() == [True, False, False, True, True, False, False]
    assert not encoding.transform(raw)[:, ~encoding.live].any()
    assert encoding.scale[1] == 1.0


def test_a_column_missing_in_all_training_rows_is_zero() -> None:
    """Without a single training value the fill is 0 and the input off."""
    raw = example()
    raw.numbers[TRAIN, 0] = np.nan
    encoding = fit_encoding(LAYOUT, raw, TRAIN)
    assert (encoding.fill[0], encoding.center[0], encoding.scale[0], encoding.live[0]) == (0, 0, 1, False)


def test_rounding_is_no_spread() -> None:
    """A constant that floats cannot hold exactly is constant; numbers far from zero that differ are not."""
    values = np.stack([np.full(1000, 0.1), 1e9 + np.arange(1000) / 1000], axis=1)
    center, scale, varies = moments(values)
    assert varies.tolist() == [False, True]
    assert center[0] == 0.1
    assert scale[0] == 1.0


@pytest.mark.parametrize("size", [1e-300, 1e-5, 1.0, 1e5, 1e300])
def test_the_unit_of_a_column_does_not_matter(size: float) -> None:
    """The same column in another unit gives the same inputs, up to rounding."""
    raw = example()
    other = RawFeatures(raw.numbers * size, raw.codes)
    expected = fit_encoding(LAYOUT, raw, TRAIN).transform(raw, np.float64)
    np.testing.assert_allclose(fit_encoding(LAYOUT, other, TRAIN).transform(other, np.float64), expected, rtol=1e-9)


def test_stack_is_one_transform_per_row_set() -> None:
    """The stack [R, n, d] holds each encoding's own inputs of all rows."""
    raw = example()
    encodings = [fit_encoding(LAYOUT, raw, rows) for rows in (TRAIN, np.arange(4, 12))]
    stacked = stack(encodings, raw)
    assert stacked.shape == (2, N, LAYOUT.width)
    for inputs, encoding in zip(stacked, encodings, strict=True):
        np.testing.assert_array_equal(inputs, encoding.transform(raw))
    assert (stacked[0] != stacked[1]).any()


def test_no_training_rows_are_refused() -> None:
    """An encoding of no rows does not exist."""
    with pytest.raises(InputError, match="at least one training row"):
        fit_encoding(LAYOUT, example(), np.array([], int))


@pytest.mark.parametrize("columns", [2, 3, 7, 8])
def test_parts_change_no_bit(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Columns are fitted and rows encoded some at a time; a column all alone would be summed in another order."""
    random = np.random.default_rng(columns)
    numbers = random.lognormal(size=(1000, columns))
    numbers[random.random(numbers.shape) < 0.05] = np.nan
    raw = RawFeatures(numbers, np.empty((1000, 0), np.int32))
    layout = Layout((*map(str, range(columns)), "0 is missing"), columns, (0,), (), ())
    whole = fit_encoding(layout, raw, np.arange(0, 1000, 3))
    inputs = whole.transform(raw)
    monkeypatch.setattr(encoding_module, "FITTED_AT_ONCE", 1)
    monkeypatch.setattr(encoding_module, "ENCODED_INPUTS", 50)
    parts = fit_encoding(layout, raw, np.arange(0, 1000, 3))
    assert as_text(parts) == as_text(whole)
    assert parts.transform(raw).tobytes() == inputs.tobytes()
    filled = np.where(np.isnan(numbers), 1.0, numbers)
    scales = moments(filled)[1]
    assert any(moments(filled[:, [j]])[1][0] != scales[j] for j in range(columns))


def test_there_may_be_no_numbers() -> None:
    """A table of categories alone."""
    layout = Layout(("c = x", "c = y", "c = (other)"), 0, (), (2,), (False,))
    raw = RawFeatures(np.empty((6, 0)), np.array([[0, 0, 0, 1, 1, 1]], np.int32).T)
    encoding = fit_encoding(layout, raw, np.arange(6))
    np.testing.assert_array_equal(encoding.transform(raw), [[1, 0, 0]] * 3 + [[0, 1, 0]] * 3)

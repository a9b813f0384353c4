"""Units of a target: what float32 cannot hold apart is put outside the model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fitwell.data.target_units import NEGLIGIBLE, VALUES, TargetUnits, units_of

SPREAD = np.random.default_rng(0).normal(size=300)


@pytest.mark.parametrize(
    ("values", "are_values"),
    [
        (SPREAD, True),
        (100 + SPREAD, True),
        (2000 + 10 * SPREAD, True),  # years
        (2_460_000 + SPREAD, False),  # Julian dates
        (1.7e9 + 100 * SPREAD, False),  # seconds since 1970
        (1e9 + 1e-3 * SPREAD, False),
        (1e-35 * SPREAD, False),
        (1e35 * SPREAD, False),
    ],
)
def test_what_float32_holds_apart_stays_as_it_is(values: np.ndarray, are_values: bool) -> None:
    """Rounded to float32 in the units of its model a target keeps its differences."""
    units = units_of(values)
    assert units.are_values == are_values
    outputs = ((values - units.shift) / units.scale).astype(np.float32)
    assert np.abs(units.of(outputs) - values).max() < 2 * NEGLIGIBLE * values.std()
    if not are_values and 1e-30 < values.std() < 1e30:  # the break
        assert np.abs(values.astype(np.float32) - values).max() > 0.01 * values.std()


def test_a_network_of_one_fold_in_the_units_of_the_model() -> None:
    """Its own shift and scale, then the model's, are its values."""
    units, raw = TargetUnits(1e9, 4.0), np.array([-1.0, 0.5, 2.0])
    shift, scale = units.within(1e9 + 3, 5.0)
    np.testing.assert_allclose(units.of((shift + scale * raw).astype(np.float32)), 1e9 + 3 + 5 * raw, rtol=1e-15)
    assert VALUES.within(3.0, 5.0) == (3.0, 5.0)


def test_several_values_have_units_each() -> None:
    """As each has alone; where all are held by float32 the model gives values. They survive JSON bit for bit."""
    near, far = np.array([1.0, 2.0, 4.0]), 1.7e9 + np.array([0.1, 0.2, 0.4])
    assert units_of(np.stack([near, near], axis=1)) is VALUES
    found, alone = units_of(np.stack([near, far], axis=1)), units_of(far)
    assert not found.are_values
    outputs = np.array([[0.5, 1.0], [2.0, -1.0]], np.float32)
    np.testing.assert_array_equal(found.of(outputs), np.stack([outputs[:, 0], alone.of(outputs[:, 1])], axis=1))
    again = TargetUnits.from_json(json.loads(json.dumps(found.to_json())))
    np.testing.assert_array_equal(again.of(outputs), found.of(outputs))
    assert TargetUnits.from_json(alone.to_json()) == alone
    assert TargetUnits.from_json({}) == VALUES

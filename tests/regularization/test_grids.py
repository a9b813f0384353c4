"""Grids: the Sobol sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.errors import InputError
from fitwell.regularization.by_layer import SHAPES, STEEPNESS, Layers
from fitwell.regularization.grids import (
    DEFAULT_COUNT,
    LEARNING_RATES,
    sobol,
)
from fitwell.regularization.regularizer import ZERO_SHARE
from fitwell.regularization.strengths import DEFAULT_LEARNING_RATE, Regularization
from fitwell.regularization.table import BUILT_IN, DEFAULT_REGULARIZERS

NAMES = st.lists(st.sampled_from(list(BUILT_IN)), unique=True, max_size=4)


@given(st.integers(1, 40), NAMES, st.integers(0, 1000))
def test_sobol_stays_in_range(count: int, names: list[str], seed: int) -> None:
    """All-zero comes first, every strength is zero or in its range, and so is every learning rate."""
    candidates = sobol(count, names, seed=seed)
    assert candidates.count == count
    assert candidates.regularization(0) == Regularization()
    assert candidates.learning_rate[0] == DEFAULT_LEARNING_RATE
    assert ((LEARNING_RATES[0] <= candidates.learning_rate) & (candidates.learning_rate <= LEARNING_RATES[1])).all()
    for name in names:
        values, row = candidates.strengths[name], BUILT_IN[name]
        on = values[values > 0]
        assert ((row.low * (1 - 1e-12) <= on) & (on <= row.high * (1 + 1e-12))).all()


def test_the_default_search() -> None:
    """Without arguments: 32 candidates over L2 and dropout."""
    candidates = sobol()
    assert candidates.count == DEFAULT_COUNT == 32
    assert tuple(candidates.strengths) == DEFAULT_REGULARIZERS == ("l2", "dropout")


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_share_of_zeros(name: str, seed: int) -> None:
    """About 15% of the strengths are exactly zero, and the others spread evenly over the range."""
    values = sobol(1025, [name], seed=seed).strengths[name][1:]
    assert np.mean(values == 0) == pytest.approx(ZERO_SHARE, abs=0.005)
    row, on = BUILT_IN[name], values[values > 0]
    if row.scale == "log":
        share = np.log(on / row.low) / np.log(row.high / row.low)
    else:
        share = (on - row.low) / (row.high - row.low)
    np.testing.assert_allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.01)


def test_learning_rates_are_log_uniform(seed: int) -> None:
    """Half of the learning rates lie below the geometric middle of their range."""
    rates = sobol(1025, seed=seed).learning_rate[1:]
    assert np.mean(rates < np.sqrt(np.prod(LEARNING_RATES))) == pytest.approx(0.5, abs=0.01)


def test_the_seed_decides(seed: int) -> None:
    """The same seed gives the same candidates bit for bit, another seed others."""
    first, again, other = sobol(16, seed=seed), sobol(16, seed=seed), sobol(16, seed=seed + 1)
    assert first.strengths["l2"].tobytes() == again.strengths["l2"].tobytes()
    assert first.learning_rate.tobytes() == again.learning_rate.tobytes()
    assert (first.strengths["l2"][1:] != other.strengths["l2"][1:]).any()


def test_more_candidates_begin_with_fewer() -> None:
    """A longer sequence continues a shorter one, so a search can be refined."""
    few, many = sobol(9, seed=3), sobol(33, seed=3)
    np.testing.assert_array_equal(many.strengths["dropout"][:9], few.strengths["dropout"])


def test_a_learning_rate_can_be_fixed() -> None:
    """A given learning rate holds for all candidates."""
    assert set(sobol(8, learning_rate=0.01).learning_rate) == {0.01}


def test_bad_arguments_are_refused() -> None:
    """No candidates, unknown names and impossible learning rates are refused in a sentence."""
    with pytest.raises(InputError, match=r"must be a whole number of at least 1\. Got 0"):
        sobol(0)
    with pytest.raises(InputError, match="no regularizer 'l3'"):
        sobol(8, ["l3"])
    with pytest.raises(InputError, match="learning rate"):
        sobol(8, learning_rate=-1)


LAYERS = Layers(("hidden_1", "hidden_2", "output"), ("hidden_1", "hidden_2"))


def test_constant_depth_is_as_without_layers(seed: int) -> None:
    """Layers change nothing while the strengths are the same in all of them, to the bit."""
    plain, constant = sobol(17, seed=seed), sobol(17, seed=seed, layers=LAYERS, depth="constant")
    assert {k: v.tobytes() for k, v in plain.strengths.items()} == {
        k: v.tobytes() for k, v in constant.strengths.items()
    }
    assert plain.learning_rate.tobytes() == constant.learning_rate.tobytes()


@pytest.mark.parametrize("depth", ["funnel", "rising"])
def test_a_shape_over_depth(seed: int, depth: str) -> None:
    """The same scales as without, the ends of a penalty sixteen-fold apart, and zero stays zero."""
    plain, shaped = sobol(17, seed=seed), sobol(17, seed=seed, layers=LAYERS, depth=depth)
    l2 = shaped.strengths["l2"]
    assert l2.shape == (17, 3)
    assert shaped.strengths["dropout"].shape == (17, 2)
    np.testing.assert_allclose(l2[:, 1], plain.strengths["l2"], rtol=1e-12)
    np.testing.assert_allclose(l2[:, 2], l2[:, 0] * STEEPNESS ** (2 * SHAPES[depth]), rtol=1e-12)
    np.testing.assert_array_equal(shaped.learning_rate, plain.learning_rate)


def test_a_searched_depth_has_two_numbers_for_each_regularizer(seed: int) -> None:
    """Every candidate has a scale and a shape of its own, spread over [-1, 1], each regularizer for itself."""
    found = sobol(257, ["l2", "l1"], seed=seed, layers=LAYERS, depth="search").strengths
    shapes = {}
    for name, values in found.items():
        on = values[values[:, 1] > 0]
        shapes[name] = np.log(on[:, 2] / on[:, 0]) / (2 * np.log(STEEPNESS))
        np.testing.assert_allclose(on[:, 1], np.sqrt(on[:, 0] * on[:, 2]), rtol=1e-9)  # straight on the log scale
        np.testing.assert_allclose(np.quantile(shapes[name], [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.1)
        assert not values[0].any()
    both = (found["l2"][:, 1] > 0) & (found["l1"][:, 1] > 0)
    slope = {name: np.log(values[both, 2] / values[both, 0]) for name, values in found.items()}
    assert abs(np.corrcoef(slope["l2"], slope["l1"])[0, 1]) < 0.3


def test_bad_depths() -> None:
    """An unknown shape is refused by name; a shape without layers says what it needs."""
    with pytest.raises(InputError, match=r"'depth' must be 'search' or one of .* Got 'spiral'\."):
        sobol(8, layers=LAYERS, depth="spiral")
    for depth in ("funnel", "search"):
        with pytest.raises(InputError, match="'depth' needs the names of the network's layers"):
            sobol(8, depth=depth)

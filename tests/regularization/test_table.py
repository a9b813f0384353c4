"""The table of regularizers: one list of cases drives every row of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from fitwell.regularization.table import REGULARIZERS, Regularizer, drop, l1_proximal, l2_penalty

PLACES = ("penalty", "proximal", "on_kernel", "on_units")
STEP = 0.7


class Case(NamedTuple):
    """One regularizer at one of its places."""

    name: str
    place: str

    @property
    def change(self) -> Callable[..., Any]:
        """``change(strength, kernel, noise)``, whatever the place."""
        act = getattr(REGULARIZERS[self.name], self.place)
        if self.place == "penalty":
            # a penalty acts by its gradient
            return lambda strength, kernel, _: kernel - jax.grad(lambda w: act(strength, w))(kernel)
        if self.place == "proximal":
            return lambda strength, kernel, _: act(strength, kernel, np.float32(STEP))
        return act


CASES = [Case(n, place) for n, row in REGULARIZERS.items() for place in PLACES if getattr(row, place)]
DROPS = [case for case in CASES if case.place in ("on_kernel", "on_units")]


def kernel_and_noise(seed: int) -> tuple[jax.Array, jax.Array]:
    """A kernel with zeros of both signs in it, and uniform noise."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(5, 7)).astype(np.float32)
    kernel[0, :2] = 0.0, -0.0
    return jnp.asarray(kernel), jnp.asarray(rng.random((5, 7)).astype(np.float32))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer_acts_somewhere(name: str) -> None:
    """Each row of the table acts somewhere, says what it does, and has a range below its bound."""
    row = REGULARIZERS[name]
    assert any(case.name == name for case in CASES)
    assert row.does
    assert 0 <= row.low < row.high < row.below


@pytest.mark.parametrize("case", CASES, ids=str)
def test_zero_is_off(case: Case, seed: int) -> None:
    """At strength zero every value stays what it is, to the last bit (the sign of zero apart)."""
    kernel, noise = kernel_and_noise(seed)
    found = case.change(np.float32(0), kernel, noise)
    assert np.asarray(found + 0).tobytes() == np.asarray(kernel + 0).tobytes()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_above_zero_is_on(case: Case, seed: int) -> None:
    """The counterpart: a strength in the middle of the range changes values, but neither shape nor type."""
    kernel, noise = kernel_and_noise(seed)
    found = case.change(np.float32(REGULARIZERS[case.name].high), kernel, noise)
    assert np.mean(found != kernel) > 0.3
    assert found.shape == kernel.shape
    assert found.dtype == kernel.dtype


@pytest.mark.parametrize("case", CASES, ids=str)
def test_strengths_can_be_lifted(case: Case, seed: int) -> None:
    """A vector of strengths under `vmap` gives what each strength gives alone."""
    kernel, noise = kernel_and_noise(seed)
    strengths = np.linspace(0, REGULARIZERS[case.name].high, 4, dtype=np.float32)
    together = jax.vmap(case.change, in_axes=(0, None, None))(strengths, kernel, noise)
    alone = np.stack([case.change(strength, kernel, noise) for strength in strengths])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize("case", DROPS, ids=str)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropping_keeps_the_expectation(case: Case, rate: float, seed: int) -> None:
    """The mean over noise is the value itself, the share of zeros the rate, to four standard errors."""
    draws = 20_000
    noise = np.random.default_rng(seed).random((draws, 3))
    dropped = case.change(rate, np.array([1.0, -2.0, 0.5]), noise)
    error = np.sqrt(rate * (1 - rate) / draws)
    assert np.abs((dropped == 0).mean(axis=0) - rate).max() < 4 * error
    assert np.abs(dropped.mean(axis=0) / [1, -2, 0.5] - 1).max() < 4 * error / (1 - rate)


def test_a_larger_rate_drops_more_of_the_same(seed: int) -> None:
    """With common noise what a rate drops, every larger rate drops too."""
    noise = np.random.default_rng(seed).random(500)
    kept = [drop(rate, np.ones(500), noise) > 0 for rate in (0.2, 0.5, 0.7)]
    assert not (kept[1] & ~kept[0]).any()
    assert not (kept[2] & ~kept[1]).any()
    assert kept[0].sum() > kept[1].sum() > kept[2].sum()


@pytest.mark.parametrize("weight", [-2.0, -0.3, 0.0, 0.1, 1.5])
def test_the_soft_threshold_is_the_proximal_minimiser(weight: float) -> None:
    """The threshold minimises its documented objective, as a search along the line finds."""
    strength, step = 0.5, 0.7

    def objective(w: float) -> float:
        return (w - weight) ** 2 / (2 * step) + strength * abs(w)

    found = float(l1_proximal(strength, np.array(weight), step))
    best = minimize_scalar(objective, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    assert objective(found) <= best.fun + 1e-12
    assert abs(found - best.x) < 1e-5


def test_weights_below_the_threshold_become_exactly_zero() -> None:
    """Weights up to strength times step become zero, the others move by just that."""
    kernel = np.array([0.34, 0.35, -0.35, 0.36, -1.0])
    np.testing.assert_allclose(l1_proximal(0.5, kernel, 0.7), [0, 0, 0, 0.01, -0.65], rtol=1e-12, atol=1e-15)


def test_l2_has_no_half_and_no_mean() -> None:
    """Keras's convention: the plain sum of squares, its gradient twice the kernel."""
    kernel = np.array([[1.0, -2.0], [3.0, 0.5]], np.float32)
    assert float(l2_penalty(0.1, kernel)) == pytest.approx(1.425)
    np.testing.assert_allclose(jax.grad(l2_penalty, argnums=1)(0.1, kernel), 0.2 * kernel, rtol=1e-6)


def test_a_row_may_act_nowhere_yet() -> None:
    """All four places are optional, and a strength has no upper bound unless one is given."""
    row = Regularizer("nothing", "log", 1e-3, 1.0)
    assert [getattr(row, place) for place in PLACES] == [None] * 4
    assert np.isinf(row.below)

"""The table of regularizers: one list of cases drives every row of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.metrics import log_loss

from fitwell.engine.job import Settings
from fitwell.engine.optimizers import adam
from fitwell.engine.training import train_all
from fitwell.regularization.regularizer import Axes, Regularizer, Step
from fitwell.regularization.strengths import Candidates
from fitwell.regularization.table import BUILT_IN, drop, l1_proximal, l2_penalty, shrink_inputs

PLACES = ("penalty", "before_step", "after_step", "on_kernel", "on_units", "on_scales", "on_inputs")
STEP = 0.7


class Case(NamedTuple):
    """One regularizer at one of its places."""

    name: str
    place: str

    @property
    def change(self) -> Callable[..., Any]:
        """``change(strength, kernel, noise)``, whatever the place."""
        act = getattr(BUILT_IN[self.name], self.place)
        if self.place == "penalty":
            # a penalty acts by its gradient
            return lambda strength, kernel, _: kernel - jax.grad(lambda w: act(strength, w, Axes()))(kernel)
        if self.place == "before_step":
            return lambda strength, kernel, _: act(strength, kernel, np.float32(STEP))
        if self.place == "after_step":
            size = np.float32(STEP)
            return lambda strength, kernel, _: act(strength, kernel, Step(kernel, size, size, Axes()))
        if self.place == "on_inputs":
            axes = Axes((1,), (0,), (0, 1, 1, 2, 0, 3, 4))
            size = np.float32(STEP)
            return lambda strength, kernel, _: act(strength, kernel, Step(kernel, size, size, axes))
        if self.place == "on_scales":
            # of the optimizer's step away from what is looked at
            size = np.float32(STEP)
            return lambda strength, kernel, _: act(strength, kernel - size, Step(kernel, size, size, Axes()))
        return act


CASES = [Case(n, place) for n, row in BUILT_IN.items() for place in PLACES if getattr(row, place)]
DROPS = [case for case in CASES if case.place in ("on_kernel", "on_units")]


def kernel_and_noise(seed: int) -> tuple[jax.Array, jax.Array]:
    """A kernel with zeros of both signs in it, and uniform noise."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(5, 7)).astype(np.float32)
    kernel[0, :2] = 0.0, -0.0
    return jnp.asarray(kernel), jnp.asarray(rng.random((5, 7)).astype(np.float32))


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_regularizer_acts_somewhere(name: str) -> None:
    """Each row of the table acts somewhere, says what it does, and has a range below its bound."""
    row = BUILT_IN[name]
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
    found = case.change(np.float32(BUILT_IN[case.name].high), kernel, noise)
    assert np.mean(found != kernel) > 0.3
    assert found.shape == kernel.shape
    assert found.dtype == kernel.dtype


@pytest.mark.parametrize("case", CASES, ids=str)
def test_strengths_can_be_lifted(case: Case, seed: int) -> None:
    """A vector of strengths under `vmap` gives what each strength gives alone."""
    kernel, noise = kernel_and_noise(seed)
    strengths = np.linspace(0, BUILT_IN[case.name].high, 4, dtype=np.float32)
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


POSITIVE = st.floats(1e-6, 1e3)
ROWS = st.integers(1, 10_000)


UNITS = [(name, unit) for name, row in BUILT_IN.items() for unit in row.units]


def converted(name: str, unit: str, value: float, rows: int = 1) -> float:
    """Another library's setting as fitwell's strength."""
    return BUILT_IN[name].units[unit].to_fitwell(value, rows)


@pytest.mark.parametrize(("name", "unit"), UNITS)
@given(value=POSITIVE, rows=ROWS)
def test_units_round_trip(name: str, unit: str, value: float, rows: int) -> None:
    """To another library's unit and back is the identity."""
    found = BUILT_IN[name].units[unit]
    assert found.from_fitwell(found.to_fitwell(value, rows), rows) == pytest.approx(value)


def test_units_of_scikit_learns_mlp() -> None:
    """Half of alpha over the rows where the loss is whole, all of it where the loss is halved."""
    assert converted("l2", "scikit-learn MLPClassifier(alpha)", 1.0, 200) == 0.0025
    assert converted("l2", "scikit-learn MLPRegressor(alpha)", 1.0, 200) == 0.005


def test_weight_decay_is_a_gradient_step(seed: int) -> None:
    """A plain gradient step of the L2 penalty moves weights as decoupled decay does."""
    kernel, rate, decay = np.random.default_rng(seed).normal(size=5), 0.1, 0.3
    gradient = 2 * converted("l2", "decoupled weight decay", decay) * kernel
    np.testing.assert_allclose(kernel - rate * gradient, kernel - rate * decay * kernel)


def table(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Thirty centred rows of three features, and a noisy target."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(30, 3))
    features -= features.mean(axis=0)
    return features, features @ [1.0, -2.0, 0.3] + rng.normal(size=30)


def is_stationary(gradient: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Whether a gradient is zero."""
    return bool(np.abs(gradient).max() < tolerance)


def test_ridge(seed: int) -> None:
    """Ridge's answer is where our objective is stationary, in converted units and only there."""
    (features, target), alpha = table(seed), 3.0
    model = Ridge(alpha=alpha).fit(features, target)
    errors = model.predict(features) - target
    own = 2 * features.T @ errors / 30
    assert is_stationary(own + 2 * converted("l2", "scikit-learn Ridge(alpha)", alpha, 30) * model.coef_)
    assert not is_stationary(own + 2 * converted("l2", "scikit-learn Ridge(alpha)", alpha, 15) * model.coef_)


def test_lasso(seed: int) -> None:
    """Lasso's answer is where our objective is stationary, in converted units and only there."""
    (features, target), alpha = table(seed), 0.5
    model = Lasso(alpha=alpha, tol=1e-10).fit(features, target)
    own = 2 * features.T @ (model.predict(features) - target) / 30
    on = model.coef_ != 0
    assert 0 < on.sum() < 3
    l1 = converted("l1", "scikit-learn Lasso(alpha)", alpha)
    assert is_stationary((own + l1 * np.sign(model.coef_))[on])
    assert (np.abs(own[~on]) <= l1 + 1e-6).all()
    assert not is_stationary((own + l1 / 2 * np.sign(model.coef_))[on])


def test_logistic_regression(seed: int) -> None:
    """Logistic regression's coefficients are of the best size for our objective, in converted units."""
    (features, values), c = table(seed), 0.4
    target = np.digitize(values, [-1, 1])
    model = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(features, target)
    l2 = converted("l2", "scikit-learn LogisticRegression(C)", c, 30)

    def objective(coefficients: np.ndarray, l2: float) -> float:
        logits = features @ coefficients.T + model.intercept_
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return log_loss(target, chances) + l2 * (coefficients**2).sum()

    def slope(l2: float) -> float:
        return (objective(1.001 * model.coef_, l2) - objective(0.999 * model.coef_, l2)) / 0.002

    assert abs(slope(l2)) < 1e-5
    assert abs(slope(2 * l2)) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [0, 1], ids=["equal", "break"])
def test_weight_decay_is_adamws(problem: Callable[..., Any], wrong: int) -> None:
    """With Adam it trains as optax's AdamW does whose mask leaves biases alone, to 1e-12; another strength does not."""
    case, rate, strength = problem(0, dtype=np.float64), 0.03, 0.4
    candidates = Candidates({"weight_decay": np.array([0.0, strength + 0.1 * wrong])}, np.full(2, rate))
    settings = Settings(epochs=4, batch_size=8, stopping=None, seed=0)
    mask = [{"kernel": True, "bias": False}] * 2
    # Adam's direction with the decay in it, for a search at strength zero
    adamw = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(strength, mask=mask))
    with jax.enable_x64(True):
        ours = train_all(*case[:3], candidates, loss=case.loss, settings=settings)
        plain = replace(settings, optimizer=replace(adam(), transform=adamw))
        theirs = train_all(*case[:3], Candidates({}, np.full(1, rate)), loss=case.loss, settings=plain)
    found, expected = (run.histories.held_out_loss[:, -1] for run in (ours, theirs))
    assert np.allclose(found, expected, rtol=1e-12) != bool(wrong)
    assert not np.allclose(found, ours.histories.held_out_loss[:, 0], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [0, 1], ids=["equal", "break"])
def test_input_scaling_is_a_rate_of_its_own(problem: Callable[..., Any], wrong: int) -> None:
    """Scales learned at three times the rate: as with an optimizer that takes their steps three times as far."""
    case = problem(0, dtype=np.float64)
    network = replace(case.network, scaled=True)
    settings = Settings(epochs=4, batch_size=8, stopping=None, seed=0)
    mask = [{"kernel": False, "bias": False}] * 2 + [{"scales": True}]
    transform = optax.chain(optax.scale_by_adam(), optax.masked(optax.scale(3.0 + wrong), mask))
    longer = replace(adam(), transform=transform, step_size=lambda state, trainable: trainable)  # which is not asked
    found = []
    with jax.enable_x64(True):
        for strength, optimizer in ((3.0, adam()), (1.0, longer)):
            candidates = Candidates({"input_scaling": np.array([0.0, strength])}, np.full(2, 0.03))
            run = train_all(
                network, *case[1:3], candidates, loss=case.loss, settings=replace(settings, optimizer=optimizer)
            )
            found.append(run.histories.held_out_loss)
    ours, theirs = found
    assert np.allclose(ours[:, 1], theirs[:, 1], rtol=1e-12) != bool(wrong)
    # not learned, they are not there
    with jax.enable_x64(True):
        plain = train_all(*case[:3], Candidates({}, np.full(1, 0.03)), loss=case.loss, settings=settings)
    np.testing.assert_allclose(ours[:, 0], plain.histories.held_out_loss[:, 0], rtol=1e-12)
    assert not np.allclose(ours[:, 0], ours[:, 1], rtol=1e-3)


def of_columns(strength: float, kernel: np.ndarray, size: np.ndarray, columns: tuple[int, ...]) -> np.ndarray:
    """Columns shrunk one by one, with the norm found by bisection."""
    found = np.zeros_like(kernel)
    for column in set(columns):
        inputs = [j for j, number in enumerate(columns) if number == column]
        w, bend = kernel[:, inputs], STEP / size[:, inputs]
        threshold = STEP * strength * np.sqrt(len(inputs))
        if np.linalg.norm(bend * w) > threshold:
            over = partial(_over, bend * w, bend, threshold)
            length = brentq(over, 1e-9, np.linalg.norm(w) + 1e-9, xtol=1e-15)
            found[:, inputs] = w * bend * length / (bend * length + threshold)
    return found


def _over(pull: np.ndarray, bend: np.ndarray, threshold: float, length: float) -> float:
    return float(np.linalg.norm(pull / (bend * length + threshold))) - 1


@pytest.mark.parametrize("unlike", [0.0, 1.0, 3.0], ids="steps that differ by exp({} x normal)".format)
@pytest.mark.parametrize("strength", [0.01, 0.1, 0.5])
def test_shrink_inputs_is_the_exact_minimiser(strength: float, unlike: float, seed: int, float64: None) -> None:
    """Against bisection; of columns that are otherwise it is another; some columns are gone, and whole."""
    del float64
    rng, columns = np.random.default_rng(seed), (0, 1, 1, 2, 0, 3)
    kernel = rng.normal(size=(16, 6)) * 10.0 ** rng.integers(-3, 1, 6)[list(columns)]
    size = STEP * np.exp(unlike * rng.normal(size=kernel.shape))
    found = shrink_inputs(strength, jnp.asarray(kernel), Step(kernel, STEP, size, Axes((1,), (0,), columns)))
    expected = of_columns(strength, kernel, size, columns)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-12)
    assert not np.allclose(found, of_columns(strength, kernel, size, (0, 1, 2, 3, 4, 5)), rtol=1e-3, atol=1e-6)
    gone = (np.asarray(found) == 0).all(axis=0)
    assert all(gone[j] == gone[i] for i in range(6) for j in range(6) if columns[i] == columns[j])
    assert ((np.asarray(found) != 0).all(axis=0) == ~gone).all()


def test_of_single_weights_it_is_l1s(seed: int, float64: None) -> None:
    """One unit, every input a column: the soft threshold; and a kernel the other way round is shrunk alike."""
    del float64
    rng = np.random.default_rng(seed)
    kernel, size = rng.normal(size=(1, 9)), rng.gamma(1.0, size=(1, 9))
    axes = Axes((1,), (0,), tuple(range(9)))
    found = shrink_inputs(0.3, kernel, Step(kernel, np.float64(STEP), size, axes))
    np.testing.assert_allclose(found, l1_proximal(0.3, kernel, size), rtol=1e-12)
    assert 0 < np.mean(found == 0) < 1
    turned = shrink_inputs(0.3, kernel.T, Step(kernel.T, np.float64(STEP), size.T, Axes((0,), (1,), axes.groups)))
    np.testing.assert_array_equal(turned.T, found)


@pytest.mark.parametrize("rate", [0.0, STEP])
def test_where_the_rate_has_fallen_to_zero_nothing_is_shrunk(rate: float, seed: int) -> None:
    """At the end of a schedule no weight moves, and none is lost or becomes NaN."""
    kernel, _ = kernel_and_noise(seed)
    columns = Axes((1,), (0,), tuple(range(7)))
    found = shrink_inputs(0.5, kernel, Step(kernel, np.float32(rate), np.float32(rate) * jnp.ones((5, 7)), columns))
    assert np.array_equal(found, kernel) == (rate == 0)


def _late(strength: Any, kernel: Any, step: Step) -> Any:
    return kernel - step.rate * strength * step.before


LATE = Regularizer("late", "decays after the step", "log", 1e-3, 1e1, after_step=_late)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_weight_decay_leaves_l1_its_zeros(problem: Callable[..., Any], late: bool) -> None:
    """Beside decay, which comes first, L1 zeroes exactly; decay after the proximal step would move weights off zero."""
    case = problem(0)
    name = "late" if late else "weight_decay"
    strengths = {"l1": np.array([0.0, 100.0]), name: np.array([0.0, 0.4])}
    candidates = Candidates(strengths, np.full(2, 0.03), table={**BUILT_IN, "late": LATE})
    settings = Settings(epochs=1, batch_size=64, stopping=None, seed=0)
    trained = train_all(*case[:3], candidates, loss=case.loss, settings=settings)
    kernels = [np.asarray(layer["kernel"]) for layer in trained.variables(1).trainable]
    assert all((kernel == 0).all() != late for kernel in kernels)

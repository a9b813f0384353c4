"""Units: conversions against the libraries themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.metrics import log_loss

from fitwell.regularization import units

POSITIVE = st.floats(1e-6, 1e3)
ROWS = st.integers(1, 10_000)


@given(POSITIVE, ROWS, st.booleans())
def test_mlp_round_trip(alpha: float, rows: int, regression: bool) -> None:
    """To scikit-learn's MLP and back is the identity."""
    l2 = units.l2_from_sklearn_mlp(alpha, rows, regression=regression)
    assert units.l2_to_sklearn_mlp(l2, rows, regression=regression) == pytest.approx(alpha)


@given(POSITIVE)
def test_weight_decay_round_trip(decay: float) -> None:
    """To decoupled weight decay and back is the identity."""
    assert units.weight_decay_from_l2(units.l2_from_weight_decay(decay)) == pytest.approx(decay)


def test_weight_decay_is_a_gradient_step(seed: int) -> None:
    """A plain gradient step of the L2 penalty moves weights as decoupled decay does."""
    kernel, rate, decay = np.random.default_rng(seed).normal(size=5), 0.1, 0.3
    gradient = 2 * units.l2_from_weight_decay(decay) * kernel
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
    assert is_stationary(own + 2 * units.l2_from_ridge(alpha, 30) * model.coef_)
    assert not is_stationary(own + 2 * units.l2_from_ridge(alpha, 15) * model.coef_)


def test_lasso(seed: int) -> None:
    """Lasso's answer is where our objective is stationary, in converted units and only there."""
    (features, target), alpha = table(seed), 0.5
    model = Lasso(alpha=alpha, tol=1e-10).fit(features, target)
    own = 2 * features.T @ (model.predict(features) - target) / 30
    on = model.coef_ != 0
    assert 0 < on.sum() < 3
    l1 = units.l1_from_lasso(alpha)
    assert is_stationary((own + l1 * np.sign(model.coef_))[on])
    assert (np.abs(own[~on]) <= l1 + 1e-6).all()
    assert not is_stationary((own + l1 / 2 * np.sign(model.coef_))[on])


def test_logistic_regression(seed: int) -> None:
    """Logistic regression's coefficients are of the best size for our objective, in converted units."""
    (features, values), c = table(seed), 0.4
    target = np.digitize(values, [-1, 1])
    model = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(features, target)
    l2 = units.l2_from_logistic_regression(c, 30)

    def objective(coefficients: np.ndarray, l2: float) -> float:
        logits = features @ coefficients.T + model.intercept_
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return log_loss(target, chances) + l2 * (coefficients**2).sum()

    def slope(l2: float) -> float:
        return (objective(1.001 * model.coef_, l2) - objective(0.999 * model.coef_, l2)) / 0.002

    assert abs(slope(l2)) < 1e-5
    assert abs(slope(2 * l2)) > 1e-2

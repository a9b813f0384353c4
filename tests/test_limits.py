"""Limits: where training ends in another library's answer, in units converted to ours."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fitwell.data.row_sets import RowSets
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import CLASSIFICATION, REGRESSION
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.engine.optimizers import Optimizer, adam, sgd
from fitwell.engine.training import train_all
from fitwell.regularization.strengths import Candidates
from fitwell.regularization.table import L1, L2

ROWS, FEATURES = 40, 5


def table(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of different sizes, a value that two of them do not matter for, and three classes."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(ROWS, FEATURES)) * [1, 0.5, 2, 1, 1] + 0.3
    values = features @ [1.5, -2.0, 0.5, 0, 0] + 0.5 * rng.normal(size=ROWS) + 1
    return features, values, np.digitize(values, np.quantile(values, [0.3, 0.6])).astype(np.int32)


def fit(
    network: DenseNetwork,
    features: np.ndarray,
    targets: np.ndarray,
    strengths: dict[str, list[float]],
    *,
    learning_rate: float = 0.05,
    seed: int = 0,
    **settings: Any,
) -> Variables:
    """Train on all rows at once, full batches, float64, and return the variables [1, G, ...] after the last epoch."""
    everything = RowSets((np.arange(ROWS, dtype=np.int32),), (np.array([], np.int32),), ROWS)
    dataset = Dataset(features, targets, False, np.zeros(1), np.ones(1))
    count = len(next(iter(strengths.values())))
    candidates = Candidates({k: np.array(v) for k, v in strengths.items()}, np.full(count, learning_rate))
    epochs = settings.pop("epochs", 3000)
    own = {"batch_size": ROWS, "stopping": None, "seed": seed, "call_epochs": epochs, "schedule": "cosine"}
    with jax.enable_x64(True):
        return train_all(
            network,
            dataset,
            everything,
            candidates,
            loss=REGRESSION if network.outputs == 1 else CLASSIFICATION,
            settings=Settings(epochs=epochs, **{**own, **settings}),
        ).best


def linear(variables: Variables, g: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [k, d] and intercepts [k] of a linear network."""
    (layer,) = variables.trainable
    return layer["kernel"][0, g], layer["bias"][0, g, :, 0]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [adam(), sgd(0.9)], ids=lambda optimizer: optimizer.name)
def test_l2_without_hidden_layers_is_ridge(optimizer: Optimizer, seed: int) -> None:
    """A linear network with L2 ends at Ridge's coefficients and intercept, off included, by any optimizer."""
    features, values, _ = table(seed)
    alphas = [0.0, 0.5, 5.0, 50.0]
    strengths = {"l2": [L2.units["scikit-learn Ridge(alpha)"].to_fitwell(alpha, ROWS) for alpha in alphas]}
    found = fit(DenseNetwork(FEATURES, (), 1), features, values, strengths, seed=seed, optimizer=optimizer)
    for g, alpha in enumerate(alphas):
        model = (Ridge(alpha=alpha) if alpha else LinearRegression()).fit(features, values)
        kernel, bias = linear(found, g)
        np.testing.assert_allclose(kernel[0], model.coef_, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(bias, model.intercept_, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [adam(), sgd(0.9)], ids=lambda optimizer: optimizer.name)
def test_l1_without_hidden_layers_is_lasso(optimizer: Optimizer, seed: int) -> None:
    """A linear network with L1 ends at Lasso's coefficients with exactly its zeros, by any optimizer."""
    features, values, _ = table(seed)
    alphas = [0.05, 0.2, 0.6, 5.0]
    strengths = {"l1": [L1.units["scikit-learn Lasso(alpha)"].to_fitwell(alpha, ROWS) for alpha in alphas]}
    found = fit(DenseNetwork(FEATURES, (), 1), features, values, strengths, seed=seed, optimizer=optimizer)
    zeros = []
    for g, alpha in enumerate(alphas):
        model = Lasso(alpha=alpha, tol=1e-12, max_iter=100_000).fit(features, values)
        kernel, bias = linear(found, g)
        np.testing.assert_array_equal(kernel[0] == 0, model.coef_ == 0)
        np.testing.assert_allclose(kernel[0], model.coef_, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(bias, model.intercept_, rtol=1e-5)
        zeros.append(int((kernel == 0).sum()))
    assert zeros[-1] == FEATURES
    assert 0 < zeros[1] < FEATURES


@pytest.mark.slow
def test_l2_without_hidden_layers_is_logistic_regression(seed: int) -> None:
    """A linear classifier with L2 ends at multinomial logistic regression: coefficients and probabilities."""
    features, _, classes = table(seed)
    cs = [10.0, 1.0, 0.05]
    strengths = {"l2": [L2.units["scikit-learn LogisticRegression(C)"].to_fitwell(c, ROWS) for c in cs]}
    found = fit(DenseNetwork(FEATURES, (), 3), features, classes, strengths, seed=seed)
    for g, c in enumerate(cs):
        model = LogisticRegression(C=c, tol=1e-12, max_iter=100_000).fit(features, classes)
        kernel, bias = linear(found, g)
        # a number added to all intercepts changes nothing
        np.testing.assert_allclose(kernel, model.coef_, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(bias - bias.mean(), model.intercept_ - model.intercept_.mean(), rtol=1e-3, atol=1e-5)
        chances = CLASSIFICATION.predict(features @ kernel.T + bias)
        np.testing.assert_allclose(chances, model.predict_proba(features), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_other_units_are_not_ours(seed: int) -> None:
    """The counterpart: without conversion a linear network does not end at Ridge's coefficients."""
    features, values, _ = table(seed)
    found = fit(DenseNetwork(FEATURES, (), 1), features, values, {"l2": [5.0, 5.0]}, seed=seed)
    model = Ridge(alpha=5.0).fit(features, values)
    assert np.abs(linear(found, 0)[0][0] - model.coef_).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["l1", "l2"])
def test_endless_strength_leaves_the_shares(name: str, seed: int) -> None:
    """Under an endless penalty only biases are left: predictions are the classes' shares, for any row."""
    features, _, classes = table(seed)
    network = DenseNetwork(FEATURES, (4,), 3)
    found = fit(network, features, classes, {name: [1e3, 1e3]}, seed=seed, epochs=1500)
    sizes = [float(abs(layer["kernel"]).max()) for layer in found.trainable]
    assert max(sizes) == 0 if name == "l1" else max(sizes) < 1e-3
    variables = jax.tree.map(lambda leaf: leaf[0, 0], found)
    chances = CLASSIFICATION.predict(network.apply(variables, features, None)[0])
    shares = np.bincount(classes) / ROWS
    np.testing.assert_allclose(chances, np.broadcast_to(shares, chances.shape), atol=1e-3)


class _Step:
    """scikit-learn's MLP, set to weights of ours, after some full-batch steps of gradient descent."""

    def __init__(self, kind: type, **settings: Any) -> None:
        self.model = kind(
            hidden_layer_sizes=(4,),
            solver="sgd",
            batch_size=ROWS,
            nesterovs_momentum=False,
            learning_rate="constant",
            random_state=0,
            **settings,
        )

    def after(
        self, steps: int, weights: list[tuple[np.ndarray, np.ndarray]], features: np.ndarray, targets: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Kernels [out, in] and biases after the steps."""
        classes = {"classes": np.unique(targets)} if isinstance(self.model, MLPClassifier) else {}
        rate, self.model.learning_rate_init = self.model.learning_rate_init, 1e-300
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.partial_fit(features, targets, **classes)  # builds the arrays, and moves them by nothing
            self.model._optimizer.learning_rate = rate
            self.model._optimizer.velocities = [0 * v for v in self.model._optimizer.velocities]
            for index, (kernel, bias) in enumerate(weights):
                self.model.coefs_[index][...] = kernel.T
                self.model.intercepts_[index][...] = bias
            for _ in range(steps):
                self.model.partial_fit(features, targets)
        return [(k.T, b) for k, b in zip(self.model.coefs_, self.model.intercepts_, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("regression", [False, True], ids=["classification", "regression"])
def test_steps_are_scikit_learns(regression: bool, seed: int) -> None:
    """Three steps of gradient descent with momentum and L2 move a network as scikit-learn's MLP moves it."""
    features, values, classes = table(seed)
    targets, alpha, rate = (values if regression else classes), 3.0, 0.05
    network = DenseNetwork(FEATURES, (4,), 1 if regression else 3, output_scale=1.0)
    unit = f"scikit-learn MLP{'Regressor' if regression else 'Classifier'}(alpha)"
    strengths = {"l2": [L2.units[unit].to_fitwell(alpha, ROWS)] * 2}

    def ours(epochs: int, learning_rate: float) -> list[tuple[np.ndarray, np.ndarray]]:
        found = fit(
            network,
            features,
            targets,
            strengths,
            learning_rate=learning_rate,
            seed=seed,
            epochs=epochs,
            call_epochs=1,
            optimizer=sgd(0.9),
            schedule="constant",
        )
        return [(layer["kernel"][0, 0], layer["bias"][0, 0, :, 0]) for layer in found.trainable]

    first = ours(1, 1e-300)  # a step of no length shows where training starts
    # scikit-learn halves the squared error, so the same step takes half our rate
    moved = ours(3, rate / 2 if regression else rate)
    kind = MLPRegressor if regression else MLPClassifier
    theirs = _Step(kind, alpha=alpha, learning_rate_init=rate, momentum=0.9).after(3, first, features, targets)
    for start, own, other in zip(first, moved, theirs, strict=True):
        for place in range(2):
            assert not np.allclose(own[place], start[place], rtol=1e-3)
            np.testing.assert_allclose(own[place], other[place], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_a_linear_model_has_no_units_to_drop(seed: int) -> None:
    """Without hidden layers there are no units to drop: dropout then changes nothing, weight dropout does."""
    features, values, _ = table(seed)
    network = DenseNetwork(FEATURES, (), 1)
    strengths = {"dropout": [0.0, 0.5, 0.0], "weight_dropout": [0.0, 0.0, 0.5]}
    found = fit(network, features, values, strengths, seed=seed, epochs=50)
    plain, units_dropped, weights_dropped = (linear(found, g)[0] for g in range(3))
    np.testing.assert_array_equal(units_dropped, plain)
    assert np.abs(weights_dropped - plain).max() > 1e-3

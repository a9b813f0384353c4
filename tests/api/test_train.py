"""`fitwell.train`: any JAX network made of two functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fitwell
from fitwell.data.row_sets import folds
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import CLASSIFICATION, Loss
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.engine.training import train_all
from fitwell.errors import InputError, InputTypeError
from fitwell.regularization.strengths import from_settings

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 3)).astype(np.float32)
CLASSES = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 1)
VALUES = X @ [1.0, -2.0, 0.5] + 3
STRENGTHS = [{"l2": 0.1}, {"dropout": 0.3, "l2": 0.01}]
OPTIONS: dict[str, Any] = {"cv": 2, "epochs": 4, "batch_size": 8, "strengths": STRENGTHS, "learning_rate": 0.01}
DENSE = DenseNetwork(3, (5,), 3)


def dense_init(key: jax.Array) -> Any:
    """The built-in network's own first weights."""
    return DENSE.init(jax.random.key_data(key)).trainable


def dense_apply(parameters: Any, inputs: Any, drop: Any) -> Any:
    return DENSE.apply(Variables(parameters, ()), inputs, lambda units, place: drop(units))[0]


def is_kernel(path: str, array: Any) -> bool:
    del array
    return "kernel" in path


def linear_init(key: jax.Array) -> Any:
    return {"kernel": 0.1 * jax.random.normal(key, (3, 1)), "bias": jnp.zeros(1)}


def linear_apply(parameters: Any, inputs: Any) -> Any:
    return inputs @ parameters["kernel"] + parameters["bias"]


def wide(outputs: Any) -> Any:
    """A linear network of which something else comes out."""
    return fitwell.Network(linear_init, lambda parameters, inputs: outputs(linear_apply(parameters, inputs)))


LINEAR = fitwell.Network(linear_init, linear_apply)


@pytest.fixture(scope="module")
def classified() -> fitwell.Result:
    return fitwell.train(fitwell.Network(dense_init, dense_apply, is_kernel), X, CLASSES, **OPTIONS)


@pytest.fixture(scope="module")
def regressed() -> fitwell.Result:
    options = {**OPTIONS, "strengths": [{"l1": 10.0}], "learning_rate": 0.2, "epochs": 40, "patience": 40}
    return fitwell.train(LINEAR, X, VALUES, **options)


@pytest.mark.slow
def test_the_dense_network_again(classified: fitwell.Result) -> None:
    """Two functions that compute what the built-in network does train to its curves, bit for bit."""
    row_sets = folds(CLASSES, "classification", cv=2)
    dataset = Dataset(X, CLASSES.astype(np.int32), False, np.zeros(2), np.ones(2))
    candidates = from_settings(STRENGTHS, 0.01, DENSE.layers)
    settings = Settings(epochs=4, batch_size=8)
    built_in = train_all(DENSE, dataset, row_sets, candidates, loss=CLASSIFICATION, settings=settings)
    found = classified.search.histories
    np.testing.assert_array_equal(found.held_out_loss, built_in.histories.held_out_loss)
    np.testing.assert_array_equal(found.train_loss, built_in.histories.train_loss)
    assert len({curve.tobytes() for curve in found.held_out_loss[0]}) == 3  # the break: strengths do differ


@pytest.mark.slow
def test_places_have_names(classified: fitwell.Result) -> None:
    """Kernels are named by their path, calls of `drop` by their number; `kernels` chose two of four parameters."""
    layers = classified.search.candidates.layers
    assert layers is not None
    assert layers.kernels == ("[0]['kernel']", "[1]['kernel']")
    assert layers.units == ("drop_1",)


@pytest.mark.slow
def test_probabilities(classified: fitwell.Result) -> None:
    """`predict` applies the refit's parameters without noise; held-out predictions are probabilities and scored."""
    found = classified.predict(X)
    expected = jax.nn.softmax(dense_apply(classified.model, X, lambda units: units))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(classified.answer.held_out_predictions["minimum"].sum(axis=1), 1, rtol=1e-5)
    assert {"log loss", "accuracy", "balanced accuracy"} < set(classified.scores["minimum"])
    row_loss = classified.search.histories.row_loss[classified.choice.minimum]
    assert classified.scores["minimum"]["log loss"] == pytest.approx(row_loss.mean(), rel=1e-5)
    assert classified.answer.refit == "single"
    assert "unregularized" in str(classified)


@pytest.mark.slow
def test_values_without_drop(regressed: fitwell.Result) -> None:
    """A network without `drop` has no dropout to search; the unregularized one comes near to least squares."""
    design = np.column_stack([X, np.ones(48)])
    residual = VALUES - design @ np.linalg.lstsq(design, VALUES, rcond=None)[0]
    assert np.abs(residual).max() < 1e-6
    unregularized, shrunk = regressed.search.histories.best_loss
    assert unregularized < 0.05 * VALUES.var() < shrunk
    assert regressed.predict(X).shape == (48,)
    np.testing.assert_allclose(regressed.predict(X), np.asarray(linear_apply(regressed.model, X))[:, 0], rtol=1e-5)
    assert set(regressed.scores["minimum"]) == {"RMSE", "R2", "mean absolute error"}


@pytest.mark.slow
def test_a_loss_of_ones_own() -> None:
    """What another loss predicts is handed over as it is, and only its own numbers are measured."""

    def absolute(outputs: Any, targets: Any) -> Any:
        return jnp.abs(outputs - targets[:, None]).sum(axis=1)

    loss = Loss("absolute", absolute, "absolute", absolute, lambda outputs: outputs)
    both = wide(lambda outputs: jnp.concatenate([outputs, outputs], axis=1))
    result = fitwell.train(both, X, VALUES, loss=loss, **{**OPTIONS, "strengths": [], "epochs": 2})
    assert result.scores == {}
    assert result.search.loss_name == "absolute"
    assert result.predict(X).shape == (48, 2)
    assert "unregularized" in str(result)


@pytest.mark.slow
def test_functions_cannot_be_saved(classified: fitwell.Result, tmp_path: Any) -> None:
    """`save` refuses in a sentence and leaves nothing behind."""
    with pytest.raises(InputError, match=r"cannot be saved: save its parameters, `result.model`\."):
        classified.save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("network", "y", "options", "error", "sentence"),
    [
        (linear_init, CLASSES, {}, InputTypeError, "'network' must be a fitwell.Network. Got function"),
        (LINEAR, CLASSES, {"hidden": 3}, InputTypeError, r"train\(\) has no option 'hidden'. It has: batch_size"),
        (LINEAR, CLASSES, {"refit": "ensemble"}, InputTypeError, r"train\(\) has no option 'refit'"),
        (LINEAR, CLASSES, {"loss": "mse"}, InputError, "'loss' must be one of 'log loss', 'squared error', or a Loss"),
        (LINEAR, VALUES, {"loss": "log loss"}, InputError, "needs class indices, whole numbers from 0 on"),
        (LINEAR, CLASSES - 1, {}, InputError, "needs class indices, whole numbers from 0 on"),
        (LINEAR, np.eye(3)[CLASSES], {}, InputError, r"'y' must be one array \[n\]"),
        (LINEAR, CLASSES[:-1], {}, InputError, "x has 48 rows, but y has 47"),
        (LINEAR, CLASSES, {}, InputError, r"k = as many as y has classes, here 3. It gave shape \(2, 1\)"),
        (wide(lambda o: jnp.tile(o, (1, 2))), VALUES, {}, InputError, r"with k = 1, here 1. It gave shape \(2, 2\)"),
        (wide(lambda o: o[:, 0]), VALUES, {}, InputError, r"must give \[rows, k\] .* It gave shape \(2,\)"),
        (wide(lambda o: o.sum()), VALUES, {}, InputError, r"must give one row for each row of x. It gave shape \(\)"),
        (wide(lambda o: (o, o)), VALUES, {}, InputError, "It gave shape tuple"),
        (LINEAR, VALUES, {"regularizers": ["l3"]}, InputError, "no regularizer 'l3'"),
        (LINEAR, VALUES, {"strengths": [{"dropout": 0.3}]}, InputError, "'dropout' acts on no layer of this network"),
        (LINEAR, VALUES, {"strengths": [{"l2": {"kernel": 0.3}}]}, InputError, r"acts on a layer 'kernel'|'kernel'\. "),
        (LINEAR, VALUES, {"strengths": 4, "depth": "spiral"}, InputError, "'depth' must be 'search' or one of"),
    ],
)
def test_wrong_arguments(network: Any, y: Any, options: dict, error: type[Exception], sentence: str) -> None:
    """Each gets its sentence before anything trains."""
    with pytest.raises(error, match=sentence):
        fitwell.train(network, X, y, **{**OPTIONS, "strengths": [], **options})


@pytest.mark.parametrize(
    ("init", "apply", "sentence"),
    [
        (3, linear_apply, "'init' must be a function. Got int"),
        (linear_init, None, "'apply' must be a function. Got NoneType"),
        (
            linear_init,
            lambda parameters: parameters,
            r"'apply' must take \(parameters, inputs\) or .* Got \(parameters\)",
        ),
    ],
)
def test_wrong_functions(init: Any, apply: Any, sentence: str) -> None:
    """A network is two functions that take what they are given."""
    with pytest.raises(InputTypeError, match=sentence):
        fitwell.Network(init, apply)

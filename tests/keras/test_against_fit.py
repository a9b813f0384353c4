from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import ZOO, computing, tolerance

import keras
from fitwell.data.arrays import read_arrays
from fitwell.data.row_sets import RowSets
from fitwell.engine import noise
from fitwell.engine.job import Settings, make_rows
from fitwell.engine.training import train_all
from fitwell.keras.compiled import Targets
from fitwell.keras.opening import Opened
from fitwell.problems.model_data import make_data, model_candidates
from fitwell.problems.options import Options
from fitwell.regularization.strengths import Candidates
from keras import layers, optimizers

ROWS = 48
ALL = RowSets((np.arange(ROWS, dtype=np.int32),), (np.zeros(0, np.int32),), ROWS)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Keras and JAX in float64, little optimised."""
    with computing("float64"):
        yield


def decaying() -> Any:
    """A learning rate that changes at every step."""
    return optimizers.schedules.ExponentialDecay(0.05, decay_steps=4, decay_rate=0.7)


CASES: dict[str, tuple[str, Any]] = {
    "dense_sgd": ("sequential", lambda: optimizers.SGD(0.1)),
    "dense_momentum": ("sequential", lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True)),
    "dense_schedule": ("sequential", lambda: optimizers.Adam(decaying())),
    "dense_rmsprop": ("sequential", lambda: optimizers.RMSprop(0.01)),
    "conv_rmsprop": ("conv2d", lambda: optimizers.RMSprop(0.01)),
    "lstm_adam": ("lstm", lambda: optimizers.Adam(0.02)),
    "masked_steps": ("masked_steps", lambda: optimizers.SGD(0.1)),
    "two_outputs": ("two_outputs", lambda: optimizers.Adam(0.02)),
    "constrained": ("constrained", lambda: optimizers.SGD(0.2)),
    "adds_loss": ("adds_loss", lambda: optimizers.SGD(0.2)),
    "other_penalties": ("other_penalties", lambda: optimizers.SGD(0.1)),
    "dense_adamw": ("batch_normalised", lambda: optimizers.AdamW(decaying(), weight_decay=0.5)),
    "lstm_lion": ("lstm", lambda: optimizers.Lion(0.01, weight_decay=2.0)),
}
OPTIMISED = ["dense_sgd"]
"""Cases that are compiled as a person's program would be (more in `test_zoo.py`)."""


def made(name: str, optimizer: Any, penalty: float) -> tuple[Any, Any, Any]:
    """A model of the zoo without dropout, with another optimizer, and its data."""
    animal = ZOO[name]
    model = animal.model(rate=0.0, penalty=penalty)
    model.compile(**{**animal.settings(), "optimizer": optimizer})
    return model, *animal.data()


def by_engine(
    model: Any, x: Any, y: Any, epochs: int, batch_size: int = ROWS, seed: int = 0, **weights: Any
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Train from the weights that the model has, as given: trainable and other weights by fitwell's engine."""
    arrays = read_arrays(x, y, dtype=np.dtype("float64"), **weights)
    train_weight = arrays.sample_weight if arrays.class_weight is None else arrays.class_weight
    targets = Targets(arrays.targets, arrays.sample_weight, train_weight)
    problem = make_data(Opened(model), arrays.inputs, targets, own=False, weights="given")
    options = Options(strengths=[{"l2": 0.7}], refit="single")
    candidates = model_candidates(problem.network, options, problem.optimizer.learning_rate)
    schedule = problem.optimizer.schedule or "constant"
    settings = Settings(
        epochs, batch_size, None, problem.optimizer.optimizer, schedule, seed, devices=1, call_epochs=epochs
    )
    dataset = problem.dataset(ALL, seed)
    trained = train_all(problem.network, dataset, ALL, candidates, loss=problem.loss, settings=settings)
    variables = jax.tree.map(lambda leaf: leaf[0], trained.variables(candidates.given))
    copy = problem.network.copy
    other = zip(copy.non_trainable_variables, problem.network.variables_of(variables)[1], strict=True)
    weights_of = {id(v) for v in copy.non_trainable_weights}
    kept = [np.asarray(value) for v, value in other if id(v) in weights_of]
    return [np.asarray(leaf) for leaf in variables.trainable], kept


def assert_same(model: Any, found: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    """The model that Keras trained has the weights that the engine found."""
    for weights, expected in zip((model.trainable_weights, model.non_trainable_weights), found, strict=True):
        for weight, leaf in zip(weights, expected, strict=True):
            np.testing.assert_allclose(weight, leaf, **tolerance(model))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "penalty"),
    [*((name, 0.03) for name in CASES), *((name, 0.0) for name in ("dense_schedule", "conv_rmsprop"))],
)
def test_the_engine_trains_what_keras_does(name: str, penalty: float) -> None:
    """After some epochs on the same batches weights and moving statistics are those of `keras.Model`.

    The model's own penalties are on or off; the whole of the rows is one batch, in which their order does not matter.
    Models with batch normalisation agree less closely (`zoo.tolerance`): Keras takes its moments in float32.
    """
    jax.config.update("jax_disable_most_optimizations", name not in OPTIMISED)
    animal, optimizer = CASES[name]
    model, x, y = made(animal, optimizer(), penalty)
    found = by_engine(model, x, y, epochs=4)
    before = model.get_weights()
    for _ in range(4):
        model.train_on_batch(x, y)
    assert_same(model, found)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.slow
def test_batches_in_the_same_order() -> None:
    """With the engine's order of rows given to Keras, batches of a quarter train the same; in another order not."""
    model, x, y = made("batch_normalised", optimizers.Adam(decaying()), 0.03)
    found = by_engine(model, x, y, epochs=3, batch_size=12, seed=4)
    start = model.get_weights()
    for epoch in range(3):
        order = order_of(4, epoch)
        for number in range(4):
            batch = order[number * 12 : (number + 1) * 12]
            model.train_on_batch(x[batch], y[batch])
    assert_same(model, found)
    model.set_weights(start)
    for number in range(12):
        batch = np.arange(ROWS)[number % 4 * 12 :][:12]
        model.train_on_batch(x[batch], y[batch])
    with pytest.raises(AssertionError):
        assert_same(model, found)


def order_of(seed: int, epoch: int) -> np.ndarray:
    """The engine's order of the rows of the first row set in an epoch."""
    key = noise.fold(noise.fold(noise.fold(noise.make_key(seed), 0), 1), epoch)
    rank = np.asarray(noise.uniform(noise.fold(key, 0), (ROWS,)))
    return np.asarray(make_rows(ALL, seed).train[0])[np.argsort(rank, kind="stable")]


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["sample_weight", "class_weight"])
def test_weights_of_rows(weights: str) -> None:
    """Weights of rows and of classes count as in Keras."""
    values = {
        "sample_weight": np.random.default_rng(0).uniform(0, 2, ROWS),
        "class_weight": {0: 0.5, 1: 1.0, 2: 3.0},
    }
    model, x, y = made("sequential", optimizers.Adam(0.02), 0.03)
    found = by_engine(model, x, y, epochs=4, **{weights: values[weights]})
    for _ in range(4):
        model.train_on_batch(x, y, **{weights: values[weights]})
    assert_same(model, found)


def excluding(optimizer: Any) -> Any:
    """An optimizer that lets no bias decay."""
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize("exempt", [False, True], ids=["everywhere", "without_biases"])
def test_a_searched_weight_decay_is_keras_own(exempt: bool) -> None:
    """A strength of weight decay trains what Keras's AdamW of that number does, zero what Adam does.

    It acts where the model's optimizer would let it: on biases and normalisation too, unless they are excluded.
    """
    change = excluding if exempt else lambda optimizer: optimizer
    model, x, y = made("batch_normalised", change(optimizers.Adam(0.02)), 0.0)
    arrays = read_arrays(x, y, dtype=np.dtype("float64"))
    problem = make_data(Opened(model), arrays.inputs, Targets(arrays.targets, None, None), own=False, weights="given")
    candidates = Candidates({"weight_decay": np.array([0, 0.5])}, np.full(2, problem.optimizer.learning_rate))
    settings = Settings(3, ROWS, None, problem.optimizer.optimizer, devices=1, call_epochs=3)
    trained = train_all(problem.network, problem.dataset(ALL, 0), ALL, candidates, loss=problem.loss, settings=settings)
    start = model.get_weights()
    found = []
    for g, optimizer in enumerate([optimizers.Adam(0.02), optimizers.AdamW(0.02, weight_decay=0.5)]):
        theirs, _, _ = made("batch_normalised", change(optimizer), 0.0)
        theirs.set_weights(start)
        for _ in range(3):
            theirs.train_on_batch(x, y)
        ours = [np.asarray(leaf)[0] for leaf in trained.variables(g).trainable]
        found.append(ours)
        for one, other in zip(ours, theirs.trainable_weights, strict=True):
            np.testing.assert_allclose(one, other, **tolerance(model))
    assert max(np.abs(a - b).max() for a, b in zip(*found, strict=True)) > 1e-3


# L1


def linear_problem(loss: str) -> tuple[np.ndarray, np.ndarray]:
    """Ten features of which three matter."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(ROWS, 10))
    values = x[:, :3] @ [1.5, -1.0, 0.5] + 0.3 * generator.normal(size=ROWS)
    return x, (values > 0).astype(np.int32)[:, None] if loss == "binary_crossentropy" else values[:, None]


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_l1_minimises_the_same_objective_with_exact_zeros(loss: str) -> None:
    """On a convex problem the proximal step and Keras's L1 reach the same objective; only the former has zeros."""
    x, y = linear_problem(loss)
    l1 = 0.1 if loss == "mse" else 0.03
    regularizer = keras.regularizers.L1(l1)
    activation = "sigmoid" if loss == "binary_crossentropy" else None
    model = keras.Sequential([keras.Input((10,)), layers.Dense(1, activation, kernel_regularizer=regularizer)])
    rate, steps = (0.05, 300) if loss == "mse" else (1.0, 600)
    model.compile(optimizers.SGD(optimizers.schedules.PolynomialDecay(rate, steps, 1e-4)), loss=loss)
    kernel, bias = by_proximal_steps(model, x, y, l1, steps)
    for _ in range(steps):
        model.train_on_batch(x, y)
    of_keras = objective(model, x, y)
    assert np.all(np.asarray(model.layers[0].kernel) != 0)
    model.set_weights([kernel, bias])
    np.testing.assert_allclose(objective(model, x, y), of_keras, rtol=1e-4)
    model.set_weights([kernel * 1.1, bias])
    assert objective(model, x, y) > of_keras * (1 + 1e-4)
    assert (kernel == 0).sum() >= 3


def by_proximal_steps(model: Any, x: Any, y: Any, l1: float, steps: int) -> list[np.ndarray]:
    """The kernel and the bias that fitwell finds at this strength."""
    arrays = read_arrays(x, y, dtype=np.dtype("float64"))
    targets = Targets(arrays.targets, None, None)
    problem = make_data(Opened(model), arrays.inputs, targets, own=False, weights="given")
    candidates = Candidates({"l1": np.array([0, l1])}, np.full(2, problem.optimizer.learning_rate))
    schedule = problem.optimizer.schedule or "constant"
    settings = Settings(steps, ROWS, None, problem.optimizer.optimizer, schedule, devices=1, call_epochs=steps)
    trained = train_all(problem.network, problem.dataset(ALL, 0), ALL, candidates, loss=problem.loss, settings=settings)
    return [np.asarray(leaf)[0] for leaf in trained.variables(1).trainable]


def objective(model: Any, x: Any, y: Any) -> float:
    """Loss and penalty, by Keras."""
    assert jnp.asarray(0.0).dtype == jnp.float64
    return float(model.evaluate(x, y, batch_size=ROWS, verbose=0))

"""Optimizers: TensorFlow.js takes the same steps as Keras by those that are written, and by others does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfjs_node import Node
from tfjs_training import IN_NODE, STEPS, TRAIN, losses_in_keras, made, saved, targets

import keras
from fitwell.tfjs.loading import load_with_notices
from fitwell.tfjs.optimizer_config import OPTIMIZERS

ONES: dict[str, Callable[[], Any]] = {
    "SGD": lambda: keras.optimizers.SGD(0.05),
    "Momentum": lambda: keras.optimizers.SGD(0.02, momentum=0.8),
    "Momentum: Nesterov": lambda: keras.optimizers.SGD(0.02, momentum=0.8, nesterov=True),
    "Adam": lambda: keras.optimizers.Adam(0.02, beta_1=0.8, beta_2=0.99),
    "Adamax": lambda: keras.optimizers.Adamax(0.02),
    "RMSProp": lambda: keras.optimizers.RMSprop(0.01, rho=0.8, momentum=0.1),
    "Adagrad": lambda: keras.optimizers.Adagrad(0.05),
}


@pytest.mark.parametrize("name", ONES)
def test_training_goes_on_with_every_optimizer(name: str, node: Node, tmp_path: Path) -> None:
    """TensorFlow.js takes the same steps as Keras; break: with another step size it does not."""
    model, x, y = made(ONES[name](), "mean_squared_error")
    found = node(TRAIN, file=saved(model, tmp_path / "m"), x=x, y=y, steps=STEPS)
    other, _, _ = made(ONES[name](), "mean_squared_error")
    other.optimizer.learning_rate = 0.1 * float(other.optimizer.learning_rate)
    expected = losses_in_keras(model, x, y)
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    assert not np.allclose(losses_in_keras(other, x, y), expected, rtol=2e-4)
    assert name.split(":")[0] in OPTIMIZERS


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: keras.optimizers.Adadelta(1.0), "tf.train.adadelta(1.0)"),
        (lambda: keras.optimizers.RMSprop(0.05, rho=0.9, centered=True), "tf.train.rmsprop(0.05, 0.9, 0, 1e-7, true)"),
    ],
    ids=["adadelta", "centered"],
)
def test_optimizers_that_take_other_steps(ours: Any, theirs: str, node: Node, tmp_path: Path) -> None:
    """They are not written, and read with a notice; the reason is that the first steps differ."""
    generator = np.random.default_rng(1)
    y, units, activation = targets("mean_squared_error", generator)
    x = generator.normal(size=(12, 4)).astype(np.float32)
    expected = node(
        IN_NODE, optimizer=theirs, loss="meanSquaredError", units=units, activation=activation, folder=tmp_path / "m",
        x=x, y=y, steps=STEPS,
    )  # fmt: skip
    loaded = load_with_notices(tmp_path / "m" / "model.json")
    assert any("takes other steps" in notice for notice in loaded.notices)
    assert type(loaded.model.optimizer) is type(ours())
    numbers = np.array(expected, float)  # of a centered RMSProp some are NaN, null in JSON
    assert not np.allclose(losses_in_keras(loaded.model, x, y), numbers, rtol=2e-4)

"""Models to train on both sides, and their first steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import keras
from fitwell.tfjs.saving import write

STEPS = 5
TRAIN = """
const model = await load(given.file);
const losses = [];
for (let step = 0; step < given.steps; step++) losses.push([].concat(await model.trainOnBatch(given.x, given.y))[0]);
return losses;
"""


def targets(loss: str, generator: np.random.Generator) -> tuple[np.ndarray, int, str]:
    """Targets of 12 rows, the outputs that a loss wants, and their activation."""
    if loss == "sparse_categorical_crossentropy":
        return generator.integers(0, 3, (12, 1)).astype(np.float32), 3, "softmax"
    if loss in ("categorical_crossentropy", "kl_divergence"):
        return np.eye(3, dtype=np.float32)[generator.integers(0, 3, 12)], 3, "softmax"
    if loss == "binary_crossentropy":
        return generator.integers(0, 2, (12, 1)).astype(np.float32), 1, "sigmoid"
    if "hinge" in loss:
        values = generator.integers(0, 2, (12, 2)).astype(np.float32)
        return (values if loss == "categorical_hinge" else 2 * values - 1), 2, "linear"
    return generator.uniform(0.5, 2, (12, 2)).astype(np.float32), 2, "softplus"


def made(optimizer: Any, loss: str, penalty: float = 0.01) -> tuple[Any, np.ndarray, np.ndarray]:
    """A compiled model with a penalty, and rows for it."""
    keras.utils.set_random_seed(3)
    generator = np.random.default_rng(len(loss))
    y, units, activation = targets(loss, generator)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(penalty)),
            keras.layers.Dense(units, activation),
        ]
    )
    model.compile(optimizer, loss)
    return model, generator.normal(size=(12, 4)).astype(np.float32), y


def losses_in_keras(model: Any, x: np.ndarray, y: np.ndarray) -> list[float]:
    """Loss of the batch before each of some steps on it, the penalty with it."""
    losses = []
    for _ in range(STEPS):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x, y, return_dict=True)["loss"]))
    return losses


def saved(model: Any, folder: Path) -> Path:
    """Write a model with its training settings."""
    folder.mkdir()
    notices = write(model, folder).notices
    assert all("hinge losses take targets -1 and 1" in notice for notice in notices)
    return folder / "model.json"


IN_NODE = """
const model = tf.sequential({layers: [
  tf.layers.dense({units: 5, inputShape: [4], activation: 'tanh', kernelRegularizer: tf.regularizers.l2({l2: 0.01})}),
  tf.layers.dense({units: given.units, activation: given.activation})]});
const optimizer = (new Function('tf', 'return ' + given.optimizer))(tf);
model.compile({optimizer, loss: given.loss, metrics: ['accuracy', 'mse']});
await save(model, given.folder, {includeOptimizer: true});
const losses = [];
for (let step = 0; step < given.steps; step++) losses.push([].concat(await model.trainOnBatch(given.x, given.y))[0]);
return losses;
"""

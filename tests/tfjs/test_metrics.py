"""Metrics go along where TensorFlow.js has the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfjs_node import Node

import keras
from fitwell.tfjs.loading import load_with_notices
from fitwell.tfjs.saving import write
from fitwell.tfjs.training_config import written_training_config


def test_metrics(tmp_path: Path, node: Node) -> None:
    """Those that TensorFlow.js has go along, others are named."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", "mae", keras.metrics.AUC(name="auc")])
    notices = write(model, tmp_path).notices
    assert notices == ("Without the metrics auc, which a TensorFlow.js model cannot keep.",)
    found = node("const model = await load(given.file); return model.metricsNames;", file=tmp_path / "model.json")
    assert found == ["loss", "acc", "mae"]
    misleading = [keras.metrics.MeanAbsoluteError(name="accuracy"), keras.metrics.BinaryAccuracy(threshold=0.9)]
    model.compile("adam", "binary_crossentropy", metrics=[*misleading, keras.metrics.MeanSquaredError(name="x")])
    config, notices = written_training_config(model, ["dense"])
    assert config is not None
    assert config["metrics"] == ["mae", "mse"]
    assert notices == ("Without the metrics binary_accuracy, which a TensorFlow.js model cannot keep.",)


TWO_LOSSES = ["mse", "mae"]
STEP = """
const model = await load(given.file);
const numbers = await model.trainOnBatch(given.x, given.y);
await save(model, given.folder, {includeOptimizer: true});
return [model.metricsNames, numbers];
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "metrics", "written", "left_out"),
    [
        (TWO_LOSSES, None, [], ""),
        ("mse", [["mae"], ["mae"]], ["mae"], ""),
        (TWO_LOSSES, [["mae"], ["mse", keras.metrics.AUC(name="auc")]], {"one": "mae", "the_other": "mse"}, "auc"),
        ({"one": "mse", "the other": "mae"}, {"the other": ["mae"]}, {"the_other": "mae"}, ""),
        ({"one": "mse", "the other": "mae"}, {"one": ["mae", "mse"]}, {"one": "mae"}, "mse"),
        ({"a": "mse", "z": "mae"}, {"z": ["mse"]}, {"the_other": "mse"}, ""),
    ],
)
def test_losses_and_metrics_of_several_outputs(
    loss: Any, metrics: Any, written: Any, left_out: str, tmp_path: Path, node: Node
) -> None:
    """By the names that the outputs have there; the numbers are Keras's, and TensorFlow.js can save the model again."""
    inputs = keras.Input((4,))
    outputs: Any = [keras.layers.Dense(2, "silu", name="one")(inputs), keras.layers.Dense(1, name="the other")(inputs)]
    by_key = "a" in loss and isinstance(loss, dict)
    model = keras.Model(inputs, {"a": outputs[0], "z": outputs[1]} if by_key else outputs)
    model.compile("sgd", loss, metrics=metrics)
    notices = write(model, tmp_path).notices
    assert notices == ((f"Without the metrics {left_out}, which a TensorFlow.js model cannot keep.",) * bool(left_out))
    assert json.loads((tmp_path / "model.json").read_text())["trainingConfig"]["metrics"] == written
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    y: Any = [np.ones((6, 2), np.float32), np.zeros((6, 1), np.float32)]
    names, numbers = node(STEP, file=tmp_path / "model.json", folder=tmp_path / "again", x=x, y=y)
    targets = {"a": y[0], "z": y[1]} if by_key else y
    expected = model.train_on_batch(x, targets, return_dict=True)
    spelled = {"a_": "one_", "z_": "the_other_", "the other_": "the_other_"}
    for key, value in expected.items():
        start = next((start for start in spelled if key.startswith(start)), "")
        name = spelled.get(start, "") + key[len(start) :]
        assert name in names or key.split("_")[-1] in left_out
        if name in names:
            assert numbers[names.index(name)] == pytest.approx(value, rel=1e-5)
    again = load_with_notices(tmp_path / "again" / "model.json").model.train_on_batch(x, y, return_dict=True)
    assert again["loss"] == pytest.approx(
        float(model.evaluate(x, targets, verbose=0, return_dict=True)["loss"]), rel=1e-5
    )

"""Training settings go along: the first steps after a model changed sides lose what they lose on the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfjs_node import Node
from tfjs_training import IN_NODE, STEPS, TRAIN, losses_in_keras, made, saved, targets

import keras
from fitwell.errors import FileError
from fitwell.tfjs.document import write_document
from fitwell.tfjs.loading import load_with_notices
from fitwell.tfjs.training_config import SIGNS, TFJS_LOSSES, TO_KERAS, read_training_config, written_training_config
from fitwell.tfjs.writing import to_tfjs

KERAS_LOSSES = [TO_KERAS.get(loss, loss) for loss in TFJS_LOSSES if TO_KERAS.get(loss, loss)]


@pytest.mark.parametrize("loss", KERAS_LOSSES)
def test_training_goes_on_with_every_loss(loss: str, node: Node, tmp_path: Path) -> None:
    """Each loss that is written is the same number there, and has the same gradient."""
    model, x, y = made(keras.optimizers.SGD(0.05), loss)
    found = node(TRAIN, file=saved(model, tmp_path / "m"), x=x, y=y, steps=STEPS)
    np.testing.assert_allclose(found, losses_in_keras(model, x, y), rtol=2e-4)


@pytest.mark.parametrize("loss", SIGNS)
def test_hinge_losses_of_other_targets_are_others(loss: str, node: Node, tmp_path: Path) -> None:
    """Keras turns 0 and 1 into -1 and 1, and a notice says that TensorFlow.js does not."""
    model, x, y = made(keras.optimizers.SGD(0.05), loss)
    assert "targets -1 and 1" in written_training_config(model, ["dense"])[1][0]
    found = node(TRAIN, file=saved(model, tmp_path / "m"), x=x, y=(y + 1) / 2, steps=1)
    assert abs(found[0] - losses_in_keras(model, x, (y + 1) / 2)[0]) > 1e-3


@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [
        ("tf.train.sgd(0.05)", "meanSquaredError"),
        ("tf.train.momentum(0.02, 0.8, true)", "meanAbsoluteError"),
        ("tf.train.adam(0.02, 0.8)", "sparseCategoricalCrossentropy"),
        ("tf.train.rmsprop(0.01, 0.8)", "binaryCrossentropy"),
        ("tf.train.adagrad(0.05)", "categoricalCrossentropy"),
    ],
)
def test_a_model_compiled_in_node_goes_on_in_keras(optimizer: str, loss: str, node: Node, tmp_path: Path) -> None:
    """Its optimizer and loss come along, and the first steps in Keras are those in Node."""
    snake = "".join("_" + letter.lower() if letter.isupper() else letter for letter in loss)
    generator = np.random.default_rng(1)
    y, units, activation = targets(snake, generator)
    x = generator.normal(size=(12, 4)).astype(np.float32)
    expected = node(
        IN_NODE, optimizer=optimizer, loss=loss, units=units, activation=activation, folder=tmp_path / "m",
        x=x, y=y, steps=STEPS,
    )  # fmt: skip
    loaded = load_with_notices(tmp_path / "m" / "model.json")
    assert loaded.model.compiled
    assert any("optimizer" in notice for notice in loaded.notices)  # its state stays behind
    np.testing.assert_allclose(losses_in_keras(loaded.model, x, y), expected, rtol=2e-4)


def test_names_go_there_and_back() -> None:
    """What is written is read as the same settings."""
    model, _, _ = made(keras.optimizers.Adam(0.02, beta_1=0.8), "kl_divergence")
    config, notices = written_training_config(model, ["dense"])
    assert notices == ()
    assert config is not None
    assert config["loss"] == "kullback_leibler_divergence"
    arguments, more = read_training_config(config)
    assert more == ()
    assert arguments["loss"] == "kl_divergence"
    assert arguments["optimizer"].beta_1 == pytest.approx(0.8)
    assert float(arguments["optimizer"].learning_rate) == pytest.approx(0.02)


def mean_squared_error(wanted: Any, found: Any) -> Any:
    """Somebody's own loss, that only has the name of one of Keras's."""
    return keras.ops.sum(keras.ops.abs(wanted - found))


class MeanSquaredError(keras.losses.MeanSquaredError):
    """Likewise."""


class Adam(keras.optimizers.Adam):
    """Likewise an optimizer."""


@pytest.mark.parametrize(
    ("compiled", "part"),
    [
        ({"optimizer": "adam", "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}, "of logits"),
        ({"optimizer": keras.optimizers.AdamW(), "loss": "mse"}, "weight decay (0.004 here); compile"),
        ({"optimizer": keras.optimizers.SGD(weight_decay=10), "loss": "mse"}, "weight decay (10 here)"),
        ({"optimizer": keras.optimizers.Adam(clipnorm=1.0), "loss": "mse"}, "the optimizer Adam with its settings"),
        ({"optimizer": keras.optimizers.Adam(amsgrad=True), "loss": "mse"}, "the optimizer Adam with its settings"),
        ({"optimizer": keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 5)), "loss": "mse"}, "SGD"),
        ({"optimizer": keras.optimizers.Adadelta(), "loss": "mse"}, "the optimizer Adadelta"),
        ({"optimizer": keras.optimizers.RMSprop(centered=True), "loss": "mse"}, "the optimizer RMSprop"),
        ({"optimizer": "adam", "loss": keras.losses.Huber()}, "its loss"),
        ({"optimizer": "adam", "loss": "cosine_similarity"}, "its loss"),
        ({"optimizer": "adam", "loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1)}, "label smoothing"),
        ({"optimizer": "adam", "loss": keras.losses.MeanSquaredError(reduction="sum")}, "its loss"),
        ({"optimizer": "adam", "loss": keras.losses.SparseCategoricalCrossentropy(ignore_class=0)}, "its loss"),
        ({"optimizer": "adam", "loss": mean_squared_error}, "its loss"),
        ({"optimizer": "adam", "loss": MeanSquaredError()}, "its loss"),
        ({"optimizer": Adam(), "loss": "mse"}, "the optimizer Adam"),
    ],
)  # fmt: skip
def test_what_tensorflow_js_cannot_train_is_left_out(compiled: dict[str, Any], part: str) -> None:
    """No wrong setting is written: the model goes without, and a notice says why."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile(**compiled)
    config, notices = written_training_config(model, ["dense"])
    assert config is None
    assert part in notices[0]
    uncompiled = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert written_training_config(uncompiled, ["dense"]) == (None, ())


def test_adamw_without_decay_is_adam() -> None:
    """A network that was chosen without weight decay keeps its optimizer in TensorFlow.js: its steps are Adam's."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    found = []
    for optimizer in (keras.optimizers.AdamW(0.02, weight_decay=0.0), keras.optimizers.Adam(0.02)):
        model.compile(optimizer, "mse")
        found.append(written_training_config(model, ["dense"]))
    assert found[0] == found[1]
    assert found[0][0] is not None
    assert found[0][0]["optimizer_config"]["class_name"] == "Adam"


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"loss": "mean_squared_error"}, "must name one of SGD"),
        ({"loss": "mean_squared_error", "optimizer_config": {"class_name": "Evil", "config": {}}}, "Got 'Evil'"),
        ({"loss": "mean_squared_error", "optimizer_config": {"class_name": ["Adam"]}}, "must name one of"),
        ({"loss": "evil", "optimizer_config": {"class_name": "Adam", "config": {}}}, "has the loss 'evil'"),
        ({"loss": "cosine_proximity", "optimizer_config": {"class_name": "Adam", "config": {}}}, "'cosine_proximity'"),
        ({"optimizer_config": {"class_name": "Adam", "config": {}}}, "names no loss"),
        ({"loss": "hinge", "optimizer_config": {"class_name": "Adam", "config": {"beta1": "x"}}}, "number"),
        ({"loss": "hinge", "optimizer_config": {"class_name": "Adam", "config": {"learningRate": True}}}, "number"),
        ({"loss": "hinge", "optimizer_config": {"class_name": "SGD", "config": {"learningRate": -1}}}, "number"),
    ],
)  # fmt: skip
def test_odd_settings_are_refused(training: dict[str, Any], message: str) -> None:
    """They are a stranger's data like all of the file."""
    with pytest.raises(FileError, match=message):
        read_training_config(training)


def test_settings_that_do_not_fit_the_model(tmp_path: Path) -> None:
    """A loss for an output that is not there is the file's fault, said in a sentence."""
    written = to_tfjs(keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]))
    training = {"loss": {"nowhere": "mean_squared_error"}, "optimizer_config": {"class_name": "SGD", "config": {}}}
    write_document(tmp_path, written.graph, written.weights, training=training)
    with pytest.raises(FileError, match="training settings"):
        load_with_notices(tmp_path / "model.json")

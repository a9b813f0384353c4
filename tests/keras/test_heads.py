"""Heads: what a model's outputs mean for a table's target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keras
from fitwell.errors import InputError
from fitwell.keras.heads import HEADS, as_probabilities, from_logits, head_of, loss_name, targets_for

LOSSES = keras.losses


def model(units: int, loss: Any, activation: str | None = None) -> Any:
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation)])
    made.compile("sgd", loss)
    return made


CASES = [
    # (units, loss, classes, head, targets of the classes 1, 0)
    (2, "sparse_categorical_crossentropy", 2, "probabilities", [1, 0]),
    (2, LOSSES.SparseCategoricalCrossentropy(from_logits=True), 2, "logits", [1, 0]),
    (3, "categorical_crossentropy", 3, "probabilities", [[0, 1, 0], [1, 0, 0]]),
    (3, LOSSES.CategoricalCrossentropy(from_logits=True), 3, "logits", [[0, 1, 0], [1, 0, 0]]),
    (3, LOSSES.SparseCategoricalCrossentropy(), 3, "probabilities", [1, 0]),
    (3, LOSSES.sparse_categorical_crossentropy, 3, "probabilities", [1, 0]),
    (3, "mse", 3, "probabilities", [[0, 1, 0], [1, 0, 0]]),
    (1, "binary_crossentropy", 2, "probability", [[1], [0]]),
    (1, LOSSES.BinaryCrossentropy(from_logits=True), 2, "logit", [[1], [0]]),
    (1, "mse", 0, "values", [[1], [0]]),
    (1, LOSSES.Huber(), 0, "values", [[1], [0]]),
]


@pytest.mark.parametrize(("units", "loss", "classes", "head", "targets"), CASES)
def test_every_head(units: int, loss: Any, classes: int, head: str, targets: list) -> None:
    """Width and loss decide what outputs mean, and what the loss wants the target to be: Keras takes it as it is."""
    made = model(units, loss)
    assert head_of(made, classes) == head
    found = targets_for(made, head, np.array([1, 0]), classes, np.float32)
    assert found.tolist() == targets
    assert found.dtype == (np.int32 if "sparse" in loss_name(made.loss) else np.float32)
    assert np.isfinite(made.evaluate(np.ones((2, 3)), found, verbose=0))


def test_the_cases_cover_the_heads() -> None:
    """Each of the five heads is in the table."""
    assert {case[3] for case in CASES} == set(HEADS)


@pytest.mark.parametrize("shape", [(5,), (2, 5)])
def test_outputs_become_probabilities(shape: tuple[int, ...]) -> None:
    """For any leading axes: k probabilities that sum to one, and a logit's equal those of two logits."""
    logit = np.random.default_rng(0).normal(size=(*shape, 1)) * 10
    two = np.concatenate([np.zeros_like(logit), logit], axis=-1)
    found = {
        "logit": as_probabilities(logit, "logit"),
        "logits": as_probabilities(two, "logits"),
        "probability": as_probabilities(1 / (1 + np.exp(-logit)), "probability"),
    }
    for values in found.values():
        assert values.shape == (*shape, 2)
        np.testing.assert_allclose(values.sum(axis=-1), 1, rtol=1e-12)
        np.testing.assert_allclose(values, found["logit"], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(as_probabilities(found["logit"], "probabilities"), found["logit"])
    np.testing.assert_array_equal(as_probabilities(logit, "values"), logit)
    assert not np.allclose(as_probabilities(two, "probabilities"), found["logits"])


def test_large_logits_do_not_overflow() -> None:
    """Logits of a thousand are as certain as can be, without a warning and without NaN."""
    np.testing.assert_allclose(as_probabilities(np.array([[1000.0, 0.0, -1000.0]]), "logits"), [[1, 0, 0]])
    np.testing.assert_allclose(as_probabilities(np.array([[1000.0], [-1000.0]]), "logit"), [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("units", "classes", "sentence"),
    [
        (2, 0, r"gives 2 numbers, and the target is one number: end it with Dense\(1\)"),
        (2, 3, r"gives 2 numbers, and the target has 3 classes: end it with Dense\(3\)"),
        (1, 3, r"gives 1 numbers, and the target has 3 classes"),
        (4, 2, r"gives 4 numbers, and the target has 2 classes"),
    ],
)
def test_wrong_widths(units: int, classes: int, sentence: str) -> None:
    """As many outputs as the target needs, or the sentence that says what to end the model with."""
    with pytest.raises(InputError, match=sentence):
        head_of(model(units, "mse"), classes)


def test_shapes_that_are_no_table() -> None:
    """Sequences, several outputs and models whose shape is not known are refused in a sentence."""
    inputs = keras.Input((3,))
    two = keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)])
    sequence = keras.Sequential([keras.Input((4, 3)), keras.layers.Dense(2)])
    for made in (two, sequence):
        with pytest.raises(InputError, match=r"must have one output \[rows, numbers\]"):
            head_of(made, 2)
    with pytest.raises(InputError, match=r"must be known: build it from keras\.Input"):
        head_of(keras.Sequential([keras.layers.Dense(2)]), 2)


def test_losses_by_name_function_and_object() -> None:
    """A loss is known by one name, and only an object can take logits."""
    name = "sparse_categorical_crossentropy"
    assert {loss_name(loss) for loss in (name, LOSSES.SparseCategoricalCrossentropy(), LOSSES.get(name))} == {name}
    assert loss_name("mse") == "mean_squared_error"
    assert from_logits(LOSSES.BinaryCrossentropy(from_logits=True))
    assert not any(map(from_logits, (LOSSES.BinaryCrossentropy(), "binary_crossentropy", LOSSES.get(name), None)))

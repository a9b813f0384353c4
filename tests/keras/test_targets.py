"""Targets: what a loss would take without a word is refused, and what it means is taken."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import keras
from fitwell.errors import FitwellWarning, InputError
from fitwell.keras.targets import check_targets, warn_of_lost_digits

ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
NUMBERS = np.linspace(-1, 1, 6, dtype=np.float32)
CLASSES = np.array([0, 1, 2, 0, 1, 2])
SPARSE = "sparse_categorical_crossentropy"


def model(loss: Any, *heads: tuple[int, str], by_key: bool = False) -> Any:
    """A compiled model with outputs of so many units and these activations."""
    inputs = keras.Input((4,))
    outputs: Any = [keras.layers.Dense(*head, name=f"out{i}")(inputs) for i, head in enumerate(heads)]
    if by_key:
        outputs = {f"key{i}": output for i, output in enumerate(outputs)}
    made = keras.Model(inputs, outputs[0] if len(heads) == 1 and not by_key else outputs)
    made.compile("adam", loss)
    return made


def checked(made: Any, y: Any) -> None:
    """Check targets against a model and its first outputs."""
    check_targets(made, y, made(ROWS))


SOFTMAX, SIGMOID, LINEAR = (3, "softmax"), (1, "sigmoid"), (1, "linear")
TWO = [SPARSE, "mse"]
FINE: dict[str, tuple[Any, Any]] = {
    "classes": (lambda: model(SPARSE, SOFTMAX), CLASSES),
    "classes as a column of floats": (lambda: model(SPARSE, SOFTMAX), CLASSES[:, None].astype(float)),
    "an ignored class": (
        lambda: model(keras.losses.SparseCategoricalCrossentropy(ignore_class=-1), SOFTMAX), CLASSES - (CLASSES == 0)
    ),
    "logits": (
        lambda: model(keras.losses.SparseCategoricalCrossentropy(from_logits=True), (3, "linear")), CLASSES
    ),
    "soft labels": (lambda: model("binary_crossentropy", SIGMOID), (NUMBERS + 1) / 2),
    "numbers": (lambda: model("mse", LINEAR), NUMBERS),
    "numbers as a column": (lambda: model("mse", LINEAR), NUMBERS[:, None]),
    "a loss of one's own": (lambda: model(lambda y, p: keras.ops.mean(p - y), (3, "linear")), NUMBERS),
    "two": (lambda: model(TWO, SOFTMAX, LINEAR), [CLASSES, NUMBERS]),
    "two by name": (
        lambda: model(dict(zip(("out0", "out1"), TWO, strict=True)), SOFTMAX, LINEAR),
        {"out1": NUMBERS, "out0": CLASSES},
    ),
    "two by key": (
        lambda: model(dict(zip(("key0", "key1"), TWO, strict=True)), SOFTMAX, LINEAR, by_key=True),
        {"key1": NUMBERS, "key0": CLASSES},
    ),
    "one loss for two": (lambda: model("mse", LINEAR, LINEAR), [NUMBERS, NUMBERS]),
}  # fmt: skip
WRONG: dict[str, tuple[Any, Any, str]] = {
    "class beyond": (lambda: model(SPARSE, SOFTMAX), CLASSES + 1, "y must hold classes 0 to 2. Got 1 to 3"),
    "half a class": (lambda: model(SPARSE, SOFTMAX), CLASSES * 0.5, "whole numbers. Got 0.5"),
    "three classes of two": (lambda: model("binary_crossentropy", SIGMOID), CLASSES, "between 0 and 1.*Got 0 to 2"),
    "one number for three": (lambda: model("mse", (3, "linear")), NUMBERS[:, None], "gives 3 numbers.* y has 1"),
    "linear head": (lambda: model(SPARSE, (3, "linear")), CLASSES, "takes probabilities.*a softmax, or"),
    "linear head of two classes": (lambda: model("binary_crossentropy", LINEAR), CLASSES % 2, "a sigmoid, or"),
    "two": (lambda: model(TWO, SOFTMAX, LINEAR), [CLASSES + 7, NUMBERS], "y of output 'out0' must hold classes 0"),
    "two, swapped": (lambda: model(TWO, SOFTMAX, LINEAR), [NUMBERS, CLASSES], "y of output 'out0' must hold"),
    "two by key": (
        lambda: model(dict(zip(("key0", "key1"), TWO, strict=True)), SOFTMAX, LINEAR, by_key=True),
        {"key1": NUMBERS, "key0": CLASSES + 1},
        "y of output 'key0' must hold",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FINE)
def test_what_a_loss_means_is_taken(case: str) -> None:
    """In every form in which Keras takes targets."""
    make, y = FINE[case]
    checked(make(), y)


@pytest.mark.parametrize("case", WRONG)
def test_what_a_loss_does_not_mean_is_refused(case: str) -> None:
    """In one sentence that says what came."""
    make, y, sentence = WRONG[case]
    with pytest.raises(InputError, match=sentence) as caught:
        checked(make(), y)
    assert "\n" not in str(caught.value)


UNIX = 1.7e9 + 60 * np.arange(50.0)
"""An hour of minutes, in seconds since 1970: float32 counts by 128 there."""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (UNIX, "y holds numbers of about 1.7e+09 that differ by about 8.7e+02, and float32"),
        (UNIX.astype(np.int64)[:, None], "tells numbers of that size apart by 1.3e+02 only: subtract an offset"),
        (1e9 + 0.06 * ROWS[:, 0].astype(float), "numbers of about 1e+09"),
        (np.full(6, 1e9, np.float32), "that differ by about 0, and float32"),
        (np.column_stack([NUMBERS, 2.46e6 + 0.1 * NUMBERS.astype(float)]), "numbers of about 2.46e+06"),
        ({"a": NUMBERS, "b": 1e9 + NUMBERS.astype(float)}, "numbers of about 1e+09"),
    ],
)
def test_targets_that_float32_cannot_tell_apart(values: Any, said: str) -> None:
    """Times in seconds, Julian dates, one column of several: a warning says the numbers, and what to do."""
    with pytest.warns(FitwellWarning, match=re.escape(said)):
        warn_of_lost_digits(values, "float32")
    warn_of_lost_digits(values, "float64")


@pytest.mark.parametrize(
    "values",
    [
        *(NUMBERS, 1e6 * NUMBERS, 1e-9 * NUMBERS, 2000 + np.arange(20.0), CLASSES, np.eye(3)[CLASSES]),
        *(np.full(7, 0.1), np.zeros((6, 0)), UNIX - UNIX.mean()),
    ],
)
def test_targets_that_it_can(values: Any) -> None:
    """No word of numbers of any size that differ enough, of classes, or of one number in all rows."""
    warn_of_lost_digits(values, "float32")  # a warning would be an error here


@pytest.mark.parametrize(
    ("loss", "y", "wanted"),
    [
        ("sparse_categorical_crossentropy", np.eye(3)[[0, 1, 2, 0]], "use categorical_crossentropy"),
        ("categorical_crossentropy", np.array([0, 1, 2, 0]), "use sparse_categorical_crossentropy"),
        ("categorical_crossentropy", np.array([[0], [1], [2], [0]]), "use sparse_categorical_crossentropy"),
    ],
)
def test_the_loss_that_takes_such_classes_is_named(loss: str, y: np.ndarray, wanted: str) -> None:
    """One-hot rows with a sparse loss, and class indices with the other, are refused by the loss to use."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "softmax")])
    model.compile("adam", loss)
    with pytest.raises(InputError, match=wanted):
        check_targets(model, y, np.full((2, 3), 1 / 3))
    model.compile("adam", wanted.removeprefix("use "))
    check_targets(model, y if y.ndim == 1 or y.shape[1] == 3 else y[:, 0], np.full((2, 3), 1 / 3))

"""What a Keras model's outputs mean for a table's target, and what its loss wants that target to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitwell.engine.losses import softmax
from fitwell.errors import InputError
from fitwell.keras.backend import import_keras

HEADS = ("probabilities", "logits", "probability", "logit", "values")
"""Of k classes, their logits; of the second of two classes, its logit; numbers of a regression."""


def head_of(model: Any, classes: int) -> str:
    """Return which of `HEADS` a compiled model has.

    Parameters
    ----------
    classes
        k, or 0 for regression.

    Raises
    ------
    InputError
        The model has several outputs, or not as many numbers as the target needs.
    """
    outputs = _width(model)
    if classes == 0:
        if outputs != 1:
            raise InputError(f"The model gives {outputs} numbers, and the target is one number: end it with Dense(1).")
        return "values"
    logits = from_logits(model.loss)
    # a sigmoid says the second class only
    if outputs == 1 and classes == 2:
        return "logit" if logits else "probability"
    if outputs != classes:
        raise InputError(
            f"The model gives {outputs} numbers, and the target has {classes} classes: end it with Dense({classes})."
        )
    return "logits" if logits else "probabilities"


def targets_for(model: Any, head: str, values: np.ndarray, classes: int, dtype: Any) -> np.ndarray:
    """Return a table's target [n] as the model's loss takes it."""
    if head in ("values", "probability", "logit"):
        # [n, 1], as the output is: Keras must have nothing to guess about the shape
        return values.astype(dtype)[:, None]
    if "sparse" in loss_name(model.loss):
        return values.astype(np.int32)
    return np.eye(classes, dtype=dtype)[values]


def as_probabilities(outputs: np.ndarray, head: str) -> np.ndarray:
    """Return probabilities [..., k] of a model's outputs; values as they are."""
    if head == "logits":
        return softmax(outputs)
    if head == "logit":  # the smaller probability keeps all its digits, and nothing overflows
        return np.exp(-np.logaddexp(0, np.concatenate([outputs, -outputs], axis=-1)))
    if head == "probability":
        return np.concatenate([1 - outputs, outputs], axis=-1)
    return outputs


def from_logits(loss: Any) -> bool:
    """Return whether a loss, by name or object, takes logits."""
    if isinstance(loss, str) or not hasattr(loss, "get_config"):
        return False
    return bool(loss.get_config().get("from_logits", False))


def loss_name(loss: Any) -> str:
    """Return a loss's name in Keras's spelling, whether it was given by name, as a function or as an object."""
    if isinstance(loss, str):
        # "mse" is mean_squared_error to Keras
        return getattr(import_keras().losses.get(loss), "__name__", loss)
    return getattr(loss, "name", None) or getattr(loss, "__name__", "loss")


def _width(model: Any) -> int:
    shape = getattr(model, "output_shape", None)  # models that are subclasses or not built have none
    if shape is None:
        raise InputError(f"For a table the shapes of '{model.name}' must be known: build it from keras.Input.")
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise InputError(f"For a table the model must have one output [rows, numbers]. It has the shape {shape}.")
    return int(shape[1])

"""Trained dense networks in Keras's layout, to be joined into one model (`plain_model.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.regularization.strengths import Regularization


@dataclass(frozen=True)
class Tower:
    """One trained dense network, ready to be written down.

    Attributes
    ----------
    encoding
        Number of the encoding whose columns it takes.
    layers
        ``(kernel [units in, units out], bias [units out])`` of each layer, in Keras's layout.
    activation
        Of the hidden layers.
    regularization
        What it was trained with.
    shift, scale
        Its outputs are ``shift + scale * raw`` (regression, of several values [k]); 0 and 1 for classes and labels,
        whose outputs become probabilities.
    """

    encoding: int
    layers: Sequence[tuple[np.ndarray, np.ndarray]]
    activation: str
    regularization: Regularization
    shift: float | np.ndarray = 0.0
    scale: float | np.ndarray = 1.0


def tower(
    variables: Any, *, encoding: int, activation: str, regularization: Regularization, shift: Any, scale: Any
) -> Tower:
    """Take a `DenseNetwork`'s variables (kernels stored ``[out, in]``) into Keras's layout.

    Learned scales of the inputs become part of the first kernel: Keras's model is the same network without them.
    """
    parts = [{name: np.asarray(values) for name, values in part.items()} for part in variables.trainable]
    for end in parts[1:]:
        if "scales" in end:
            parts[0]["kernel"] = parts[0]["kernel"] * end["scales"]
    layers = [(part["kernel"].T, part["bias"][:, 0]) for part in parts if "kernel" in part]
    return Tower(encoding, layers, activation, regularization, shift, scale)

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
    """Take a `DenseNetwork`'s variables (kernels stored ``[out, in]``) into Keras's layout."""
    layers = [(np.asarray(layer["kernel"]).T, np.asarray(layer["bias"])[:, 0]) for layer in variables.trainable]
    return Tower(encoding, layers, activation, regularization, shift, scale)

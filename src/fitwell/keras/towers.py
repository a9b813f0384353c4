"""Trained dense networks as one plain Keras model: parallel towers, averaged. Loads without fitwell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.keras.backend import import_keras
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
        Its outputs are ``shift + scale * raw`` (regression); 0 and 1 for classes, whose outputs become probabilities.
    """

    encoding: int
    layers: Sequence[tuple[np.ndarray, np.ndarray]]
    activation: str
    regularization: Regularization
    shift: float = 0.0
    scale: float = 1.0


def tower(
    variables: Any, *, encoding: int, activation: str, regularization: Regularization, shift: float, scale: float
) -> Tower:
    """Take a `DenseNetwork`'s variables (kernels stored ``[out, in]``) into Keras's layout."""
    layers = [(np.asarray(layer["kernel"]).T, np.asarray(layer["bias"])[:, 0]) for layer in variables.trainable]
    return Tower(encoding, layers, activation, regularization, shift, scale)


def build_model(towers: Sequence[Tower], *, classification: bool) -> Any:
    """Join towers into one Keras model.

    Returns
    -------
    keras.Model with one input ``encoding_i`` [rows, d] for each encoding, in order, and one output: probabilities
    [rows, k] or values [rows, 1], the mean over the towers. Chosen dropout and penalties are ordinary layers and
    regularizers. (Dropped weights have no counterpart in Keras; prediction does not need one.) Values are computed in
    float32, about 7 digits: units in which they are no larger than they differ are chosen outside.
    """
    keras = import_keras()
    widths: dict[int, int] = {}
    for item in towers:
        widths.setdefault(item.encoding, len(item.layers[0][0]))
    inputs = {i: keras.Input((widths[i],), name=f"encoding_{i}") for i in sorted(widths)}
    outputs = [
        _add_tower(keras, item, f"tower_{i}", inputs[item.encoding], classification) for i, item in enumerate(towers)
    ]
    output = keras.layers.Average(name="mean")(outputs) if len(outputs) > 1 else outputs[0]
    model = keras.Model(list(inputs.values()) if len(inputs) > 1 else inputs[min(inputs)], output, name="fitwell")
    _set_weights(model, towers)
    return model


def _add_tower(keras: Any, item: Tower, name: str, values: Any, classification: bool) -> Any:
    last = len(item.layers) - 1
    for number, (kernel, _) in enumerate(item.layers):
        place = f"hidden_{number + 1}" if number < last else "output"  # as `DenseNetwork.layers` names them
        activation = item.activation if number < last else ("softmax" if classification else "linear")
        dense = keras.layers.Dense(
            kernel.shape[1],
            activation=activation,
            kernel_regularizer=_regularizer(keras, item.regularization, place),
            name=f"{name}_dense_{number}",
        )
        values = dense(values)
        if number < last and (rate := item.regularization.in_keras("dropout", place).get("rate", 0.0)) > 0:
            values = keras.layers.Dropout(rate, name=f"{name}_dropout_{number}")(values)
    return values


def _regularizer(keras: Any, regularization: Regularization, place: str) -> Any:
    # L1L2 even where one of them is 0: TensorFlow.js knows no other class
    held = regularization.in_keras("regularizer", place)
    return keras.regularizers.L1L2(**held) if any(held.values()) else None


def _set_weights(model: Any, towers: Sequence[Tower]) -> None:
    for i, item in enumerate(towers):
        last = len(item.layers) - 1
        for number, (kernel, bias) in enumerate(item.layers):
            scale, shift = (item.scale, item.shift) if number == last else (1.0, 0.0)
            model.get_layer(f"tower_{i}_dense_{number}").set_weights([kernel * scale, bias * scale + shift])

"""A table's model built by Keras's own functions: what `fitwell.keras.plain_model` is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from fitwell.keras.towers import Tower
from fitwell.regularization.strengths import Regularization


def build_model(towers: Sequence[Tower], *, classification: bool) -> Any:
    """Join towers into one Keras model."""
    widths: dict[int, int] = {}
    for item in towers:
        widths.setdefault(item.encoding, len(item.layers[0][0]))
    inputs = {i: keras.Input((widths[i],), name=f"encoding_{i}") for i in sorted(widths)}
    outputs = [_add_tower(item, f"tower_{i}", inputs[item.encoding], classification) for i, item in enumerate(towers)]
    output = keras.layers.Average(name="mean")(outputs) if len(outputs) > 1 else outputs[0]
    model = keras.Model(list(inputs.values()) if len(inputs) > 1 else inputs[min(inputs)], output, name="fitwell")
    _set_weights(model, towers)
    return model


def _add_tower(item: Tower, name: str, values: Any, classification: bool) -> Any:
    last = len(item.layers) - 1
    for number, (kernel, _) in enumerate(item.layers):
        place = f"hidden_{number + 1}" if number < last else "output"  # as `DenseNetwork.layers` names them
        activation = item.activation if number < last else ("softmax" if classification else "linear")
        dense = keras.layers.Dense(
            kernel.shape[1],
            activation=activation,
            kernel_regularizer=_regularizer(item.regularization, place),
            name=f"{name}_dense_{number}",
        )
        values = dense(values)
        if number < last and (rate := item.regularization.in_keras("dropout", place).get("rate", 0.0)) > 0:
            values = keras.layers.Dropout(rate, name=f"{name}_dropout_{number}")(values)
    return values


def _regularizer(regularization: Regularization, place: str) -> Any:
    # L1L2 even where one of them is 0: TensorFlow.js knows no other class
    held = regularization.in_keras("regularizer", place)
    return keras.regularizers.L1L2(**held) if any(held.values()) else None


def _set_weights(model: Any, towers: Sequence[Tower]) -> None:
    for i, item in enumerate(towers):
        last = len(item.layers) - 1
        for number, (kernel, bias) in enumerate(item.layers):
            scale, shift = (item.scale, item.shift) if number == last else (1.0, 0.0)
            model.get_layer(f"tower_{i}_dense_{number}").set_weights([kernel * scale, bias * scale + shift])

"""A table's model for TensorFlow.js, written without Keras: what `to_tfjs` writes of the same Keras model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fitwell.keras.plain_model import PlainModel, sources_of
from fitwell.tfjs.document import write_document
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor

GLOROT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
}
"""TensorFlow.js's words for Keras's GlorotUniform."""


def write_plain_model(model: PlainModel, directory: Path, *, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a table's model into an existing directory."""
    graph, weights = plain_to_tfjs(model)
    write_document(directory, graph, weights, training=None, metadata=dict(metadata or {}) or None)


def plain_to_tfjs(model: PlainModel) -> tuple[TfjsGraph, dict[str, np.ndarray]]:
    """Return a table's model as layers that TensorFlow.js has, and their weights by its names of them."""
    output = model.config["config"]["output_layers"][0]
    layers = {layer["name"]: layer for layer in model.layers}
    names = [*model.inputs, *_towards(output, layers, set(model.inputs))]
    weights = {}
    for name in names:
        if name in model.weights:
            weights[f"{name}/kernel"], weights[f"{name}/bias"] = model.weights[name]
    is_chain = all(len(sources_of(layers[name])) <= 1 for name in names)
    inputs = tuple(TfjsTensor(name) for name in model.inputs)
    written = tuple(_layer(layers[name]) for name in names)
    return TfjsGraph(
        model.config["config"]["name"], written, inputs, (TfjsTensor(output),), sequential=is_chain
    ), weights


def _towards(name: str, layers: Mapping[str, dict[str, Any]], seen: set[str]) -> Iterator[str]:
    """The layers on the way to one, each behind those that it takes from."""
    if name in seen:
        return
    seen.add(name)
    for source in sources_of(layers[name]):
        yield from _towards(source, layers, seen)
    yield name


def _layer(layer: dict[str, Any]) -> TfjsLayer:
    call = tuple(TfjsTensor(source) for source in sources_of(layer))
    return TfjsLayer(layer["class_name"], layer["name"], _config(layer["class_name"], layer["config"]), (call,))


def _config(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "InputLayer":
        return {"batch_input_shape": given["batch_shape"], "dtype": "float32"}
    if kind == "Dropout":
        return {"trainable": True, "noise_shape": None, "rate": given["rate"], "seed": None}
    if kind == "Average":
        return {"trainable": True}
    penalty = given["kernel_regularizer"]
    return {
        "trainable": True,
        "activation": given["activation"],
        "kernel_regularizer": penalty and {"class_name": "L1L2", "config": dict(penalty["config"])},
        "kernel_initializer": GLOROT,
        "bias_regularizer": None,
        "bias_initializer": {"class_name": "Zeros", "config": {}},
        "units": given["units"],
        "use_bias": True,
    }

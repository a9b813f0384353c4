"""Files of a Sequential of Keras 3 from a converter: TensorFlow.js cannot load them, so they mean what Keras means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fitwell.errors import FileError
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer
from fitwell.tfjs.topology import KERAS_SHAPE

ADVICE = (
    "The file is of Keras 3, and TensorFlow.js cannot load it either: load the model in Keras, and write it by "
    "fitwell.tfjs.save."
)
"""Behind what is not read of such a file."""

OTHER_HERE = {
    ("activation", "hard_sigmoid"): "another function",
    ("recurrent_activation", "hard_sigmoid"): "another function",
    ("interpolation", "bilinear"): "another interpolation",
}
"""Settings of the same name that compute other numbers in TensorFlow.js, and what they are there."""

SAME_THERE = {"silu": "swish"}
"""Activations to TensorFlow.js's names of them."""


def is_of_keras_three(graph: TfjsGraph, weights: Iterable[str]) -> bool:
    """Whether only Keras 3 writes a file so: its inputs' shapes, or weights named by the model they were built in."""
    if any(KERAS_SHAPE in layer.config for layer in graph.walk() if layer.class_name == "InputLayer"):
        return True
    layers = {layer.name for layer in graph.walk()}
    slashed = {name for name in layers if "/" in name}
    within = {f"{model.name}/{layer.name}" for model in _models(graph) for layer in model.layers} - layers
    for name in weights:
        parts = name.split("/")
        start = "/".join(parts[:2])
        if len(parts) < 3 or start in slashed:
            continue
        # of a model that was renamed only the layer is known
        if start in within or (parts[0] not in layers and parts[1] in layers):
            return True
    return False


def as_tensorflow_js(graph: TfjsGraph) -> TfjsGraph:
    """Return a graph with settings as TensorFlow.js has them.

    Raises
    ------
    FileError
        One means something else there.
    """
    return replace(graph, layers=tuple(map(_layer, graph.layers)))


def _models(graph: TfjsGraph) -> Iterator[TfjsGraph]:
    yield graph
    for layer in graph.layers:
        if layer.graph is not None:
            yield from _models(layer.graph)


def _layer(layer: TfjsLayer) -> TfjsLayer:
    if layer.graph is not None:
        return replace(layer, graph=as_tensorflow_js(layer.graph))
    config = _settings(layer, layer.config)
    # TensorFlow.js's name of it, whose default is another
    if layer.class_name == "LeakyReLU" and "negative_slope" in config:
        config["alpha"] = config.pop("negative_slope")
    # Keras writes both directions, TensorFlow.js the forward one
    if layer.class_name == "Bidirectional" and _turned(config.get("backward_layer")) == _plain(config.get("layer")):
        config.pop("backward_layer", None)
    return replace(layer, config=config)


def _plain(entry: Any) -> Any:
    """Return what a wrapped layer computes, without its name."""
    config = entry.get("config") if isinstance(entry, dict) else None
    if not isinstance(config, dict):
        return None
    return entry.get("class_name"), {key: value for key, value in config.items() if key != "name"}


def _turned(entry: Any) -> Any:
    """Return the same of a layer that runs the other way."""
    found = _plain(entry)
    if found is None:
        return None
    class_name, config = found
    return class_name, {**config, "go_backwards": not config.get("go_backwards", False)}


def _settings(layer: TfjsLayer, config: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        other = OTHER_HERE.get((key, value)) if isinstance(value, str) else None
        if other is not None:
            raise FileError(
                f"The layer '{layer.name}' ({layer.class_name}) has {key} = '{value}', which is {other} in "
                "TensorFlow.js."
            )
        if isinstance(value, dict):
            value = _settings(layer, value)
        elif isinstance(value, list):
            # the cells of a stack
            value = [_settings(layer, item) if isinstance(item, dict) else item for item in value]
        elif key.endswith("activation") and isinstance(value, str):
            value = SAME_THERE.get(value, value)
        found[key] = value
    return found

"""A table's network as Keras's own file, written, read and applied without Keras.

`model.keras` is a zip of the model's configuration, its weights (HDF5) and the version of Keras. For dense towers side
by side these are written directly, equal to what Keras would write, so that neither saving a table's model nor
predicting by it imports Keras.
"""

from __future__ import annotations

import copy
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from fitwell.engine.losses import sigmoid, softmax
from fitwell.extras import installed_version
from fitwell.keras.backend import import_keras
from fitwell.keras.internals import MODULE_OF_FUNCTIONAL
from fitwell.keras.towers import Tower
from fitwell.regularization.strengths import Regularization

OLDEST_KERAS = "3.15.0"
"""Whose files these are like."""

CONFIG_FILE, METADATA_FILE, WEIGHTS_FILE = "config.json", "metadata.json", "model.weights.h5"
"""The parts of a `.keras` file."""

OURS = re.compile(r"encoding_\d+|tower_\d+_(dense|dropout)_\d+|mean")
"""Names of the layers of a table's model."""

GROUPS = {"InputLayer": "input_layer", "Dense": "dense", "Dropout": "dropout", "Average": "average"}
"""Kinds of layers, and how Keras calls their groups in the file of weights: numbered in the order of the layers."""

Json = dict[str, Any]
Weights = tuple[np.ndarray, np.ndarray]


class _Place(NamedTuple):
    """Where a layer stands in Keras's order: layers of the greatest distance from the output first."""

    depth: int
    turn: int


@dataclass(frozen=True, eq=False)
class PlainModel:
    """Dense towers side by side, averaged.

    Attributes
    ----------
    config
        Keras's configuration of the whole model.
    weights
        Kernel [units in, units out] and bias [units out] of each dense layer, by its name.
    """

    config: Json
    weights: Mapping[str, Weights]

    @property
    def layers(self) -> list[Json]:
        """Configurations of the layers; each stands behind those whose outputs it takes."""
        return self.config["config"]["layers"]

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in order."""
        given = self.config["config"]["input_layers"]
        return [name for name, *_ in ([given] if isinstance(given[0], str) else given)]

    @property
    def is_compiled(self) -> bool:
        """Whether the file holds an optimizer and a loss, of somebody who trained the model further."""
        return bool(self.config.get("compile_config"))

    @cached_property
    def model(self) -> Any:
        """The same as a `keras.Model`."""
        # a copy, for Keras takes the configuration apart as it reads it
        model = import_keras().saving.deserialize_keras_object(copy.deepcopy(self.config))
        for name, weights in self.weights.items():
            model.get_layer(name).set_weights(weights)
        return model

    @cached_property
    def numbers_in_a_row(self) -> int:
        """How many numbers, of all layers together, one row becomes on its way."""
        widths = [layer["config"]["batch_shape"][1] for layer in self.layers if layer["class_name"] == "InputLayer"]
        return sum(widths) + sum(len(bias) for _, bias in self.weights.values())

    def predict(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities [rows, k] or values [rows, k] of the rows of each encoding, float [rows, d]."""
        values = {name: np.asarray(given, np.float32) for name, given in zip(self.inputs, inputs, strict=True)}
        for layer in self.layers:
            kind, name, taken = layer["class_name"], layer["name"], [values[source] for source in sources_of(layer)]
            if kind == "Dense":
                kernel, bias = self.weights[name]
                values[name] = ACTIVATE[layer["config"]["activation"]](taken[0] @ kernel + bias)
            elif kind == "Dropout":
                values[name] = taken[0]
            elif kind == "Average":
                values[name] = np.mean(taken, axis=0)
        return values[self.config["config"]["output_layers"][0]]

    def save(self, path: Path) -> None:
        """Write a `.keras` file."""
        metadata = {
            "keras_version": installed_version("keras") or OLDEST_KERAS,
            "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        }
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(METADATA_FILE, json.dumps(metadata))
            archive.writestr(CONFIG_FILE, json.dumps(self.config))
            archive.writestr(WEIGHTS_FILE, self._weights_file())

    def _weights_file(self) -> bytes:
        content = io.BytesIO()
        with h5py.File(content, "w", libver="latest") as file:
            for group, layer in _groups(self.layers):
                place = file.create_group(f"layers/{group}/vars")
                place.attrs["name"] = layer["name"]
                for number, array in enumerate(self.weights.get(layer["name"], ())):
                    place.create_dataset(str(number), data=array)
            file.create_group("vars").attrs["name"] = self.config["config"]["name"]
        return content.getvalue()


def plain_model(towers: Sequence[Tower], *, classification: bool, labels: bool = False) -> PlainModel:
    """Join towers into one model.

    It has one input ``encoding_i`` [rows, d] for each encoding, in order, and one output: probabilities [rows, k] (of
    classes, or of each of some labels) or values [rows, k], the mean over the towers. Chosen dropout and penalties are
    ordinary layers and regularizers. (Dropped weights have no counterpart in Keras; prediction does not need one.)
    Values are computed in float32, about 7 digits: units in which they are no larger than they differ are chosen
    outside.
    """
    end = "sigmoid" if labels else "softmax" if classification else "linear"
    layers: list[tuple[_Place, Json]] = []
    weights: dict[str, Weights] = {}
    deepest: dict[str, tuple[int, int, int]] = {}
    ends = []
    averaged = len(towers) > 1
    for number, tower in enumerate(towers):
        source, width = f"encoding_{tower.encoding}", len(tower.layers[0][0])
        chain = _chain(tower, f"tower_{number}", source, end)
        depth = len(chain) - 1 + averaged
        first = deepest.get(source, (0, len(layers) + len(deepest), width))
        deepest[source] = (max(first[0], depth + 1), *first[1:])
        for place, (config, own) in enumerate(chain):
            layers.append((_Place(depth - place, len(layers) + len(deepest)), config))
            if own is not None:
                weights[config["name"]] = own
        ends.append((chain[-1][0]["name"], len(tower.layers[-1][1])))
    layers += [(_Place(depth, index), _input(name, width)) for name, (depth, index, width) in deepest.items()]
    if averaged:
        layers.append((_Place(0, len(layers)), _average(ends)))
    layers.sort(key=lambda item: (-item[0].depth, item[0].turn))
    return PlainModel(_functional([config for _, config in layers], sorted(deepest, key=_number)), weights)


def read_plain_model(path: Path) -> PlainModel | None:
    """Read a table's model from a `.keras` file; None if it holds anything else, which Keras must read."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read(CONFIG_FILE))
        if not _is_ours(config):
            return None
        content = archive.read(WEIGHTS_FILE)
    weights = {}
    with h5py.File(io.BytesIO(content)) as file:
        for group, layer in _groups(config["config"]["layers"]):
            if layer["class_name"] == "Dense":
                kernel, bias = (_array(file, f"layers/{group}/vars/{number}") for number in range(2))
                weights[layer["name"]] = (kernel, bias)
    return PlainModel(config, weights)


def _array(file: h5py.File, name: str) -> np.ndarray:
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name} is no array")
    return found[()]


def _is_ours(config: Any) -> bool:
    """Whether it is all that `PlainModel.predict` knows: layers called as ours are, once each, in plain float32."""
    try:
        layers, output = config["config"]["layers"], config["config"]["output_layers"][0]
        known = all(
            layer["class_name"] in GROUPS and OURS.fullmatch(layer["name"]) and len(layer["inbound_nodes"]) <= 1
            for layer in layers
        )
        dense = [layer["config"] for layer in layers if layer["class_name"] == "Dense"]
        return config["class_name"] == "Functional" and isinstance(output, str) and known and all(map(_is_plain, dense))
    except (KeyError, TypeError):
        return False


def _is_plain(dense: Json) -> bool:
    """Whether a dense layer's kernel and bias are all that it computes with: neither quantized nor adapted."""
    usual = set(_dense("", "relu", Regularization(), "output", (1, 1), "")["config"])
    return (
        dense.keys() == usual
        and dense["activation"] in ACTIVATE
        and dense["use_bias"]
        and dense["quantization_config"] is None
        and dense["dtype"]["config"] == {"name": "float32"}
    )


def _chain(tower: Tower, name: str, source: str, end: str) -> list[tuple[Json, Weights | None]]:
    """The layers of one tower, one behind the other."""
    found: list[tuple[Json, Weights | None]] = []
    last = len(tower.layers) - 1
    for number, (kernel, bias) in enumerate(tower.layers):
        place = f"hidden_{number + 1}" if number < last else "output"  # as `DenseNetwork.layers` names them
        activation = tower.activation if number < last else end
        scale, shift = (tower.scale, tower.shift) if number == last else (1.0, 0.0)
        own = (np.asarray(kernel * scale, np.float32), np.asarray(bias * scale + shift, np.float32))
        made = _dense(f"{name}_dense_{number}", activation, tower.regularization, place, kernel.shape, source)
        found.append((made, own))
        source = made["name"]
        if number < last and (rate := tower.regularization.in_keras("dropout", place).get("rate", 0.0)) > 0:
            found.append((_dropout(f"{name}_dropout_{number}", rate, kernel.shape[1], source), None))
            source = f"{name}_dropout_{number}"
    return found


def _dense(
    name: str, activation: str, regularization: Regularization, place: str, shape: tuple[int, ...], source: str
) -> Json:
    # L1L2 even where one of them is 0: TensorFlow.js knows no other class
    held = regularization.in_keras("regularizer", place)
    config = {
        "name": name,
        "trainable": True,
        "dtype": _object("keras", "DTypePolicy", name="float32"),
        "units": shape[1],
        "activation": activation,
        "use_bias": True,
        "kernel_initializer": _object(
            "keras.initializers", "GlorotUniform", seed=None, input_axes=None, output_axes=None
        ),
        "bias_initializer": _object("keras.initializers", "Zeros"),
        "kernel_regularizer": _object("keras.regularizers", "L1L2", **held) if any(held.values()) else None,
        "bias_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
        "quantization_config": None,
    }
    return _layer("Dense", config, [_tensor(source, shape[0])], built_on=[None, shape[0]])


def _dropout(name: str, rate: float, width: int, source: str) -> Json:
    config = {
        "name": name,
        "trainable": True,
        "dtype": _object("keras", "DTypePolicy", name="float32"),
        "rate": rate,
        "seed": None,
        "noise_shape": None,
    }
    return _layer("Dropout", config, [_tensor(source, width)], said={"training": False})


def _average(ends: Sequence[tuple[str, int]]) -> Json:
    config = {"name": "mean", "trainable": True, "dtype": _object("keras", "DTypePolicy", name="float32")}
    taken = [_tensor(name, width) for name, width in ends]
    return _layer("Average", config, [taken], built_on=[[None, width] for _, width in ends])


def _input(name: str, width: int) -> Json:
    config = {
        "batch_shape": [None, width],
        "dtype": "float32",
        "sparse": False,
        "ragged": False,
        "name": name,
        "optional": False,
    }
    return _layer("InputLayer", config, None)


def _functional(layers: list[Json], inputs: list[str]) -> Json:
    given = [[name, 0, 0] for name in inputs]
    config = {
        "name": "fitwell",
        "trainable": True,
        "layers": layers,
        "input_layers": given if len(given) > 1 else given[0],
        # nothing stands behind the output
        "output_layers": [layers[-1]["name"], 0, 0],
    }
    return {
        "module": MODULE_OF_FUNCTIONAL,
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
        "build_config": {"input_shape": None},
        "compile_config": {},
    }


def _layer(kind: str, config: Json, taken: list[Any] | None, *, built_on: Any = None, said: Json | None = None) -> Json:
    """A layer as Keras writes it; `taken` are the tensors of its one call, None of an input."""
    return {
        **_object("keras.layers", kind, **config),
        **({"build_config": {"input_shape": built_on}} if built_on else {}),
        "name": config["name"],
        "inbound_nodes": [] if taken is None else [{"args": taken, "kwargs": said or {}}],
    }


def _object(module: str, kind: str, **config: Any) -> Json:
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def _tensor(source: str, width: int) -> Json:
    config = {"shape": [None, width], "dtype": "float32", "keras_history": [source, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def sources_of(layer: Json) -> list[str]:
    """Return the names of the layers whose outputs a layer of a `PlainModel` takes."""
    taken = [tensor for node in layer["inbound_nodes"] for tensor in node["args"]]
    tensors = taken[0] if taken and isinstance(taken[0], list) else taken
    return [tensor["config"]["keras_history"][0] for tensor in tensors]


def _groups(layers: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """Name each layer's group in the file of weights."""
    counts = dict.fromkeys(GROUPS, 0)
    for layer in layers:
        kind = layer["class_name"]
        yield f"{GROUPS[kind]}_{counts[kind]}" if counts[kind] else GROUPS[kind], layer
        counts[kind] += 1


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


ACTIVATE = {
    "linear": lambda values: values,
    "relu": lambda values: np.maximum(values, 0),
    "tanh": np.tanh,
    "silu": lambda values: values / (1 + np.exp(-values)),
    "softmax": softmax,
    "sigmoid": sigmoid,
}
"""Keras's activations by name."""

"""The topology in a model.json: JSON to a graph and back. What a file says is checked, whoever wrote it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fitwell.errors import FileError, InputError
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.soundness import checked
from fitwell.tfjs.spelling import snake_case

MODELS = ("Model", "Functional", "Sequential")
# each takes milliseconds to build in Keras, so a file must not ask for millions
MOST_LAYERS = 20_000
# reading recurses once for each
MOST_NESTED = 32
"""Models within models."""

MOST_NUMBERS = 2**31
"""Of one row of an input."""

GRAPH_MODEL = "It is a graph model, which has no layers: save it by model.save() of a model of tf.layers."
# the version that every layer is compared with
VERSION = "tfjs-layers 4.22.0"
"""As which TensorFlow.js reads what is written."""

KERAS_SHAPE = "batch_shape"
"""Key of an input in files of Keras 3, which TensorFlow.js does not take."""

HARMLESS = (None, False, {}, [])
"""Values of a call's further arguments that change nothing at inference."""


def parse_topology(topology: Any) -> TfjsGraph:
    """Read a topology as TensorFlow.js writes it, the converter did, or old versions of Keras.

    Raises
    ------
    FileError
        It is none of these, or refers to what is not there: TensorFlow.js would load such a file for ever.
    """
    found = _object(topology, "'modelTopology'")
    inside = found.get("model_config", found.get("modelConfig"))
    # the Python converter puts the model one level deeper
    found = found if inside is None else _object(inside, "'model_config'")
    class_name = found.get("class_name", found.get("className"))
    if class_name is None and "node" in found:
        raise FileError(GRAPH_MODEL)
    if class_name not in MODELS:
        raise FileError(f"'modelTopology' must be a Sequential or functional model. Got {str(class_name)[:100]!r}.")
    return _model(class_name, found.get("config"), 0)


def _model(class_name: str, config: Any, depth: int) -> TfjsGraph:
    if depth > MOST_NESTED:
        raise FileError(f"More than {MOST_NESTED} models lie within each other, and no more are read.")
    if class_name == "Sequential":
        return _sequential(config, depth)
    return _functional(_object(config, f"The config of the {class_name}"), depth)


def _sequential(config: Any, depth: int) -> TfjsGraph:
    # old versions of Keras wrote the bare list of layers
    config = {"layers": config} if isinstance(config, list) else _object(config, "The config of the Sequential")
    name = _name(config.get("name", "sequential"))
    entries = [_object(entry, "A layer") for entry in _list(config.get("layers"), f"The layers of '{name}'")]
    if not entries:
        raise FileError(f"The model '{name}' has no layers.")
    layers = [_layer(entry, depth) for entry in entries]
    # the first layer may carry the shape instead
    if layers[0].class_name != "InputLayer":
        layers.insert(0, _made_up_input(layers, name))
    chain = layers[:1]
    for layer in layers[1:]:
        chain.append(replace(layer, calls=((TfjsTensor(chain[-1].name),),)))
    graph = TfjsGraph(name, tuple(chain), (TfjsTensor(chain[0].name),), (TfjsTensor(chain[-1].name),), sequential=True)
    return checked(graph, FileError)


def _made_up_input(layers: Sequence[TfjsLayer], model: str) -> TfjsLayer:
    first = layers[0]
    if first.graph is not None:
        inner = first.graph.layer(first.graph.inputs[0].layer)
        config = {key: inner.config[key] for key in ("batch_input_shape", "dtype") if key in inner.config}
    else:
        config = {key: first.config[key] for key in ("batch_input_shape", "dtype") if first.config.get(key)}
        if "batch_input_shape" not in config and isinstance(first.config.get("input_shape"), list):
            config["batch_input_shape"] = [None, *first.config["input_shape"]]
    if "batch_input_shape" not in config:
        raise FileError(f"The first layer of '{model}' has no 'batch_input_shape': build the model before it is saved.")
    taken, name = {layer.name for layer in layers}, f"{first.name}_input"
    # somebody may have called a layer so
    while name in taken:
        name += "_"
    return TfjsLayer("InputLayer", name, _input_config(config, first.name))


def _functional(config: Mapping[str, Any], depth: int) -> TfjsGraph:
    name = _name(config.get("name", "model"))
    entries = [_object(entry, "A layer") for entry in _list(config.get("layers"), f"The layers of '{name}'")]
    layers = [_layer(entry, depth) for entry in entries]
    known = {layer.name: layer for layer in layers}
    called = []
    for layer, entry in zip(layers, entries, strict=True):
        nodes = _list(entry.get("inbound_nodes", entry.get("inboundNodes", [])), f"'inbound_nodes' of '{layer.name}'")
        calls = tuple(_call(node, layer.name, known) for node in nodes)
        if layer.class_name == "InputLayer":
            calls = calls or ((),)
        called.append(replace(layer, calls=calls))
    inputs, outputs = (_ends(config, key, known) for key in ("input_layers", "output_layers"))
    return checked(TfjsGraph(name, tuple(called), inputs, outputs), FileError)


def _layer(entry: Mapping[str, Any], depth: int) -> TfjsLayer:
    class_name = entry.get("class_name", entry.get("className"))
    if not isinstance(class_name, str) or not 0 < len(class_name) <= 200 or not class_name.isprintable():
        raise FileError(f"A layer has the class {str(class_name)[:100]!r}, which is no name.")
    config = entry.get("config")
    if class_name in MODELS:
        own = config.get("name") if isinstance(config, dict) else None
        graph = _model(class_name, config, depth + 1)
        name = _name(_layer_name(entry, own) or graph.name)
        return TfjsLayer("Sequential" if graph.sequential else "Model", name, graph=replace(graph, name=name))
    settings = snake_case(_object(config, f"The config of a {class_name}"))
    name = _name(_layer_name(entry, settings.pop("name", None)))
    if class_name == "InputLayer":
        settings = _input_config(settings, name)
    return TfjsLayer(class_name, name, settings)


def _layer_name(entry: Mapping[str, Any], own: Any) -> Any:
    """Return the name that calls refer to, which must be the layer's own: weights are found by that."""
    called = entry.get("name")
    if called is not None and own is not None and _name(called) != _name(own):
        raise FileError(f"The layer '{called[:100]}' is called '{own[:100]}' in its own config.")
    return own if called is None else called


def _input_config(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    if not isinstance(shape, list) or not 1 <= len(shape) <= 8 or not all(_is_length(length) for length in shape):
        raise FileError(f"The input '{name}' must have a 'batch_input_shape' of numbers. Got {repr(shape)[:100]}.")
    if math.prod(length or 1 for length in shape) > MOST_NUMBERS:
        raise FileError(f"The input '{name}' has more than {MOST_NUMBERS:,} numbers: {str(shape)[:100]}.")
    dtype = config.get("dtype") or "float32"
    if dtype not in ("float32", "int32", "bool"):
        raise FileError(
            f"The input '{name}' has the type {str(dtype)[:50]!r}, and only float32, int32 and bool are read."
        )
    # that only Keras 3 says it so is not lost: its settings may mean something else
    return {"batch_input_shape": shape, "dtype": dtype} | (
        {} if "batch_input_shape" in config else {KERAS_SHAPE: shape}
    )


def _is_length(length: Any) -> bool:
    return length is None or (type(length) is int and length > 0)


def _call(node: Any, layer: str, known: Mapping[str, TfjsLayer]) -> tuple[TfjsTensor, ...]:
    if isinstance(node, dict):
        raise FileError(
            f"'inbound_nodes' of '{layer}' is written as Keras 3 does, and TensorFlow.js cannot load that: load the "
            "model in Keras, and write it by fitwell.tfjs.save."
        )
    node = _list(node, f"A call of '{layer}'")
    # a single tensor may stand there without a list around it
    node = [node] if node and isinstance(node[0], str) else node
    return tuple(_tensor(entry, f"A call of '{layer}'", known) for entry in node)


def _ends(config: Mapping[str, Any], key: str, known: Mapping[str, TfjsLayer]) -> tuple[TfjsTensor, ...]:
    camel = "inputLayers" if key == "input_layers" else "outputLayers"
    entries = _list(config.get(key, config.get(camel)), f"'{key}'")
    # likewise for a single input or output
    entries = [entries] if entries and isinstance(entries[0], str) else entries
    if not entries:
        raise FileError(f"'{key}' names no layer.")
    return tuple(_tensor(entry, f"'{key}'", known) for entry in entries)


def _tensor(entry: Any, where: str, known: Mapping[str, TfjsLayer]) -> TfjsTensor:
    entry = _list(entry, where)
    if not 3 <= len(entry) <= 4 or not isinstance(entry[0], str) or not all(type(n) is int for n in entry[1:3]):
        raise FileError(f"{where} must name a layer, a call and an output. Got {str(entry)[:100]}.")
    layer, call, output = entry[0], entry[1], entry[2]
    if layer not in known:
        raise FileError(f"{where} refers to the layer {layer[:100]!r}, which is not in the model.")
    if len(entry) == 4:
        _check_arguments(entry[3], where)
    call -= known[layer].graph is not None  # a nested model's own graph is its call 0
    if call < 0 or output < 0:
        raise FileError(f"{where} refers to call {entry[1]} and output {output} of {layer!r}, which is not there.")
    return TfjsTensor(layer, call, output)


def _check_arguments(arguments: Any, where: str) -> None:
    if arguments is None:
        return
    for key, value in _object(arguments, f"The arguments of {where[0].lower()}{where[1:]}").items():
        # an argument that is passed over may change what the layer computes
        if value not in HARMLESS:
            raise FileError(f"{where} has the argument {str(key)[:50]!r}, which is not read: {str(value)[:100]!r}.")


def write_topology(graph: TfjsGraph) -> dict[str, Any]:
    """Return a graph as TensorFlow.js writes topologies.

    Raises
    ------
    InputError
        It refers to what is not there: TensorFlow.js would load it for ever.
    """
    return {**_written(graph), "keras_version": VERSION, "backend": "tensor_flow.js"}


def _written(graph: TfjsGraph) -> dict[str, Any]:
    # a file that refers to what is missing is loaded for ever: it must not be written
    graph = checked(graph, InputError)
    if graph.sequential:
        layers = [_entry(layer) for layer in graph.layers]
        return {"class_name": "Sequential", "config": {"name": graph.name, "layers": layers}}
    nested = {layer.name for layer in graph.layers if layer.graph is not None}
    layers = [
        {
            "name": layer.name,
            **_entry(layer),
            "inbound_nodes": [[[*_triple(tensor, nested), {}] for tensor in call] for call in layer.calls if call],
        }
        for layer in graph.layers
    ]
    ends = {key: [_triple(tensor, nested) for tensor in tensors]
            for key, tensors in (("input_layers", graph.inputs), ("output_layers", graph.outputs))}  # fmt: skip
    return {"class_name": "Model", "config": {"name": graph.name, "layers": layers, **ends}}


def _entry(layer: TfjsLayer) -> dict[str, Any]:
    if layer.graph is not None:
        inner = _written(layer.graph)
        return {"class_name": inner["class_name"], "config": {**inner["config"], "name": layer.name}}
    return {"class_name": layer.class_name, "config": {"name": layer.name, **layer.config}}


def _triple(tensor: TfjsTensor, nested: set[str]) -> list[Any]:
    return [tensor.layer, tensor.call + (tensor.layer in nested), tensor.output]


def _name(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 1000 or not name.isprintable():
        raise FileError(f"A layer or model has the name {str(name)[:100]!r}, which is no name.")
    return name


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FileError(f"{what} must be an object. Got {type(value).__name__}.")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise FileError(f"{what} must be a list. Got {type(value).__name__}.")
    if len(value) > MOST_LAYERS:
        raise FileError(f"{what} must have at most {MOST_LAYERS:,} entries. Got {len(value):,}.")
    return value

"""Whether a graph can be run: TensorFlow.js loads for ever what refers to something missing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor

# a stack of recurrent cells has one or two states for each
MOST_OUTPUTS = 64
"""Of a layer that does not say how many it has."""

STATES = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2, "ConvLSTM2D": 2}
"""States that a layer returns behind its output, if its config says so."""

_Key = TypeVar("_Key", bound=Hashable)


def checked(graph: TfjsGraph, error: type[Exception]) -> TfjsGraph:
    """Return a graph with its layers in order; models within it are not looked at.

    Raises
    ------
    error
        A name is there twice, a tensor is taken that is not there, an input layer is no input, or a layer waits for
        its own output.
    """
    _check_layers(graph, error)
    known = {layer.name: layer for layer in graph.layers}
    for layer in graph.layers:
        for tensor in itertools.chain.from_iterable(layer.calls):
            _check_tensor(tensor, known, f"A call of '{layer.name}'", error)
    for tensor in (*graph.inputs, *graph.outputs):
        _check_tensor(tensor, known, f"An input or output of '{graph.name}'", error)
    order = _in_order(graph, error)
    return replace(graph, layers=tuple(known[name] for name in order))


def _check_layers(graph: TfjsGraph, error: type[Exception]) -> None:
    names = Counter(layer.name for layer in graph.layers)
    # weights are found by the layer's name
    if len(names) < len(graph.layers):
        raise error(f"Two layers of '{graph.name}' are called '{names.most_common(1)[0][0]}'.")
    if not graph.inputs or not graph.outputs:
        raise error(f"The model '{graph.name}' must have inputs and outputs.")
    inputs = [layer.name for layer in graph.layers if layer.class_name == "InputLayer"]
    # an input that is not listed would never be fed
    if sorted(inputs) != sorted(tensor.layer for tensor in graph.inputs):
        named = ", ".join(tensor.layer for tensor in graph.inputs)[:200]
        raise error(
            f"The inputs of '{graph.name}' must be its input layers, each once. Got {named}, and its input layers are"
            f" {', '.join(inputs)[:200] or 'none'}."
        )
    for layer in graph.layers:
        takes = {len(call) for call in layer.calls}
        if layer.class_name == "InputLayer":
            if layer.calls != ((),):
                raise error(f"The input layer '{layer.name}' takes tensors, and an input has none to take.")
        elif 0 in takes:
            raise error(f"The layer '{layer.name}' of '{graph.name}' is called with no tensors.")
        elif layer.graph is not None and takes - {len(layer.graph.inputs)}:
            raise error(f"The model '{layer.name}' has {len(layer.graph.inputs)} inputs, and is called with others.")
    if graph.sequential:
        _check_chain(graph, error)


def _check_chain(graph: TfjsGraph, error: type[Exception]) -> None:
    before = graph.layers[0]
    for layer in graph.layers[1:]:
        if layer.calls != ((TfjsTensor(before.name),),):
            raise error(f"The layer '{layer.name}' of the Sequential '{graph.name}' must take the one before it only.")
        before = layer
    if graph.inputs != (TfjsTensor(graph.layers[0].name),) or graph.outputs != (TfjsTensor(before.name),):
        raise error(f"The Sequential '{graph.name}' must begin with its input and end with its output.")
    for layer in graph.layers:
        if (_outputs(layer) or 1) > 1:
            raise error(f"The layer '{layer.name}' of the Sequential '{graph.name}' has several outputs.")


def _check_tensor(tensor: TfjsTensor, known: Mapping[str, TfjsLayer], where: str, error: type[Exception]) -> None:
    layer = known.get(tensor.layer)
    if layer is None:
        raise error(f"{where} refers to the layer '{tensor.layer[:100]}', which is not in the model.")
    if not 0 <= tensor.call < len(layer.calls):
        raise error(
            f"{where} refers to call {tensor.call} (counted from 0) of '{layer.name}', which has {len(layer.calls)}."
        )
    outputs = _outputs(layer)
    if not 0 <= tensor.output < (MOST_OUTPUTS if outputs is None else outputs):
        raise error(
            f"{where} refers to output {tensor.output} (counted from 0) of '{layer.name}', which has {outputs}."
        )


def _outputs(layer: TfjsLayer) -> int | None:
    """Return how many outputs a layer has, or None where only building it would tell."""
    if layer.graph is not None:
        return len(layer.graph.outputs)
    if layer.class_name in STATES:
        return 1 + STATES[layer.class_name] * bool(layer.config.get("return_state"))
    if layer.class_name == "Bidirectional":
        return None
    return None if layer.class_name == "RNN" and layer.config.get("return_state") else 1


def _in_order(graph: TfjsGraph, error: type[Exception]) -> list[str]:
    """Return the layers' names, every one behind those that it takes tensors of; the given order where it is one.

    Of layers that are called again with what came of them, such an order is not possible: then every one is behind
    those that its first call takes tensors of.
    """
    calls = {
        (layer.name, number): [(tensor.layer, tensor.call) for tensor in call]
        for layer in graph.layers
        for number, call in enumerate(layer.calls)
    }
    # by calls, not by layers: a shared layer may well take what came of its first call
    steps = _sorted(calls)
    if steps is None:
        raise error(f"The model '{graph.name}' has a cycle: a layer waits for its own output.")
    layers = {layer.name: [tensor.layer for call in layer.calls for tensor in call] for layer in graph.layers}
    order = _sorted(layers)
    # a set in order; layers that are never called come last
    return list(dict.fromkeys([name for name, _ in steps] + list(layers))) if order is None else order


def _sorted(needs: Mapping[_Key, Sequence[_Key]]) -> list[_Key] | None:
    """Return keys behind what they need, None if that is not possible; no recursion, for chains are long."""
    order: dict[_Key, None] = {}
    for start in needs:
        path = [] if start in order else [(start, iter(needs[start]))]
        open_ = {start}
        while path:
            key, rest = path[-1]
            following = next((other for other in rest if other not in order), None)
            if following is None:
                order[key] = None
                open_.discard(key)
                path.pop()
            elif following in open_:
                return None
            else:
                open_.add(following)
                path.append((following, iter(needs[following])))
    return list(order)

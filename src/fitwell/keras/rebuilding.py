"""Keras models built anew from their layers: a private copy, or a copy with some layers changed and some added.

What Keras's own `clone_model` lacks: layers behind those of a Sequential model, nested models of any kind, and models
whose compile settings cannot be written as a configuration.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fitwell.errors import InputError
from fitwell.keras.backend import import_keras

Layer = Any
"""A `keras.layers.Layer`, or an operation of a functional model that is no layer."""


@dataclass
class Graph:
    """Which layer takes which tensors, in a Sequential or functional model, by the layers of the original.

    Attributes
    ----------
    calls
        (layer, tensors it takes, tensors it gives), in order.
    outputs
        The model's.
    """

    calls: list[tuple[Layer, list[Any], list[Any]]] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    def consumers(self, layer: Layer) -> list[Layer]:
        """Return the layers that take what `layer` gives, once for each time."""
        given = [tensor for called, _, outputs in self.calls if called is layer for tensor in outputs]
        return [called for called, taken, _ in self.calls for tensor in taken if _among(tensor, given)]

    def inputs(self, layer: Layer) -> int:
        """Return the number of tensors that `layer` takes, over all its calls."""
        return sum(len(taken) for called, taken, _ in self.calls if called is layer)

    def is_output(self, layer: Layer) -> bool:
        """Return whether the model gives what `layer` gives."""
        return any(called is layer and any(_among(t, self.outputs) for t in given) for called, _, given in self.calls)


@dataclass
class Rebuilt:
    """A model built anew.

    Attributes
    ----------
    model
        The new one.
    graphs
        id of an original Sequential or functional model, nested ones too, to its `Graph`.
    made
        id of an original layer to the new one. (Added layers change the order of a functional model's layers, so that
        counting does not find it.)
    """

    model: Any
    graphs: dict[int, Graph]
    made: dict[int, Layer]


def is_graph(layer: Layer) -> bool:
    """Return whether a layer is a Sequential or functional model, whose structure is known."""
    keras = import_keras()
    return isinstance(layer, keras.Sequential) or _is_functional(layer)


def rebuild(
    model: Any,
    make: Callable[[Layer], Layer],
    behind: Callable[[Layer], Layer | None] = lambda layer: None,
    *,
    any_rows: bool = False,
) -> Rebuilt:
    """Build a Sequential or functional model anew.

    Parameters
    ----------
    make
        Gives the new layer for a layer of the original that is no such model itself.
    behind
        Gives a layer to be put behind a layer of the original, or None; asked once for each layer.
    any_rows
        Whether Sequential models come out for any number of rows: Keras builds one without an Input for the number of
        rows that it saw first.
    """
    builder = _Builder(make, behind, any_rows)
    return Rebuilt(builder.build(model), builder.graphs, builder.made)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let Keras draw the seeds of new layers from `seed`; Python's own generator goes on afterwards as if untouched.

    Initializers and noise layers without a seed take theirs from Python's `random` when they are made.
    """
    # a person's own draws must not depend on whether a search ran in between
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def from_config(layer: Layer, /, **changes: Any) -> Layer:
    """Make a layer anew from its configuration, with some of it changed."""
    keras = import_keras()
    config = {**layer.get_config(), **changes}
    try:
        if isinstance(layer, keras.layers.Lambda):  # the function is this process's own
            return type(layer).from_config(config, safe_mode=False)
        return type(layer).from_config(config)
    except Exception as error:  # what a layer of somebody else's raises can be anything
        raise InputError(
            f"The layer '{layer.name}' ({type(layer).__name__}) cannot be made anew from its get_config() "
            f"({type(error).__name__}: {_first_line(error)}): give it a get_config() that its __init__ takes."
        ) from error


class _Builder:
    """One rebuilding: remembers what was made, since layers may be shared."""

    def __init__(self, make: Callable[[Layer], Layer], behind: Callable[[Layer], Layer | None], any_rows: bool) -> None:
        self.make, self.behind, self.any_rows = make, behind, any_rows
        self.keras = import_keras()
        self.made: dict[int, Layer] = {}
        self.added: dict[int, Layer | None] = {}
        self.graphs: dict[int, Graph] = {}

    def build(self, model: Any) -> Any:
        graph = self.graphs[id(model)] = Graph()
        if isinstance(model, self.keras.Sequential):
            return self._sequential(model, graph)
        return self._functional(model, graph)

    def _new(self, layer: Layer) -> Layer:
        if id(layer) not in self.made:
            if not isinstance(layer, self.keras.layers.Layer):
                self.made[id(layer)] = layer  # an operation such as `a + b` has no state
            elif is_graph(layer):
                self.made[id(layer)] = self.build(layer)
            else:
                self.made[id(layer)] = self.make(layer)
        return self.made[id(layer)]

    def _behind(self, layer: Layer) -> Layer | None:
        if id(layer) not in self.added:
            self.added[id(layer)] = self.behind(layer)
        return self.added[id(layer)]

    def _sequential(self, model: Any, graph: Graph) -> Any:
        layers: list[Layer] = []
        if model.built and model.inputs:
            inputs = model.inputs[0]
            shape = (None, *inputs.shape[1:]) if self.any_rows else inputs.shape
            layers.append(self.keras.Input(batch_shape=shape, dtype=inputs.dtype, name=inputs.name))
        # any object stands for what passes between two layers: a Sequential may have no tensors yet
        tensor = object()
        for layer in model.layers:
            layers.append(self._new(layer))
            if (more := self._behind(layer)) is not None:
                layers.append(more)
            before, tensor = tensor, object()
            # the added layer is left out: the graph is that of the original
            graph.calls.append((layer, [before], [tensor]))
        graph.outputs = [tensor]
        return self.keras.Sequential(layers, name=model.name, trainable=model.trainable)

    def _functional(self, model: Any, graph: Graph) -> Any:
        keras = self.keras
        originals: dict[int, Layer] = {}

        def clone(layer: Layer) -> Layer:
            new = self._new(layer)
            originals[id(new)] = layer
            return new

        def call(new: Layer, *args: Any, **kwargs: Any) -> Any:
            layer = originals[id(new)]
            taken = _tensors(keras, (args, kwargs))
            outputs = new(*args, **kwargs)
            if (more := self._behind(layer)) is not None:
                outputs = _first_through(keras, more, outputs)
            graph.calls.append((layer, taken, _tensors(keras, outputs)))
            return outputs

        # an alias, since Keras would compile the clone of a compiled model from its configuration, which not all have
        alias = keras.Model(model.input, model.output, name=model.name)
        built = keras.models.clone_model(alias, clone_function=clone, call_function=call)
        # the alias is trainable, whatever the model was
        built.trainable = model.trainable
        graph.outputs = _tensors(keras, built.output)
        return built


def _is_functional(layer: Layer) -> bool:
    """Functional models have tensors for inputs; a subclassed model has none, even when it is built."""
    keras = import_keras()
    if not isinstance(layer, keras.Model) or isinstance(layer, keras.Sequential):
        return False
    try:
        return layer.input is not None and layer.output is not None
    except (AttributeError, ValueError):
        return False


def _first_through(keras: Any, layer: Layer, outputs: Any) -> Any:
    """Send the first tensor (a recurrent layer may give its states beside it) through a layer."""
    flat = keras.tree.flatten(outputs)
    return keras.tree.pack_sequence_as(outputs, [layer(flat[0]), *flat[1:]])


def _tensors(keras: Any, structure: Any) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(structure) if keras.backend.is_keras_tensor(leaf)]


def _among(tensor: Any, tensors: list[Any]) -> bool:
    # by identity: a tensor is another one's equal only if it is that one
    return any(tensor is other for other in tensors)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""

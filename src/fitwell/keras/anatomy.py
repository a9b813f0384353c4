"""Where regularization can act in a Keras model: its kernels, and the places where units are dropped.

Everything is read from the model as it is now, never kept: a strength changed on a layer counts at the next look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.keras.backend import import_keras, is_keras_own
from fitwell.keras.internals import decays, inner_layers
from fitwell.keras.rebuilding import Graph, Layer, from_config, is_graph
from fitwell.regularization.regularizer import Axes, Regularizer

KERNEL_ARGUMENTS = {
    "kernel": "kernel_regularizer",
    "recurrent_kernel": "recurrent_regularizer",
    "depthwise_kernel": "depthwise_regularizer",
    "pointwise_kernel": "pointwise_regularizer",
}
"""A kernel's name in its layer to the argument that holds its regularizer (but see `regularizer_argument`)."""

ELEMENTWISE = frozenset(
    [
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
        *("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization"),
    ]
)
"""Layers that belong to the hidden layer before them: dropout comes behind them."""

SHAPING = frozenset(
    f"{name}{n}D"
    for name in ("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling", "ZeroPadding", "Cropping")
    for n in (1, 2, 3)
) | {"Flatten", "Reshape", "Permute", "UpSampling1D", "UpSampling2D", "UpSampling3D"}
"""Layers that may stand between a hidden layer and its dropout."""

DROPOUTS = {"Dropout": 0, "SpatialDropout1D": 1, "SpatialDropout2D": 2, "SpatialDropout3D": 3}
"""Keras's layers that drop units, to the number of dimensions over which they drop them together."""

OTHER_NOISE = frozenset({"GaussianDropout", "AlphaDropout"})
"""Dropout of another kind: as it is in the model as given, ordinary dropout in its place for every other strength."""


@dataclass(frozen=True)
class Kernel:
    """A trainable variable that penalties and weight dropout can act on.

    Attributes
    ----------
    place
        Its name among the strengths' places.
    layer
        The outermost layer that holds it, no model.
    variable
        Its Keras variable.
    axes
        What its axes mean.
    regularizer
        That of its layer in Keras, if any.
    """

    place: str
    layer: Layer
    variable: Any
    axes: Axes
    regularizer: Any

    def strength(self, row: Regularizer) -> float:
        """Return the kernel's own strength of a regularizer: what Keras's regularizer, or the layer, says now."""
        if row.keras is None:
            return 0.0
        if row.keras.holder == "regularizer":
            held = self.regularizer if is_penalty(self.regularizer) else None
            return float(getattr(held, row.keras.attribute, 0.0))
        return number(getattr(self.layer, row.keras.attribute, 0.0)) if row.keras.holder == "layer" else 0.0


@dataclass(frozen=True)
class UnitPlace:
    """A place where units can be dropped.

    Attributes
    ----------
    place
        Its name among the strengths' places.
    layer
        The layer whose output is dropped, or the model's own layer that drops it.
    rate
        That layer's own rate; None if there is no such layer and dropout would be put in.
    """

    place: str
    layer: Layer
    rate: float | None

    def strength(self, row: Regularizer) -> float:
        """Return the place's own strength of a regularizer."""
        return self.rate or 0.0 if row.keras and row.keras.holder == "dropout" else 0.0


def walk(model: Any) -> Iterator[Layer]:
    """Yield the layers of a model in a fixed order, each once: nested models are opened, all other layers are not."""
    seen: set[int] = set()

    def visit(layer: Layer) -> Iterator[Layer]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        if isinstance(layer, import_keras().Model):
            for inner in layer.layers:
                yield from visit(inner)
        else:
            yield layer

    yield from visit(model)


def parts(layer: Layer) -> Iterator[Layer]:
    """Yield a layer and all the layers inside it (cells, projections of attention), each once."""
    seen: set[int] = set()

    def visit(inner: Layer) -> Iterator[Layer]:
        if id(inner) in seen:
            return
        seen.add(id(inner))
        yield inner
        for deeper in inner_layers(inner):
            yield from visit(deeper)

    yield from visit(layer)


def names(model: Any) -> dict[int, str]:
    """Name every layer of `walk` by its id: its own name, with the nested model's before it where two are alike."""
    found = list(walk(model))
    count: dict[str, int] = {}
    for layer in found:
        count[layer.name] = count.get(layer.name, 0) + 1
    owners = {id(inner): outer.name for outer in _models(model) for inner in outer.layers}
    return {
        id(layer): layer.name if count[layer.name] == 1 else f"{owners.get(id(layer), '')}/{layer.name}"
        for layer in found
    }


def kernels(model: Any) -> list[Kernel]:
    """Return the trainable kernels, in the order of ``model.trainable_variables``."""
    named, order = names(model), {id(v): i for i, v in enumerate(model.trainable_variables)}
    found: dict[int, Kernel] = {}
    for layer in walk(model):
        owned = [
            (attribute, inner, variable)
            for inner in parts(layer)
            for attribute in KERNEL_ARGUMENTS
            if id(variable := getattr_built(inner, attribute)) in order
            and _has_key(layer.get_config(), regularizer_argument(inner, attribute))
        ]
        several = len({attribute for attribute, _, _ in owned}) > 1
        for attribute, inner, variable in owned:
            place = f"{named[id(layer)]}:{attribute}" if several else named[id(layer)]
            held = getattr(inner, regularizer_argument(inner, attribute), None)
            found[order[id(variable)]] = Kernel(place, layer, variable, axes_of(inner, variable), held)
    return [found[i] for i in sorted(found)]


def decayed(model: Any, optimizer: Any) -> list[str | None]:
    """Return for every trainable variable the name of its layer if weight decay acts on it, else None.

    Parameters
    ----------
    optimizer
        Whose choice it is (`exclude_from_weight_decay`); None lets all variables decay, as every optimizer does at
        first.
    """
    named = names(model)
    owner = {id(variable): named[id(layer)] for layer in walk(model) for variable in layer.trainable_variables}
    variables = model.trainable_variables
    # a subclassed model may have variables of its own, in none of its layers
    return [owner.get(id(v), model.name) if optimizer is None or decays(optimizer, v) else None for v in variables]


def unit_places(model: Any, graphs: dict[int, Graph], wanted: Sequence[str] | None = None) -> list[UnitPlace]:
    """Return the places where units can be dropped, in order of depth.

    Parameters
    ----------
    graphs
        Of `model` and its nested models, as `rebuild` returns them; empty for a subclassed model.
    wanted
        Names of layers to put dropout behind, in place of every hidden layer that has none.
    """
    named = names(model)
    ends = _hidden_ends(model, graphs) if wanted is None else _chosen_ends(model, named, wanted)
    found: list[UnitPlace] = []
    for layer in walk(model):
        for inner in parts(layer):
            if is_dropout(inner) and layer.trainable and (inner is layer or _searchable(model, layer, inner)):
                name = named[id(layer)] if inner is layer else f"{named[id(layer)]}:{inner.name}"
                found.append(UnitPlace(name, inner, number(inner.rate)))
        found += [UnitPlace(named[id(head)], end, None) for head, end in ends if end is layer]
    return found


def is_dropout(layer: Layer) -> bool:
    """Return whether a layer drops units and does nothing else."""
    return kind(layer) in {*DROPOUTS, *OTHER_NOISE}


def number(value: Any) -> float:
    """Return a number that may be a variable."""
    return float(np.asarray(value))


def kind(layer: Layer) -> str:
    """Return the name of a layer's class."""
    return type(layer).__name__


def axes_of(layer: Layer, kernel: Any) -> Axes:
    """Return which axes of a layer's kernel are its inputs and its outputs.

    The last two, but where an equation says it: in ``"abc,cde->abde"``, a projection of attention, ``c`` goes in and
    ``de`` come out.
    """
    equation = getattr(layer, "equation", None)
    if not isinstance(equation, str) or "->" not in equation:
        return Axes()
    taken, given = equation.split("->")
    letters = taken.split(",")[1]  # inputs, kernel
    outputs = tuple(i for i, letter in enumerate(letters) if letter in given)
    inputs = tuple(i for i in range(len(letters)) if i not in outputs)
    return Axes(inputs, outputs) if len(letters) == len(kernel.shape) and "." not in letters else Axes()


def is_penalty(regularizer: Any) -> bool:
    """Return whether a regularizer is exactly Keras's L1, L2 or L1L2, which strengths can take the place of."""
    regularizers = import_keras().regularizers
    return type(regularizer) in (regularizers.L1, regularizers.L2, regularizers.L1L2)


def regularizer_argument(layer: Layer, attribute: str) -> str:
    """Return the argument that holds the regularizer of a kernel; depthwise convolutions call theirs otherwise."""
    if attribute == "kernel" and hasattr(layer, "depthwise_regularizer"):
        return KERNEL_ARGUMENTS["depthwise_kernel"]
    return KERNEL_ARGUMENTS[attribute]


def rate_argument(layer: Layer, inner: Layer) -> str | None:
    """Return the argument of a layer that says the rate of a dropout inside it; None if no argument does.

    A layer of somebody's own is asked by making it anew with another rate.
    """
    config, rate = layer.get_config(), number(inner.rate)
    if "dropout" in config and is_keras_own(layer):
        return "dropout"
    place = next(i for i, part in enumerate(parts(layer)) if part is inner)
    for key, value in config.items():
        if isinstance(value, float | int) and not isinstance(value, bool) and value == rate:
            changed = dict(enumerate(parts(from_config(layer, **{key: rate / 2})))).get(place)
            if changed is not None and is_dropout(changed) and number(changed.rate) == rate / 2:
                return key
    return None


def getattr_built(layer: Layer, attribute: str) -> Any:
    """Return a layer's variable, or None where it has none (yet)."""
    return getattr(layer, attribute, None) if layer.built else None


def _searchable(model: Any, layer: Layer, inner: Layer) -> bool:
    """Whether another rate can be written into a layer that drops units inside; if not, it stays as it is.

    In a subclassed model rates are set on the layers themselves.
    """
    return number(inner.rate) > 0 and (not is_graph(model) or rate_argument(layer, inner) is not None)


def _has_key(config: Any, key: str) -> bool:
    if isinstance(config, dict):
        return key in config or any(_has_key(value, key) for value in config.values())
    return isinstance(config, list | tuple) and any(_has_key(value, key) for value in config)


def _models(model: Any) -> Iterator[Any]:
    keras = import_keras()
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer)


def _hidden_ends(model: Any, graphs: dict[int, Graph]) -> list[tuple[Layer, Layer]]:
    """(hidden layer, the layer behind which its dropout belongs), for every hidden layer that has none."""
    heads = {id(kernel.layer) for kernel in kernels(model)}
    found: list[tuple[Layer, Layer]] = []

    def visit(inner: Any, output_is_hidden: bool) -> None:
        graph = graphs[id(inner)]
        for layer in dict.fromkeys(called for called, _, _ in graph.calls):
            if is_graph(layer):
                visit(layer, _goes_on(graph, layer, output_is_hidden))
            elif id(layer) in heads:
                end = _last_elementwise(graph, layer)
                if _goes_on(graph, end, output_is_hidden):
                    found.append((layer, end))

    if id(model) in graphs:
        visit(model, False)
    return found


def _last_elementwise(graph: Graph, layer: Layer) -> Layer:
    while (after := _only_consumer(graph, layer)) is not None and kind(after) in ELEMENTWISE:
        layer = after
    return layer


def _goes_on(graph: Graph, layer: Layer, output_is_hidden: bool) -> bool:
    """Whether what a layer gives is hidden and no dropout follows: shapes may change in between."""
    while not graph.is_output(layer):
        after = _only_consumer(graph, layer)
        if after is None:
            return True
        if is_dropout(after):
            return False
        if kind(after) not in SHAPING:
            return True
        layer = after
    return output_is_hidden


def _only_consumer(graph: Graph, layer: Layer) -> Layer | None:
    """The one layer that takes what `layer` gives and nothing else; None where the graph branches or ends."""
    consumers = graph.consumers(layer)
    if len(consumers) != 1 or graph.is_output(layer) or graph.inputs(consumers[0]) != 1:
        return None
    return consumers[0]


def _chosen_ends(model: Any, named: dict[int, str], wanted: Sequence[str]) -> list[tuple[Layer, Layer]]:
    chosen = set(wanted)
    return [(layer, layer) for layer in walk(model) if named[id(layer)] in chosen]

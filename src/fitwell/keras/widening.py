"""The same Keras model with more units: what a diagnosis tries to tell a network that is too small."""

from __future__ import annotations

from typing import Any

from fitwell.errors import InputError
from fitwell.keras.anatomy import walk
from fitwell.keras.compiled import compile_alike
from fitwell.keras.internals import decays
from fitwell.keras.keras_network import finalize, plain
from fitwell.keras.rebuilding import Graph, Layer, from_config, is_graph, rebuild

# heads and depth multipliers are sizes too, but tied to the shapes around them
SIZES = ("units", "filters")
"""Arguments that say how wide a layer is."""


def widen(model: Any, factor: int) -> Any | None:
    """Return a model whose hidden layers have `factor` times the units or filters, compiled alike.

    Dense, convolutional and recurrent layers are widened, but for those that make the model's outputs. Weights are
    drawn anew.

    Returns
    -------
    keras.Model, or None where that cannot be done: the model is subclassed, has no such layer, or would no longer fit
    together (a residual branch that is added to the model's inputs).
    """
    if not is_graph(model):
        return None
    graphs = rebuild(model, plain).graphs
    # a wider output layer would no longer fit the targets
    last = _last_sized(model, graphs)
    # a frozen layer holds what somebody trained elsewhere: wider, it would be random
    wide = {id(layer) for layer in walk(model) if _size(layer) and id(layer) not in last and layer.trainable}

    def make(layer: Layer) -> Layer:
        if id(layer) not in wide:
            return from_config(layer)
        return from_config(layer, **{name: factor * value for name, value in _size(layer).items()})

    if not wide:
        return None
    try:
        rebuilt = rebuild(model, make)
    except (ValueError, InputError):  # shapes that cannot be added
        return None
    kept = all(_keep(layer, rebuilt.made.get(id(layer))) for layer in walk(model) if id(layer) not in wide)
    # a last guard: outputs of another shape would not fit the targets
    if not kept or rebuilt.model.output_shape != model.output_shape:
        return None
    pairs = zip(model.trainable_variables, rebuilt.model.trainable_variables, strict=True)
    compile_alike(rebuilt.model, model, [new for old, new in pairs if not decays(model.optimizer, old)])
    return rebuilt.model


def _size(layer: Layer) -> dict[str, int]:
    return {name: value for name in SIZES if isinstance(value := getattr(layer, name, None), int)}


def _keep(layer: Layer, new: Layer | None) -> bool:
    """Give a layer's weights that do not train (frozen, or adapted to data) to the new layer; False if they do not fit.

    Moving statistics of normalisation begin anew where the layer is wider: they are learned with its weights.
    """
    # what trains is drawn anew with the rest
    if new is None or not layer.weights or layer.trainable_weights:
        return True
    if [v.shape for v in new.weights] != [v.shape for v in layer.weights]:
        return False
    new.set_weights(layer.get_weights())
    finalize(new)
    return True


def _last_sized(model: Any, graphs: dict[int, Graph]) -> set[int]:
    """Ids of the layers with a size that no other such layer stands behind: they make the outputs."""
    graph, found = graphs[id(model)], set()
    waiting, seen = list(graph.outputs), []
    # backwards from the outputs: the first layer with a size on a path is the last of it
    while waiting:
        tensor = waiting.pop()
        if any(tensor is other for other in seen):
            continue
        seen.append(tensor)
        for layer, taken, given in graph.calls:
            if not any(tensor is other for other in given):
                continue
            if _size(layer):
                found.add(id(layer))
            elif id(layer) in graphs:
                found |= _last_sized(layer, graphs)
            else:
                waiting += taken
    return found

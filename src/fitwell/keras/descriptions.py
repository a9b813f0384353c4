"""What regularizes a Keras model beside the strengths, named for people: what it is, its number, and its layers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from fitwell.keras.anatomy import OTHER_NOISE, is_dropout, is_penalty, kind, names, number, parts, walk

Named = tuple[str, str]
"""What it is, such as `"bias l2 = 0.01"`, and the layer that has it."""


def grouped(found: Iterable[Named]) -> tuple[str, ...]:
    """Return a text for each thing, with its layers: ``"bias l2 = 0.01 (first, second)"``."""
    layers: dict[str, dict[str, None]] = {}
    for what, layer in found:
        layers.setdefault(what, {})[layer] = None
    return tuple(f"{what} ({', '.join(where)})" for what, where in layers.items())


def described(regularizer: Any) -> list[str]:
    """Return what one of Keras's regularizers is, a text for each part of it that is on."""
    if is_penalty(regularizer):
        strengths = {name: number(getattr(regularizer, name, 0.0)) for name in ("l1", "l2")}
        return [f"{name} = {value:.3g}" for name, value in strengths.items() if value]
    return [type(regularizer).__name__]


def owners(model: Any) -> dict[int, str]:
    """Return the name of its layer for the id of every variable."""
    named = names(model)
    return {id(variable): named[id(layer)] for layer in walk(model) for variable in layer.weights}


def in_every_network(model: Any, searched: Collection[int]) -> tuple[str, ...]:
    """Name what no strength takes the place of, so that all networks have it: noise, constraints, augmentation.

    Parameters
    ----------
    searched
        ids of the layers whose dropout is searched.
    """
    return grouped(_always(model, searched))


def _always(model: Any, searched: Collection[int]) -> Iterator[Named]:
    named, owner = names(model), owners(model)
    for layer in walk(model):
        for inner in parts(layer):
            what = kind(inner)
            if what == "GaussianNoise" and number(inner.stddev) > 0:
                yield f"GaussianNoise = {number(inner.stddev):.3g}", named[id(layer)]
            elif is_dropout(inner) and id(inner) not in searched and number(inner.rate) > 0:
                yield f"{what if what in OTHER_NOISE else 'dropout'} = {number(inner.rate):.3g}", named[id(layer)]
            elif what.startswith("Random"):  # Keras's augmentation: RandomFlip, RandomRotation, ...
                yield what, named[id(layer)]
    for variable in model.trainable_variables:
        if variable.constraint is not None:
            constraint = f"{variable.name} {type(variable.constraint).__name__}"
            yield constraint, owner.get(id(variable), str(model.name))

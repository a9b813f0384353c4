"""Strengths per layer: a number for all, a mapping by layer name, or a shape over depth."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fitwell.errors import InputError
from fitwell.regularization.regularizer import Regularizer

SHAPES = {"funnel": -1.0, "constant": 0.0, "rising": 1.0}
"""Names of shapes over depth."""

STEEPNESS = 4.0
"""At shape 1 the last layer has this many times the scale, and the first its inverse."""

HIGHEST_RATE = 0.9
"""Rates that a shape would take beyond this are cut: at 1 nothing would be left."""


@dataclass(frozen=True)
class Depth:
    """A strength that changes over depth: ``scale * 4 ** (shape * (2 p - 1))`` at depth p, 0 first and 1 last.

    Attributes
    ----------
    scale
        The strength in the middle; 0 is off everywhere.
    shape
        In [-1, 1]: below 0 it falls with depth (`"funnel"` is -1), 0 is the same everywhere (`"constant"`), above 0 it
        rises (`"rising"` is 1). Rates are cut at 0.9, or at the scale where that is higher.

    Raises
    ------
    InputError
        The shape is neither a name nor in range.

    Examples
    --------
    >>> from fitwell.regularization.table import DROPOUT
    >>> Depth(0.2, "funnel").values(DROPOUT, 3).tolist()
    [0.8, 0.2, 0.05]
    """

    scale: float
    shape: float | str = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.shape, str) and self.shape not in SHAPES:
            raise InputError(
                f"The shape over depth must be {', '.join(map(repr, SHAPES))} or a number. Got {self.shape!r}."
            )
        if not isinstance(self.shape, str) and not -1 <= self.shape <= 1:
            raise InputError(f"The shape over depth must lie in [-1, 1]. Got {self.shape}.")

    @property
    def number(self) -> float:
        """The shape as a number."""
        return SHAPES[self.shape] if isinstance(self.shape, str) else self.shape

    def values(self, regularizer: Regularizer, count: int) -> np.ndarray:
        """Return the strengths of `count` layers of a regularizer, first to last, float64 [count]."""
        return over_depth(regularizer, self.scale, self.number, count)


def over_depth(
    regularizer: Regularizer, scale: np.ndarray | float, shape: np.ndarray | float, count: int
) -> np.ndarray:
    """Return strengths ``[..., count]`` for scales and shapes ``[...]``; see `Depth`."""
    depth = np.linspace(0, 1, count) if count > 1 else np.full(count, 0.5)
    scales = np.asarray(scale)[..., None]
    values = scales * STEEPNESS ** (np.asarray(shape)[..., None] * (2 * depth - 1))
    bounded = np.isfinite(regularizer.below)
    return np.minimum(values, np.maximum(scales, HIGHEST_RATE)) if bounded else values


@dataclass(frozen=True)
class Layers:
    """Where a network's strengths act, by name and in order of depth.

    Attributes
    ----------
    kernels
        A name for every kernel that penalties and weight dropout act on: that of its layer, or ``layer:variable``
        where a layer has kernels with regularizers of their own. Kernels of one name always have one strength.
    units
        A name for every place where units are dropped: that of the layer before it.
    decayed
        The name of its layer for every variable that weight decay acts on; None if these are the kernels.
    inputs
        A name for the learned scales of the inputs, where a network can have them.
    """

    kernels: tuple[str, ...]
    units: tuple[str, ...]
    decayed: tuple[str, ...] | None = None
    inputs: tuple[str, ...] = ()

    def of(self, regularizer: Regularizer) -> tuple[str, ...]:
        """Return the places of a regularizer."""
        if regularizer.acts_on == "decayed" and self.decayed is not None:
            return self.decayed
        if regularizer.acts_on == "inputs":
            return self.inputs
        return self.units if regularizer.acts_on == "units" else self.kernels

    def over_depth(self, regularizer: Regularizer, scale: np.ndarray | float, shape: np.ndarray | float) -> np.ndarray:
        """Return strengths ``[..., L]`` for scales and shapes ``[...]``; kernels of one name are at one depth."""
        places = self.of(regularizer)
        depths = {place: number for number, place in enumerate(dict.fromkeys(places))}
        values = over_depth(regularizer, scale, shape, len(depths))
        return values[..., [depths[place] for place in places]]

    def spread(self, regularizer: Regularizer, value: float | Mapping[str, float] | Depth) -> np.ndarray:
        """Return the strength of a regularizer at each of its places, float64 [L].

        Raises
        ------
        InputError
            A mapping names a layer that has no such place.
        """
        places = self.of(regularizer)
        if isinstance(value, Depth):
            return self.over_depth(regularizer, value.scale, value.number)
        if isinstance(value, Mapping):
            for key in value:
                _check_place(regularizer.name, key, places)
            return np.array([_of_place(value, place) for place in places], float)
        return np.full(len(places), float(value))


def layer_of(place: str) -> str:
    """Return the layer's name of a place: that before the colon."""
    return place.split(":")[0]


def _of_place(value: Mapping[str, float], place: str) -> float:
    return float(value.get(place, value.get(layer_of(place), 0.0)))


def _check_place(name: str, key: str, places: tuple[str, ...]) -> None:
    known = dict.fromkeys([*places, *map(layer_of, places)])
    if key in known:
        return
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else f"It acts on: {', '.join(known) or 'no layer'}."
    raise InputError(f"The regularizer '{name}' does not act on a layer '{key}'. {hint}")

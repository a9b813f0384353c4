"""The weights of a file, handed to the layers that they belong to, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fitwell.errors import FileError
from fitwell.tfjs.reading.layer_settings import STRETCH
from fitwell.tfjs.reading.read_layers import Made


class Stored:
    """Weights by their names in the file."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = dict(weights)
        self._left = dict.fromkeys(weights)

    def of(self, layer: str, made: Made, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """Return a layer's weights, in the order of its variables.

        Raises
        ------
        FileError
            One is missing, or has another shape than the layer's settings say.
        """
        found = []
        for number, (weight, shape) in enumerate(zip(made.weights, shapes, strict=True)):
            name = self._name(layer, weight, number)
            values = self._weights[name]
            if tuple(values.shape) != tuple(shape):
                raise FileError(
                    f"The weight '{name}' has the shape {list(values.shape)}, and the settings of its layer make it "
                    f"{list(shape)}."
                )
            if name not in self._left:
                raise FileError(f"The weight '{name}' belongs to two layers of the same name: rename one of them.")
            del self._left[name]
            found.append(_stretched(values, number, made))
        return found

    def shape(self, layer: str, weight: str) -> tuple[int, ...] | None:
        """Return the shape of a weight that has its own name."""
        found = self._weights.get(f"{layer}/{weight}")
        return None if found is None else tuple(found.shape)

    def check_all_used(self) -> None:
        """Refuse weights that no layer takes."""
        if self._left:
            raise FileError(
                f"The file holds the weight '{next(iter(self._left))}', which none of its layers takes: its topology "
                "and its weights are not of one model."
            )

    def _name(self, layer: str, weight: str, number: int) -> str:
        """Find a weight by its own name, behind a cell's name, or by its number."""
        exact = f"{layer}/{weight}"
        if exact in self._weights:
            return exact
        if weight in self._weights and "/" in weight:  # of a stack of cells
            return weight
        last = weight.rsplit("/", 1)[-1]
        start = f"{layer}/{weight.removesuffix(last)}"
        # TensorFlow 2.2 and later put the cell's name between: layer/cell/kernel
        behind = [name for name in self._left if name.startswith(start) and name.endswith(f"/{last}")]
        if len(behind) == 1:
            return behind[0]
        # one of the converter's ways has numbers alone
        numbered = f"{layer}/{number}"
        if numbered in self._weights:
            return numbered
        raise FileError(f"The weight '{exact}' is missing in the weight files.")


def _stretched(values: np.ndarray, number: int, made: Made) -> np.ndarray:
    columns = [columns for which, columns in made.stretched if which == number]
    if not columns:
        return values
    # in double precision, then rounded once
    values = values.astype(float)
    for part in columns:
        values[..., part] *= STRETCH
    return values.astype(np.float32)


def give(layer: Any, weights: list[np.ndarray]) -> None:
    """Set a layer's variables, and begin what is no weight (seeds) as Keras does; constraints do not act."""
    for variable, values in zip(layer.weights, weights, strict=True):
        variable.assign(values)

"""The weights of a file, handed to the layers that they belong to, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.errors import FileError
from fitwell.tfjs.reading.layer_settings import STRETCH
from fitwell.tfjs.reading.read_layers import Made
from fitwell.tfjs.topology import MOST_NESTED


@dataclass(frozen=True)
class Place:
    """Where a layer is: its name, and those of the models around it, the outermost first."""

    layer: str
    models: tuple[str, ...] = ()

    def starts(self) -> Iterator[str]:
        """Yield what the names of its weights may begin with, the longest first."""
        for number in range(len(self.models) + 1):
            yield "/".join((*self.models[number:], self.layer))


class Stored:
    """Weights by their names in the file.

    TensorFlow.js names them by layer and weight. Older converters put a cell's name between (``lstm/lstm_cell/kernel``)
    or number them (``dense/0``), and of a Sequential of Keras 3 the names begin with that of the model that it was
    built in (``sequential/dense/kernel``).

    Parameters
    ----------
    layers
        The names of all layers, those in nested models too.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], layers: Iterable[str]) -> None:
        self._weights = dict(weights)
        self._left = dict.fromkeys(weights)
        layers = set(layers)
        self._slashed = frozenset(layer for layer in layers if "/" in layer)
        self._holding = _by_part(weights, {layer.rpartition("/")[2] for layer in layers})

    def of(self, place: Place, made: Made, variables: Sequence[Any]) -> list[np.ndarray]:
        """Return a layer's weights, in the order of its variables in Keras.

        Raises
        ------
        FileError
            One is missing, may be one of several, or has another shape than the layer's settings say.
        """
        found = []
        for number, (weight, variable) in enumerate(zip(made.weights, variables, strict=True)):
            name = self._name(place, weight, variable.path.partition("/")[2], number)
            values, shape = self._weights[name], tuple(variable.shape)
            if tuple(values.shape) != shape:
                raise FileError(
                    f"The weight '{name}' has the shape {list(values.shape)}, and the settings of its layer make it "
                    f"{list(shape)}."
                )
            if name not in self._left:
                raise FileError(f"The weight '{name}' belongs to two layers of the same name: rename one of them.")
            del self._left[name]
            found.append(_stretched(values, number, made))
        return found

    def shape(self, place: Place, weight: str) -> tuple[int, ...] | None:
        """Return the shape of a weight that has its own name."""
        known = self._known(place, weight)
        return None if known is None else tuple(self._weights[known].shape)

    def check_all_used(self) -> None:
        """Refuse weights that no layer takes."""
        if self._left:
            raise FileError(
                f"The file holds the weight '{next(iter(self._left))}', which none of its layers takes: its topology "
                "and its weights are not of one model."
            )

    def _name(self, place: Place, weight: str, in_keras: str, number: int) -> str:
        """Find a weight by its own name, that in Keras, behind a cell's name, by its number, or in another model."""
        exact = f"{place.layer}/{weight}"
        # a stack's cells may stand alone, and one of the converter's ways has numbers
        alone = weight if "/" in weight and weight in self._weights else None
        numbered = f"{place.layer}/{number}" if f"{place.layer}/{number}" in self._weights else None
        found = (
            self._known(place, weight) or self._known(place, in_keras) or alone
            or self._behind_a_cell(place, weight, in_keras) or numbered
            or self._elsewhere(place, weight, in_keras)
        )  # fmt: skip
        if found is None:
            raise FileError(f"The weight '{exact}' is missing in the weight files.")
        return found

    def _known(self, place: Place, weight: str) -> str | None:
        """Find a weight of the layer, named with the models around it, the nearest ones, or none."""
        names = (f"{start}/{weight}" for start in place.starts())
        return next((name for name in names if name in self._weights and self._may_be(place, name)), None)

    def _behind_a_cell(self, place: Place, weight: str, in_keras: str) -> str | None:
        """Find a weight with one name more before the last, as TensorFlow 2.2 and later write `layer/cell/kernel`."""
        inside, lasts = _parted(weight, in_keras)
        for start in place.starts():
            within = f"{start}/{inside}"
            found = [name for name in self._left_of(place)
                     if name.startswith(within) and name.endswith(lasts) and self._may_be(place, name)]  # fmt: skip
            if len(found) == 1:
                return found[0]
        return None

    def _elsewhere(self, place: Place, weight: str, in_keras: str) -> str | None:
        """Find a weight whose name begins with models that are not in the file: of a model that was renamed.

        Raises
        ------
        FileError
            There are several: a guess might give a layer another's weight.
        """
        inside, lasts = _parted(weight, in_keras)
        for start in place.starts():
            ends = (f"/{start}/{weight}", f"/{start}/{in_keras}")
            within = f"/{start}/{inside}"
            for fits in (
                lambda name, ends=ends: name.endswith(ends),
                lambda name, within=within: within in name and name.endswith(lasts),
            ):
                found = [name for name in self._left_of(place) if fits(name) and self._may_be(place, name)]
                if len(found) == 1:
                    return found[0]
                if found:
                    raise FileError(
                        f"The weight '{place.layer}/{weight}' may be '{found[0]}' or '{found[1]}' in the weight files, "
                        "and which one cannot be told."
                    )
        return None

    def _left_of(self, place: Place) -> list[str]:
        """Return the weights that nobody has taken and that hold the layer's name."""
        return [name for name in self._holding.get(place.layer.rpartition("/")[2], ()) if name in self._left]

    def _may_be(self, place: Place, name: str) -> bool:
        """Whether a weight is not of another layer, whose own name has a slash and so looks like a model's and its."""
        if not self._slashed:
            return True
        parts = name.split("/")
        starts = {"/".join(parts[:count]) for count in range(2, len(parts))}
        return not starts & (self._slashed - {place.layer})


def _by_part(names: Iterable[str], parts: set[str]) -> dict[str, list[str]]:
    """Return the names that hold each of some parts, so that not all must be looked at for each layer."""
    found: dict[str, list[str]] = {}
    for name in names:
        # a layer, its cell and its weight in models within each other; more a stranger may write
        for part in parts.intersection(name.split("/")[: MOST_NESTED + 8]):
            found.setdefault(part, []).append(name)
    return found


def _parted(weight: str, in_keras: str) -> tuple[str, tuple[str, ...]]:
    """Return what stands before a weight's last name, and the ends that names of it have."""
    last = weight.rpartition("/")[2]
    return weight.removesuffix(last), (f"/{last}", f"/{in_keras.rpartition('/')[2]}")


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

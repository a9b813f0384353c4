"""Strengths: one setting of all regularizers, and the candidates of a search as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from fitwell.errors import InputError
from fitwell.regularization.by_layer import Depth, Layers
from fitwell.regularization.table import REGULARIZERS

DEFAULT_LEARNING_RATE = 1e-3

Strength = float | Mapping[str, float] | Depth
"""A number for all layers, a number by layer name (0 where not named), or a shape over depth."""


@dataclass(frozen=True)
class Regularization:
    """One setting of all regularizers, zero is off, in Keras's convention.

    Each is a number for all layers, a mapping from layer names to numbers (layers that are not named have 0), or a
    `Depth`.

    Attributes
    ----------
    l1
        Factor of ``sum |w|`` over every penalised kernel.
    l2
        Factor of ``sum w**2`` over every penalised kernel.
    dropout
        Fraction of hidden units zeroed in a training step, in [0, 1).
    weight_dropout
        Fraction of every kernel's weights zeroed in a training step, in [0, 1).

    Raises
    ------
    InputError
        A strength is negative, not finite, or a rate is 1 or more.

    Examples
    --------
    >>> Regularization(l2=0.01, dropout=0.2)
    Regularization(l1=0.0, l2=0.01, dropout=0.2, weight_dropout=0.0)
    """

    l1: Strength = 0.0
    l2: Strength = 0.0
    dropout: Strength = 0.0
    weight_dropout: Strength = 0.0

    def __post_init__(self) -> None:
        for name, value in self.items():
            check_strengths(name, _numbers(value))

    def __str__(self) -> str:
        return ", ".join(f"{name} = {_text(value)}" for name, value in self.items() if _is_on(value)) or "none"

    def items(self) -> list[tuple[str, Strength]]:
        """Return (regularizer's name, its strength)."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    def at(self, name: str, place: str) -> float:
        """Return the strength of a regularizer at one place (see `Layers`); a `Depth` must have been spread before."""
        value = getattr(self, name)
        if isinstance(value, Depth):
            raise InputError(f"The '{name}' strength is a shape over depth: it has no number for '{place}' alone.")
        return float(value.get(place, 0.0) if isinstance(value, Mapping) else value)


@dataclass(frozen=True)
class Candidates:
    """The strengths of a search and their learning rates; the first candidate has no regularization at all.

    Attributes
    ----------
    strengths
        Regularizer's name to its strengths, float64 [G], or [G, L] with one for each of the L places in `layers`. A
        regularizer that is not named is off in every candidate and costs nothing.
    learning_rate
        float64 [G], the optimizer's step size of each candidate.
    layers
        Names of the places; needed where strengths are [G, L].
    own
        float64 [G], 1 for candidates in which the network's own regularization that has no row in the table (of
        biases, of activities, inside recurrent cells) is on; None if there is none.
    given
        Number of the candidate that is the network as given; 0 if that has no regularization.
    """

    strengths: Mapping[str, np.ndarray]
    learning_rate: np.ndarray
    layers: Layers | None = None
    own: np.ndarray | None = None
    given: int = 0

    def __post_init__(self) -> None:
        for name, values in self.strengths.items():
            check_strengths(name, values)
            if len(values) != self.count:
                raise InputError(
                    f"{self.count} strengths of '{name}' were expected, one a learning rate. Got {len(values)}."
                )
        check_learning_rates(self.learning_rate)

    @property
    def count(self) -> int:
        """G."""
        return len(self.learning_rate)

    @property
    def means(self) -> dict[str, np.ndarray]:
        """Regularizer's name to its strengths [G], the mean over layers where they differ."""
        return {name: values.reshape(self.count, -1).mean(axis=1) for name, values in self.strengths.items()}

    def regularization(self, index: int) -> Regularization:
        """Return candidate `index` as one setting of all regularizers."""
        return Regularization(**{name: self._value(name, values[index]) for name, values in self.strengths.items()})

    def take(self, indices: Sequence[int] | np.ndarray) -> Candidates:
        """Return the candidates at `indices`, in that order (`given` loses its meaning and becomes 0)."""
        chosen = np.asarray(indices, dtype=int)
        own = None if self.own is None else self.own[chosen]
        strengths = {k: v[chosen] for k, v in self.strengths.items()}
        return Candidates(strengths, self.learning_rate[chosen], self.layers, own)

    def _value(self, name: str, values: np.ndarray) -> float | dict[str, float]:
        if values.ndim == 0 or (values == values[0]).all():
            return float(values.flat[0])
        assert self.layers is not None
        return dict(zip(self.layers.of(name), map(float, values), strict=True))


def from_settings(
    settings: Sequence[Regularization | Mapping[str, Strength]],
    learning_rate: float | None = None,
    layers: Layers | None = None,
) -> Candidates:
    """Make candidates of an explicit list; all-zero is put first if it is not in the list.

    Parameters
    ----------
    layers
        The network's places; needed where a strength is not a number for all layers.

    Examples
    --------
    >>> from_settings([{"l2": 0.01}, {"dropout": 0.5}]).strengths["l2"].tolist()
    [0.0, 0.01, 0.0]
    """
    rows = [item if isinstance(item, Regularization) else _from_mapping(item) for item in settings]
    rows = [Regularization(), *(row for row in rows if any(_is_on(value) for _, value in row.items()))]
    names = [name for name in REGULARIZERS if any(_is_on(getattr(row, name)) for row in rows)]
    strengths = {name: _stacked(name, [getattr(row, name) for row in rows], layers) for name in names}
    rate = DEFAULT_LEARNING_RATE if learning_rate is None else learning_rate
    return Candidates(strengths, np.full(len(rows), rate), layers)


def _stacked(name: str, values: list[Strength], layers: Layers | None) -> np.ndarray:
    """Numbers [G], or [G, L] if a strength differs by layer."""
    if layers is not None and not layers.of(name):
        raise InputError(f"The regularizer '{name}' acts on no layer of this network: leave it out.")
    if all(not isinstance(value, Mapping | Depth) for value in values):
        return np.array(values, float)
    if layers is None:
        raise InputError(f"The '{name}' strength is given by layer, and here it must be one number for all layers.")
    return np.stack([layers.spread(name, value) for value in values])


def check_strengths(name: str, values: Sequence[float] | np.ndarray) -> None:
    """Raise an InputError unless `name` is a regularizer and all its strengths are in range."""
    if name not in REGULARIZERS:
        raise InputError(f"There is no regularizer '{name}'. Choose from {', '.join(REGULARIZERS)}.")
    below = REGULARIZERS[name].below
    wanted = "be finite and at least 0" if np.isinf(below) else f"lie in [0, {below:g})"
    for index, row in enumerate(values):
        for value in row if isinstance(row, np.ndarray) else [row]:
            if isinstance(value, str) or not (np.isfinite(value) and 0 <= value < below):
                raise InputError(f"The '{name}' strength must {wanted}. Got {value} at index {index}.")


def check_learning_rates(values: Sequence[float] | np.ndarray) -> None:
    """Raise an InputError unless all learning rates are positive and finite."""
    for index, value in enumerate(values):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"The learning rate must be finite and above 0. Got {value} at index {index}.")


def _from_mapping(item: Mapping[str, Strength]) -> Regularization:
    for name, value in item.items():
        check_strengths(name, _numbers(value))
    return Regularization(**item)


def _numbers(value: Strength) -> list[float]:
    if isinstance(value, Depth):
        return [value.scale]
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _is_on(value: Strength) -> bool:
    return any(number > 0 for number in _numbers(value))


def _text(value: Strength) -> str:
    if isinstance(value, Depth):
        return f"{value.scale:.3g} ({value.shape} over depth)"
    if isinstance(value, Mapping):
        on = ", ".join(f"{place}: {number:.3g}" for place, number in value.items() if number > 0)
        return f"{{{on}}}"
    return f"{value:.3g}"

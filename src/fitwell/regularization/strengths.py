"""Strengths: one setting of all regularizers, and the candidates of a search as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fitwell.errors import InputError
from fitwell.regularization.by_layer import Depth, Layers
from fitwell.regularization.regularizer import Regularizer, Table, resolve
from fitwell.regularization.table import BUILT_IN

DEFAULT_LEARNING_RATE = 1e-3

Strength = float | Mapping[str, float] | Depth
"""A number for all layers, a number by layer name (0 where not named), or a shape over depth."""


class Regularization(Mapping[str, Strength]):
    """One setting of all regularizers, zero is off, in Keras's convention.

    A mapping from names to strengths, which can also be read as attributes. Each strength is a number for all layers, a
    mapping from layer names to numbers (layers that are not named have 0), or a `Depth`. All regularizers of the table
    are in it: those that are not given are 0.

    Parameters
    ----------
    strengths
        By name; or given as keywords.
    table
        Which regularizers there are, if not fitwell's own (`fitwell.regularization.table`).
    beside
        Names of what else regularizes the network and is no strength; it is told, and two settings are equal without.

    Raises
    ------
    InputError
        There is no such regularizer, or a strength is out of range.

    Examples
    --------
    >>> setting = Regularization(l2=0.01, dropout=0.2)
    >>> print(setting)
    l2 = 0.01, dropout = 0.2
    >>> setting.l2, setting["l1"]
    (0.01, 0.0)
    """

    __slots__ = ("_beside", "_strengths", "_table")

    def __init__(
        self,
        strengths: Mapping[str, Strength] | None = None,
        table: Table = BUILT_IN,
        beside: Sequence[str] = (),
        /,
        **named: Strength,
    ) -> None:
        given = {**(strengths or {}), **named}
        for name, value in given.items():
            resolve(name, table).check(_numbers(value))
        self._table, self._beside = table, tuple(beside)
        # all of them, so that files and tables have the same names whatever was searched
        self._strengths = {name: given.get(name, 0.0) for name in table}

    def __getitem__(self, name: str) -> Strength:
        return self._strengths[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._strengths)

    def __len__(self) -> int:
        return len(self._strengths)

    def __getattr__(self, name: str) -> Strength:
        # names of our own first: a copy that is being made has none yet, and would ask for them without end
        if name.startswith("_") or name not in self._strengths:
            raise AttributeError(f"There is no regularizer '{name}'.")
        return self._strengths[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return Regularization, (self._strengths, self._table, self._beside)

    def __hash__(self) -> int:
        return hash(tuple(self._strengths.items()))

    def __str__(self) -> str:
        on = [f"{name} = {_text(value)}" for name, value in self.items() if _is_on(value)]
        return ", ".join([*on, *self._beside]) or "none"

    def __repr__(self) -> str:
        on = ", ".join(f"{name}={value!r}" for name, value in self.items() if _is_on(value))
        return f"Regularization({on})"

    def at(self, regularizer: str | Regularizer, place: str) -> float:
        """Return the strength of a regularizer at one place (see `Layers`); a `Depth` must have been spread before."""
        row = resolve(regularizer, self._table)
        value = self[row.name]
        if isinstance(value, Depth):
            raise InputError(f"The '{row.name}' strength is a shape over depth: it has no number for '{place}' alone.")
        return float(value.get(place, 0.0) if isinstance(value, Mapping) else value)

    @property
    def beside(self) -> tuple[str, ...]:
        """What else regularizes the network and is no strength: of a Keras model, by name, number and layers."""
        return self._beside

    @property
    def rows(self) -> tuple[Regularizer, ...]:
        """The regularizers that it knows."""
        return tuple(self._table.values())

    def in_keras(self, holder: str, place: str) -> dict[str, float]:
        """Return what a holder in Keras is told of the strengths at one place: attribute to number, see `InKeras`."""
        rows = [row for row in self._table.values() if row.keras and row.keras.holder == holder]
        return {row.keras.attribute: self.at(row, place) for row in rows if row.keras}


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
    table
        The regularizers that `strengths` names.
    own_names, always
        What `own` weighs, and what regularizes every candidate alike, named for people.
    """

    strengths: Mapping[str, np.ndarray]
    learning_rate: np.ndarray
    layers: Layers | None = None
    own: np.ndarray | None = None
    given: int = 0
    table: Table = field(default_factory=lambda: BUILT_IN)
    own_names: tuple[str, ...] = ()
    always: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, values in self.strengths.items():
            resolve(name, self.table).check(values)
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
    def regularizers(self) -> tuple[Regularizer, ...]:
        """Those that are searched, in the order of `strengths`."""
        return tuple(self.table[name] for name in self.strengths)

    @property
    def amount(self) -> np.ndarray:
        """How much regularization: the sum over regularizers of the position in their range, float [G]; all-zero is 0.

        Where strengths differ by layer, the mean over the layers counts.
        """
        positions = [row.position(self.strengths[row.name]).reshape(self.count, -1) for row in self.regularizers]
        return sum((position.mean(axis=1) for position in positions), np.zeros(self.count))

    @property
    def flat(self) -> np.ndarray:
        """Every number of every candidate, [regularizers (times layers, where they differ), G]."""
        rows = [values.reshape(self.count, -1).T for values in self.strengths.values()]
        return np.concatenate(rows) if rows else np.zeros((0, self.count))

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """Regularizer's name to its strengths [G], NaN where it has no one number, because it differs by layer."""
        rows = {name: values.reshape(self.count, -1) for name, values in self.strengths.items()}
        return {name: np.where((row == row[:, :1]).all(axis=1), row[:, 0], np.nan) for name, row in rows.items()}

    def regularization(self, index: int) -> Regularization:
        """Return candidate `index` as one setting of all regularizers."""
        values = {name: self._value(name, values[index]) for name, values in self.strengths.items()}
        return Regularization(values, self.table, (*self._own_of(index), *self.always))

    def _own_of(self, index: int) -> tuple[str, ...]:
        """What a candidate has of the network's own regularization that is no strength."""
        share = 0.0 if self.own is None else float(self.own[index])
        if not share or not self.own_names:
            return ()
        return self.own_names if share == 1 else (f"{share:g} of ({', '.join(self.own_names)})",)

    def take(self, indices: Sequence[int] | np.ndarray) -> Candidates:
        """Return the candidates at `indices`, in that order (`given` loses its meaning and becomes 0)."""
        chosen = np.asarray(indices, dtype=int)
        own = None if self.own is None else self.own[chosen]
        strengths = {k: v[chosen] for k, v in self.strengths.items()}
        return replace(self, strengths=strengths, learning_rate=self.learning_rate[chosen], own=own, given=0)

    def first(self, count: int) -> Candidates:
        """Return the first `count` candidates, the network as given among them."""
        if self.given >= count:
            raise ValueError(f"The network as given is candidate {self.given}, and not among the first {count}.")
        return replace(self.take(range(count)), given=self.given)

    def _value(self, name: str, values: np.ndarray) -> float | dict[str, float]:
        if values.ndim == 0 or (values == values[0]).all():
            return float(values.flat[0])
        assert self.layers is not None
        return dict(zip(self.layers.of(self.table[name]), map(float, values), strict=True))


def from_settings(
    settings: Sequence[Mapping[str, Strength]],
    learning_rate: float | None = None,
    layers: Layers | None = None,
    table: Table = BUILT_IN,
) -> Candidates:
    """Make candidates of an explicit list; all-zero is put first if it is not in the list.

    Parameters
    ----------
    settings
        `Regularization` or plain mappings.
    layers
        The network's places; needed where a strength is not a number for all layers.
    table
        The regularizers that may be named.

    Examples
    --------
    >>> from_settings([{"l2": 0.01}, {"dropout": 0.5}]).strengths["l2"].tolist()
    [0.0, 0.01, 0.0]
    """
    given = [Regularization(dict(item), table) for item in settings]
    rows = [Regularization({}, table), *(row for row in given if any(_is_on(value) for value in row.values()))]
    names = [name for name in table if any(_is_on(row[name]) for row in rows)]
    strengths = {name: _stacked(table[name], [row[name] for row in rows], layers) for name in names}
    rate = DEFAULT_LEARNING_RATE if learning_rate is None else learning_rate
    return Candidates(strengths, np.full(len(rows), rate), layers, table=table)


def _stacked(regularizer: Regularizer, values: list[Strength], layers: Layers | None) -> np.ndarray:
    """Numbers [G], or [G, L] if a strength differs by layer."""
    name = regularizer.name
    if layers is not None and not layers.of(regularizer):
        raise InputError(f"The regularizer '{name}' acts on no layer of this network: leave it out.")
    if all(not isinstance(value, Mapping | Depth) for value in values):
        return np.array(values, float)
    if layers is None:
        raise InputError(f"The '{name}' strength is given by layer, and here it must be one number for all layers.")
    return np.stack([layers.spread(regularizer, value) for value in values])


def check_learning_rates(values: Sequence[float] | np.ndarray) -> None:
    """Raise an InputError unless all learning rates are positive and finite."""
    for index, value in enumerate(values):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"The learning rate must be finite and above 0. Got {value} at index {index}.")


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
        on = {place: f"{number:.3g}" for place, number in value.items() if number > 0}
        if len(set(on.values())) == 1:
            return f"{next(iter(on.values()))} ({', '.join(on)})"
        return f"{{{', '.join(f'{place}: {number}' for place, number in on.items())}}}"
    return f"{value:.3g}"

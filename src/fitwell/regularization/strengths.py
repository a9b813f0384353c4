"""Strengths: one setting of all regularizers, and the candidates of a search as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fitwell.errors import InputError
from fitwell.regularization.table import REGULARIZERS

DEFAULT_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Regularization:
    """One setting of all regularizers: a number each, zero is off, in Keras's convention.

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

    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    weight_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_strengths(name, [value])

    def __str__(self) -> str:
        on = [f"{name} = {value:.3g}" for name, value in asdict(self).items() if value > 0]
        return ", ".join(on) or "none"


@dataclass(frozen=True)
class Candidates:
    """The strengths of a search and their learning rates; the first candidate has no regularization at all.

    Attributes
    ----------
    strengths
        Regularizer's name to its strengths, float64 [G]. A regularizer that is not named is off in every candidate
        and costs nothing.
    learning_rate
        float64 [G], the optimizer's step size of each candidate.
    """

    strengths: Mapping[str, np.ndarray]
    learning_rate: np.ndarray

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

    def regularization(self, index: int) -> Regularization:
        """Return candidate `index` as one setting of all regularizers."""
        return Regularization(**{name: float(values[index]) for name, values in self.strengths.items()})

    def take(self, indices: Sequence[int] | np.ndarray) -> Candidates:
        """Return the candidates at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=int)
        return Candidates({k: v[chosen] for k, v in self.strengths.items()}, self.learning_rate[chosen])


def from_settings(
    settings: Sequence[Regularization | Mapping[str, float]], learning_rate: float | None = None
) -> Candidates:
    """Make candidates of an explicit list; all-zero is put first if it is not in the list.

    Examples
    --------
    >>> from_settings([{"l2": 0.01}, {"dropout": 0.5}]).strengths["l2"].tolist()
    [0.0, 0.01, 0.0]
    """
    rows = [item if isinstance(item, Regularization) else _from_mapping(item) for item in settings]
    rows = [Regularization(), *(row for row in rows if row != Regularization())]
    names = [name for name in REGULARIZERS if any(getattr(row, name) > 0 for row in rows)]
    strengths = {name: np.array([getattr(row, name) for row in rows]) for name in names}
    return Candidates(strengths, np.full(len(rows), DEFAULT_LEARNING_RATE if learning_rate is None else learning_rate))


def check_strengths(name: str, values: Sequence[float] | np.ndarray) -> None:
    """Raise an InputError unless `name` is a regularizer and all its strengths are in range."""
    if name not in REGULARIZERS:
        raise InputError(f"There is no regularizer '{name}'. Choose from {', '.join(REGULARIZERS)}.")
    below = REGULARIZERS[name].below
    wanted = "be finite and at least 0" if np.isinf(below) else f"lie in [0, {below:g})"
    for index, value in enumerate(values):
        if isinstance(value, str) or not (np.isfinite(value) and 0 <= value < below):
            raise InputError(f"The '{name}' strength must {wanted}. Got {value} at index {index}.")


def check_learning_rates(values: Sequence[float] | np.ndarray) -> None:
    """Raise an InputError unless all learning rates are positive and finite."""
    for index, value in enumerate(values):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"The learning rate must be finite and above 0. Got {value} at index {index}.")


def _from_mapping(item: Mapping[str, float]) -> Regularization:
    for name in item:
        check_strengths(name, [item[name]])
    return Regularization(**item)

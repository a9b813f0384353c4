"""Choosing one strength: the minimum, and the one-standard-error rule by paired differences. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fitwell.engine.histories import Histories
from fitwell.regularization.grids import position
from fitwell.regularization.strengths import Candidates


@dataclass(frozen=True)
class Choice:
    """Two answers to "which strength": the lowest mean, and the most regularized within one standard error of it.

    Attributes
    ----------
    minimum
        Number of the strength with the lowest mean held-out loss at its best epoch.
    one_standard_error
        Number of the most regularized strength whose mean is within one standard error of it; never weaker than
        `minimum` in any regularizer, and often the same.
    standard_error
        float [G], standard error over row sets of the paired difference to `minimum`.
    """

    minimum: int
    one_standard_error: int
    standard_error: np.ndarray


def choose(histories: Histories, candidates: Candidates) -> Choice:
    """Apply both rules to the held-out losses at the best epochs."""
    losses = histories.at_best("held_out_loss")
    usable = np.isfinite(histories.best_loss)
    return one_standard_error(np.where(usable, losses, np.inf), candidates.strengths)


def one_standard_error(losses: np.ndarray, strengths: Mapping[str, np.ndarray]) -> Choice:
    """Apply the one-standard-error rule of Breiman et al. 1984, with paired differences.

    With m the strength of the lowest mean, the bar for strength j is ``mean_m + SE_j``, where ``SE_j`` is the standard
    error over row sets of the paired difference ``loss[:, j] - loss[:, m]``: common folds cancel. Strengths at least as
    large as m's in every regularizer are walked through in order of `amount`; the walk ends at the first that misses its
    bar, since a network's curve is not monotone and a lucky strength far away is no evidence.

    Parameters
    ----------
    losses
        float [R, G], held-out losses.
    strengths
        Regularizer's name to strengths [G].

    Examples
    --------
    >>> losses = np.array([[3.0, 1.0, 1.1, 2.0, 1.0], [3.0, 1.2, 1.1, 2.0, 1.3]])
    >>> choice = one_standard_error(losses, {"l2": np.array([0.0, 0.1, 0.2, 0.3, 0.4])})
    >>> choice.minimum, choice.one_standard_error
    (1, 2)
    """
    mean = losses.mean(axis=0)
    minimum = int(np.argmin(mean))
    error = paired_standard_error(losses, minimum)
    chosen = minimum
    for j in _stronger(strengths, minimum, len(mean)):
        if not mean[j] <= mean[minimum] + error[j]:
            break
        chosen = j
    return Choice(minimum, chosen, error)


def paired_standard_error(losses: np.ndarray, reference: int) -> np.ndarray:
    """Standard error over row sets of the difference to column `reference`, [G]; NaN with a single row set."""
    if len(losses) < 2:
        return np.full(losses.shape[1], np.nan)
    with np.errstate(invalid="ignore"):
        differences = losses - losses[:, [reference]]
        return differences.std(axis=0, ddof=1) / np.sqrt(len(losses))


def amount(strengths: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """How much regularization: the sum over regularizers of the position in their range, float [G]; all-zero is 0."""
    return sum((position(name, values) for name, values in strengths.items()), np.zeros(count))


def _stronger(strengths: Mapping[str, np.ndarray], than: int, count: int) -> list[int]:
    """Strengths at least as large as number `than` in every regularizer, from the weakest to the strongest."""
    at_least = np.ones(count, bool)
    for values in strengths.values():
        at_least &= values >= values[than]
    order = np.argsort(amount(strengths, count), kind="stable")
    return [int(j) for j in order if at_least[j] and j != than]

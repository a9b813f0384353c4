"""Performance on new rows of the strength and the epoch that a search chose, corrected for having chosen them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from fitwell.analysis.bootstrap import bbc
from fitwell.analysis.intervals import Interval, figures

METHODS = ("bbc", "nested", "bates")

SHARED = 2.0
"""By how many times n_test / n_train the variance of a mean over rows is larger because the rows share networks."""


@dataclass(frozen=True)
class Score:
    """Loss on new rows of one network trained as the search recommends, and what the search itself shows.

    Attributes
    ----------
    name
        Of the loss.
    method
        `"bbc"`: bootstrap bias-corrected cross-validation (Tsamardinos et al. 2018); `"nested"`: nested
        cross-validation (Varma and Simon 2006); `"bates"`: nested cross-validation with the interval of Bates, Hastie
        and Tibshirani (2021).
    naive
        Mean cross-validated loss of the choice: optimistic, for the rows that chose it also score it.
    interval
        The corrected loss.
    """

    name: str
    method: str
    naive: float
    interval: Interval

    @property
    def value(self) -> float:
        """The corrected loss."""
        return self.interval.estimate

    def __str__(self) -> str:
        return f"{self.name} on new rows: {self.interval}; uncorrected, which is optimistic: {figures(self.naive)}"


def row_surface(row_losses: np.ndarray, held_out: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Return held-out losses of all rows at every strength and epoch: the surface on which both are chosen together.

    Parameters
    ----------
    row_losses
        float [R, G, E, h_max], see `Histories.row_losses`.
    held_out
        int [h_r] for each of the R row sets.
    rows
        n.

    Returns
    -------
    float64 [n, J], the mean over repeats, NaN for rows never held out; one column for each strength and epoch that was
    trained, strengths outside.
    """
    # the first held-out row tells: behind the last one is padding, which is NaN in any case
    trained = np.isfinite(row_losses[:, :, :, 0]).all(axis=0)
    total, counts = np.zeros((rows, int(trained.sum()))), np.zeros(rows)
    for r, mine in enumerate(held_out):
        total[mine] += row_losses[r, trained, : len(mine)].T
        counts[mine] += 1
    with np.errstate(invalid="ignore"):
        return total / counts[:, None]


def bbc_score(
    surface: np.ndarray,
    name: str,
    *,
    test_to_train: float = 0.0,
    level: float = 0.9,
    groups: np.ndarray | None = None,
    choose: Callable[[np.ndarray], int] | None = None,
) -> Score:
    """Correct the mean loss of the choice on a surface [n, J] for having been chosen; see `bootstrap.bbc`.

    The interval is by the standard error over rows of their losses by choices that they had no part in. Rows are not
    independent, though: of two rows in different folds each trained the network that scores the other. For that
    `SHARED` times ``n_test / n_train`` of the variance is added; no estimate of it without bias exists (Bengio and
    Grandvalet 2004), and this much makes intervals cover in `benchmarks/calibration.py`. Losses are skew, and where
    they are low by chance so is their spread; the interval is therefore symmetric for the logarithm of the loss (if no
    row's is negative).

    Parameters
    ----------
    surface
        float [n, J].
    name
        Of the loss.
    test_to_train
        Held-out rows of a row set by its training rows.
    level, groups, choose
        See `bootstrap.bbc`.
    """
    corrected = bbc(surface, level=level, groups=groups, choose=choose)
    estimate, error = corrected.interval.estimate, corrected.standard_error * np.sqrt(1 + SHARED * test_to_train)
    reach = float(ndtri((1 + level) / 2)) * error
    return Score(
        name,
        "bbc",
        corrected.naive,
        for_positive(Interval(estimate, estimate - reach, estimate + reach, level), surface),
    )


def for_positive(interval: Interval, losses: np.ndarray) -> Interval:
    """Return an interval that is symmetric around its estimate as one symmetric for the logarithm.

    Unless some of the losses are negative: then zero is no bound, and the logarithm says nothing.
    """
    finite = losses[np.isfinite(losses)]
    if not interval.estimate > 0 or (finite < 0).any():
        return interval
    # the error of a logarithm is, to first order, the error divided by the value
    factor = float(np.exp((interval.high - interval.estimate) / interval.estimate))
    return Interval(interval.estimate, interval.estimate / factor, interval.estimate * factor, interval.level)


def rule_on_rows(
    rule: Callable[[np.ndarray], int], row_loss: np.ndarray, held_out: Sequence[np.ndarray]
) -> Callable[[np.ndarray], int]:
    """Turn a rule for losses of folds [K, G] into one for drawn rows.

    Parameters
    ----------
    row_loss
        float [n, G].
    held_out
        The rows of the K folds of a repeat: those drawn are dealt to the folds that held them out.
    """
    fold = np.full(len(row_loss), -1)
    for k, rows in enumerate(held_out):
        fold[rows] = k

    def choose(rows: np.ndarray) -> int:
        dealt = [row_loss[rows[fold[rows] == k]] for k in range(len(held_out))]
        # a draw may leave out a fold of few rows, whose mean would be NaN
        return rule(np.array([part.mean(axis=0) for part in dealt if len(part)]))

    return choose

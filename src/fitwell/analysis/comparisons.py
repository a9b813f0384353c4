"""Comparing candidates that were searched among, without favour to the one that a search chose. NumPy only.

R row sets (K folds, repeated), J candidates. Losses: lower is better. Row sets of one repeat are consecutive, `folds`
of them in each. `test_to_train` is the number of held-out rows of a row set divided by its training rows.
"""

from __future__ import annotations

import numpy as np

from fitwell.analysis.intervals import corrected_t
from fitwell.errors import InputError


def cross_fitted(losses: np.ndarray, folds: int) -> np.ndarray:
    """Choose for each row set by the others of its repeat: the candidate of their lowest mean loss, int [R].

    A row set then scores a candidate that it had no part in choosing, so a comparison pays for having searched. Whether
    searching beats a reference, the corrected t of its losses minus these then says. With 10 or 50 candidates no better
    than the reference, at 0.05 one-sided, 2% to 7% of 600 simulated sets of 100 independent rows said that the search
    is better (5 folds, 10 folds, 5 folds 5 times), and at most 3% where each candidate was a least squares fit to a
    noise input of its own. Comparing with the lowest mean said so in up to 42%. It is no cure for what all row sets
    have in common: if a fifth of the variance of a candidate's losses is the same for all of them, as the corrected t
    supposes, 20% said so, and 36% by the lowest mean.

    Parameters
    ----------
    losses
        float [R, J]. One that is not finite counts as infinite.

    Examples
    --------
    >>> cross_fitted(np.array([[1.0, 2.0], [3.0, 2.0], [3.0, 2.0]]), folds=3).tolist()
    [1, 0, 0]
    """
    losses = _finite_or_infinite(losses)
    if folds < 2 or len(losses) % folds:
        raise InputError(f"'folds' must be at least 2 and divide the {len(losses)} row sets. Got {folds}.")
    repeats = losses.reshape(-1, folds, losses.shape[1])
    others = [np.delete(repeats, fold, axis=1).mean(axis=1) for fold in range(folds)]
    return np.stack([mean.argmin(axis=1) for mean in others], axis=1).ravel()


def confidence_set(losses: np.ndarray, test_to_train: float, folds: int, level: float = 0.9) -> np.ndarray:
    """Mark the candidates that may be the best: those not significantly worse than it, bool [J].

    The best of J by the same losses is too good a reference. So each row set compares with the candidate that the
    others of its repeat choose, and j is out if the one-sided corrected t of the difference to it rejects at one minus
    the level. At 0.9, with noise inputs as in `cross_fitted`, the best was kept in 94% to 99% of sets, and in 75% to
    94% by comparing with the lowest mean.

    Zhang, Lee and Lei ("Winners with confidence", arXiv 2408.02060) split samples in the same way. They compare j with
    an exponentially weighted mean of all other candidates, for n independent samples and a normal limit. Here it is the
    one chosen, which may be j itself, for a few dependent row sets. Each candidate has a test of its own, so the level
    is that of keeping the best, not of keeping all that are equally good.

    The lowest mean is always in, a candidate with a loss that is not finite never.
    """
    losses = _finite_or_infinite(losses)
    usable = np.all(np.isfinite(losses), axis=0)
    if not usable.any():
        return usable
    # a candidate that diverged in one row set is no reference in the others either
    comparable = np.where(usable, losses, np.inf)
    reference = comparable[np.arange(len(losses)), cross_fitted(comparable, folds)]
    worse = [corrected_t(losses[:, j] - reference, test_to_train, level).p_greater for j in np.flatnonzero(usable)]
    kept = np.zeros(len(usable), bool)
    kept[usable] = np.array(worse) > 1 - level
    # its own test may reject it too, and a set of the best without the lowest mean would be absurd
    kept[comparable.mean(axis=0).argmin()] = True
    return kept


def _finite_or_infinite(losses: np.ndarray) -> np.ndarray:
    losses = np.asarray(losses, float)
    # minus infinity too: what diverged must never be the lowest
    return np.where(np.isfinite(losses), losses, np.inf)

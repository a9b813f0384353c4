"""Choosing one strength: the minimum, the one-standard-error rule, the most regularized of a confidence set.

Strength and epoch are chosen together: every strength stands for the epoch at which its mean held-out loss is lowest,
so that the minimum is the lowest point of the surface [G, E]. Simpler is more regularized (`Candidates.amount`); of one
strength, its best epoch counts. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from fitwell.analysis.intervals import confidence_set
from fitwell.engine.histories import Histories
from fitwell.regularization.strengths import Candidates

RuleName = Literal["1se", "min", "confidence-set"]
RULES = get_args(RuleName)

CONFIDENCE = 0.9
"""With which the best strength is in the confidence set."""


@dataclass(frozen=True)
class Choice:
    """Answers to "which strength": the lowest mean, and the most regularized of those that may be as good.

    Attributes
    ----------
    minimum
        Number of the strength with the lowest mean held-out loss at its best epoch.
    one_standard_error
        Number of the most regularized strength whose mean is within one standard error of it; never weaker than
        `minimum` in any regularizer, and often the same.
    standard_error
        float [G], standard error over row sets of the paired difference to `minimum`.
    confidence_set
        bool [G], strengths that are not significantly worse than the best (`comparisons.confidence_set`, 90%); only the
        minimum where there are not enough row sets to say.
    most_regularized
        Number of the most regularized strength of the confidence set; like `one_standard_error` it is never weaker than
        the minimum.
    given
        Number of the network as given; 0 if it has no regularization.
    leave_alone
        Whether no strength is better than the network as given by more than one standard error of the paired
        difference: then there is no reason to change it. False where that was not asked.
    """

    minimum: int
    one_standard_error: int
    standard_error: np.ndarray
    confidence_set: np.ndarray
    most_regularized: int
    given: int = 0
    leave_alone: bool = False

    def chosen(self, rule: str) -> int:
        """Return the number of the strength that a single network is trained with, by one of `RULES`."""
        if self.leave_alone:
            return self.given
        by_rule = {"min": self.minimum, "1se": self.one_standard_error, "confidence-set": self.most_regularized}
        return by_rule[rule]


def choose(
    histories: Histories,
    candidates: Candidates,
    folds: int | None = None,
    *,
    test_to_train: float | None = None,
    keep_given: bool = False,
    losses: np.ndarray | None = None,
) -> Choice:
    """Apply all rules to the held-out losses at the best epochs.

    Parameters
    ----------
    losses
        float [R, G] in the place of these, such as scores with the other sign.
    folds
        Row sets that carry information of their own, if fewer than R: repeats of 5 folds count as 5.
    test_to_train
        Held-out rows of a row set by its training rows; those of folds if not given.
    keep_given
        Whether the network as given is to be left alone unless a strength is better by more than one standard error.
    """
    losses = histories.at_best("held_out_loss") if losses is None else losses
    usable = np.isfinite(histories.best_loss)
    # a strength that diverged in one row set ranks last, however good it was in the others
    losses = np.where(usable, losses, np.inf)
    unfinished = not_to_be_chosen(histories, candidates)
    choice = choose_among(losses, candidates, folds=folds, test_to_train=test_to_train, unfinished=unfinished)
    alone = keep_given and _may_stay(losses, candidates.given, choice.minimum, choice.standard_error)
    return replace(choice, given=candidates.given, leave_alone=alone)


def not_to_be_chosen(histories: Histories, candidates: Candidates) -> np.ndarray:
    """Mark the strengths that only a minimum may be: those that were not trained to their end, bool [G]."""
    unfinished = histories.cut.copy()
    if candidates.own is not None:  # what it has beside its strengths cannot be compared with more or less of them
        unfinished |= candidates.own > 0
    return unfinished


def _may_stay(losses: np.ndarray, given: int, minimum: int, error: np.ndarray) -> bool:
    mean = losses.mean(axis=0)
    # one row set has no standard error: then only a network that is as good as the minimum may stay
    return bool(mean[given] <= mean[minimum] + np.nan_to_num(error[given]))


def choose_by(
    rule: str,
    losses: np.ndarray,
    candidates: Candidates,
    folds: int | None = None,
    *,
    test_to_train: float | None = None,
    unfinished: np.ndarray | None = None,
    keep_given: bool = False,
) -> int:
    """Choose a strength by one of `RULES` from losses [R, G]; infinite for strengths that diverged. See `choose`.

    It is what `choose` and `Choice.chosen` say, but computes no other rule: it is asked a thousand times.
    """
    mean = losses.mean(axis=0)
    minimum = int(np.argmin(mean))
    error = paired_standard_error(losses, minimum, folds)
    if keep_given and _may_stay(losses, candidates.given, minimum, error):
        return candidates.given
    if rule == "min":
        return minimum
    # a NaN error (one row set, or a strength that diverged) meets no bar
    meets = mean <= mean[minimum] + error if rule == "1se" else _confidence_set(losses, minimum, folds, test_to_train)
    unfinished = np.zeros(len(mean), bool) if unfinished is None else unfinished
    return most_regularized(candidates, mean, minimum, meets, unfinished)


def choose_among(
    losses: np.ndarray,
    candidates: Candidates,
    *,
    folds: int | None = None,
    test_to_train: float | None = None,
    unfinished: np.ndarray | None = None,
) -> Choice:
    """Apply the one-standard-error rule of Breiman et al. 1984, with paired differences, and the other rules.

    With m the strength of the lowest mean, the bar for strength j is ``mean_m + SE_j``, where ``SE_j`` is the standard
    error over row sets of the paired difference ``loss[:, j] - loss[:, m]``: common folds cancel. A network's curve is
    not monotone, so a lucky strength far away is no evidence: j is taken only if everything between m and j meets its
    bar too. Between means at least m and at most j in every regularizer, so on a single path this is the contiguous run
    from m. Of those left, the one with the largest `Candidates.amount` is chosen.

    Parameters
    ----------
    losses
        float [R, G], held-out losses.
    candidates
        The G strengths.
    folds, test_to_train
        See `choose`.
    unfinished
        bool [G], strengths that were not trained to their end: they are neither chosen nor stand in the way.

    Examples
    --------
    >>> losses = np.array([[3.0, 1.0, 1.1, 2.0, 1.0], [3.0, 1.2, 1.1, 2.0, 1.3]])
    >>> choice = choose_among(losses, Candidates({"l2": np.array([0.0, 0.1, 0.2, 0.3, 0.4])}, np.ones(5)))
    >>> choice.minimum, choice.one_standard_error
    (1, 2)
    """
    mean = losses.mean(axis=0)
    minimum = int(np.argmin(mean))
    error = paired_standard_error(losses, minimum, folds)
    unfinished = np.zeros(len(mean), bool) if unfinished is None else unfinished
    good = _confidence_set(losses, minimum, folds, test_to_train)
    within = most_regularized(candidates, mean, minimum, mean <= mean[minimum] + error, unfinished)
    return Choice(minimum, within, error, good, most_regularized(candidates, mean, minimum, good, unfinished))


def most_regularized(
    candidates: Candidates, mean: np.ndarray, minimum: int, meets: np.ndarray, unfinished: np.ndarray
) -> int:
    """Return the strength of the largest `Candidates.amount` that meets a bar with all between it and the minimum."""
    values, amounts = candidates.flat, candidates.amount
    finished = [int(j) for j in np.flatnonzero(~unfinished) if j != minimum]
    # what left early might still have fallen, so it stands in nobody's way
    reachable = [minimum, *(j for j in finished if _all_between(values, minimum, j, meets | unfinished))]
    return max(reachable, key=lambda j: (amounts[j], -mean[j]))


def _confidence_set(losses: np.ndarray, minimum: int, folds: int | None, test_to_train: float | None) -> np.ndarray:
    repeat = folds or len(losses)
    # row sets of a splitter of one's own may be no whole repeats: nothing to choose by
    if repeat < 2 or len(losses) % repeat:
        return np.arange(losses.shape[1]) == minimum
    # of K folds one is held out and K - 1 train
    ratio = 1 / (repeat - 1) if test_to_train is None else test_to_train
    return confidence_set(losses, ratio, repeat, CONFIDENCE)


def paired_standard_error(losses: np.ndarray, reference: int, folds: int | None = None) -> np.ndarray:
    """Standard error over row sets of the difference to column `reference`, [G]; NaN with a single row set."""
    with np.errstate(invalid="ignore"):
        # strengths that diverged are infinite, and infinity less infinity is NaN
        return standard_error(losses - losses[:, [reference]], folds)


def standard_error(values: np.ndarray, folds: int | None = None) -> np.ndarray:
    """Standard error of the mean over row sets [R, G] -> [G]; NaN with a single row set.

    Repeated folds draw the same rows again and add no data, so the spread is divided by the root of `folds`, the row
    sets of one repeat, and not of all (Bouckaert and Frank 2004).
    """
    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    with np.errstate(invalid="ignore"):
        return values.std(axis=0, ddof=1) / np.sqrt(folds or len(values))


def _all_between(values: np.ndarray, low: int, high: int, meets: np.ndarray) -> bool:
    """Whether `high` is at least `low` in every regularizer, and it and all between meet the bar."""
    if (values[:, high] < values[:, low]).any():
        return False
    between = np.all((values >= values[:, [low]]) & (values <= values[:, [high]]), axis=0)
    return bool(meets[between & (np.arange(len(meets)) != low)].all())  # the lowest mean is the bar itself

"""Who goes on training: decisions on the mean over row sets, taken by all strengths together. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Stopping:
    """When strengths leave a search.

    Attributes
    ----------
    patience
        A strength leaves when its held-out loss has not improved for this many epochs.
    rungs
        After these epochs the worst of the strengths still running leave (successive halving, Jamieson and Talwalkar,
        AISTATS 2016, but gentler). Empty: none is cut.
    kept
        Share of those running that goes on at a rung.
    credit
        Regularized networks start slowly, so at a rung each loss is credited with this share of what it has fallen by
        since half of the epochs.
    finalists
        At least this many strengths survive every rung, and the search ends once the best this many have left.
    to_the_end
        Whether the protected strengths train for all epochs, so that what the last epoch does to them is known.

    The numbers are the best of those tried on recorded curves of 16 tables, and held on 16 others
    (`benchmarks/cutting.py`).
    """

    patience: int = 25
    rungs: tuple[int, ...] = (10, 20, 30, 45, 60)
    kept: float = 0.7
    credit: float = 0.75
    finalists: int = 4
    to_the_end: bool = False

    def paced(self, pace: float) -> Stopping:
        """Return the same with rungs after a part of the epochs, see `pace_of`."""
        return replace(self, rungs=tuple(sorted({math.ceil(epoch * pace) for epoch in self.rungs})))


@dataclass(frozen=True, eq=False)
class Screening:
    """Which strengths begin a large search: the best after an epoch on a part of the rows of each row set.

    Those that begin do so from their first weights and train on all rows: their numbers are those of a search that was
    given them alone.

    Attributes
    ----------
    share
        Of the training rows and of the held-out rows of each row set.
    smallest
        Where there is little time the share is halved until it fits, but it is no smaller than this.
    kept
        Share of the strengths that begins.
    fewest
        At least this many strengths begin.
    held_out
        At least so many held-out rows of each row set measure, if there are.
    steps, rows
        Only where an epoch of all rows has at least so many steps, and a row set so many training rows.
    strata
        Class of each row, int [n], so that every class keeps its share; None draws without regard to the target.

    The numbers are those of `benchmarks/few_rows.py`.
    """

    share: float = 1 / 4
    smallest: float = 1 / 16
    kept: float = 0.5
    fewest: int = 8
    held_out: int = 1000
    steps: int = 64
    rows: int = 16_000
    strata: np.ndarray | None = None

    @property
    def shorter(self) -> Screening | None:
        """The same with half of the rows; None if these are too few."""
        return None if self.share / 2 < self.smallest else replace(self, share=self.share / 2)

    def begin(self, strengths: int) -> int:
        """Return how many of so many strengths begin."""
        return min(strengths, max(self.fewest, math.ceil(self.kept * strengths)))

    def work(self, strengths: int) -> float:
        """Return what it takes, in epochs of one strength on all rows."""
        return strengths * self.share


SLOW_STEPS, QUICKEST_PACE = 16, 0.25
"""An epoch of more steps teaches more, so rungs come earlier; but each after epochs of its own."""


def pace_of(steps: int) -> float:
    """Return the part of the rungs' epochs that is enough for epochs of so many steps.

    Tables of up to 2,000 rows have about 8 steps in an epoch, of 30,000 rows 100: there strengths can be told apart
    after fewer epochs (`benchmarks/cutting.py`, larger tables).
    """
    return min(1.0, max(SLOW_STEPS / steps, QUICKEST_PACE))


PATIENT_EPOCHS, LONGEST_EPOCHS = 102, 125
"""What strengths last by patience alone, and those that no rung cut, of 150 epochs (`benchmarks/cutting.py`)."""


def share_of_work(rules: Stopping | None, strengths: int, epochs: int) -> float:
    """Return the share of all strengths' epochs that will be trained, as it typically is: 0.36 of 150 by default."""
    return 1.0 if rules is None else work_ahead(rules, strengths, 0, epochs) / (strengths * epochs)


def work_ahead(rules: Stopping, running: int, epoch: int, epochs: int, pace: float = 1.0) -> int:
    """Return the epochs that strengths will train together from some epoch on, as it typically is.

    Parameters
    ----------
    rules
        Its rungs are those still to come.
    running
        Strengths in training.
    epoch, epochs
        Done, and the most there can be.
    pace
        The part of the rungs' and of all epochs after which they come, to be done sooner.
    """
    last = min(epochs, math.ceil(pace * (LONGEST_EPOCHS if rules.rungs else PATIENT_EPOCHS)))
    trained = 0
    rungs = [math.ceil(pace * rung) for rung in rules.rungs]
    for rung in (*(rung for rung in rungs if rung < last), last):
        trained += running * max(rung - epoch, 0)
        # the unregularized network stays, too
        running, epoch = min(running, max(rules.finalists, math.ceil(rules.kept * running)) + 1), max(rung, epoch)
    return trained


def still_running(
    rules: Stopping,
    running: np.ndarray,
    best_loss: np.ndarray,
    best_epoch: np.ndarray,
    before: int,
    after: int,
    *,
    earlier: np.ndarray | None = None,
    protected: tuple[int, ...] = (0,),
) -> np.ndarray:
    """Return which strengths train on after the epochs `before` to `after`.

    Protected strengths (the unregularized network, and the network as given) are never cut: they leave when
    they stop improving, or not at all. Strengths that are in memory at different times (waves) are asked about
    separately: each wave halves and ends by itself.

    Parameters
    ----------
    running
        bool [G], who trained until now.
    best_loss, best_epoch
        [G], of the mean over row sets; infinite for a strength that diverged.
    before, after
        Epochs done before and after the last call.
    earlier
        float [G], the lowest loss in the first half of the epochs; None gives nobody credit.
    protected
        Numbers of the protected strengths among those asked about.
    """
    improving = np.isfinite(best_loss) & (after - best_epoch < rules.patience)
    kept = np.zeros_like(running)
    kept[list(protected)] = rules.to_the_end & np.isfinite(best_loss[list(protected)])
    staying = running & (improving | kept)
    # a call trains several epochs, so a rung may lie inside it
    if any(before < epoch <= after for epoch in rules.rungs):
        staying &= _better_share(rules, running, best_loss, earlier, protected)
    # among all, those that left too: no rest may train on that is behind the ones that are done
    leaders = np.argsort(best_loss, kind="stable")[: rules.finalists]
    if not staying[leaders].any() and not staying[list(protected)].any():
        return np.zeros_like(running)
    return staying


def _better_share(
    rules: Stopping, running: np.ndarray, best_loss: np.ndarray, earlier: np.ndarray | None, protected: tuple[int, ...]
) -> np.ndarray:
    score = best_loss
    if earlier is not None:
        fallen = np.where(np.isfinite(best_loss) & np.isfinite(earlier), earlier - np.minimum(best_loss, earlier), 0.0)
        score = best_loss - rules.credit * fallen
    # stable: of equals the first stays, on every machine
    order = [g for g in np.argsort(score, kind="stable") if running[g]]
    leaders = [g for g in np.argsort(best_loss, kind="stable") if running[g]]
    kept = np.zeros_like(running)
    # a share is rounded up: of three, two stay by half
    kept[order[: max(rules.finalists, math.ceil(rules.kept * len(order)))]] = True
    # credit is for the slow, and takes no place from the best
    kept[leaders[: rules.finalists]] = True
    kept[list(protected)] = True
    return kept

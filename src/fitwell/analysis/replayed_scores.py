"""What a score is on new rows after choosing by it: draws of units choose a strength, the units not drawn score it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fitwell.analysis.bootstrap import shrunken
from fitwell.analysis.honest import SHARED, Replay, Rule, Score
from fitwell.analysis.intervals import Interval
from fitwell.analysis.scoring import Scoring
from fitwell.errors import InputError

DRAWS, FEWEST_DRAWS = 1000, 100
"""Draws of a bootstrap: usually, and of many rows."""

SLOW_DRAWS, SLOW_STRENGTHS = 30, 8
"""Draws by a scorer of scikit-learn's, of which each takes some milliseconds, and the strengths that are looked at."""

_WORK = 1e8  # rows times strengths times draws that take some seconds
_BYTES = 16_000_000  # of the weights of some draws, in the cache


@dataclass(frozen=True, eq=False)
class HeldOutScores(Replay):
    """Scores of held-out predictions, of every strength at its best epoch: J strengths that did not diverge.

    As `Replay` it has losses: scores with the other sign.

    Attributes
    ----------
    scoring
        The score.
    unit_of_row, targets, weights
        [h_r] for each row set: which of its `units` a row is of, its target, and what it counts.
    predictions
        [J, h_r, ...] for each row set, probabilities or values.
    """

    scoring: Scoring
    unit_of_row: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    predictions: tuple[np.ndarray, ...]

    def means(self, counts: np.ndarray) -> np.ndarray:
        """See `Replay`."""
        losses = -np.stack([self.scores(j, counts) for j in range(len(self.strength))], axis=2)
        # a draw that says nothing in any row set, as without a row of a rare class, prefers nobody
        losses[np.isnan(losses).all(axis=(1, 2))] = 0.0
        return losses

    def scores(self, j: int, counts: np.ndarray) -> np.ndarray:
        """Score one candidate in every row set by units taken `counts` times [draws, U] -> float [draws, R]."""
        longest = max(map(len, self.targets))
        some = max(1, _BYTES // (8 * longest))
        parts = [self._scores(j, counts[at : at + some]) for at in range(0, len(counts), some)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.units)))

    def _scores(self, j: int, counts: np.ndarray) -> np.ndarray:
        by_set = zip(self.places, self.unit_of_row, self.targets, self.weights, self.predictions, strict=True)
        found = np.full((len(counts), len(self.units)), np.nan)
        for r, (place, units, targets, weights, predicted) in enumerate(by_set):
            taken = counts[:, place][:, units] * weights
            there = taken.any(axis=1)  # of no rows a score may be 0, which is no score
            found[there, r] = self.scoring.scores(targets, predicted[j], taken[there])
        return found

    @cached_property
    def of_strengths(self) -> np.ndarray:
        """Scores of all strengths on all held-out rows, float [R, G]; minus infinity where a network diverged.

        Raises
        ------
        InputError
            The rows of a row set do not say.
        """
        found = np.full((len(self.units), self.strengths), -np.inf)
        found[:, self.strength] = -self.means(np.ones((1, len(self.every))))[0]
        if np.isnan(found).any():
            r = int(np.flatnonzero(np.isnan(found).any(axis=1))[0])
            raise InputError(
                f"'scoring' must be a score that all held-out rows have. Got {self.scoring.name!r}, which has no value "
                f"on the {len(self.targets[r]):,} of row set {r + 1} (they may lack a class): use fewer folds, or "
                "another score."
            )
        return found

    def corrected(self, chosen: int, rule: Rule | None, *, test_to_train: float, level: float, seed: int = 0) -> Score:
        """Correct the score of the choice for having been chosen, as `bbc` does with losses.

        In each draw units are drawn with replacement, a strength is chosen by their scores, and scored on the units
        that were not drawn, as is the strength that all rows choose. By how much the drawn choice is worse there, on
        average, the score on all rows was too good. Of a mean loss that is what `bbc` says; but a score of fewer rows
        may be another one (an average precision rises as rows get fewer, which says nothing of the choice), and in the
        difference that cancels. The interval is that of the drawn choices' deviations from their mean, as of means in
        `bbc`, and as much wider as losses' for what the row sets share. Epochs are those that all rows chose by the
        loss: for having chosen these nothing is corrected.

        Parameters
        ----------
        chosen
            The strength that all rows choose. A slow scorer looks at it and at the best few others only.
        rule
            What chooses; None takes the best mean.
        """
        few = self if self.scoring.quick else self._best(SLOW_STRENGTHS, chosen)
        choose, scores, worse, shrink = few.choosing(rule), [], [], []
        reference = int(np.searchsorted(few.strength, chosen))
        for counts in few._draws(seed):
            left = (counts == 0).astype(float)
            best = choose(counts)
            beside = _mean_of_known(few.scores(reference, left))
            for j in np.unique(best):
                mine = best == j
                scores.append(_mean_of_known(few.scores(int(j), left[mine])))
                worse.append(beside[mine] - scores[-1])
            share = np.concatenate([left[best == j].mean(axis=1) for j in np.unique(best)])
            shrink.append(np.sqrt(share / (1 - share)))
        naive = float(self.of_strengths[:, chosen].mean())
        estimate = naive - float(np.nanmean(np.concatenate(worse)))
        found = shrunken(np.concatenate(scores), np.concatenate(shrink), level)
        wider = np.sqrt(1 + SHARED * test_to_train)
        low, high = (estimate + wider * (end - found.estimate) for end in (found.low, found.high))
        interval = Interval(estimate, float(low), float(min(high, self.scoring.best)), level)
        return Score(self.scoring.name, "bbc", naive, interval)

    def _best(self, count: int, chosen: int) -> HeldOutScores:
        """Leave only the strengths of the best mean scores, and the one that is chosen."""
        order = np.argsort(-self.of_strengths.mean(axis=0)[self.strength], kind="stable")
        kept = np.union1d(order[:count], np.searchsorted(self.strength, [chosen]))
        predictions = tuple(predicted[kept] for predicted in self.predictions)
        return replace(self, strength=self.strength[kept], predictions=predictions)

    def _draws(self, seed: int) -> Iterator[np.ndarray]:
        """Draw units with replacement, int [some, U]; draws that leave none out are not there."""
        rng, size = np.random.default_rng(seed), len(self.every)
        rows = sum(map(len, self.targets)) * len(self.strength)
        draws = int(np.clip(_WORK / rows, FEWEST_DRAWS, DRAWS)) if self.scoring.quick else SLOW_DRAWS
        chunk = max(1, _BYTES // (8 * size))
        for start in range(0, draws, chunk):
            count = min(chunk, draws - start)
            drawn = rng.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
            yield counts[(counts == 0).any(axis=1)]


def _mean_of_known(scores: np.ndarray) -> np.ndarray:
    """Mean over row sets [draws, R] of those that say; NaN where none does."""
    known = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        return np.where(known, scores, 0.0).sum(axis=1) / known.sum(axis=1)

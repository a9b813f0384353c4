"""How well scores put the rows of one class above all others: every threshold at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows of one class and all others, counted down the distinct scores.

    Attributes
    ----------
    thresholds
        [t], the distinct scores, falling: a row is called positive if its score is at least this.
    true_positives, false_positives
        float [t], weight of the positive and of the negative rows that are then called positive.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray

    @classmethod
    def of(cls, positive: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Ranking:
        """Count rows: bool [n], finite scores [n], weights [n] (None is 1 each; a row of weight 0 is not there)."""
        weights = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
        there = weights > 0
        positive, scores, weights = positive[there], scores[there], weights[there]
        values, place = np.unique(scores, return_inverse=True)
        sums = (np.bincount(place, of_class * weights, len(values)) for of_class in (positive, ~positive))
        return cls(values[::-1], *(counted[::-1].cumsum() for counted in sums))

    @property
    def two_classes(self) -> bool:
        """Whether there are positive rows and others; without both, nothing is told apart."""
        return len(self.thresholds) > 0 and self.true_positives[-1] > 0 and self.false_positives[-1] > 0

    @property
    def area_under_curve(self) -> float:
        """How often a positive row has the higher score of a random pair with a negative one; ties count half.

        The area under the ROC curve, as a share of pairs (Mann and Whitney 1947).
        """
        positives, negatives = self.true_positives[-1], self.false_positives[-1]
        # beside each score's positive rows: the negative rows below it, and half of those that share it
        below = negatives - self.false_positives + np.diff(self.false_positives, prepend=0) / 2
        return float((np.diff(self.true_positives, prepend=0) * below).sum() / (positives * negatives))

    @property
    def average_precision(self) -> float:
        """The mean precision at which positive rows are found: sum of precision times the recall gained.

        The area under the steps of the precision-recall curve, without interpolation, which would flatter (Davis and
        Goadrich 2006). Scores that say nothing have the share of positive rows.
        """
        gained = np.diff(self.true_positives, prepend=0) / self.true_positives[-1]
        return float((gained * self.precision).sum())

    @property
    def precision(self) -> np.ndarray:
        """Share of the rows called positive that are, [t]."""
        return self.true_positives / (self.true_positives + self.false_positives)

    @property
    def recall(self) -> np.ndarray:
        """Share of the positive rows that are called so, [t]."""
        return self.true_positives / self.true_positives[-1]

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, [t]."""
        return 2 * self.true_positives / (self.true_positives + self.false_positives + self.true_positives[-1])

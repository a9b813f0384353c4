"""A finished search: its curves, its networks, and what they predict of held-out rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.engine.ending import Ended
from fitwell.engine.executor import Executor, Job
from fitwell.engine.histories import Histories
from fitwell.engine.job import Dataset
from fitwell.engine.network import Variables
from fitwell.engine.plan import Plan
from fitwell.regularization.strengths import Candidates
from fitwell.trees import tree_map


@dataclass(frozen=True)
class Trained:
    """A finished search.

    Attributes
    ----------
    histories
        See `Histories`.
    plan
        How it was cut.
    best
        Variables of all strengths at their best epochs, a tree of host arrays [R, G, ...].
    seconds
        Time of `"compile"`, `"train"` and `"measure"`.
    compilations
        Programs compiled for training: one, whatever the number of blocks and waves.
    dataset
        What was trained on.
    candidates
        The strengths: all that were asked for, or the first of them, see `Ended` and `Plan.asked`.
    ended
        That the search was ended before its epochs were over.
    """

    histories: Histories
    plan: Plan
    best: Variables
    seconds: dict[str, float]
    compilations: int
    dataset: Dataset
    candidates: Candidates
    ended: Ended | None
    _executor: Executor[Any]
    _job: Job

    def variables(self, strength: int) -> Variables:
        """Return one strength's networks at its best epoch, a tree [R, ...]."""
        return tree_map(lambda leaf: leaf[:, strength], self.best)

    def held_out_predictions(self, strengths: list[int]) -> Any:
        """Predict every row by the networks that did not train on it.

        Returns
        -------
        float [len(strengths), n, k] of probabilities, or [len(strengths), n] of values, or a tree of such as the loss
        predicts; NaN for rows never held out, the mean for rows held out several times.
        """
        return tree_map(lambda *leaves: self._mean_by_row(leaves), *self.predictions_by_row_set(strengths))

    def predictions_by_row_set(self, strengths: list[int]) -> list[Any]:
        """Predict the held-out rows of each row set by its networks: arrays [len(strengths), h_r, ...], or trees."""
        measured = list(self._executor.measure(tree_map(lambda leaf: leaf[:, strengths], self.best)))
        outputs = tree_map(lambda *parts: np.concatenate(parts, axis=1), *(part.outputs for part in measured))
        return [self._predicted(outputs, r, len(rows)) for r, rows in enumerate(self._job.row_sets.held_out)]

    def held_out_of(self, strength: int, row_set: int, count: int) -> Any:
        """Predict the first `count` held-out rows of one row set by its network: [count, k], [count] or a tree."""
        variables = tree_map(lambda leaf: leaf[:, [strength]], self.best)
        (measured,) = self._executor.measure(variables)
        return tree_map(lambda leaf: leaf[0], self._predicted(measured.outputs, row_set, count))

    def _predicted(self, outputs: Any, r: int, count: int) -> Any:
        """Predictions [strengths, count, ...] of one row set's held-out rows."""
        shift, scale = self.dataset.shift[r], self.dataset.scale[r]
        return self._job.loss.predict(tree_map(lambda leaf: shift + scale * leaf[r][:, :count], outputs))

    def _mean_by_row(self, parts: tuple[Any, ...]) -> np.ndarray:
        """Join [strengths, h_r, ...] of all row sets to [strengths, n, ...]."""
        first = np.asarray(parts[0])
        sums = np.zeros((len(first), self.dataset.rows, *first.shape[2:]))
        counts = np.zeros(self.dataset.rows)
        for rows, part in zip(self._job.row_sets.held_out, parts, strict=True):
            sums[:, rows] += np.asarray(part, float)
            counts[rows] += 1
        with np.errstate(invalid="ignore"):
            return sums / counts.reshape(1, -1, *(1,) * (sums.ndim - 2))

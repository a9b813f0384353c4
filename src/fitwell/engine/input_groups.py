"""What `l1_inputs` does in a step of NumPy's: whole columns of the first kernel pulled to zero."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fitwell.engine.network import DenseNetwork
from fitwell.regularization.table import LEAST, NEWTON_STEPS


class InputGroups:
    """The columns of a network's inputs, and how their weights are shrunk together.

    Parameters
    ----------
    network
        Whose first kernel is shrunk.
    """

    def __init__(self, network: DenseNetwork) -> None:
        # without gaps, which nothing would be summed into
        self.numbers = np.unique(network.groups or range(network.inputs), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Inputs of every column, int [K]."""
        return np.bincount(self.numbers)

    def shrink(self, kernel: np.ndarray, bend: np.ndarray, threshold: np.ndarray) -> None:
        """Shrink first kernels [S, units, d] in place; see `fitwell.regularization.table.shrink_inputs`.

        Parameters
        ----------
        bend
            The learning rate by the step's size of each weight, like the kernels.
        threshold
            The learning rate times the strength, [S, 1].
        """
        thresholds = threshold * np.sqrt(self.sizes).astype(kernel.dtype)  # [S, K]
        pull = bend * kernel
        squares = pull * pull
        totals = np.sqrt(self._summed(squares))
        stays = totals > thresholds
        lengths = (totals - thresholds) * totals**2 / _above_zero(self._summed(bend * squares)) * stays
        for _ in range(NEWTON_STEPS):
            whole = _above_zero(bend * self._spread(lengths) + self._spread(thresholds))
            rest = (pull / whole) ** 2
            norms = np.sqrt(self._summed(rest))
            lengths += (norms - 1) * norms**2 / _above_zero(self._summed(rest * bend / whole))
            lengths *= stays
        kernel *= 1 - self._spread(thresholds) / _above_zero(bend * self._spread(lengths) + self._spread(thresholds))

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """Sum over all weights of a column: [S, units, d] to [S, K]."""
        by_input = values.sum(axis=1)
        order, starts = self._order
        return by_input if order is None else np.add.reduceat(by_input[:, order], starts, axis=1)

    def _spread(self, by_column: np.ndarray) -> np.ndarray:
        """Give every weight its column's number: [S, K] to [S, 1, d]."""
        return by_column[:, None, self.numbers]

    @cached_property
    def _order(self) -> tuple[np.ndarray | None, np.ndarray]:
        """Inputs sorted by their columns, and where each column begins; None where every input is one."""
        if np.array_equal(self.numbers, np.arange(len(self.sizes))):
            return None, np.empty(0, int)
        return np.argsort(self.numbers, kind="stable"), np.cumsum([0, *self.sizes[:-1]])


def _above_zero(values: np.ndarray) -> np.ndarray:
    return values + (values < LEAST) * values.dtype.type(LEAST)

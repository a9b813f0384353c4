"""A table in windows: consecutive rows that are in memory together, and orders of rows that keep to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Route(NamedTuple):
    """Rows in the order in which windows are visited.

    Attributes
    ----------
    places
        int [m], where each stood in the order that was given.
    ends
        int [W], how many have been visited after each window.
    """

    places: NDArray[np.int64]
    ends: NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """How the rows of a table are cut.

    Attributes
    ----------
    n_rows
        Rows of the table.
    rows
        Of every window but the last, which may have fewer.
    """

    n_rows: int
    rows: int

    @property
    def count(self) -> int:
        """W."""
        return math.ceil(self.n_rows / self.rows)

    def span(self, window: int) -> slice:
        """Return the rows of a window."""
        return slice(window * self.rows, min((window + 1) * self.rows, self.n_rows))

    def route(self, order: NDArray[np.int32], visits: NDArray[Any]) -> Route:
        """Put an order of rows [m] into windows, which are visited in the order `visits` [W].

        Inside a window rows keep their order, so that of one window nothing changes.
        """
        rank = np.empty(self.count, np.min_scalar_type(self.count))
        rank[visits] = np.arange(self.count)
        # small whole numbers are sorted in a few passes
        turn = rank[order // self.rows]
        return Route(np.argsort(turn, kind="stable"), np.cumsum(np.bincount(turn, minlength=self.count)))


def even_windows(n_rows: int, most: int) -> Windows:
    """Cut rows into as few windows of nearly one size as hold at most so many."""
    count = math.ceil(n_rows / max(1, min(most, n_rows)))
    return Windows(n_rows, math.ceil(n_rows / count))

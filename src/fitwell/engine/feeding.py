"""Rows of a row set handed out in whole batches, encoded as the windows come that they lie in."""

from __future__ import annotations

import numpy as np

from fitwell.data.columns import RawFeatures
from fitwell.data.encoding import parts_of_rows
from fitwell.data.streamed_inputs import StreamedInputs
from fitwell.data.windows import Route, Windows


class Feed:
    """Some rows of one row set, in the order in which windows are visited; what fills no batch waits for the next.

    Parameters
    ----------
    inputs, windows
        The table.
    r
        The row set, by which rows are encoded.
    order
        int [m], the rows, before they are put into windows.
    route
        See `Windows.route`.
    batch
        Rows of a batch.
    total
        Rows that are handed out in all: more than m where the order begins anew at its end, as far as a few rows.

    Attributes
    ----------
    rows
        int [m], the rows as they are handed out.
    buffer
        float [rows, d], what is handed out now; valid from `open` to `close`.
    handed
        Rows handed out before those.
    """

    def __init__(
        self,
        inputs: StreamedInputs,
        windows: Windows,
        r: int,
        order: np.ndarray,
        route: Route,
        batch: int,
        total: int | None = None,
    ) -> None:
        self.r, self.rows, self.handed = r, order[route.places], 0
        self._inputs, self._windows, self._ends, self._batch = inputs, windows, route.ends, batch
        self._again = (len(order) if total is None else total) - len(order)
        width = inputs.shape[2]
        self._rest = np.empty((0, width), inputs.dtype)
        self._head = np.empty((0, width), inputs.dtype)
        self.buffer = self._rest
        # between `open` and `close`: what is new of a window, and where it begins
        self._features: RawFeatures | None = None
        self._new, self._begin = self.rows[:0], 0

    def waiting(self, visit: int) -> int:
        """Return how many rows there will be after a visit that is the `visit`-th, from 0 on."""
        return len(self._rest) + int(self._ends[visit]) - self._seen(visit) + self._again_at(visit)

    def open(self, visit: int, window: int, features: RawFeatures) -> list[slice]:
        """Make room for the rows of a window, and return the parts in which `encode` fills it."""
        self._features = features
        self._new = self.rows[self._seen(visit) : self._ends[visit]] - window * self._windows.rows
        self._begin = len(self._rest)
        self.buffer = np.empty((self.waiting(visit), self._inputs.shape[2]), self._inputs.dtype)
        self.buffer[: self._begin] = self._rest
        return list(parts_of_rows(len(self._new), self._inputs.shape[2]))

    def encode(self, part: slice) -> None:
        """Encode some of the new rows."""
        assert self._features is not None
        here = self.buffer[self._begin : self._begin + len(self._new)][part]
        self._inputs.write(self.r, self._features, self._new[part], here)

    def ready(self, visit: int) -> int:
        """Return how many rows are handed out at a visit, once they are encoded; the order's beginning is kept."""
        wanted = min(self._again, len(self.rows)) - len(self._head)
        if wanted > 0:
            self._head = np.concatenate(
                [self._head, self.buffer[self._begin : self._begin + min(wanted, len(self._new))]]
            )
        if not self._is_last(visit):
            return len(self.buffer) // self._batch * self._batch
        if self._again:
            self.buffer[len(self.buffer) - self._again :] = self._head[np.arange(self._again) % len(self._head)]
        return len(self.buffer)

    def close(self, handed: int) -> None:
        """Go on behind the rows that were handed out."""
        self._rest = self.buffer[handed:].copy()
        self.handed += handed
        self.buffer, self._features = self._rest, None

    def numbers(self, count: int) -> np.ndarray:
        """Return which rows of the table the next `count` are."""
        return self.rows[np.arange(self.handed, self.handed + count) % len(self.rows)]

    def _seen(self, visit: int) -> int:
        return int(self._ends[visit - 1]) if visit else 0

    def _is_last(self, visit: int) -> bool:
        return visit == len(self._ends) - 1

    def _again_at(self, visit: int) -> int:
        return self._again if self._is_last(visit) else 0

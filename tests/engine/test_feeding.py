"""Batches that go on across windows, and begin anew at the end: those of an order in memory."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from fitwell.data.streamed_inputs import StreamedInputs
from fitwell.data.windows import Windows
from fitwell.engine.feeding import Feed


class Numbers:
    """Inputs that are the rows' numbers."""

    shape, dtype = (1, 30, 2), np.dtype(np.float32)

    def write(self, r: int, window: Any, rows: np.ndarray, inputs: np.ndarray) -> None:
        """Write them."""
        del r
        inputs[:] = np.asarray(window)[rows, None]


@pytest.mark.parametrize(("rows", "of_window", "batch", "total"), [(30, 7, 4, 32), (5, 3, 8, 16), (29, 30, 8, None)])
def test_rows_are_those_of_the_order(seed: int, rows: int, of_window: int, batch: int, total: int | None) -> None:
    """In whole batches until the last window, beside the order itself, which begins anew where it ends."""
    random = np.random.default_rng(seed)
    order, windows = random.permutation(30)[:rows].astype(np.int32), Windows(30, of_window)
    visits = random.permutation(windows.count)
    route = windows.route(order, visits)
    feed = Feed(cast(StreamedInputs, Numbers()), windows, 0, order, route, batch, total)
    seen, numbered = [], []
    for visit, window in enumerate(visits):
        for part in feed.open(visit, window, cast(Any, np.arange(30)[windows.span(window)])):
            feed.encode(part)
        count = feed.ready(visit)
        assert visit == windows.count - 1 or count % batch == 0
        seen += feed.buffer[:count, 1].astype(int).tolist()
        numbered += feed.numbers(count).tolist()
        feed.close(count)
    wanted = np.resize(order[route.places], rows if total is None else total).tolist()
    assert seen == numbered == wanted

"""Windows of a table: every row once, in the order that was given inside each."""

from __future__ import annotations

import numpy as np

from fitwell.data.windows import Windows, even_windows


def test_a_route_keeps_orders_inside_windows(seed: int) -> None:
    """Beside a plain loop; of one window nothing changes."""
    random = np.random.default_rng(seed)
    order = random.permutation(23)[:17].astype(np.int32)
    windows = Windows(23, 5)
    visits = random.permutation(windows.count)
    route = windows.route(order, visits)
    inside = [[row for row in order if windows.span(w).start <= row < windows.span(w).stop] for w in visits]
    assert order[route.places].tolist() == [row for rows in inside for row in rows]
    assert route.ends.tolist() == np.cumsum([len(rows) for rows in inside]).tolist()
    one = Windows(23, 23).route(order, np.arange(1))
    assert one.places.tolist() == list(range(17))


def test_windows_are_of_nearly_one_size() -> None:
    """As few as hold at most so many rows; all rows are in one of them."""
    for n, most, count in ((100, 100, 1), (100, 99, 2), (100, 30, 4), (7, 3, 3), (5, 0, 5)):
        windows = even_windows(n, most)
        assert windows.count == count
        assert windows.rows <= max(most, 1)
        rows = [row for w in range(windows.count) for row in range(n)[windows.span(w)]]
        assert rows == list(range(n))

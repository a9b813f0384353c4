"""Searches on Ray with one and two local workers, against the same search without it.

One process measures all: Ray is started before the clock, the ways take turns, and what is compared is the time of
training alone. The numbers must be the same bit for bit, or it stops.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any

import measuring

ROWS, QUICK_ROWS = 4_000, 400
FEATURES, STRENGTHS = 20, 16
EPOCHS, QUICK_EPOCHS = 10, 5
HIDDEN, WIDE = (128, 64), (256, 256)
"""Units of the usual network, and of one whose state is larger than what its epochs are worth."""

WAYS = ("none, 1 core", "none, all cores", "1 worker", "2 workers", "2 workers, state seldom")


def measure(rows: int, epochs: int, rounds: int, hidden: list[int]) -> dict[str, Any]:
    """Seconds of training by each way, and the bytes of state that a call brings back."""
    import numpy as np
    import ray

    import fitwell

    warnings.simplefilter("ignore", fitwell.FitwellWarning)
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, FEATURES))
    y = (x[:, 0] * x[:, 1] + x[:, 2] + random.normal(size=rows) > 0).astype(int)
    begun = time.perf_counter()
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    started = time.perf_counter() - begun
    how = {"strengths": STRENGTHS, "epochs": epochs, "hidden": tuple(hidden)}
    one, two = fitwell.Ray(workers=1), fitwell.Ray(workers=2)
    ways = {
        "none, 1 core": {"engine": "numpy", "devices": 1},
        "none, all cores": {"engine": "numpy"},
        "1 worker": {"engine": one},
        "2 workers": {"engine": two},
        "2 workers, state seldom": {"engine": fitwell.Ray(workers=2, every=1000)},
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    whole: dict[str, list[float]] = {way: [] for way in ways}
    losses = []
    for _ in range(rounds):
        for way, given in ways.items():
            begun = time.perf_counter()
            found = fitwell.tune(x, y, **how, **given)
            whole[way].append(time.perf_counter() - begun)
            seconds[way].append(found.record.seconds["train"])
            losses.append(found.search.histories.best_loss)
            del found
    if not all(np.array_equal(losses[0], other) for other in losses):
        raise SystemExit("The ways differ in their numbers.")
    weights = sum((into + 1) * out for into, out in zip((FEATURES, *hidden), (*hidden, 2), strict=True))
    ray.shutdown()
    return {"seconds": seconds, "whole": whole, "started": started, "state": 4 * 4 * weights * 5 * STRENGTHS}


def section(options: argparse.Namespace) -> None:
    """Print what Ray costs and gains."""
    rows, epochs = (QUICK_ROWS, QUICK_EPOCHS) if options.quick else (ROWS, EPOCHS)
    rounds = options.rounds or (1 if options.quick else 3)
    print(measuring.heading("A search on Ray's local workers: `clusters.py`", options))
    for hidden, count in ((HIDDEN, rows), (WIDE, rows // 8)):
        found = measuring.in_child(__file__, "measure", rows=count, epochs=epochs, rounds=rounds, hidden=list(hidden))
        print(
            f"{count:,} rows of {FEATURES} numbers, 5 folds, {STRENGTHS} strengths, {epochs} epochs, layers of "
            f"{' and '.join(map(str, hidden))} units; {rounds} rounds. Ray took {found['started']:.1f} s to start. "
            f"The state of all networks is {found['state'] / measuring.MIB:,.1f} MiB.\n"
        )
        base = found["seconds"]["none, all cores"]
        lines = []
        for way in WAYS:
            ratios = [one / other for one, other in zip(found["seconds"][way], base, strict=True)]
            lines.append(
                [
                    way,
                    statistics.median(found["seconds"][way]),
                    statistics.median(ratios),
                    measuring.spread(ratios),
                    statistics.median(found["whole"][way]),
                ]
            )
        header = ["Ray", "training, s", "times as long as on all cores without Ray", "range", "the whole of `tune`, s"]
        print(measuring.table(header, lines))


def main() -> None:
    """Measure what was asked for."""
    section(measuring.arguments(__doc__, {"measure": measure}))


if __name__ == "__main__":
    main()

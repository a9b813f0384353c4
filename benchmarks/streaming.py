"""Tables larger than memory: searched from disk in windows, beside the same search in memory.

A simulated table of numbers in a Parquet file, five folds. Each search runs in a fresh process. Peak memory is what a
process has for itself (`RssAnon`, looked at every 20 ms) beside Python: pages of mapped files go when others need them.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import measuring

COLUMNS, STRENGTHS, EPOCHS = 100, 4, 2
ROWS, QUICK_ROWS = 120_000, 60_000
BUDGETS = (0.5, 0.35)
"""Of the table as numbers; 0 is a search in memory."""

HIDDEN, MORE_STRENGTHS = (64, 32), 16
LOOK_SECONDS = 0.02
MEASURED = ("seconds", "processor", "train", "peak", "loss")


def write_table(path: str, rows: int, columns: int) -> dict[str, Any]:
    """Write a table a part at a time."""
    import numpy as np
    import polars as pl

    random, folder = np.random.default_rng(0), Path(path)
    folder.mkdir()
    step = max(1, rows // 10)
    for number, at in enumerate(range(0, rows, step)):
        x = random.normal(size=(min(step, rows - at), columns))
        signal = x[:, 0] - x[:, 1] ** 2 + x[:, 2] * x[:, 3] + random.normal(size=len(x))
        frame = pl.DataFrame({f"x{column}": x[:, column] for column in range(columns)} | {"y": signal > 0})
        frame.write_parquet(folder / f"{number:02d}.parquet")
    return {"mib": sum(file.stat().st_size for file in folder.iterdir()) / measuring.MIB}


def search(path: str, memory: int, strengths: int, epochs: int) -> dict[str, Any]:
    """Search, and say how long it took and what the process had for itself."""
    from fitwell.api.tune import tune

    before, peak, over = own_memory(), [0], threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            peak[0] = max(peak[0], own_memory())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    begin, used = time.perf_counter(), time.process_time()
    result = tune(path, "y", memory=memory or None, strengths=strengths, epochs=epochs, hidden=HIDDEN)
    seconds, processor = time.perf_counter() - begin, time.process_time() - used
    over.set()
    watcher.join()
    return {
        "windows": result.search.plan.windows,
        "seconds": seconds,
        "processor": processor,
        "train": result.record.seconds["train"],
        "peak": (peak[0] - before) / measuring.MIB,
        "loss": result.score.value,
    }


def own_memory() -> int:
    """Bytes that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


TASKS = {"write_table": write_table, "search": search}


def main() -> None:
    """Measure, and print Markdown."""
    options = measuring.arguments(__doc__, TASKS)
    rows = QUICK_ROWS if options.quick else ROWS
    kept = 8 * rows * COLUMNS
    searches = [(0, STRENGTHS), *((int(share * kept), STRENGTHS) for share in BUDGETS), (kept // 2, MORE_STRENGTHS)]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "table")
        measuring.in_child(__file__, "write_table", path=path, rows=rows, columns=COLUMNS)
        for memory, strengths in searches:
            asked = {"path": path, "memory": memory, "strengths": strengths, "epochs": EPOCHS}
            one = measuring.in_child(__file__, "search", **asked)
            budget = memory / measuring.MIB if memory else "none: in memory"
            found.append([budget, one["windows"] or None, strengths, *(one[name] for name in MEASURED)])
            measuring.note(str(found[-1]))
    print(measuring.heading("Larger than memory", options))
    print(f"{rows:,} rows of {COLUMNS} numbers, five folds, {EPOCHS} epochs.\n")
    heads = (
        "budget, MiB",
        "windows",
        "strengths",
        "s",
        "s of all cores",
        "training, s",
        "peak, MiB",
        "loss on new rows",
    )
    print(measuring.table(heads, found))


if __name__ == "__main__":
    main()

"""The second search of a Keras model's shape: what compiled programs that were kept save, paired in rounds.

A whole process each time: imports, the model, `fitwell.tune` (5 folds, 8 strengths, 10 epochs, a refit). In each round
nothing is kept; then an empty directory is filled; then it is there, for the same search and for one of another seed.
At last the search that follows another one in the same process, which does not trace its programs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import digits
import keras_models
import measuring

STATES = ("nothing kept", "first", "second", "second, another seed", "second, in one process")
ROUNDS = 3


def search(kind: str, strengths: int, epochs: int, seed: int, earlier: bool) -> dict[str, Any]:
    """Tune one of the models of `keras_models.py`; after an earlier search of such a model, if so wanted."""
    import fitwell

    inputs, target = digits.load()
    if earlier:
        fitwell.tune(keras_models.make_model(kind), inputs, target, strengths=strengths, epochs=epochs, seed=seed)
    model = keras_models.make_model(kind)
    begin, processor = time.perf_counter(), time.process_time()
    result = fitwell.tune(model, inputs, target, strengths=strengths, epochs=epochs, seed=seed)
    return {
        "tune": time.perf_counter() - begin,
        "tune_cpu": time.process_time() - processor,
        "process_cpu": time.process_time(),
        "loss": float(result.search.histories.held_out_loss.sum()),
    }


TASKS = {"search": search}

Round = dict[str, dict[str, Any]]


def measure_round(kind: str, quick: bool) -> Round:
    """Search in four fresh processes."""
    found: Round = {}
    with tempfile.TemporaryDirectory() as directory:
        for state in STATES:
            kept = "off" if state == "nothing kept" else directory
            size = {"strengths": 2, "epochs": 2} if quick else {"strengths": 8, "epochs": 10}
            environment = {"KERAS_BACKEND": "jax", "FITWELL_CACHE": kept}
            begin = time.perf_counter()
            asked = {"seed": int("seed" in state), "earlier": "process" in state}
            one = measuring.in_child(__file__, "search", environment, kind=kind, **asked, **size)
            found[state] = {**one, "process": time.perf_counter() - begin}
    alike = {found[state]["loss"] for state in STATES if "seed" not in state}
    assert len(alike) == 1, "a program that was kept gave other numbers"
    return found


def rows_of(kind: str, rounds: Sequence[Round]) -> list[list[Any]]:
    """Medians and ranges of one model."""
    rows = []
    for state in STATES:
        row: list[Any] = [kind, state]
        for key in ("tune", "tune_cpu", "process", "process_cpu"):
            values = [found[state][key] for found in rounds]
            row += [statistics.median(values), measuring.spread(values)]
        rows.append(row)
    return rows


def main() -> None:
    """Measure and print the table for RESULTS.md."""
    options = measuring.arguments(__doc__, TASKS)
    print(measuring.heading("The second search: `second_search.py`", options))
    count = options.rounds or (1 if options.quick else ROUNDS)
    rounds = {kind: [measure_round(kind, options.quick) for _ in range(count)] for kind in keras_models.KINDS}
    columns = ("s of tune", "CPU s of tune", "s of the process", "CPU s of the process")
    header = ["model", "compiled programs", *(name for column in columns for name in (column, "range"))]
    print(measuring.table(header, [row for kind, found in rounds.items() for row in rows_of(kind, found)]))


if __name__ == "__main__":
    main()

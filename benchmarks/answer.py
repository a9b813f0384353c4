"""Time to an answer: whole `fitwell` processes, tune on three tables from the file to the saved model, and predict.

A million rows are predicted, too: those of the breast cancer table again and again, each number jittered.

Each table is tuned with NumPy and with JAX in every round, and answered by LightGBM and CatBoost where they are
installed (`boosted_trees.py`). Runs the `fitwell` command that is installed beside the
Python that runs this script, and `python -m fitwell` where there is none. Wall seconds of the process and its peak
memory; the scores are those that it saved.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring

LIMITS = {"breast_cancer": 3.5, "diabetes": 3.0, "digits": 8.0}
"""Seconds that each table may take with NumPy."""

PREDICT_LIMIT = 1.0
"""Seconds for the predictions of five rows."""

ENGINES = ("numpy", "jax")

BOOSTED = tuple(name for name in ("lightgbm", "catboost") if importlib.util.find_spec(name))
"""What is there to compare with."""

COSTS = ("seconds", "cpu_seconds")
"""What is compared."""

ROUNDS = 3
ROWS, QUICK_ROWS = 1_000_000, 50_000
QUICK_OPTIONS = ("--epochs", "3", "--strengths", "4")
SHOWN_SCORES = ("unregularized", "minimum", "one_standard_error", "ensemble")


def write_tables(folder: str) -> dict[str, Any]:
    """Write scikit-learn's tables as CSV, the target in the column `target`; return their shapes."""
    from sklearn import datasets

    shapes = {}
    for name in LIMITS:
        # diabetes in its own units: scikit-learn's default is centred and scaled by the whole table
        options = {"scaled": False} if name == "diabetes" else {}
        frame = getattr(datasets, f"load_{name}")(as_frame=True, **options).frame
        frame.to_csv(Path(folder) / f"{name}.csv", index=False)
        shapes[name] = [frame.shape[0], frame.shape[1] - 1]
    return shapes


def write_many(table: str, out: str, rows: int) -> None:
    """Write a table's rows again and again, each number jittered by about 5% and cut to four digits."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(0)
    known = pl.read_csv(table).drop("target")
    many = known[random.integers(0, known.height, rows)]
    jittered = [column * (1 + 0.05 * random.standard_normal(rows)) for column in many.iter_columns()]
    made = pl.DataFrame([column.round_sig_figs(4) for column in jittered])
    made.write_csv(out)
    made.write_parquet(Path(out).with_suffix(".parquet"))


TASKS = {"write_tables": write_tables, "write_many": write_many}


def command() -> list[str]:
    """The command as users call it."""
    installed = shutil.which("fitwell", path=str(Path(sys.executable).parent))
    return [installed] if installed else [sys.executable, "-m", "fitwell"]


def measured(*arguments: str) -> dict[str, Any]:
    """Run the command once, a whole process; return its seconds and its peak memory."""
    return timed([*command(), *arguments])[0]


def timed(call: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Run a whole process; return its seconds and its peak memory, and what it printed."""
    measuring.note(" ".join(call))
    begin = time.perf_counter()
    # each measurement compiles what it runs
    environment = {**os.environ, "FITWELL_CACHE": "off"}
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(call)}\nfailed with status {process.returncode}.")
    cost = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * measuring.MAXRSS_UNIT,
    }
    return cost, printed


def boosted(kind: str, table: Path) -> dict[str, Any]:
    """Answer for a table by boosted trees, a whole process."""
    cost, printed = timed([sys.executable, str(Path(__file__).with_name("boosted_trees.py")), kind, str(table)])
    return cost | json.loads(printed)


def tune(table: Path, out: Path, extra: Sequence[str]) -> dict[str, Any]:
    """Tune a table; what was saved is returned beside the cost."""
    cost = measured("tune", str(table), "--target", "target", "--out", str(out), "--quiet", *extra)
    return cost | {"saved": json.loads((out / "run.json").read_text())}  # the document that `--json` prints


def predict(table: Path, run: Path) -> dict[str, Any]:
    """Predict the first five rows of a table."""
    five = run / "five.csv"
    five.write_text("".join(table.read_text().splitlines(keepends=True)[:6]))
    return measured("predict", str(run), str(five), "--out", str(run / "predicted.csv"))


def time_table(found: dict[str, dict[str, list[dict[str, Any]]]], shapes: dict[str, list[int]]) -> str:
    """Seconds and memory of every table by NumPy, against the limits and against JAX."""
    rows = []
    for name, by in found.items():
        runs = by["numpy"]
        seconds = [run["seconds"] for run in runs]
        middle = statistics.median(seconds)
        networks = runs[0]["saved"]["plan"]["networks"]
        ratios = [[jax[key] / ours[key] for ours, jax in zip(runs, by["jax"], strict=True)] for key in COSTS]
        cost = [middle, measuring.spread(seconds), f"at most {LIMITS[name]:g}", _verdict(middle, LIMITS[name])]
        cpu = statistics.median(run["cpu_seconds"] for run in runs)
        train = statistics.median(run["saved"]["seconds"]["train"] for run in runs)
        against = [cell for ratio in ratios for cell in (statistics.median(ratio), measuring.spread(ratio))]
        rows.append(
            [name, " x ".join(map(measuring.cell, shapes[name])), networks, *cost, train, cpu, _peak(runs), *against]
        )
    header = ["table", "rows x columns", "networks", "s, median", "range", "target", "", "training, s", "CPU s",
              "peak memory, MiB", "JAX's s over these", "range", "JAX's CPU s over these", "range"]  # fmt: skip
    return measuring.table(header, rows)


def boosted_table(found: dict[str, dict[str, list[dict[str, Any]]]], ours: dict[str, dict[str, list[Any]]]) -> str:
    """What boosted trees cost over what `fitwell tune` costs, pair by pair, and both losses."""
    rows = []
    for name, by in found.items():
        mine = ours[name]["numpy"]
        scores = mine[-1]["saved"]["scores"]
        metric = next(iter(scores["unregularized"]))
        for kind, runs in by.items():
            ratios = [[run[key] / other[key] for run, other in zip(runs, mine, strict=True)] for key in COSTS]
            against = [cell for ratio in ratios for cell in (statistics.median(ratio), measuring.spread(ratio))]
            seconds = statistics.median(run["seconds"] for run in runs)
            losses = [f"{runs[-1]['loss']:.4g}", _score(scores, "ensemble", metric)]
            rows.append([name, kind, seconds, *against, _peak(runs), metric, *losses])
    header = ["table", "boosted trees", "s, median", "over fitwell's", "range", "CPU s over fitwell's", "range",
              "peak memory, MiB", "cross-validated", "theirs", "fitwell's ensemble"]  # fmt: skip
    return measuring.table(header, rows)


def predict_table(runs: list[dict[str, Any]]) -> str:
    """What five predictions cost."""
    seconds = [run["seconds"] for run in runs]
    middle, cpu = statistics.median(seconds), statistics.median(run["cpu_seconds"] for run in runs)
    cost = [middle, measuring.spread(seconds), f"at most {PREDICT_LIMIT:g}", _verdict(middle, PREDICT_LIMIT), cpu]
    header = ["five rows predicted", "s, median", "range", "target", "", "CPU s", "peak memory, MiB"]
    return measuring.table(header, [["the whole process", *cost, _peak(runs)]])


def predict_many(run: Path, folder: Path, rows: int) -> str:
    """What the predictions of a large file cost, from CSV and from Parquet."""
    many = folder / "many.csv"
    table = str(folder / "breast_cancer.csv")
    measuring.in_child(__file__, "write_many", table=table, out=str(many), rows=rows)
    lines: list[list[Any]] = []
    for data in (many, many.with_suffix(".parquet")):
        cost = measured("predict", str(run), str(data), "--out", str(folder / "predicted.csv"), "--force")
        size = round(data.stat().st_size / measuring.MIB)
        lines.append([f"{rows:,} rows, {data.suffix}", size, cost["seconds"], cost["cpu_seconds"], _peak([cost])])
    return measuring.table(["a large file predicted", "MiB", "s", "CPU s", "peak memory, MiB"], lines)


def _verdict(seconds: float, limit: float) -> str:
    return "pass" if seconds <= limit else "FAIL"


def _peak(runs: list[dict[str, Any]]) -> int:
    return round(max(run["peak_bytes"] for run in runs) / measuring.MIB)


def score_table(found: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """Cross-validated scores, as saved."""
    rows: list[list[Any]] = []
    for name, by in found.items():
        for engine, runs in by.items():
            scores = runs[-1]["saved"]["scores"]
            rows += [
                [name, engine, metric, *(_score(scores, way, metric) for way in SHOWN_SCORES)]
                for metric in scores["unregularized"]
            ]
    header = ["table", "engine", "cross-validated", *(way.replace("_", " ") for way in SHOWN_SCORES)]
    return measuring.table(header, rows)


def _score(scores: dict[str, dict[str, float]], way: str, metric: str) -> str:
    return f"{scores[way][metric]:.4g}" if way in scores else ""


def main() -> None:
    """Measure and print."""
    options = measuring.arguments(__doc__, TASKS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    print(measuring.heading("Time to an answer", options))
    found: dict[str, Any] = {name: {engine: [] for engine in ENGINES} for name in LIMITS}
    trees: dict[str, Any] = {name: {kind: [] for kind in BOOSTED} for name in LIMITS}
    predicted: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        shapes = measuring.in_child(__file__, "write_tables", folder=folder)
        for number in range(rounds):
            for name, by in found.items():
                table = Path(folder) / f"{name}.csv"
                for engine, runs in by.items():
                    out = Path(folder) / f"{name}-{engine}-{number}"
                    extra = QUICK_OPTIONS if options.quick else ()
                    runs.append(tune(table, out, ("--engine", engine, *extra)))
                for kind, runs in trees[name].items():
                    runs.append(boosted(kind, table))
                predicted.append(predict(table, Path(folder) / f"{name}-numpy-{number}"))
        large = predict_many(
            Path(folder) / "breast_cancer-numpy-0", Path(folder), QUICK_ROWS if options.quick else ROWS
        )
    print(time_table(found, shapes))
    if BOOSTED:
        print(boosted_table(trees, found))
    print(predict_table(predicted))
    print(large)
    called = " ".join([Path(command()[0]).name, *command()[1:]])
    print(f"{rounds} fresh processes each: `{called} tune TABLE --target target --out DIRECTORY --quiet`.\n")
    print(score_table(found))
    print("All are optimistic: the rows that chose the epoch and the strength also score them.\n")


if __name__ == "__main__":
    main()

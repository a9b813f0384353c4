"""Time to an answer: the whole `fitwell tune` process on three tables, from the CSV file to the saved model.

Runs the `fitwell` command that is installed beside the Python that runs this script, and `python -m fitwell`
where there is none. Wall seconds of the process and its peak memory; the scores are those that it saved.
"""

from __future__ import annotations

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

LIMITS = {"breast_cancer": 20.0, "diabetes": 20.0, "digits": 40.0}
"""Seconds that each table may take."""

ROUNDS = 3
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


TASKS = {"write_tables": write_tables}


def command() -> list[str]:
    """The command as users call it."""
    installed = shutil.which("fitwell", path=str(Path(sys.executable).parent))
    return [installed] if installed else [sys.executable, "-m", "fitwell"]


def tune(table: Path, out: Path, extra: Sequence[str]) -> dict[str, Any]:
    """Run the whole process once; return its seconds, its peak memory and what it saved."""
    call = [*command(), "tune", str(table), "--target", "target", "--out", str(out), "--quiet", *extra]
    measuring.note(" ".join(call))
    begin = time.perf_counter()
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(call)}\nfailed with status {process.returncode}.")
    saved = json.loads((out / "run.json").read_text())  # the document that `--json` prints
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * measuring.MAXRSS_UNIT,
        "saved": saved,
    }


def time_table(found: dict[str, list[dict[str, Any]]], shapes: dict[str, list[int]]) -> str:
    """Seconds and memory of every table, against the limits."""
    rows = []
    for name, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        middle = statistics.median(seconds)
        parts = [statistics.median(run["saved"]["seconds"][key] for run in runs) for key in ("compile", "train")]
        cpu = statistics.median(run["cpu_seconds"] for run in runs)
        peak = round(max(run["peak_bytes"] for run in runs) / measuring.MIB)
        verdict = "pass" if middle <= LIMITS[name] else "FAIL"
        shape = " x ".join(map(measuring.cell, shapes[name]))
        networks = runs[0]["saved"]["plan"]["networks"]
        cost = [middle, measuring.spread(seconds), f"at most {LIMITS[name]:g}", verdict]
        rows.append([name, shape, networks, *cost, *parts, cpu, peak])
    header = ["table", "rows x columns", "networks", "s, median", "range", "target", ""]
    return measuring.table([*header, "compilation, s", "training, s", "CPU s", "peak memory, MiB"], rows)


def score_table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Cross-validated scores, as saved."""
    rows: list[list[Any]] = []
    for name, runs in found.items():
        scores = runs[-1]["saved"]["scores"]
        rows += [
            [name, metric, *(_score(scores, way, metric) for way in SHOWN_SCORES)] for metric in scores["unregularized"]
        ]
    header = ["table", "cross-validated", *(way.replace("_", " ") for way in SHOWN_SCORES)]
    return measuring.table(header, rows)


def _score(scores: dict[str, dict[str, float]], way: str, metric: str) -> str:
    return f"{scores[way][metric]:.4g}" if way in scores else ""


def main() -> None:
    """Measure and print."""
    options = measuring.arguments(__doc__, TASKS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    print(measuring.heading("Time to an answer", options))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in LIMITS}
    with tempfile.TemporaryDirectory() as folder:
        shapes = measuring.in_child(__file__, "write_tables", folder=folder)
        for number in range(rounds):
            for name, runs in found.items():
                out = Path(folder) / f"{name}-{number}"
                extra = QUICK_OPTIONS if options.quick else ()
                runs.append(tune(Path(folder) / f"{name}.csv", out, extra))
    print(time_table(found, shapes))
    called = " ".join([Path(command()[0]).name, *command()[1:]])
    print(f"{rounds} fresh processes each: `{called} tune TABLE --target target --out DIRECTORY --quiet`.\n")
    print(score_table(found))
    print("All are optimistic: the rows that chose the epoch and the strength also score them.\n")


if __name__ == "__main__":
    main()

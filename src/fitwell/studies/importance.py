"""Which columns matter: how much worse held-out rows are predicted once a column's values are dealt out anew."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from fitwell.analysis.baselines import losses_of_rows
from fitwell.analysis.intervals import chance_of_rise, corrected_t
from fitwell.data.encoding import inputs_of_columns
from fitwell.data.row_sets import RowSets
from fitwell.engine.one_core import blas_on_one_core
from fitwell.problems.dense import DenseOnTable
from fitwell.results.predictors import TablePredictor
from fitwell.studies.handing_over import fitted
from fitwell.studies.search import Searched

DEALS = 3
"""How often each column is dealt out anew."""

WORK = 5e8
"""Multiplications that all of it may take, a part of a second: of more rows a random sample is asked."""

FEWEST = 50
"""Rows of a row set that are asked whatever it takes."""

INTERVAL_LEVEL = 0.95
"""Of the intervals."""


def permutation_importance(searched: Searched, strength: int) -> pl.DataFrame | None:
    """Deal out the held-out values of each column anew, and see what that does to the loss of networks that are there.

    Nothing is trained. Each row set's network at its best epoch predicts its own held-out rows, so that importance is
    for new rows: a column that was only learned by heart has none (Breiman, Machine Learning 45, 2001, section 10;
    model-agnostic by Fisher, Rudin and Dominici, JMLR 20, 2019). A column that others tell as well may have little.

    Returns
    -------
    One row for each column, the most important first: `column`, `increase` of the mean held-out loss, `low` and
    `high`, its 95% interval over row sets (`fitwell.analysis.intervals.corrected_t`: had networks been trained on other
    rows), and `chance` of such a rise over held-out rows of these networks if the column told them nothing
    (`chance_of_rise`). None where the network is not the built-in one.
    """
    problem = searched.problem
    if not isinstance(problem, DenseOnTable):
        return None
    # products of a few hundred rows: where another process has a core, BLAS's threads wait for each other longer than
    # they compute
    with blas_on_one_core():
        dealt = _dealt_out(problem, searched, strength)
    ratio, units = problem.row_sets.test_to_train, _units(problem.row_sets)[dealt.rows]
    found = [corrected_t(increase, ratio, INTERVAL_LEVEL) for increase in dealt.by_row_set]
    frame = pl.DataFrame(
        {
            "column": dealt.columns,
            "increase": [test.difference for test in found],
            "low": [test.low for test in found],
            "high": [test.high for test in found],
            "chance": [chance_of_rise(rises, units, dealt.weight) for rises in dealt.by_row],
        }
    )
    return frame.sort("increase", descending=True, maintain_order=True)


class _DealtOut(NamedTuple):
    """Rises of the loss once a column is dealt out: [K, R] of row sets, and [K, m] of the held-out `rows` [m]."""

    columns: list[str]
    by_row_set: np.ndarray
    by_row: np.ndarray
    rows: np.ndarray
    weight: np.ndarray | None


def _dealt_out(problem: DenseOnTable, searched: Searched, strength: int) -> _DealtOut:
    table, row_sets = problem.table, problem.row_sets
    places = inputs_of_columns(table.columns, table.layout)
    random = np.random.default_rng(searched.options.seed)
    most = _rows_at_most(problem, len(places))
    by_row_set, by_row, asked = [], [], []
    for r in range(row_sets.independent):
        predictor, _ = problem.finish([fitted(searched, searched.trained, strength, strength, r)])
        rows = row_sets.held_out[r]
        rows = rows if table.weight is None else rows[table.weight[rows] > 0]
        rows = random.choice(rows, most, replace=False) if len(rows) > most else rows
        encoded = table.encodings[r].transform(table.raw.take(rows))
        losses = partial(_losses, predictor, searched.trained.dataset.scale[r])
        again = np.concatenate([table.target.values[rows]] * DEALS)
        # of as many rows as are dealt, and subtracted row by row: rounding, of products or of means, must be no rise
        as_it_is = losses(again, np.concatenate([encoded] * DEALS))
        rises = np.empty((len(places), len(rows)))
        for number, columns in enumerate(places.values()):
            dealt = np.concatenate([_dealt(encoded, columns, random) for _ in range(DEALS)])
            rises[number] = (losses(again, dealt) - as_it_is).reshape(DEALS, -1).mean(axis=0)
        weight = None if table.weight is None else table.weight[rows]
        by_row_set.append(np.average(rises, axis=1, weights=weight))
        by_row.append(rises)
        asked.append(rows)
    rows = np.concatenate(asked)
    weight = None if table.weight is None else table.weight[rows]
    return _DealtOut(list(places), np.stack(by_row_set, axis=1), np.concatenate(by_row, axis=1), rows, weight)


def _units(row_sets: RowSets) -> np.ndarray:
    """Number what each row belongs to, int [n]: itself, or its group."""
    return np.arange(row_sets.n_rows) if row_sets.groups is None else np.unique(row_sets.groups, return_inverse=True)[1]


def _losses(predictor: TablePredictor, scale: Any, targets: np.ndarray, encoded: np.ndarray) -> np.ndarray:
    predicted = predictor.from_outputs(predictor.network.predict([encoded]))
    return losses_of_rows(predictor.task, targets, predicted, scale)


def _dealt(encoded: np.ndarray, columns: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The rows with one column's inputs, which belong together, taken from other rows."""
    changed = encoded.copy()
    changed[:, columns] = encoded[random.permutation(len(encoded))][:, columns]
    return changed


def _rows_at_most(problem: DenseOnTable, columns: int) -> int:
    sizes = problem.network.sizes
    weights = sum(before * after for before, after in pairwise(sizes))
    return max(FEWEST, int(WORK / (weights * columns * DEALS * problem.row_sets.independent)))

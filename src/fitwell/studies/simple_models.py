"""Baselines of a table: what the class shares or the mean predict, and a linear model, on the row sets of a search."""

from __future__ import annotations

import time as clock
from contextlib import suppress
from dataclasses import replace

import numpy as np

from fitwell.analysis.baselines import Baseline, losses_of_rows
from fitwell.analysis.scores import score_of
from fitwell.engine.ending import Ending
from fitwell.errors import TrainingError
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import Options
from fitwell.problems.tables import TableData, target_moments
from fitwell.regularization.strengths import from_settings
from fitwell.studies.search import train_networks

LINEAR_L2 = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Strengths of the linear model: its best epoch counts, so that those between them are hardly better."""

LINEAR_RATE = 3e-2
"""Of Adam: a linear model has no hidden units that a large step could kill."""

LINEAR_EPOCHS, LINEAR_PATIENCE, LINEAR_FINALISTS = 60, 10, 2
"""Its curves are smooth, so that fewer epochs tell: on four tables its loss is 2.7% above to 1.5% below that of
scikit-learn's `LogisticRegressionCV` and `RidgeCV` on the same folds."""


def baselines(table: TableData, options: Options) -> tuple[Baseline, ...]:
    """Cross-validate the simplest models on the row sets of a search.

    The linear model is the network without hidden layers, every fold times every l2 at once by the search's engine:
    scikit-learn's `LogisticRegressionCV` takes no longer, but two seconds to be imported, which is most of the whole
    answer of a small table (`benchmarks/RESULTS.md`).

    Parameters
    ----------
    options
        Of the search: the linear model has its batches and its seed.
    """
    linear = None
    # a linear model that diverges, or for which memory or time does not suffice, is no baseline
    with suppress(TrainingError):
        linear = _linear(table, options)
    return (_constant(table), *([linear] if linear else []))


def _constant(table: TableData) -> Baseline:
    begun = clock.perf_counter()
    target, sets, weight = table.target, table.row_sets, table.weight
    total = np.zeros((sets.n_rows, table.outputs))
    counts = np.zeros((sets.n_rows, 1))
    fold_loss = np.empty(sets.count)
    for r, (train, held_out) in enumerate(zip(sets.train, sets.held_out, strict=True)):
        known, counted = target.values[train], None if table.weights is None else table.weights.among(train)[train]
        if target.task == "classification":
            best = np.bincount(known, counted, minlength=table.outputs) / len(known)
        else:
            best = np.atleast_1d(np.average(known, axis=0, weights=counted))
        predicted = np.broadcast_to(best, (len(held_out), table.outputs))
        total[held_out] += predicted
        counts[held_out] += 1
        scale = target_moments(target, train, table.weights)[1] if target.task == "regression" else 1.0
        losses = losses_of_rows(target.task, target.values[held_out], _shaped(table, predicted), scale)
        fold_loss[r] = np.average(losses, weights=None if weight is None else weight[held_out])
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a row that was never held out
        predictions = total / counts
    predictions, name = _shaped(table, predictions), "class shares"
    if target.task == "regression":
        name = "means of the targets" if target.outputs else "mean of the target"
    elif target.outputs:
        name = "shares of the labels"
    scores = score_of(target.task, target.values, predictions, weight)
    return Baseline(name, "", table.loss.name, fold_loss, scores, predictions, clock.perf_counter() - begun)


def _shaped(table: TableData, predictions: np.ndarray) -> np.ndarray:
    """Predictions [n, k], of one value [n]."""
    return predictions[:, 0] if table.outputs == 1 else predictions


def _linear(table: TableData, options: Options) -> Baseline:
    begun = clock.perf_counter()
    problem = DenseOnTable(table, hidden=())
    candidates = from_settings([{"l2": strength} for strength in LINEAR_L2], LINEAR_RATE, problem.network.layers)
    # left out where a budget has no time for it; who ended a search by hand waits for it
    # whatever trains the network: there is nothing to compile
    settings = problem.settings(replace(options, engine="numpy"))
    settings = replace(settings, ending=Ending(options.ending.deadline, complete=True), schedule="constant")
    if settings.stopping is not None:
        stopping = replace(settings.stopping, patience=LINEAR_PATIENCE, finalists=LINEAR_FINALISTS)
        settings = replace(settings, stopping=stopping)
    settings = replace(settings, epochs=min(settings.epochs, LINEAR_EPOCHS), units=None)
    trained = train_networks(problem, candidates, settings)
    best = int(trained.histories.order[0])
    predictions = trained.held_out_predictions([best])[0]
    return Baseline(
        "linear model",
        str(candidates.regularization(best)),
        table.loss.name,
        trained.histories.at_best("held_out_loss")[:, best],
        score_of(table.target.task, table.target.values, predictions, table.weight),
        predictions,
        clock.perf_counter() - begun,
    )

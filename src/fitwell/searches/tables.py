"""Search the regularization of a dense network on a table."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fitwell.analysis.scores import score
from fitwell.analysis.selection import Choice, choose
from fitwell.engine.devices import available_devices, memory_budget
from fitwell.engine.network import DenseNetwork
from fitwell.engine.run import Trained
from fitwell.engine.search import Progress
from fitwell.errors import InputError, TrainingError
from fitwell.keras.backend import import_keras
from fitwell.keras.export import Tower, build_model, tower
from fitwell.prediction import Predictor
from fitwell.regularization.strengths import Candidates, Regularization
from fitwell.results import Result
from fitwell.searches.answers import held_out_predictions, refit
from fitwell.searches.honesty import check_honest, honest_score, with_records
from fitwell.searches.options import Listener, Options
from fitwell.searches.problems import DenseOnTable
from fitwell.tables import TableProblem

MAX_TOWERS = 100
"""Networks of an ensemble: more take minutes to save, load and compile."""

ENSEMBLE_STRENGTHS = 4
"""Strengths whose fold networks are averaged: the recipe measured on 15 real tables (see the design notes)."""


def tune_table(problem: TableProblem, options: Options, listener: Listener) -> Result:
    """Search the strengths of a table that was read already."""
    begin = clock.perf_counter()
    _check_size(problem, options)
    summary = problem.summary()
    listener.on_read(summary)
    dense = DenseOnTable(problem, options.hidden)
    network, candidates = dense.network, dense.candidates(options)
    check_honest(options, problem.row_sets)
    settings = with_records(dense.settings(options), problem.row_sets, candidates.count)
    beside = replace(listener, on_progress=_with_keras_beside(listener.on_progress))
    trained = dense.train(candidates, settings, beside)
    choice = choose(
        trained.histories,
        candidates,
        problem.row_sets.independent,
        test_to_train=problem.row_sets.test_to_train,
    )
    towers, members, encodings = _refit(problem, network, trained, candidates, choice, options)
    predictions = _held_out(trained, candidates, choice, _best(trained))
    scores = {name: score(problem.target.task, problem.target.values, values) for name, values in predictions.items()}
    model = build_model(towers, classification=problem.target.task == "classification")
    return Result(
        summary=summary,
        plan=trained.plan,
        candidates=candidates,
        histories=trained.histories,
        choice=choice,
        predictor=_predictor(problem, encodings, model),
        members=members,
        refit=str(options.refit),
        ensemble_size=len(_best(trained)),
        score=honest_score(
            options,
            dense,
            trained.histories,
            candidates,
            choice,
            rule="min" if options.refit == "ensemble" else options.rule,
        ),
        scores=scores,
        held_out_predictions=predictions,
        folds=problem.row_sets.independent,
        loss_name=problem.loss.name,
        metric_name=problem.loss.metric_name,
        seed=options.seed,
        seconds={**trained.seconds, "total": clock.perf_counter() - begin},
    )


def _best(trained: Trained) -> tuple[int, ...]:
    """Number the strengths of the ensemble: the best few that did not diverge."""
    order = trained.histories.order[:ENSEMBLE_STRENGTHS]
    return tuple(int(g) for g in order if np.isfinite(trained.histories.best_loss[g]))


def _held_out(
    trained: Trained, candidates: Candidates, choice: Choice, members: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Predict every row by networks that did not train on it."""
    found = held_out_predictions(trained, candidates, choice)
    best = trained.held_out_predictions(list(members))
    return {**found, "ensemble": best.mean(axis=0)}


def _refit(
    problem: TableProblem,
    network: DenseNetwork,
    trained: Trained,
    candidates: Candidates,
    choice: Choice,
    options: Options,
) -> tuple[list[Tower], tuple[int, ...], tuple[Any, ...]]:
    """Return the towers of the final model, the strengths they have, and the encodings they take."""
    if options.refit == "ensemble":
        members = _best(trained)
        dataset = trained.dataset
        row_sets = problem.row_sets.independent  # those of one repeat hold every row out once
        towers = [
            _tower(network, trained.variables(g), r, r, candidates.regularization(g), dataset.shift, dataset.scale)
            for g in members
            for r in range(row_sets)
        ]
        return towers, members, problem.encodings[:row_sets]
    g = choice.chosen(options.rule)
    row_sets, encodings, dataset = problem.on_all_rows(options.refit_seeds)
    search = {"trained": trained, "candidates": candidates, "strength": g}
    variables = refit(network, dataset, row_sets, **search, loss=problem.loss, settings=options.settings())
    regularization = candidates.regularization(g)
    towers = [
        _tower(network, variables, r, 0, regularization, dataset.shift, dataset.scale) for r in range(row_sets.count)
    ]
    return towers, (g,), encodings[:1]


def _tower(
    network: DenseNetwork,
    variables: Any,
    row_set: int,
    encoding: int,
    regularization: Regularization,
    shift: np.ndarray,
    scale: np.ndarray,
) -> Tower:
    one = type(variables)(
        [{name: leaf[row_set] for name, leaf in layer.items()} for layer in variables.trainable], variables.state
    )
    return tower(
        one,
        encoding=encoding,
        activation=network.activation,
        regularization=regularization,
        shift=float(shift[row_set]),
        scale=float(scale[row_set]),
    )


def _predictor(problem: TableProblem, encodings: tuple[Any, ...], model: Any) -> Predictor:
    target = problem.target
    return Predictor(problem.columns, encodings, target.name, target.task, target.classes, target.label_type, model)


def _with_keras_beside(report: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Import Keras (3 s) in a thread while the first blocks train, since the model is built at the end."""
    available_devices()  # the number of devices must be chosen before Keras starts JAX
    importing = threading.Thread(target=import_keras, daemon=True)

    def reported(progress: Progress) -> None:
        if importing.ident is None:
            importing.start()
        report(progress)

    return reported


def _check_size(problem: TableProblem, options: Options) -> None:
    """Refuse before training what could not be kept: an ensemble of too many networks, inputs beyond the memory."""
    towers = ENSEMBLE_STRENGTHS * problem.row_sets.independent
    if options.refit == "ensemble" and towers > MAX_TOWERS:
        raise InputError(
            f"The ensemble would hold {towers} networks ({ENSEMBLE_STRENGTHS} strengths x "
            f"{problem.row_sets.independent} row sets), at most {MAX_TOWERS} are sensible: use fewer folds, or "
            "refit='single' (--refit single)."
        )
    devices = available_devices()
    budget = memory_budget(devices) if options.memory is None else options.memory
    rows = len(problem.target.values)
    needed = problem.row_sets.count * rows * problem.layout.width * 4 * (1 + len(devices))
    if needed > budget:
        raise TrainingError(
            f"The encoded table ({problem.row_sets.count} row sets x {rows:,} rows x "
            f"{problem.layout.width:,} inputs) needs about {needed / 2**20:,.0f} MiB, and the memory budget is "
            f"{budget / 2**20:,.0f} MiB: raise it, use fewer folds, or drop columns with many categories."
        )

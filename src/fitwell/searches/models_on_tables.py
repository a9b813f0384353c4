"""Search the regularization of a Keras model that takes a table's encoded columns."""

from __future__ import annotations

import time as clock
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fitwell.analysis.scores import score
from fitwell.analysis.selection import choose
from fitwell.errors import InputError
from fitwell.keras.backend import import_keras
from fitwell.keras.closing import close
from fitwell.keras.compiled import Targets, compile_arguments
from fitwell.keras.heads import as_probabilities, head_of, targets_for
from fitwell.keras.opening import Opened
from fitwell.prediction import Predictor
from fitwell.results import Result
from fitwell.searches.answers import held_out_predictions
from fitwell.searches.honesty import honest_score
from fitwell.searches.model_problems import ModelOnTable
from fitwell.searches.models import layer_table, refit_problem, train_searched
from fitwell.searches.opened_models import ModelProblem, make_problem
from fitwell.searches.options import Listener, Options
from fitwell.tables import TableProblem


def tune_model_on_table(problem: TableProblem, opened: Opened, options: Options, listener: Listener) -> Result:
    """Search the strengths of a Keras model that takes a table's encoded columns; see `fitwell.tune`."""
    begin = clock.perf_counter()
    listener.on_read(problem.summary())
    classes = len(problem.target.classes)
    folded, head = open_on_table(problem, opened)
    searched = ModelOnTable.of(folded, problem)
    trained, candidates = train_searched(searched, options, listener)
    choice = choose(
        trained.histories,
        candidates,
        problem.row_sets.independent,
        test_to_train=problem.row_sets.test_to_train,
        keep_given=True,
    )
    g = choice.chosen(options.rule)
    row_sets, encodings, dataset = problem.on_all_rows(1)
    whole = replace(folded, inputs=dataset.inputs, targets=jax.tree.map(lambda leaf: leaf[:1], folded.targets))
    variables = refit_problem(whole, trained, candidates, g, options, row_sets)
    regularization = candidates.regularization(g)
    model = close(
        opened.model, folded.network, variables, None if g == candidates.given else regularization, folded.sample
    )
    raw = held_out_predictions(trained, candidates, choice)
    predictions = {name: as_probabilities(p, head) if classes else p[:, 0] for name, p in raw.items()}
    target = problem.target
    about = (target.name, target.task, target.classes, target.label_type)
    return Result(
        summary=problem.summary(),
        plan=trained.plan,
        candidates=candidates,
        histories=trained.histories,
        choice=choice,
        predictor=Predictor(problem.columns, encodings, *about, model, head),
        members=(g,),
        refit="single",
        ensemble_size=0,
        score=honest_score(
            options, searched, trained.histories, candidates, choice, rule=options.rule, keep_given=True
        ),
        scores={name: score(target.task, target.values, p) for name, p in predictions.items()},
        held_out_predictions=predictions,
        folds=problem.row_sets.independent,
        loss_name=folded.loss.name,
        metric_name=folded.loss.metric_name,
        seed=options.seed,
        seconds={**trained.seconds, "total": clock.perf_counter() - begin},
        layers=layer_table(folded.network, regularization, variables),
    )


def open_on_table(problem: TableProblem, opened: Opened) -> tuple[ModelProblem, str]:
    """Open a Keras model on the encoded columns of every row set; also what its outputs mean."""
    compile_arguments(opened.model)
    classes = len(problem.target.classes)
    head = head_of(opened.model, classes)
    _check_width(opened.model, problem.layout.width)
    values = targets_for(opened.model, head, problem.target.values, classes, import_keras().config.floatx())
    inputs = problem.dataset().inputs
    targets = np.broadcast_to(values, (len(inputs), *values.shape)).copy()
    return make_problem(opened, inputs, Targets(targets, None, None), own=True, weights="fresh"), head


def _check_width(model: Any, width: int) -> None:
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] != width:
        raise InputError(
            f"The table gives {width} inputs once encoded, and the model takes {shape}: build it with "
            f"keras.Input(({width},))."
        )

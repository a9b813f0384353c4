"""Search the regularization of a Keras model."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import polars as pl

from fitwell.analysis.selection import choose
from fitwell.data.row_sets import RowSets, on_all_rows
from fitwell.engine.network import Variables
from fitwell.engine.run import Trained
from fitwell.keras.closing import close, zeros
from fitwell.keras.compiled import score
from fitwell.keras.network import KerasNetwork
from fitwell.keras.opening import Opened
from fitwell.prediction import ModelPredictor
from fitwell.regularization.strengths import Candidates, Regularization
from fitwell.results import Result
from fitwell.searches.answers import compared, held_out_predictions, refit
from fitwell.searches.honesty import check_honest, honest_score, with_records
from fitwell.searches.model_problems import ModelOnArrays
from fitwell.searches.opened_models import ModelProblem, model_settings, read_model
from fitwell.searches.options import Listener, Options
from fitwell.searches.problems import Problem


def tune_model(
    opened: Opened,
    x: Any,
    y: Any,
    options: Options,
    listener: Listener,
    *,
    splits: Mapping[str, Any],
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    weights: str = "fresh",
) -> Result:
    """Search the strengths of a Keras model; see `fitwell.tune`."""
    begin = clock.perf_counter()
    keywords = {"sample_weight": sample_weight, "class_weight": class_weight, "weights": weights}
    read = read_model(opened, x, y, options, splits=splits, **keywords)
    problem, row_sets = read.problem, read.row_sets
    listener.on_read(read.summary)
    searched = ModelOnArrays(problem, row_sets, read.strata)
    trained, candidates = train_searched(searched, options, listener)
    choice = choose(
        trained.histories,
        candidates,
        row_sets.independent,
        test_to_train=row_sets.test_to_train,
        keep_given=True,
    )
    g = choice.chosen(options.rule)
    variables = refit_problem(problem, trained, candidates, g, options, on_all_rows(row_sets.n_rows))
    regularization = candidates.regularization(g)
    written = None if g == candidates.given else regularization  # left alone, it keeps its own
    model = close(opened.model, problem.network, variables, written, problem.sample)
    predictions = held_out_predictions(trained, candidates, choice)
    return Result(
        summary=read.summary,
        plan=trained.plan,
        candidates=candidates,
        histories=trained.histories,
        choice=choice,
        predictor=ModelPredictor(model),
        members=(g,),
        refit="single",
        ensemble_size=0,
        score=honest_score(
            options, searched, trained.histories, candidates, choice, rule=options.rule, keep_given=True
        ),
        scores=_scores(problem, trained, compared(candidates, choice), predictions),
        held_out_predictions=predictions,
        folds=row_sets.independent,
        loss_name=problem.loss.name,
        metric_name=problem.loss.metric_name,
        seed=options.seed,
        seconds={**trained.seconds, "total": clock.perf_counter() - begin},
        layers=layer_table(problem.network, regularization, variables),
    )


def train_searched(problem: Problem, options: Options, listener: Listener) -> tuple[Trained, Candidates]:
    """Train every row set times every strength of a search, the model as given among them."""
    candidates = problem.candidates(options)
    check_honest(options, problem.row_sets)
    settings = with_records(problem.settings(options), problem.row_sets, candidates.count)
    return problem.train(candidates, settings, listener), candidates


def refit_problem(
    problem: ModelProblem, trained: Trained, candidates: Candidates, strength: int, options: Options, row_sets: RowSets
) -> Variables:
    """Train the chosen strength on all rows and return the variables of the one network."""
    dataset = problem.dataset(row_sets, options.seed, first=trained.plan.row_sets)
    variables = refit(
        problem.network,
        dataset,
        row_sets,
        trained=trained,
        candidates=candidates,
        strength=strength,
        loss=problem.loss,
        settings=model_settings(problem, options, row_sets),
    )
    return jax.tree.map(lambda leaf: leaf[0], variables)


def _scores(
    problem: ModelProblem, trained: Trained, numbers: Mapping[str, int], predictions: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Mean loss of rows that were held out, and the compiled metrics of their predictions."""
    return {
        name: {"loss": float(np.nanmean(trained.histories.row_loss[g]))}
        | score(problem.network.copy, problem.targets, predictions[name])
        for name, g in numbers.items()
    }


def layer_table(network: KerasNetwork, regularization: Regularization, variables: Variables) -> pl.DataFrame:
    """One row for each place where a strength acts: the chosen strengths, and the share of weights exactly zero."""
    shares = zeros(network, variables)
    places = dict.fromkeys([*network.layers.kernels, *network.layers.units])
    rows = [
        {
            "layer": place,
            **{name: regularization.at(name, place) if place in network.layers.of(name) else None
               for name, _ in regularization.items()},
            "share_of_zeros": shares.get(place),
        }
        for place in places
    ]  # fmt: skip
    kinds = {"layer": pl.String} | {name: pl.Float64 for name, _ in regularization.items()}
    return pl.DataFrame(rows, schema=kinds | {"share_of_zeros": pl.Float64})

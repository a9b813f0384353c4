"""From a search to its result: which networks are handed over, how they fare, and a loss that holds on new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fitwell.analysis.found import Answer, Search
from fitwell.analysis.held_out import ANSWER, held_out_rows
from fitwell.analysis.scores import scores_of_each
from fitwell.analysis.selection import Choice, choose
from fitwell.engine.trained import Trained
from fitwell.problems.options import ENSEMBLE_STRENGTHS
from fitwell.regularization.strengths import Candidates
from fitwell.results.record import Record
from fitwell.results.result import Result
from fitwell.studies.compared import verdict_of_search
from fitwell.studies.handing_over import hand_over
from fitwell.studies.honesty import honest_score
from fitwell.studies.importance import permutation_importance
from fitwell.studies.search import Searched
from fitwell.studies.simple_models import baselines
from fitwell.trees import tree_map

if TYPE_CHECKING:
    from fitwell.analysis.replayed_scores import HeldOutScores


def answer(searched: Searched) -> Result:
    """Choose a strength, hand networks over, and score what was chosen.

    Raises
    ------
    TrainingError
        The refit, or all networks of an inner fold, diverged.
    """
    problem, options, trained = searched.problem, searched.options, searched.trained
    row_sets = problem.row_sets
    judged = None if options.scoring is None else _judged(searched)
    scores = None if judged is None else judged.of_strengths
    choice = choose(
        trained.histories,
        searched.candidates,
        row_sets.independent,
        test_to_train=row_sets.test_to_train,
        keep_given=problem.may_stay,
        losses=None if scores is None else -scores,
    )
    best = best_strengths(trained, scores) if problem.joins else ()
    alone = choice.chosen(options.rule)
    members = best if options.refit == "ensemble" else (alone,)
    # before anything is scored: a refit that diverges is an error, and scores would be wasted
    predictor, layers = hand_over(searched, members)
    predictions = _held_out(searched, choice, best)
    found = Search(
        plan=trained.plan,
        candidates=searched.candidates,
        histories=trained.histories,
        choice=choice,
        folds=row_sets.independent,
        loss_name=problem.loss.name,
        metric_name=problem.loss.metric_name,
        scoring=options.scoring,
        held_out_scores=scores,
        ended=trained.ended,
    )
    answered = Answer(
        refit=options.refit,
        members=members,
        # an ensemble has no rule: what is shown as chosen beside it is the usual one
        chosen=alone if options.refit == "single" else choice.chosen("1se"),
        averaged=len(best),
        scores=_scores(searched, choice, predictions),
        held_out_predictions=predictions,
        layers=layers,
        verdict=verdict_of_search(trained.histories, searched.candidates, row_sets),
        **_of_a_table(searched, alone, predictions),
    )
    score = honest_score(searched, choice, judged)
    return Result(found, answered, score, predictor, Record(problem.summary, options.seed, searched.seconds))


def _of_a_table(searched: Searched, alone: int, predictions: Mapping[str, Any]) -> dict[str, Any]:
    """Compare with simple models, ask which columns matter, and keep every row's predictions; for arrays nothing."""
    problem = searched.problem
    if (table := problem.source) is None:
        return {}
    simple = baselines(table, searched.options)
    answered = predictions.get("ensemble")
    if answered is None:
        answered = problem.predictions(searched.trained.held_out_predictions([alone])[0])
    beside = {"unregularized": predictions["unregularized"], **{one.name: one.predictions for one in simple[1:]}}
    target = table.target
    if target.outputs:
        each = scores_of_each(target.task, target.values, answered, table.weight)
        rows = [{"target": name, **scores} for name, scores in zip(target.names, each, strict=True)]
        about = {"by_target": pl.from_dicts(rows)}
    else:
        rows = target.task, target.values, target.classes, table.row_numbers
        about = {"held_out": held_out_rows(*rows, {ANSWER: answered, **beside}, table.keys, table.weight)}
    importance = permutation_importance(searched, alone)
    return {"baselines": simple, "importance": importance, **about, **_of_columns(searched, alone, importance)}


def _of_columns(searched: Searched, strength: int, importance: pl.DataFrame | None) -> dict[str, pl.DataFrame]:
    """See which columns the networks use, if whole columns were regularized."""
    if importance is None or not any(row.on_inputs for row in searched.candidates.regularizers):
        return {}
    from fitwell.studies.inputs import inputs_used  # of no other searches

    used = inputs_used(searched, strength, importance)
    return {"inputs": used.columns, "input_paths": used.paths}


def _judged(searched: Searched) -> HeldOutScores:
    from fitwell.studies.scored import held_out_scores  # only for who asks for one

    return held_out_scores(searched)


def best_strengths(trained: Trained, scores: np.ndarray | None = None) -> tuple[int, ...]:
    """Number the strengths of the ensemble: the best few that did not diverge, by the loss or by scores [R, G]."""
    histories = trained.histories
    order = histories.order if scores is None else histories.order_by(-scores.mean(axis=0))
    order = order[:ENSEMBLE_STRENGTHS]
    # fewer than four, if the others diverged
    return tuple(int(g) for g in order if np.isfinite(trained.histories.best_loss[g]))


def compared_strengths(candidates: Candidates, choice: Choice) -> dict[str, int]:
    """Name the strengths whose predictions are compared."""
    given = {"as_given": candidates.given} if candidates.given else {}
    # the same strength may have several names: each is asked for once below
    return given | {
        "unregularized": 0,
        "minimum": choice.minimum,
        "one_standard_error": choice.one_standard_error,
    }


def _held_out(searched: Searched, choice: Choice, best: Sequence[int]) -> dict[str, Any]:
    """Predict every row by networks that did not train on it, for all that is compared.

    Returns
    -------
    Trees of arrays [n, ...]; NaN where a strength diverged, and for rows never held out.
    """
    problem, trained = searched.problem, searched.trained
    numbers = compared_strengths(searched.candidates, choice)
    wanted = sorted(set(numbers.values()))
    predicted = trained.held_out_predictions(wanted)
    finite = np.isfinite(trained.histories.best_loss)

    def one(g: int) -> Any:
        place = wanted.index(g)
        # a strength that diverged in one fold has no predictions of all rows
        return tree_map(lambda leaf: leaf[place] if finite[g] else np.full_like(leaf[0], np.nan), predicted)

    found = {name: one(g) for name, g in numbers.items()}
    if best:
        # the mean over strengths of networks that did not see the row, as the ensemble's is on new rows
        found["ensemble"] = trained.held_out_predictions(list(best)).mean(axis=0)
    return {name: problem.predictions(raw) for name, raw in found.items()}


def _scores(searched: Searched, choice: Choice, predictions: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    problem, row_loss = searched.problem, searched.trained.histories.row_loss
    numbers = compared_strengths(searched.candidates, choice)
    losses = {name: row_loss[g][np.isfinite(row_loss[g])] for name, g in numbers.items()}
    scores = {
        name: problem.score(found, float(losses[name].mean()) if name in numbers else np.nan)
        for name, found in predictions.items()
        # a network that diverged has nothing to be scored
        if name not in numbers or losses[name].size
    }
    return {name: found for name, found in scores.items() if found}

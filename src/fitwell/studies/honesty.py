"""Performance on new rows of what a search chose: from the search itself, or from the same search inside each fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from fitwell.analysis.honest import Score, bbc_score, for_positive, row_surface, rule_on_rows
from fitwell.analysis.nested import bates_interval, nested_interval
from fitwell.analysis.selection import Choice, choose_by, not_to_be_chosen
from fitwell.data.resampling import inner_number, nested_folds
from fitwell.engine.histories import Histories
from fitwell.engine.job import Settings
from fitwell.errors import TrainingError
from fitwell.problems.problem import Problem
from fitwell.regularization.strengths import Candidates
from fitwell.studies.search import Searched, train_networks

LEVEL = 0.9
"""Of the interval of a score."""


def honest_score(searched: Searched, choice: Choice) -> Score:
    """Estimate the loss on new rows of one network at the strength and epoch that a search chooses.

    `Options.honest` is the method: `"bbc"` trains nothing; `"nested"` and `"bates"` train the same strengths on the
    folds inside each fold, all at once and to the last epoch. What chooses is `Options.rule`: `"min"` takes the lowest
    point of the surface of strengths and epochs (for an ensemble too, which has no rule), the others a strength at its
    best epoch. A network that may stay as given may be left alone in every draw, too.
    """
    problem, options, candidates = searched.problem, searched.options, searched.candidates
    histories, stay = searched.trained.histories, problem.may_stay
    rule = "min" if options.refit == "ensemble" else options.rule
    # shown beside the corrected loss, so that one sees what choosing made of it
    naive = float(histories.at_best("held_out_loss").mean(axis=0)[choice.chosen(rule)])
    if options.honest == "bbc":
        score = _corrected(rule, problem, histories, candidates, keep_given=stay)
    else:
        score = _nested(options.honest, rule, problem, candidates, problem.settings(options), keep_given=stay)
    return replace(score, naive=naive)


def _corrected(rule: str, problem: Problem, histories: Histories, candidates: Candidates, *, keep_given: bool) -> Score:
    row_sets = problem.row_sets
    score = partial(
        bbc_score,
        name=problem.loss.name,
        level=LEVEL,
        test_to_train=row_sets.test_to_train,
        groups=row_sets.groups,
    )
    if rule == "min" and not keep_given and histories.row_losses is not None:
        return score(row_surface(histories.row_losses, row_sets.held_out, row_sets.n_rows))
    # infinite, so that no draw of the bootstrap chooses a strength that diverged
    surface = np.where(np.isfinite(histories.best_loss), histories.row_loss.T, np.inf)
    # rows that were never held out are no evidence for any strength
    surface[np.isnan(histories.row_loss).all(axis=0)] = np.nan
    if rule == "min" and not keep_given:
        return score(surface)
    unfinished = not_to_be_chosen(histories, candidates)

    def by_rule(losses: np.ndarray) -> int:
        return choose_by(
            rule,
            losses,
            candidates,
            test_to_train=row_sets.test_to_train,
            unfinished=unfinished,
            keep_given=keep_given,
        )

    held_out = row_sets.held_out[: row_sets.independent]
    return score(surface, choose=rule_on_rows(by_rule, surface, held_out))


def _nested(
    method: str, rule: str, problem: Problem, candidates: Candidates, settings: Settings, *, keep_given: bool
) -> Score:
    folds = problem.row_sets.independent
    row_sets = nested_folds(problem.row_sets)
    # halving looks at all folds, also at the one that is to be scored: here nobody leaves
    alone = replace(settings, stopping=None, record_rows=True)
    histories = train_networks(problem.on(row_sets), candidates, alone).histories
    surface = histories.held_out_loss
    ratio = row_sets.n_held_out / row_sets.n_train
    unfinished = not_to_be_chosen(histories, candidates)

    def chosen(sets: list[int]) -> tuple[int, int]:
        """Choose a strength and its epoch by some row sets."""
        by = partial(choose_by, rule, candidates=candidates, unfinished=unfinished, keep_given=keep_given)
        return _choice(by, surface[sets], float(ratio[sets].mean()))

    assert histories.row_losses is not None
    repeats = problem.row_sets.count // folds
    outer = np.full((repeats, row_sets.n_rows), np.nan)
    inner = np.full((repeats, folds, row_sets.n_rows), np.nan)
    fold = np.full((repeats, row_sets.n_rows), -1)
    for t in range(repeats):
        first = t * folds * folds
        for k in range(folds):
            others = [j for j in range(folds) if j != k]
            sets = [first + inner_number(folds, k, j) for j in others]
            g, e = chosen(sets)
            rows = row_sets.held_out[first + k]
            fold[t, rows] = k
            outer[t, rows] = histories.row_losses[first + k, g, e, : len(rows)]
            for j in others:  # chosen without the fold that is scored
                rest = [other for other, i in zip(sets, others, strict=True) if i != j]
                g, e = chosen(rest)
                r = first + inner_number(folds, k, j)
                inner[t, k, row_sets.held_out[r]] = histories.row_losses[r, g, e, : len(row_sets.held_out[r])]
    # splitters of a person's own may never hold a row out
    known = ~np.isnan(outer).any(axis=0)
    groups = None if row_sets.groups is None else row_sets.groups[known]
    if method == "nested":
        interval = nested_interval(outer[:, known].mean(axis=0), level=LEVEL, groups=groups)
    else:
        interval = bates_interval(inner[:, :, known], outer[:, known], fold[:, known], level=LEVEL, groups=groups)
    return Score(problem.loss.name, method, np.nan, for_positive(interval, outer))


def _choice(by: Callable[..., int], surface: np.ndarray, test_to_train: float) -> tuple[int, int]:
    """Choose a strength and its epoch on a surface [row sets, G, E]."""
    mean = surface.mean(axis=0)
    usable = np.where(np.isfinite(mean), mean, np.inf)
    if not np.isfinite(usable).any():
        raise TrainingError("All networks of an inner fold diverged: lower the learning rate.")
    epoch = usable.argmin(axis=1)
    at_best = surface[:, np.arange(len(epoch)), epoch]
    losses = np.where(np.isfinite(usable.min(axis=1)), at_best, np.inf)
    g = by(losses, test_to_train=test_to_train)
    return g, int(epoch[g])

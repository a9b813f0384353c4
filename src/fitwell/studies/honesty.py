"""Performance on new rows of what a search chose: from the search itself, or from the same search inside each fold."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fitwell.analysis.honest import Rule, Score, Surface, bbc_score, for_positive
from fitwell.analysis.losses_of_units import UnitLosses
from fitwell.analysis.nested import bates_interval, nested_interval
from fitwell.analysis.selection import Choice, choose_by, not_to_be_chosen
from fitwell.data.resampling import inner_number, nested_folds
from fitwell.engine.histories import Histories
from fitwell.engine.job import Settings
from fitwell.engine.records import Records
from fitwell.errors import TrainingError, UnfinishedError
from fitwell.problems.problem import Problem
from fitwell.regularization.strengths import Candidates
from fitwell.studies.search import Searched, recording, train_networks

if TYPE_CHECKING:
    from fitwell.analysis.replayed_scores import HeldOutScores

LEVEL = 0.9
"""Of the interval of a score."""


def honest_score(searched: Searched, choice: Choice, scores: HeldOutScores | None = None) -> Score:
    """Estimate the loss on new rows of one network at the strength and epoch that a search chooses.

    `Options.honest` is the method: `"bbc"` trains nothing; `"nested"` and `"bates"` train the same strengths on the
    folds inside each fold, all at once and to the last epoch. Either way the whole choice is made anew each time: every
    strength's best epoch, and the strength by `Options.rule` (for an ensemble, which has none, the lowest). A network
    that may stay as given may be left alone each time, too.

    Parameters
    ----------
    scores
        What the strength was chosen by, if not by the loss: then it is the score on new rows that is estimated.
    """
    problem, options, candidates = searched.problem, searched.options, searched.candidates
    histories, stay = searched.trained.histories, problem.may_stay
    rule = "min" if options.refit == "ensemble" else options.rule
    if scores is not None:
        by = _by_rule(rule, problem, histories, candidates, keep_given=stay)
        ratio = problem.row_sets.test_to_train
        return scores.corrected(choice.chosen(rule), by, test_to_train=ratio, level=LEVEL)
    # shown beside the corrected loss, so that one sees what choosing made of it
    naive = float(histories.at_best("held_out_loss").mean(axis=0)[choice.chosen(rule)])
    if options.honest != "bbc":
        # a search that was ended has no time to be repeated inside its folds
        with suppress(UnfinishedError):
            score = _nested(options.honest, rule, problem, candidates, searched.settings, keep_given=stay)
            return replace(score, naive=naive)
    return replace(_corrected(rule, problem, histories, candidates, keep_given=stay), naive=naive)


def _corrected(rule: str, problem: Problem, histories: Histories, candidates: Candidates, *, keep_given: bool) -> Score:
    row_sets, records = problem.row_sets, _recorded(histories)
    # what was not trained in all row sets, or diverged in one, is not chosen by the search either
    usable = np.isfinite(histories.held_out_loss).all(axis=0) & np.isfinite(histories.best_loss)[:, None]
    return bbc_score(
        Surface.of(records, usable, row_sets.independent),
        problem.loss.name,
        rule=_by_rule(rule, problem, histories, candidates, keep_given=keep_given),
        level=LEVEL,
        test_to_train=row_sets.test_to_train,
    )


def _by_rule(
    rule: str, problem: Problem, histories: Histories, candidates: Candidates, *, keep_given: bool
) -> Rule | None:
    """Choose as the search does, in a draw; None stands for the lowest, which is found for all draws at once."""
    if rule == "min" and not keep_given:
        return None
    by = partial(
        choose_by,
        rule,
        candidates=candidates,
        test_to_train=problem.row_sets.test_to_train,
        unfinished=not_to_be_chosen(histories, candidates),
        keep_given=keep_given,
    )
    return lambda losses, folds: by(losses, folds=folds)


def _recorded(histories: Histories) -> Records:
    assert histories.records is not None, "a search that is to be scored records its losses"
    return histories.records


def _nested(
    method: str, rule: str, problem: Problem, candidates: Candidates, settings: Settings, *, keep_given: bool
) -> Score:
    row_sets = nested_folds(problem.row_sets)
    # halving looks at all folds, also at the one that is to be scored: here nobody leaves
    alone = recording(replace(settings, stopping=None), row_sets, candidates.count)
    histories = train_networks(problem.on(row_sets), candidates, alone).histories
    records = _recorded(histories)
    unfinished = not_to_be_chosen(histories, candidates)
    by = partial(choose_by, rule, candidates=candidates, unfinished=unfinished, keep_given=keep_given)
    ratio = row_sets.n_held_out / row_sets.n_train

    def scored(by_sets: list[int], r: int) -> Part:
        """Losses of one row set's held-out rows by what others choose, of what trained in it."""
        surface = np.where(np.isfinite(histories.held_out_loss[r]), histories.held_out_loss[by_sets], np.inf)
        g, e = _choice(by, surface, float(ratio[by_sets].mean()))
        return records.units[r], records.sums[r][g, e], records.sizes[r]

    folds = problem.row_sets.independent
    repeats = range(problem.row_sets.count // folds)
    scores = [_repeat(scored, t * folds * folds, folds, inside=method == "bates") for t in repeats]
    outer = [[part for part, _ in repeat] for repeat in scores]
    if method == "nested":
        losses = UnitLosses.joined(part for repeat in outer for part in repeat)
        interval = nested_interval(losses, level=LEVEL)
    else:
        inner = [[UnitLosses.joined(within) for _, within in repeat] for repeat in scores]
        interval = bates_interval(
            inner, [[UnitLosses.joined([part]) for part in repeat] for repeat in outer], level=LEVEL
        )
    sums = np.concatenate([sums for repeat in outer for _, sums, _ in repeat])
    return Score(problem.loss.name, method, np.nan, for_positive(interval, sums))


Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Units, sums of their losses, and their sizes, [u] each."""


def _repeat(
    scored: Callable[[list[int], int], Part], first: int, folds: int, *, inside: bool
) -> list[tuple[Part, list[Part]]]:
    """Score each fold of a repeat of `nested_folds`, which begins at row set `first`, and the folds inside it.

    Returns
    -------
    For each fold k its losses by what was chosen without it; and, if asked for what is `inside`, those of every other
    fold j by a network that trained without both, as the folds other than k and j choose.
    """
    found = []
    for k in range(folds):
        sets = {j: first + inner_number(folds, k, j) for j in range(folds) if j != k}
        within = [scored([r for i, r in sets.items() if i != j], sets[j]) for j in sets] if inside else []
        found.append((scored(list(sets.values()), first + k), within))
    return found


def _choice(by: Callable[..., int], surface: np.ndarray, test_to_train: float) -> tuple[int, int]:
    """Choose a strength and its epoch on a surface [row sets, G, E]; what is not finite is not chosen."""
    mean = surface.mean(axis=0)
    usable = np.where(np.isfinite(mean), mean, np.inf)
    if not np.isfinite(usable).any():
        raise TrainingError("All networks of an inner fold diverged: lower the learning rate.")
    epoch = usable.argmin(axis=1)
    at_best = surface[:, np.arange(len(epoch)), epoch]
    losses = np.where(np.isfinite(usable.min(axis=1)), at_best, np.inf)
    g = by(losses, test_to_train=test_to_train)
    return g, int(epoch[g])

"""Held-out predictions of all strengths, scored: what a search chooses by where it is not to choose by the loss."""

from __future__ import annotations

import numpy as np

from fitwell.analysis.replayed_scores import HeldOutScores
from fitwell.analysis.scoring import scoring_named
from fitwell.studies.search import Searched


def held_out_scores(searched: Searched) -> HeldOutScores:
    """Predict the held-out rows of every row set by the networks of all strengths at their best epochs."""
    problem, trained, table = searched.problem, searched.trained, searched.problem.source
    assert table is not None, "it was checked before the search"
    assert searched.settings.units is not None, "a search that is to be scored knows the units of rows"
    usable = np.flatnonzero(np.isfinite(trained.histories.best_loss))
    predicted = trained.predictions_by_row_set(usable.tolist())
    rows = problem.row_sets.held_out
    weight = np.ones(problem.row_sets.n_rows) if table.weight is None else table.weight
    units = [np.unique(searched.settings.units[mine], return_inverse=True) for mine in rows]
    return HeldOutScores(
        units=tuple(unit for unit, _ in units),
        strength=usable,
        strengths=searched.candidates.count,
        folds=problem.row_sets.independent,
        scoring=scoring_named(searched.options.scoring),
        unit_of_row=tuple(place for _, place in units),
        targets=tuple(np.asarray(table.target.values)[mine] for mine in rows),
        weights=tuple(weight[mine] for mine in rows),
        predictions=tuple(np.stack([problem.predictions(one) for one in of_set]) for of_set in predicted),
    )

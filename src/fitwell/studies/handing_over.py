"""From trained networks to what predicts, and whether that predicts what the search recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fitwell.engine.trained import Trained
from fitwell.errors import TrainingError
from fitwell.problems.problem import Fitted
from fitwell.studies.refit import refit
from fitwell.studies.search import Searched
from fitwell.trees import tree_leaves, tree_map

ROWS_COMPARED = 200

BEYOND_ROUNDING = 1e-3
"""By how much two ways of computing a prediction in float32 may differ, as a share of the spread of predictions."""

STEPS_APART = 4
"""And by how many steps of numbers of 16 bits: under a policy of mixed precision a model rounds to them at every layer,
and programs of other shapes round otherwise."""


def hand_over(searched: Searched, members: Sequence[int]) -> tuple[Any, Any]:
    """Make what predicts: of the networks of the folds, or of networks trained on all rows.

    Raises
    ------
    TrainingError
        The refit diverged, or what would be handed over does not predict what was trained.
    """
    check_as_recorded(searched, members[0])
    if searched.options.refit == "ensemble":
        problem, row_sets = searched.problem, range(searched.problem.row_sets.independent)
        # the row sets of one repeat hold every row out once; those of others would only weigh the model down
        return problem.finish([fitted(searched, searched.trained, g, g, r) for g in members for r in row_sets])
    (g,) = members
    problem, again = refit(searched, g, searched.options.refit_seeds)
    return problem.finish([fitted(searched, again, 0, g, r) for r in range(again.plan.row_sets)])


def check_as_recorded(searched: Searched, strength: int) -> None:
    """Hand one network of the search over, and compare its predictions of held-out rows with the recorded ones.

    Every step from trained variables to predictions is taken: what is written into the model, the encoding of columns,
    the units of the target. A step that loses or changes something would else be noticed by nobody: scores come from
    the recorded predictions.
    """
    problem, r = searched.problem, 0
    rows = problem.row_sets.held_out[r][:ROWS_COMPARED]
    predictor, _ = problem.finish([fitted(searched, searched.trained, strength, strength, r)])
    recorded = problem.predictions(searched.trained.held_out_of(strength, r, len(rows)))
    found = problem.predict_rows(predictor, rows)
    # tuples, lists and dicts of arrays are the same in the same order
    for one, other in zip(tree_leaves(recorded), tree_leaves(found), strict=True):
        _compare(np.asarray(one, float), np.asarray(other, float), rows, problem.step)


def _compare(recorded: np.ndarray, found: np.ndarray, rows: np.ndarray, step: float = 0.0) -> None:
    apart = np.abs(recorded - found.reshape(recorded.shape)).reshape(len(rows), -1).max(axis=1)
    # what is a single number has no spread, and rounds by its size
    spread = max(float(np.ptp(recorded)), float(np.abs(recorded).max()) * 1e-4)
    if (apart <= max(BEYOND_ROUNDING * spread, STEPS_APART * step * float(np.abs(recorded).max()))).all():
        return
    row = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    raise TrainingError(
        f"The model that would be handed over does not predict what was trained: of row {rows[row]} it says "
        f"{_short(found[row])}, where the search recorded {_short(recorded[row])}. This is a fault of fitwell's, or of "
        "a layer that computes otherwise each time it is called: please report it."
    )


def _short(value: np.ndarray) -> str:
    numbers = np.ravel(value)
    return ", ".join(f"{number:.6g}" for number in numbers[:5]) + (", ..." if len(numbers) > 5 else "")


def fitted(searched: Searched, trained: Trained, place: int, strength: int, row_set: int) -> Fitted:
    """Take one network out: `place` is the number of its strength there, `strength` that in the search."""
    candidates = searched.candidates
    return Fitted(
        variables=tree_map(lambda leaf: leaf[row_set], trained.variables(place)),
        row_set=row_set,
        regularization=candidates.regularization(strength),
        as_given=strength == candidates.given,
        shift=_number_or_several(trained.dataset.shift[row_set]),
        scale=_number_or_several(trained.dataset.scale[row_set]),
    )


def _number_or_several(values: Any) -> Any:
    # Python's own, which leaves a network's float32 what it is
    return values if np.ndim(values) else float(values)

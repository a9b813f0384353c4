"""One strength of a search, trained again on all rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fitwell.data.row_sets import on_all_rows
from fitwell.engine.ending import AT_THE_END
from fitwell.engine.trained import Trained
from fitwell.errors import TrainingError
from fitwell.problems.problem import Problem
from fitwell.studies.search import Searched, train_networks
from fitwell.trees import tree_leaves


def refit(searched: Searched, strength: int, count: int) -> tuple[Problem, Trained]:
    """Train `count` networks of one strength on all rows, for as many epochs as were best in the search.

    Returns
    -------
    The problem on `count` row sets that hold nothing out, and the networks.

    Raises
    ------
    TrainingError
        One diverged.
    """
    problem, options, plan = searched.problem, searched.options, searched.trained.plan
    whole = problem.on(on_all_rows(problem.row_sets.n_rows, count))
    settings = whole.settings(options)
    # nothing is held out in a refit, so nothing could stop it: the search says how long
    epochs = int(searched.trained.histories.best_epoch[strength])
    settings = replace(
        settings,
        epochs=epochs,
        schedule_epochs=settings.epochs,  # the rate falls as it did in the search, which had more epochs
        batch_size=plan.batch_size,  # more rows would otherwise take larger batches, and fewer steps in an epoch
        stopping=None,
        ending=AT_THE_END,  # the answer itself: what is in its place is nothing
    )
    # fresh first weights: those of the search's row sets are numbered from 0 on
    again = train_networks(whole, searched.candidates.take([strength]), settings, first=plan.row_sets)
    # by the weights, as there is no held-out loss to tell a diverged network by
    if not all(np.isfinite(leaf).all() for leaf in tree_leaves(again.variables(0).trainable)):
        raise TrainingError(
            "The refit on all rows diverged, though the folds did not: lower the learning rate, or, for a table, use "
            "refit='ensemble'."
        )
    return whole, again

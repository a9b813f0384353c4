"""From a search to an answer: a network trained on all rows, and predictions of rows that were held out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fitwell.analysis.selection import Choice
from fitwell.data.row_sets import RowSets
from fitwell.engine.losses import Loss
from fitwell.engine.network import Network, Variables
from fitwell.engine.run import Trained, train
from fitwell.engine.settings import Dataset, Settings
from fitwell.errors import TrainingError
from fitwell.regularization.strengths import Candidates


def refit(
    network: Network,
    dataset: Dataset,
    row_sets: RowSets,
    *,
    trained: Trained,
    candidates: Candidates,
    strength: int,
    loss: Loss,
    settings: Settings,
) -> Variables:
    """Train one strength of a search on all rows, for as many epochs as were best in the search.

    Parameters
    ----------
    dataset, row_sets
        With all rows in training.
    trained, candidates, settings
        The search's.

    Returns
    -------
    Variables [row sets, ...].

    Raises
    ------
    TrainingError
        It diverged.
    """
    epochs = int(trained.histories.best_epoch[strength])
    settings = replace(
        settings,
        epochs=epochs,
        schedule_epochs=settings.epochs,
        call_epochs=epochs,
        batch_size=trained.plan.batch_size,
        stopping=None,
    )
    again = train(network, dataset, row_sets, candidates.take([strength]), loss=loss, settings=settings)
    variables = again.variables(0)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables.trainable)):
        raise TrainingError(
            "The refit on all rows diverged, though the folds did not: lower the learning rate, or, for a table, use "
            "refit='ensemble'."
        )
    return variables


def compared(candidates: Candidates, choice: Choice) -> dict[str, int]:
    """Name the strengths whose predictions are compared."""
    given = {"as_given": candidates.given} if candidates.given else {}
    return given | {
        "unregularized": 0,
        "minimum": choice.minimum,
        "one_standard_error": choice.one_standard_error,
    }


def held_out_predictions(trained: Trained, candidates: Candidates, choice: Choice) -> dict[str, Any]:
    """Predict every row by networks that did not train on it, for all strengths that are compared.

    Returns
    -------
    Trees of arrays [n, ...]; NaN where a strength diverged, and for rows never held out.
    """
    numbers = compared(candidates, choice)
    wanted = sorted(set(numbers.values()))
    predicted = trained.held_out_predictions(wanted)
    finite = np.isfinite(trained.histories.best_loss)

    def one(g: int) -> Any:
        place = wanted.index(g)
        return jax.tree.map(lambda leaf: leaf[place] if finite[g] else np.full_like(leaf[0], np.nan), predicted)

    return {name: one(g) for name, g in numbers.items()}

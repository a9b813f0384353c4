"""From a search to the columns that its networks use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from fitwell.analysis.inputs_used import InputsUsed, inputs_used_of, with_chances
from fitwell.data.encoding import inputs_of_columns
from fitwell.studies.search import Searched


def inputs_used(searched: Searched, strength: int, importance: pl.DataFrame) -> InputsUsed:
    """Read off the networks of a search with a regularizer of whole columns which of them they use.

    Parameters
    ----------
    strength
        The number of the chosen one.
    importance
        Of it, see `fitwell.studies.importance.permutation_importance`.
    """
    table = searched.problem.source
    assert table is not None, "only a table has columns"
    row = next(row for row in searched.candidates.regularizers if row.on_inputs)
    places = inputs_of_columns(table.columns, table.layout)
    values = searched.candidates.numbers[row.name]
    found = inputs_used_of(list(places), _norms(searched, places), values, _that_learned(searched), strength)
    return InputsUsed(with_chances(found.columns, importance), found.paths)


def _norms(searched: Searched, places: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return norms of the weights of each column, float [G, R, K]; learned scales of the inputs are in them."""
    first, *rest = searched.trained.best.trainable
    scales = [part["scales"] for part in rest if "scales" in part]
    found = []
    for g in range(searched.candidates.count):  # one by one: squares of all first kernels are much memory
        kernels = np.asarray(first["kernel"])[:, g].astype(float)
        kernels = kernels * np.asarray(scales[0])[:, g] if scales else kernels
        by_input = (kernels**2).sum(axis=1)
        found.append(np.sqrt(np.stack([by_input[:, inputs].sum(axis=1) for inputs in places.values()], axis=1)))
    return np.stack(found)


def _that_learned(searched: Searched) -> list[int]:
    """Number the strengths that were trained to their end and beat a constant."""
    histories = searched.trained.histories
    finished = ~histories.cut & np.isfinite(histories.best_loss)
    return np.flatnonzero(finished & (histories.best_loss < searched.problem.constant_loss)).tolist()

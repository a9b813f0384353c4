"""Keras models on a table's encoded columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from fitwell.analysis.scores import score_of
from fitwell.data.encoding import stack
from fitwell.data.row_sets import RowSets
from fitwell.errors import InputError
from fitwell.keras.backend import import_keras
from fitwell.keras.compiled import Targets, compile_arguments
from fitwell.keras.heads import as_probabilities, head_of, targets_for
from fitwell.keras.opening import Opened
from fitwell.keras.targets import warn_of_lost_digits
from fitwell.problems.model_data import make_data
from fitwell.problems.models import ModelOnArrays, layer_table
from fitwell.problems.problem import Fitted, permuted
from fitwell.problems.tables import TableData
from fitwell.results.predictors import Predicts
from fitwell.trees import tree_map


def open_on_table(table: TableData, opened: Opened) -> ModelOnTable:
    """Open a Keras model on the encoded columns of every row set."""
    compile_arguments(opened.model)  # a model that is not compiled is refused before its shape is looked at
    if table.target.outputs:
        raise InputError(
            f"A Keras model on a table predicts one target. Got {len(table.target.outputs)}: leave out 'model' for the "
            "dense network, or give arrays, as in fitwell.tune(model, x, y)."
        )
    classes = len(table.target.classes)
    head = head_of(opened.model, classes)
    _check_width(opened.model, table.layout.width)
    if table.target.task == "regression":
        warn_of_lost_digits(table.target.values, import_keras().config.floatx(), f"'{table.target.name}'")
    values = targets_for(opened.model, head, table.target.values, classes, import_keras().config.floatx())
    inputs = stack(table.encodings, table.raw)
    # not the table's standardised ones: the model's loss sees them as they are
    targets = Targets(_repeated(values, len(inputs)), None, None)
    # given weights may have seen the held-out rows of this table
    data = make_data(opened, inputs, targets, own=True, weights="fresh")
    return ModelOnTable(data, table.row_sets, table.strata, table.summary(), table, head)


@dataclass(frozen=True, eq=False)
class ModelOnTable(ModelOnArrays):
    """A Keras model on a table's encoded columns, as a `Problem`; every row set has its own inputs.

    Attributes
    ----------
    table
        The table.
    head
        What the model's outputs mean: one of `fitwell.keras.heads.HEADS`.
    """

    table: TableData
    head: str

    @property
    def source(self) -> TableData:
        """See `Problem`."""
        return self.table

    def on(self, row_sets: RowSets) -> ModelOnTable:
        """See `Problem`; the encoding is fitted anew on every row set's own training rows."""
        table = self.table.on(row_sets)
        # all row sets have the same targets, only their inputs are encoded apart
        targets = tree_map(lambda leaf: _repeated(leaf[0], row_sets.count), self.model.targets)
        model = replace(self.model, inputs=stack(table.encodings, table.raw), targets=targets)
        return replace(self, model=model, row_sets=row_sets, table=table)

    def shuffled(self, seed: int) -> ModelOnTable:
        """See `Problem`."""
        first = permuted(tree_map(lambda leaf: leaf[0], self.model.targets), seed)
        targets = tree_map(lambda leaf: _repeated(leaf, self.row_sets.count), first)
        return replace(self, model=replace(self.model, targets=targets))

    def predictions(self, raw: np.ndarray) -> np.ndarray:
        """See `Problem`: probabilities [n, k], or values [n]."""
        return as_probabilities(raw, self.head) if self.table.target.classes else raw[:, 0]

    def score(self, predictions: np.ndarray, mean_loss: float) -> dict[str, float]:
        """See `Problem`: as of any table, whatever the model's loss."""
        del mean_loss
        return score_of(self.table.target.task, self.table.target.values, predictions)

    def finish(self, networks: Sequence[Fitted]) -> tuple[Predicts, pl.DataFrame | None]:
        """Write the one network into a plain model, behind the encoding of its rows."""
        (fitted,) = networks
        encodings = (self.table.encodings[fitted.row_set],)
        predictor = self.table.predictor(encodings, self.closed(fitted), self.head, self.model.opened.metadata)
        return predictor, layer_table(self.network, fitted)

    def predict_rows(self, predictor: Any, rows: np.ndarray) -> np.ndarray:
        """See `Problem`."""
        return predictor.predict_raw(self.table.raw.take(rows))


def _repeated(leaf: Any, count: int) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(leaf, (count, *leaf.shape)))


def _check_width(model: Any, width: int) -> None:
    shape = model.input_shape
    # several inputs have a list of shapes
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] != width:
        raise InputError(
            f"The table gives {width} inputs once encoded, and the model takes {shape}: build it with "
            f"keras.Input(({width},))."
        )

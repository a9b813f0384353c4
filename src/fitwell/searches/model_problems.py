"""Keras models as problems: on arrays, and on a table's encoded columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine.run import Trained, train
from fitwell.engine.settings import Settings
from fitwell.keras.widening import widen
from fitwell.regularization.layers import Layers
from fitwell.regularization.strengths import Candidates
from fitwell.searches.opened_models import ModelProblem, make_problem, model_candidates, model_settings
from fitwell.searches.options import Listener, Options
from fitwell.searches.problems import QUIET, Problem, on_row_sets, permuted, strata_of
from fitwell.tables import TableProblem

WIDER = 2
"""How much wider a model is made to see whether it is too small."""


@dataclass(frozen=True, eq=False)
class ModelOnArrays:
    """A Keras model on arrays.

    Attributes
    ----------
    model
        The model, opened, with its data.
    row_sets, strata
        See `Problem`.
    """

    model: ModelProblem
    row_sets: RowSets
    strata: np.ndarray | None

    @property
    def layers(self) -> Layers:
        """See `Problem`."""
        return self.model.network.layers

    @property
    def loss_name(self) -> str:
        """See `Problem`."""
        return self.model.loss.name

    @property
    def constant_loss(self) -> None:
        """See `Problem`: a model may have any loss."""
        return None

    def candidates(self, options: Options) -> Candidates:
        """See `Problem`; the model as given is among them."""
        return model_candidates(self.model.network, options, self.model.optimizer.learning_rate)

    def settings(self, options: Options) -> Settings:
        """See `Problem`; the model keeps its optimizer."""
        return model_settings(self.model, options, self.row_sets)

    def train(self, candidates: Candidates, settings: Settings, listener: Listener = QUIET) -> Trained:
        """See `Problem`."""
        return train(
            self.model.network,
            self.model.dataset(self.row_sets, settings.seed),
            self.row_sets,
            candidates,
            loss=self.model.loss,
            settings=settings,
            on_plan=listener.on_plan,
            on_progress=listener.on_progress,
        )

    def on(self, row_sets: RowSets) -> ModelOnArrays:
        """See `Problem`."""
        return replace(self, row_sets=row_sets)

    def larger(self) -> dict[str, Problem]:
        """See `Problem`; none where a model cannot be widened."""
        model = self.model
        wide = widen(model.opened.model, WIDER)
        if wide is None:
            return {}
        opened = replace(model.opened, model=wide)
        problem = make_problem(opened, model.inputs, model.targets, own=model.own, weights="fresh")
        return {"twice the units of every hidden layer": replace(self, model=problem)}

    def shuffled(self, seed: int) -> ModelOnArrays:
        """See `Problem`; weights of rows go with their targets."""
        return replace(self, model=replace(self.model, targets=permuted(self.model.targets, seed)))


@dataclass(frozen=True, eq=False)
class ModelOnTable(ModelOnArrays):
    """A Keras model on a table's encoded columns; every row set has its own inputs.

    Attributes
    ----------
    table
        The table.
    """

    table: TableProblem

    @classmethod
    def of(cls, model: ModelProblem, table: TableProblem) -> ModelOnTable:
        """Join a model with the table whose columns it takes."""
        return cls(model, table.row_sets, strata_of(table), table)

    def on(self, row_sets: RowSets) -> ModelOnTable:
        """See `Problem`; the encoding is fitted anew on every row set's own training rows."""
        table = on_row_sets(self.table, row_sets)
        targets = jax.tree.map(lambda leaf: _repeated(leaf[0], row_sets.count), self.model.targets)
        model = replace(self.model, inputs=table.dataset().inputs, targets=targets)
        return ModelOnTable.of(model, table)

    def shuffled(self, seed: int) -> ModelOnTable:
        """See `Problem`."""
        first = permuted(jax.tree.map(lambda leaf: leaf[0], self.model.targets), seed)
        targets = jax.tree.map(lambda leaf: _repeated(leaf, self.row_sets.count), first)
        return replace(self, model=replace(self.model, targets=targets))


def _repeated(leaf: Any, count: int) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(leaf, (count, *leaf.shape)))

"""What a search trains: a network on rows, with the other row sets, sizes and targets that a diagnosis asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import numpy as np

from fitwell.data.encoding import fit_encoding
from fitwell.data.row_sets import RowSets
from fitwell.engine.network import DenseNetwork
from fitwell.engine.run import Trained, train
from fitwell.engine.settings import Settings
from fitwell.regularization.layers import Layers
from fitwell.regularization.strengths import Candidates
from fitwell.searches.options import Listener, Options
from fitwell.tables import TableProblem

QUIET = Listener()


class Problem(Protocol):
    """A network and rows, ready to train."""

    @property
    def row_sets(self) -> RowSets:
        """Which rows train and which are held out."""
        ...

    @property
    def strata(self) -> np.ndarray | None:
        """Class of each row [n], None if the target has no classes."""
        ...

    @property
    def layers(self) -> Layers:
        """Places where strengths act."""
        ...

    @property
    def loss_name(self) -> str:
        """What is measured."""
        ...

    @property
    def constant_loss(self) -> float | None:
        """Mean loss of the best prediction that is the same for all rows, None where that is not known."""
        ...

    def candidates(self, options: Options) -> Candidates:
        """Return the strengths to search."""
        ...

    def settings(self, options: Options) -> Settings:
        """Return how to train."""
        ...

    def train(self, candidates: Candidates, settings: Settings, listener: Listener = QUIET) -> Trained:
        """Train every row set times every strength at once."""
        ...

    def on(self, row_sets: RowSets) -> Problem:
        """Return the same rows in other row sets."""
        ...

    def larger(self) -> dict[str, Problem]:
        """Return the same rows with larger networks, each by what is larger."""
        ...

    def shuffled(self, seed: int) -> Problem:
        """Return the same rows with the targets dealt to them at random: there is nothing to learn."""
        ...


@dataclass(frozen=True, eq=False)
class DenseOnTable:
    """The built-in dense network on a table.

    Attributes
    ----------
    table
        The table, read and encoded.
    hidden
        Units of the hidden layers.
    """

    table: TableProblem
    hidden: tuple[int, ...]

    @property
    def row_sets(self) -> RowSets:
        """See `Problem`."""
        return self.table.row_sets

    @property
    def strata(self) -> np.ndarray | None:
        """See `Problem`."""
        return strata_of(self.table)

    @property
    def network(self) -> DenseNetwork:
        """The network as pure functions."""
        return DenseNetwork(self.table.layout.width, self.hidden, self.table.outputs)

    @property
    def layers(self) -> Layers:
        """See `Problem`."""
        return self.network.layers

    @property
    def loss_name(self) -> str:
        """See `Problem`."""
        return self.table.loss.name

    @property
    def constant_loss(self) -> float:
        """See `Problem`."""
        target = self.table.target
        if target.task == "regression":
            return float(np.var(target.values))
        shares = np.bincount(target.values, minlength=self.table.outputs) / len(target.values)
        return float(-(shares * np.log(np.where(shares > 0, shares, 1))).sum())

    def candidates(self, options: Options) -> Candidates:
        """See `Problem`."""
        return options.candidates(self.layers)

    def settings(self, options: Options) -> Settings:
        """See `Problem`."""
        return options.settings()

    def train(self, candidates: Candidates, settings: Settings, listener: Listener = QUIET) -> Trained:
        """See `Problem`."""
        return train(
            self.network,
            self.table.dataset(),
            self.row_sets,
            candidates,
            loss=self.table.loss,
            settings=settings,
            on_plan=listener.on_plan,
            on_progress=listener.on_progress,
        )

    def on(self, row_sets: RowSets) -> DenseOnTable:
        """See `Problem`; the encoding is fitted anew on every row set's own training rows."""
        return replace(self, table=on_row_sets(self.table, row_sets))

    def larger(self) -> dict[str, Problem]:
        """See `Problem`."""
        wider, deeper = tuple(4 * units for units in self.hidden), (max(self.hidden), *self.hidden)
        return {
            f"four times the units, {_units(wider)}": replace(self, hidden=wider),
            f"one more layer, {_units(deeper)}": replace(self, hidden=deeper),
        }

    def shuffled(self, seed: int) -> DenseOnTable:
        """See `Problem`."""
        target = self.table.target
        values = np.random.default_rng(seed).permutation(target.values)
        return replace(self, table=replace(self.table, target=replace(target, values=values)))


def on_row_sets(table: TableProblem, row_sets: RowSets) -> TableProblem:
    """Return a table in other row sets, each encoded by numbers of its own training rows."""
    encodings = tuple(fit_encoding(table.layout, table.raw, rows) for rows in row_sets.train)
    return replace(table, row_sets=row_sets, encodings=encodings)


def strata_of(table: TableProblem) -> np.ndarray | None:
    """Return the class of each row, None for regression."""
    return table.target.values if table.target.task == "classification" else None


def permuted(targets: Any, seed: int) -> Any:
    """Deal the rows of a tree of arrays [n, ...] anew, all alike."""
    order = np.random.default_rng(seed).permutation(len(jax.tree.leaves(targets)[0]))
    return jax.tree.map(lambda leaf: leaf[order], targets)


def _units(hidden: tuple[int, ...]) -> str:
    return "-".join(map(str, hidden))

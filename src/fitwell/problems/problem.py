"""What a search trains: a network on rows, with the other row sets, sizes and targets that a study asks for.

A new kind of problem is one class with these methods; the searches and the questions asked of it are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from fitwell.data.row_sets import RowSets
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import Loss
from fitwell.engine.network import PureNetwork, Variables
from fitwell.problems.options import Options
from fitwell.problems.tables import TableData
from fitwell.regularization.strengths import Candidates, Regularization
from fitwell.results.predictors import Predicts
from fitwell.trees import tree_leaves, tree_map


@dataclass(frozen=True, eq=False)
class Fitted:
    """One trained network that is handed over.

    Attributes
    ----------
    variables
        Of this network alone, on the host.
    row_set
        Number of the row set that it was trained on.
    regularization
        What it was trained with.
    as_given
        Whether that is what the network had when it was given.
    shift, scale
        Its predictions are ``shift + scale * output``; 0 and 1 for classes, and [k] of several values.
    """

    variables: Variables
    row_set: int
    regularization: Regularization
    as_given: bool
    shift: float | np.ndarray
    scale: float | np.ndarray


class Problem(Protocol):
    """A network and rows, ready to train."""

    @property
    def summary(self) -> dict[str, Any]:
        """What was read, as plain types."""
        ...

    @property
    def source(self) -> TableData | None:
        """The table that its rows were read from; None for arrays."""
        ...

    @property
    def row_sets(self) -> RowSets:
        """Which rows train and which are held out."""
        ...

    @property
    def strata(self) -> np.ndarray | None:
        """Class of each row [n], None if the target has no classes."""
        ...

    @property
    def network(self) -> PureNetwork:
        """The network as pure functions."""
        ...

    @property
    def loss(self) -> Loss:
        """What is minimised and measured."""
        ...

    @property
    def step(self) -> float:
        """From one number to the next in those that the network computes in, as a share; 0 for float32 and finer."""
        ...

    @property
    def may_stay(self) -> bool:
        """Whether the network as given is somebody's own, which is left alone if nothing is surely better."""
        ...

    @property
    def joins(self) -> bool:
        """Whether `finish` can join several networks into one model: their mean."""
        ...

    @property
    def constant_loss(self) -> float | None:
        """Mean loss of the best prediction that is the same for all rows, None where that is not known."""
        ...

    def check(self, options: Options) -> None:
        """Raise a `FitwellError`, before anything is trained, if the search could not be finished."""
        ...

    def dataset(self, seed: int, first: int = 0) -> Dataset:
        """Return the rows of all row sets; where first weights are drawn outside, row sets count from `first` on."""
        ...

    def candidates(self, options: Options) -> Candidates:
        """Return the strengths to search."""
        ...

    def settings(self, options: Options) -> Settings:
        """Return how to train."""
        ...

    def on(self, row_sets: RowSets) -> Problem:
        """Return the same rows in other row sets."""
        ...

    def larger(self) -> Mapping[str, Problem]:
        """Return the same rows with larger networks, each by what is larger."""
        ...

    def shuffled(self, seed: int) -> Problem:
        """Return the same rows with the targets dealt to them at random: there is nothing to learn."""
        ...

    def warm_up(self) -> None:
        """Load what `finish` needs; called in a thread while networks train."""
        ...

    def predictions(self, raw: Any) -> Any:
        """Return predictions [n, ...] of the loss as people read them."""
        ...

    def score(self, predictions: Any, mean_loss: float) -> dict[str, float]:
        """Score predictions of all rows (NaN where there is none), whose mean loss is known; empty if that says all."""
        ...

    def finish(self, networks: Sequence[Fitted]) -> tuple[Predicts, pl.DataFrame | None]:
        """Make what predicts of networks that were trained on these row sets.

        Returns
        -------
        The predictor, and a table with one row for each layer where a strength acts, if the layers are somebody's own.
        """
        ...

    def predict_rows(self, predictor: Any, rows: np.ndarray) -> Any:
        """Predict some of these rows, int [h], by what `finish` made, as `predictions` has them."""
        ...


def permuted(targets: Any, seed: int) -> Any:
    """Deal the rows of a tree of arrays [n, ...] anew, all alike."""
    # one order for all leaves: a row's weight goes with its target
    order = np.random.default_rng(seed).permutation(len(tree_leaves(targets)[0]))
    return tree_map(lambda leaf: leaf[order], targets)

"""The built-in dense network on a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitwell.analysis.scores import score_of
from fitwell.data.row_sets import RowSets
from fitwell.data.target_units import VALUES, units_of
from fitwell.engine.engines import executor_of
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import Loss
from fitwell.engine.memory import check_fits, host_memory
from fitwell.engine.network import DenseNetwork
from fitwell.errors import InputError
from fitwell.keras.plain_model import plain_model
from fitwell.keras.towers import Tower, tower
from fitwell.problems.options import ENSEMBLE_STRENGTHS, Options
from fitwell.problems.problem import Fitted, Problem
from fitwell.problems.tables import TableData
from fitwell.regularization.strengths import Candidates
from fitwell.results.predictors import TablePredictor

MAX_TOWERS = 100
"""Networks of an ensemble: more take minutes to save, load and compile."""


@dataclass(frozen=True, eq=False)
class DenseOnTable:
    """The built-in dense network on a table, as a `Problem`.

    Attributes
    ----------
    table
        The table, read and encoded.
    hidden
        Units of the hidden layers.
    """

    table: TableData
    hidden: tuple[int, ...]

    step = 0.0
    may_stay = False  # a table has no network as given that somebody wants to keep
    # the mean of dense networks is one Keras model, and rarely worse than the best of them
    joins = True

    @property
    def source(self) -> TableData:
        """See `Problem`."""
        return self.table

    @property
    def summary(self) -> dict[str, Any]:
        """See `Problem`."""
        return self.table.summary()

    @property
    def row_sets(self) -> RowSets:
        """See `Problem`."""
        return self.table.row_sets

    @property
    def strata(self) -> np.ndarray | None:
        """See `Problem`."""
        return self.table.strata

    @property
    def network(self) -> DenseNetwork:
        """See `Problem`."""
        return DenseNetwork(self.table.layout.width, self.hidden, self.table.outputs, groups=self.table.groups)

    @property
    def loss(self) -> Loss:
        """See `Problem`."""
        return self.table.loss

    @property
    def constant_loss(self) -> float:
        """See `Problem`."""
        target, weight = self.table.target, self.table.weight
        if target.task == "multilabel":
            shares = np.average(target.values, axis=0, weights=weight)
            both = np.stack([shares, 1 - shares])
            return float(-(both * np.log(np.where(both > 0, both, 1))).sum(axis=0).mean())
        if target.outputs:
            return 1.0  # each in units of its own variance
        if target.task == "regression":
            mean = np.average(target.values, weights=weight)
            return float(np.average((target.values - mean) ** 2, weights=weight))
        shares = np.bincount(target.values, weight, minlength=self.table.outputs) / len(target.values)
        # a class that never occurs adds 0, not 0 times minus infinity
        return float(-(shares * np.log(np.where(shares > 0, shares, 1))).sum())

    def check(self, options: Options) -> None:
        """Refuse an ensemble of too many networks, and encoded inputs that memory does not hold."""
        sets = self.row_sets
        towers = ENSEMBLE_STRENGTHS * sets.independent
        if options.refit == "ensemble" and towers > MAX_TOWERS:
            raise InputError(
                f"The ensemble would hold {towers} networks ({ENSEMBLE_STRENGTHS} strengths x {sets.independent} row "
                f"sets), at most {MAX_TOWERS} are sensible: use fewer folds, or refit='single' (--refit single)."
            )
        if not self.table.on_disk:  # of which the plan says what it needs
            self._check_memory(options)

    def _check_memory(self, options: Options) -> None:
        table, sets = self.table, self.row_sets.count
        size = f"{self.row_sets.n_rows:,} rows x {table.layout.width:,} inputs"
        needed, what = sets * table.copy_bytes, f"The encoded table ({sets} row sets x {size})"
        # JAX has all row sets' inputs at once; what `auto` takes is not known yet, and refuses what is too much itself
        if table.encodes_later and options.engine != "jax":
            needed, what = table.copy_bytes, f"An encoded copy of the table ({size})"
            if options.memory is not None:  # what is free does not count the features, which are there already
                needed, what = needed + table.raw.nbytes, f"The table with an encoded copy ({size})"
        check_fits(
            needed,
            host_memory() if options.memory is None else options.memory,
            what=what,
            remedy="raise it, use fewer folds, or drop columns with many categories",
        )

    def dataset(self, seed: int, first: int = 0) -> Dataset:
        """See `Problem`; the network draws its own first weights."""
        del seed, first
        return self.table.dataset()

    def candidates(self, options: Options) -> Candidates:
        """See `Problem`."""
        return options.candidates(self.network.layers)

    def settings(self, options: Options) -> Settings:
        """See `Problem`."""
        if self.table.on_disk:
            from fitwell.engine.streamed_executor import streamed  # of no other tables

            return replace(options.settings(), executor=streamed)
        return replace(options.settings(), executor=executor_of(options.engine))

    def on(self, row_sets: RowSets) -> DenseOnTable:
        """See `Problem`; the encoding is fitted anew on every row set's own training rows."""
        return replace(self, table=self.table.on(row_sets))

    def larger(self) -> dict[str, Problem]:
        """See `Problem`."""
        wider, deeper = tuple(4 * units for units in self.hidden), (max(self.hidden), *self.hidden)
        return {
            f"four times the units, {_units(wider)}": replace(self, hidden=wider),
            f"one more layer, {_units(deeper)}": replace(self, hidden=deeper),
        }

    def shuffled(self, seed: int) -> DenseOnTable:
        """See `Problem`."""
        target, weights = self.table.target, self.table.weights
        order = np.random.default_rng(seed).permutation(len(target.values))
        # what a row counts goes with its target, as its class does
        moved = {"target": replace(target, values=target.values[order])}
        moved |= {} if weights is None else {"weights": weights.permuted(order)}
        return replace(self, table=replace(self.table, **moved))

    def warm_up(self) -> None:
        """See `Problem`; nothing is imported for the end."""

    def predictions(self, raw: np.ndarray) -> np.ndarray:
        """See `Problem`: probabilities [n, k], or values [n] (of several targets [n, k])."""
        return raw

    def score(self, predictions: np.ndarray, mean_loss: float) -> dict[str, float]:
        """See `Problem`."""
        del mean_loss  # the scores of a table begin with its loss
        return score_of(self.table.target.task, self.table.target.values, predictions, self.table.weight)

    def finish(self, networks: Sequence[Fitted]) -> tuple[TablePredictor, None]:
        """Join the networks, each behind the encoding of its row set, into one Keras model: their mean."""
        # row sets of the same rows (several networks on all rows) share one encoding, hence one input of the model
        encodings = list({id(e): e for e in (self.table.encodings[one.row_set] for one in networks)}.values())
        places = {id(encoding): place for place, encoding in enumerate(encodings)}
        task = self.table.target.task
        units = units_of(np.asarray(self.table.target.values, float)) if task == "regression" else VALUES

        def tower_of(one: Fitted) -> Tower:
            shift, scale = units.within(one.shift, one.scale)
            return tower(
                one.variables,
                encoding=places[id(self.table.encodings[one.row_set])],
                activation=self.network.activation,
                regularization=one.regularization,
                shift=shift,
                scale=scale,
            )

        towers = [tower_of(one) for one in networks]
        model = plain_model(towers, classification=task == "classification", labels=task == "multilabel")
        return replace(self.table.predictor(tuple(encodings), model), units=units), None

    def predict_rows(self, predictor: Any, rows: np.ndarray) -> np.ndarray:
        """See `Problem`."""
        return predictor.predict_raw(self.table.raw.take(rows))


def _units(hidden: tuple[int, ...]) -> str:
    return "-".join(map(str, hidden))

"""Keras models on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from fitwell.data.resampling import nested_folds
from fitwell.data.row_sets import RowSets, folds
from fitwell.data.training_rows import check_weights, warn_of_unseen_classes
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import Loss
from fitwell.engine.ray_options import is_ray
from fitwell.errors import InputError
from fitwell.keras.closing import close, zeros
from fitwell.keras.compiled import compiled_scores
from fitwell.keras.keras_network import KerasNetwork
from fitwell.keras.opening import Opened
from fitwell.keras.widening import widen
from fitwell.problems.model_data import (
    ModelData,
    labels_of_loss,
    make_data,
    model_candidates,
    model_settings,
    read_data,
)
from fitwell.problems.options import DEFAULT_HIDDEN, Options
from fitwell.problems.problem import Fitted, Problem, permuted
from fitwell.problems.tables import TableData
from fitwell.regularization.strengths import Candidates
from fitwell.results.predictors import ModelPredictor, Predicts
from fitwell.trees import tree_map

WIDER = 2
"""How much wider a model is made to see whether it is too small: enough to show, and four times the weights already."""


def read_model(
    opened: Opened, x: Any, y: Any, options: Options, *, splits: Mapping[str, Any], **weighing: Any
) -> ModelOnArrays:
    """Read the data of a Keras model and draw its row sets; `weighing` is what `read_data` takes of `fitwell.tune`."""
    data, summary = read_data(opened, x, y, options, **weighing)
    labels, task = labels_of_loss(data.targets.values, data.loss)
    row_sets = folds(labels, task, seed=options.seed, **splits)
    check_weights(row_sets, data.targets.train_weight, data.targets.weight)
    if task == "classification":
        warn_of_unseen_classes(row_sets, labels)
    return ModelOnArrays(data, row_sets, labels if task == "classification" else None, summary)


def check_model_options(options: Options) -> None:
    """Refuse with a Keras model what only the dense network has."""
    if options.hidden != DEFAULT_HIDDEN:
        raise InputError("A Keras model has its own layers: leave out 'hidden'.")
    if options.engine == "numpy":
        raise InputError("NumPy trains the dense network of tables: a Keras model needs 'jax', or leave out 'engine'.")
    if is_ray(options.engine):
        raise InputError(
            "Ray trains the dense network of tables, and a Keras model cannot be sent to other machines: choose 'jax', "
            "or leave out 'engine'."
        )


@dataclass(frozen=True, eq=False)
class ModelOnArrays:
    """A Keras model on arrays, as a `Problem`.

    Attributes
    ----------
    model
        The model, opened, with its data.
    row_sets, strata, summary
        See `Problem`.
    """

    model: ModelData
    row_sets: RowSets
    strata: np.ndarray | None
    summary: dict[str, Any]

    may_stay = True
    # one network of the person's own architecture comes back, so there is nothing to average
    joins = False
    constant_loss = None  # a model may have any loss

    @property
    def source(self) -> TableData | None:
        """See `Problem`."""
        return None

    @property
    def network(self) -> KerasNetwork:
        """See `Problem`."""
        return self.model.network

    @property
    def step(self) -> float:
        """See `Problem`."""
        return self.network.step

    @property
    def loss(self) -> Loss:
        """See `Problem`."""
        return self.model.loss

    def check(self, options: Options) -> None:
        """Refuse inner folds that would train on nothing: whatever else was read can be finished."""
        if options.honest != "bbc":
            check_weights(nested_folds(self.row_sets), self.model.targets.train_weight, self.model.targets.weight)

    def dataset(self, seed: int, first: int = 0) -> Dataset:
        """See `Problem`; first weights are drawn by Keras's initializers."""
        return self.model.dataset(self.row_sets, seed, first)

    def candidates(self, options: Options) -> Candidates:
        """See `Problem`; the model as given is among them."""
        return model_candidates(self.network, options, self.model.optimizer.learning_rate)

    def settings(self, options: Options) -> Settings:
        """See `Problem`; the model keeps its optimizer."""
        return model_settings(self.model, options, self.row_sets)

    def on(self, row_sets: RowSets) -> ModelOnArrays:
        """See `Problem`; row sets that would train on nothing are refused."""
        check_weights(row_sets, self.model.targets.train_weight, self.model.targets.weight)
        return replace(self, row_sets=row_sets)

    def larger(self) -> dict[str, Problem]:
        """See `Problem`; none where a model cannot be widened."""
        model = self.model
        wide = widen(model.opened.model, WIDER)
        if wide is None:
            return {}
        # the choice of layers stays, for names are the same
        opened = replace(model.opened, model=wide)
        # weights of another width cannot be given
        data = make_data(opened, model.inputs, model.targets, own=model.own, weights="fresh")
        return {"twice the units of every hidden layer": replace(self, model=data)}

    def shuffled(self, seed: int) -> ModelOnArrays:
        """See `Problem`; weights of rows go with their targets."""
        return replace(self, model=replace(self.model, targets=permuted(self.model.targets, seed)))

    def warm_up(self) -> None:
        """See `Problem`: Keras is there already."""

    def predictions(self, raw: Any) -> Any:
        """See `Problem`: what the model itself gives."""
        return raw

    def score(self, predictions: Any, mean_loss: float) -> dict[str, float]:
        """See `Problem`: the mean loss of the rows, and the compiled metrics of their predictions."""
        # the loss of single rows, as recorded: of all predictions at once `add_loss` would be missing
        return {"loss": mean_loss} | compiled_scores(self.network.copy, self.model.targets, predictions)

    def finish(self, networks: Sequence[Fitted]) -> tuple[Predicts, pl.DataFrame | None]:
        """Write the one network's weights and strengths into a plain model of the architecture that was given."""
        (fitted,) = networks
        predictor = ModelPredictor(self.closed(fitted), self.model.opened.metadata)
        return predictor, layer_table(self.network, fitted)

    def predict_rows(self, predictor: Any, rows: np.ndarray) -> Any:
        """See `Problem`."""
        return predictor.predict(tree_map(lambda leaf: leaf[rows], self.model.inputs))

    def closed(self, fitted: Fitted) -> Any:
        """Return the plain Keras model of one trained network."""
        written = None if fitted.as_given else fitted.regularization  # left alone, it keeps its own
        return close(self.model.opened.model, self.network, fitted.variables, written, self.model.sample)


def layer_table(network: KerasNetwork, fitted: Fitted) -> pl.DataFrame:
    """One row for each place where a strength acts: the network's strengths, and the share of weights exactly zero."""
    regularization, layers = fitted.regularization, network.layers
    shares = zeros(network, fitted.variables)
    found = {row.name: layers.of(row) for row in regularization.rows}
    # weight decay may act on layers on which nothing else does: they are rows where it is on
    others = [place for row in regularization.rows for place in layers.of(row) if regularization.at(row, place) > 0]
    # a set in order: a layer with a kernel and dropout is one row
    places = dict.fromkeys([*layers.kernels, *layers.units, *others])
    rows = [
        {
            "layer": place,
            **{name: regularization.at(name, place) if place in acting else None for name, acting in found.items()},
            "share_of_zeros": shares.get(place),
        }
        for place in places
    ]
    kinds = {"layer": pl.String} | dict.fromkeys(found, pl.Float64)
    return pl.DataFrame(rows, schema=kinds | {"share_of_zeros": pl.Float64})

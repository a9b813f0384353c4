"""What fitwell sees in a Keras model: where penalties act and where units are dropped, as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from fitwell.errors import InputError, InputTypeError
from fitwell.keras.anatomy import kind, names, parts, walk
from fitwell.keras.backend import import_keras
from fitwell.keras.keras_network import KerasNetwork, open_network
from fitwell.regularization.table import BUILT_IN

OF_KERNELS = [one for one in BUILT_IN.values() if one.keras and one.keras.holder in ("regularizer", "layer")]
"""Regularizers that a model has by layer, besides dropout, which has columns of its own."""

OF_OPTIMIZER = [one for one in BUILT_IN.values() if one.keras and one.keras.holder == "optimizer"]
"""Regularizers that its optimizer has."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A Keras model and where strengths act in it; `fitwell.tune` takes it in the place of the model.

    Nothing is kept but the choice of layers: a strength that is changed on a layer of `model` counts.

    Attributes
    ----------
    model
        keras.Model, not touched.
    penalise
        Names of the layers whose kernels penalties and weight dropout act on; None is all that have a regularizer
        argument.
    dropout_after
        Names of the layers behind which dropout is put; None is every hidden layer that is not followed by dropout.
        The model's own dropout layers are always searched.
    metadata
        What a person keeps beside the model, plain JSON; it goes with what comes back.
    """

    model: Any
    penalise: tuple[str, ...] | None = None
    dropout_after: tuple[str, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def network(self, sample: Any = None) -> KerasNetwork:
        """Return the model as the engine takes it; `sample` are inputs of a row or two, if it is not built."""
        sample = _sample(self.model) if sample is None else sample
        wanted = {"penalise": self.penalise, "dropout_after": self.dropout_after}
        return open_network(self.model, sample, **{k: None if v is None else list(v) for k, v in wanted.items()})

    @property
    def table(self) -> pl.DataFrame:
        """One row for each layer: name, kind, parameters, and the strengths it has now.

        `l1`, `l2` and `weight_dropout` are null where no penalty acts, `dropout` is null where no unit is dropped;
        else they are the model's own, 0 if it has none. `dropout_after` says behind which layer units are dropped;
        `weight_decay` is that of the model's optimizer, null where it acts on nothing.
        """
        return describe(self.network())

    def __str__(self) -> str:
        return table_text(self.table)

    __repr__ = __str__


def opened(
    model: Any,
    *,
    penalise: Sequence[str] | None = None,
    dropout_after: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Opened:
    """Look at a Keras model: which kernels are penalised, and where units are dropped.

    Parameters
    ----------
    model
        A built keras.Model: Sequential, functional, or a subclass whose layers can be found.
    penalise
        Names of layers whose kernels penalties and weight dropout may act on. None takes all kernels of dense,
        convolutional, recurrent and attention layers; biases, normalisation and embeddings are left alone.
    dropout_after
        Names of layers to put dropout behind. None takes every hidden layer that is not followed by dropout.
    metadata
        What to keep beside the model, plain JSON, such as `fitwell.tfjs.metadata` of the file it was loaded from: the
        result's ``predictor.metadata``, and in a saved run part of `tfjs/model.json`.

    Returns
    -------
    Opened
        Prints as a table; `fitwell.tune` takes it in the place of the model.

    Raises
    ------
    InputError
        It is no Keras model, is not built, cannot be copied, a name is wrong, or the metadata is no JSON.

    Examples
    --------
    >>> import keras
    >>> layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    >>> opened(keras.Sequential(layers)).table["dropout"].to_list()
    [0.0, None]
    """
    if not isinstance(model, import_keras().Model):
        raise InputTypeError(f"'model' must be a keras.Model. Got {type(model).__name__}.")
    for argument, value in (("penalise", penalise), ("dropout_after", dropout_after)):
        if isinstance(value, str):
            raise InputTypeError(f"'{argument}' must be a list of names of layers. Got the text {value!r}.")
    found = Opened(model)
    return replace(
        found,
        penalise=None if penalise is None else tuple(penalise),
        dropout_after=None if dropout_after is None else tuple(dropout_after),
        metadata=_checked({} if metadata is None else metadata),
    )


def _checked(metadata: Any) -> dict[str, Any]:
    """Return metadata that can be written: a search may take hours, and only then would a writer refuse it."""
    if not isinstance(metadata, Mapping):
        raise InputTypeError(f"'metadata' must be a mapping of plain JSON. Got {type(metadata).__name__}.")
    found = dict(metadata)
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"'metadata' must be plain JSON: texts, numbers, lists and dicts ({error}).") from error
    return found


def describe(network: KerasNetwork) -> pl.DataFrame:
    """Return the table of an opened model; see `Opened.table`."""
    named = names(network.original)
    rows = [_row(network, layer, named) for layer in walk(network.original)]
    kinds = {"layer": pl.String, "kind": pl.String, "parameters": pl.Int64, "penalised": pl.String}
    kinds |= {one.name: pl.Float64 for one in OF_KERNELS}
    kinds |= {"dropout_after": pl.String, "dropout": pl.Float64} | {one.name: pl.Float64 for one in OF_OPTIMIZER}
    return pl.DataFrame(rows, schema=kinds)


def table_text(table: pl.DataFrame) -> str:
    """Return a table as text, one line a row, nothing cut off; where there is nothing to say, nothing."""
    texts = pl.col(pl.Float64).map_elements(lambda value: f"{value:g}", return_dtype=pl.String)
    table = table.with_columns(texts).fill_null("")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True,
                   fmt_str_lengths=60, tbl_width_chars=160, tbl_formatting="UTF8_HORIZONTAL_ONLY"):  # fmt: skip
        return str(table)


def _row(network: KerasNetwork, layer: Any, named: dict[int, str]) -> dict[str, Any]:
    name = named[id(layer)]
    held = [kernel for kernel in network.kernels if kernel.layer is layer]
    inside = {id(part) for part in parts(layer)}
    places = [place for place in network.places if id(place.layer) in inside or place.place == name]
    row: dict[str, Any] = {"layer": name, "kind": kind(layer), "parameters": layer.count_params() if layer.built else 0}
    row["penalised"] = ", ".join(dict.fromkeys(kernel.variable.name for kernel in held))
    for one in OF_KERNELS:
        row[one.name] = max((kernel.strength(one) for kernel in held), default=None)
    mine = [place for place in places if place.place.split(":")[0] == name]
    row["dropout_after"] = ", ".join(named.get(id(place.layer), str(place.layer.name)) for place in mine)
    row["dropout"] = max((place.rate or 0.0 for place in mine), default=None)
    for one in OF_OPTIMIZER:
        found = dict(zip(network.layers.of(one), network.own_strengths(one), strict=True))
        row[one.name] = found.get(name)
    return row


def _sample(model: Any) -> Any:
    """Zeros of one row, in the shapes that the model takes; unknown lengths are 8."""
    keras = import_keras()
    try:
        inputs = model.input
    except (AttributeError, ValueError):
        inputs = None
    if not model.built or (inputs is None and not model.weights):
        raise InputError(
            f"The model '{model.name}' is not built: begin it with keras.Input, call it on some rows, or tune it."
        )
    if inputs is None:
        shape = model.get_build_config() or {}
        inputs = shape.get("input_shape") or next(iter(shape.get("shapes_dict", {}).values()), None)
        if inputs is None:
            raise InputError(f"The shapes that '{model.name}' takes are not known: call it on some rows first.")
        return np.zeros((1, *(8 if n is None else n for n in tuple(inputs)[1:])), keras.config.floatx())
    return keras.tree.map_structure(
        lambda t: np.zeros((1, *(8 if n is None else n for n in t.shape[1:])), t.dtype), inputs
    )

"""A fitted table model: encodings and one plain Keras model, kept in a directory and applied to new rows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from fitwell.data.arrays import read_inputs
from fitwell.data.columns import Column, RawFeatures, extra_columns, extract, unseen_levels
from fitwell.data.delimited import TextTable
from fitwell.data.encoding import Encoding
from fitwell.data.numbers import POINT
from fitwell.data.table_files import open_table, read_new
from fitwell.data.target import LabelType, labels_of
from fitwell.data.target_units import VALUES, TargetUnits
from fitwell.errors import FitwellWarning, InputError, counted
from fitwell.keras.backend import import_keras
from fitwell.keras.heads import as_probabilities
from fitwell.keras.plain_model import PlainModel

MODEL_FILE = "model.keras"
ENCODING_FILE = "encoding.json"
ROWS_AT_ONCE = 65_536
"""Rows encoded and predicted at a time, so that memory does not grow with the table."""

FORMAT = 2
"""Version of `ENCODING_FILE`; raised when an older fitwell would misread it. It reads all up to its own."""


class Predicts(Protocol):
    """What a result predicts with: a table's model, a Keras model, or functions."""

    @property
    def model(self) -> Any:
        """The trained model."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What a person keeps beside the model, plain JSON; it is written with the model for TensorFlow.js."""
        ...

    def predict(self, table: Any, /) -> Any:
        """Predict new rows."""
        ...

    def write(self, directory: Path, /) -> None:
        """Write what is needed to predict into an existing directory."""
        ...


@dataclass(frozen=True)
class TablePredictor:
    """What is needed to predict, and nothing more.

    Attributes
    ----------
    columns
        The feature columns, those set aside included (new tables may lack these).
    encodings
        One for each input of `network`, in order; often they are the folds'.
    target, task, classes, label_type
        What is predicted; `classes` are texts, written back as `label_type`.
    network
        A `PlainModel`, or a user's own keras.Model: takes the encoded numbers of every encoding, and gives what `head`
        says.
    head
        One of `fitwell.keras.heads.HEADS`: probabilities [n, k] and values [n, 1], unless the model is the user's own.
    metadata
        What a person keeps beside the model; see `Predicts`.
    units
        Of the model's values.
    missing
        The marks of missing values in training; None in runs that did not keep them.
    """

    columns: tuple[Column, ...]
    encodings: tuple[Encoding, ...]
    target: str
    task: str
    classes: tuple[str, ...]
    label_type: LabelType
    network: Any
    head: str = "probabilities"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    units: TargetUnits = VALUES
    missing: tuple[str, ...] | None = None

    @property
    def model(self) -> Any:
        """A keras.Model: it takes the encoded numbers (a list, if there are several encodings)."""
        return self.network.model if isinstance(self.network, PlainModel) else self.network

    def predict_numbers(self, table: Any) -> np.ndarray:
        """Predict rows of a table (a path, a data frame, an array).

        Returns
        -------
        Probabilities [n, k] in the order of `classes`, or values [n]. Categories that training did not have count as
        "(other)", and a `FitwellWarning` says how many by column.
        """
        frame, notation = read_new(table, self.missing)
        raw = extract(frame, self.columns, decimal=notation.decimal or POINT)
        if unseen := unseen_levels(raw, self.columns):
            counts = ", ".join(f"'{name}' in {count:,} of {counted(len(raw), 'row')}" for name, count in unseen.items())
            text = f'Categories that training did not have count as "other": {counts}.'
            warnings.warn(text, FitwellWarning, stacklevel=2)
        return self.predict_raw(raw)

    def predict_raw(self, raw: RawFeatures) -> np.ndarray:
        """Predict rows whose columns were read already; see `predict_numbers`."""
        # at least one part, so that a table without rows has predictions of the right shape
        parts = [slice(start, start + ROWS_AT_ONCE) for start in range(0, max(len(raw.numbers), 1), ROWS_AT_ONCE)]
        outputs = np.concatenate([self._predict_part(raw.take(p)) for p in parts])
        return as_probabilities(outputs, self.head) if self.task == "classification" else self.units.of(outputs[:, 0])

    def _predict_part(self, raw: RawFeatures) -> np.ndarray:
        encoded = [encoding.transform(raw) for encoding in self.encodings]
        if isinstance(self.network, PlainModel):
            return self.network.predict(encoded)
        # one batch size for all calls: another shape would be compiled anew
        inputs = encoded if len(encoded) > 1 else encoded[0]
        return np.asarray(self.network.predict(inputs, verbose=0, batch_size=1024))

    def predict(self, table: Any, *, keep: str | Sequence[str] = ()) -> pl.DataFrame:
        """Predict rows of a table.

        Parameters
        ----------
        keep
            Columns of the table that are put before the predictions, as they are: what says which row is which.

        Returns
        -------
        A data frame with one row for each row of the table: the column of the target and, for classes, one column
        ``probability of <class>`` each.

        Raises
        ------
        InputError
            A column is missing, a text stands where a number was, or a column cannot be kept.
        """
        opened = open_table(table)
        frame = _as_it_stands(opened)
        kept = [keep] if isinstance(keep, str) else list(dict.fromkeys(keep))
        self._check_kept(frame, kept)
        predictions = self._named(self.predict_numbers(opened))
        return frame.select(kept).hstack(predictions) if kept else predictions

    def _check_kept(self, frame: pl.DataFrame, names: list[str]) -> None:
        own = [self.target, *(f"probability of {name}" for name in self.classes)]
        for name in names:
            if name not in frame.columns:
                columns = ", ".join(frame.columns[:20])
                raise InputError(f"There is no column '{name}' to keep. The columns are: {columns}.")
            if name in own:
                raise InputError(f"The column '{name}' cannot be kept, for a prediction is called so: rename it.")

    def _named(self, numbers: np.ndarray) -> pl.DataFrame:
        if self.task == "regression":
            return pl.DataFrame({self.target: numbers})
        # with the types that the table had: 0 and 1 come back as numbers
        labels = labels_of(numbers.argmax(axis=1), self.classes, self.label_type)
        probabilities = {f"probability of {name}": numbers[:, i] for i, name in enumerate(self.classes)}
        return pl.DataFrame({self.target: labels, **probabilities})

    def ignored_columns(self, table: Any) -> tuple[str, ...]:
        """Name the columns of a table that prediction does not use (the target itself is not named)."""
        frame = _as_it_stands(open_table(table))
        return tuple(name for name in extra_columns(frame, self.columns) if name != self.target)

    def write(self, directory: Path) -> None:
        """Write `MODEL_FILE` and `ENCODING_FILE` into an existing directory."""
        self.network.save(directory / MODEL_FILE)
        stored = {
            "format": FORMAT,
            "target": self.target,
            "task": self.task,
            "classes": list(self.classes),
            "label_type": self.label_type,
            "head": self.head,
            "shift": self.units.shift,
            "scale": self.units.scale,
            "missing": None if self.missing is None else list(self.missing),
            "columns": [column.to_json() for column in self.columns],
            "encodings": [encoding.to_json() for encoding in self.encodings],
        }
        # names of columns stay readable, whatever their script
        (directory / ENCODING_FILE).write_text(json.dumps(stored, ensure_ascii=False, indent=1), encoding="utf-8")


def _as_it_stands(table: pl.DataFrame | TextTable) -> pl.DataFrame:
    """Return a table before its texts are read: ids keep their zeros."""
    return table if isinstance(table, pl.DataFrame) else table.frame


@dataclass(frozen=True)
class ModelPredictor:
    """A trained Keras model that takes the arrays it was tuned on.

    Attributes
    ----------
    model
        keras.Model, plain.
    metadata
        What a person keeps beside it; see `Predicts`.
    """

    model: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, inputs: Any) -> Any:
        """Predict rows: what ``model.predict`` gives for arrays, dicts of arrays or frames."""
        # read by the rules of training, so that frames and lists mean the same here
        read = read_inputs(inputs, np.dtype(import_keras().config.floatx()))
        # Keras takes several inputs as a list
        read = list(read) if isinstance(read, tuple) else read
        return self.model.predict(read, verbose=0)

    def write(self, directory: Path) -> None:
        """Write `MODEL_FILE` into an existing directory."""
        self.model.save(directory / MODEL_FILE)

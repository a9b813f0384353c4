"""A fitted table model: encodings and one plain Keras model, kept in a directory and applied to new rows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from fitwell.data.arrays import read_inputs
from fitwell.data.columns import Column, RawFeatures, extra_columns, extract, unseen_levels
from fitwell.data.encoding import Encoding
from fitwell.data.numbers import POINT
from fitwell.data.table_files import as_it_stands, open_table, read_new
from fitwell.data.target import LabelType, TargetOutput, labels_of
from fitwell.data.target_units import VALUES, TargetUnits
from fitwell.engine.one_core import blas_on_one_core
from fitwell.errors import FitwellWarning, InputError, counted
from fitwell.keras.backend import import_keras
from fitwell.keras.heads import as_probabilities
from fitwell.keras.plain_model import PlainModel
from fitwell.startup import cpu_devices

MODEL_FILE = "model.keras"
ENCODING_FILE = "encoding.json"
PART_BYTES = 2**24
"""What the layers of one part of the rows may take, so that memory does not grow with the table."""

ROWS_FOR_KERAS = 16_384
"""Rows of a part that Keras predicts: a multiple of its batch, since another shape would be compiled anew."""

THREADS = 4
"""The most that predict parts at once: each holds a part, and beyond that memory is what they wait for."""

FORMAT, FORMAT_OF_ONE = 3, 2
"""Version of `ENCODING_FILE`; raised when an older fitwell would misread it: since 3 there may be several targets. It
reads all up to its own."""


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
    outputs
        Several targets, one by one; empty for one.
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
    outputs: tuple[TargetOutput, ...] = ()

    @property
    def knows_decimal(self) -> bool:
        """Whether training has shown the decimal mark of all numbers, so that new rows are not asked for it."""
        return all(column.decimal for column in self.columns if column.kind == "numeric")

    @property
    def rows_at_once(self) -> int:
        """Rows encoded and predicted at a time; a power of 2.

        Parts of a table begin at its multiples: BLAS may round otherwise among other rows, so that a table that is
        read in blocks of whole parts is predicted as at once, bit for bit.
        """
        if not isinstance(self.network, PlainModel):
            return ROWS_FOR_KERAS
        rows = PART_BYTES // (4 * self.network.numbers_in_a_row)
        return 1 << max(rows.bit_length() - 1, 4)

    @property
    def model(self) -> Any:
        """A keras.Model: it takes the encoded numbers (a list, if there are several encodings)."""
        return self.network.model if isinstance(self.network, PlainModel) else self.network

    def predict_numbers(self, table: Any) -> np.ndarray:
        """Predict rows of a table (a path, a data frame, an array).

        Returns
        -------
        Probabilities [n, k] in the order of `classes`, or values [n]; of several targets values [n, k], or
        probabilities [n, k] of the second class of each. Categories that training did not have count as "(other)", and
        a `FitwellWarning` says how many by column.
        """
        frame, notation = read_new(table, self.missing)
        raw = extract(frame, self.columns, decimal=notation.decimal or POINT)
        warn_of_unseen(unseen_levels(raw, self.columns), len(raw))
        return self.predict_raw(raw)

    def predict_raw(self, raw: RawFeatures) -> np.ndarray:
        """Predict rows whose columns were read already; see `predict_numbers`."""
        step = self.rows_at_once
        # at least one part, so that a table without rows has predictions of the right shape
        parts = [raw.take(slice(start, start + step)) for start in range(0, max(len(raw.numbers), 1), step)]
        outputs = np.concatenate([*self._predict_parts(parts)])
        return self.from_outputs(outputs)

    def from_outputs(self, outputs: np.ndarray) -> np.ndarray:
        """Turn outputs of the network into what `predict_numbers` gives."""
        if self.task == "regression":
            return self.units.of(outputs if self.outputs else outputs[:, 0])
        return outputs if self.outputs else as_probabilities(outputs, self.head)

    def _predict_parts(self, parts: Sequence[RawFeatures]) -> Iterable[np.ndarray]:
        # Keras spreads a batch over the cores by itself
        threads = min(cpu_devices(), THREADS, len(parts)) if isinstance(self.network, PlainModel) else 1
        # matrices so small are multiplied by one core: several wait for each other longer than they multiply
        with blas_on_one_core():
            if threads == 1:
                return [self._predict_part(part) for part in parts]
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(self._predict_part, parts))

    def _predict_part(self, raw: RawFeatures) -> np.ndarray:
        encoded = [encoding.transform(raw) for encoding in self.encodings]
        if isinstance(self.network, PlainModel):
            return self.network.predict(encoded)
        # one batch size for all calls: another shape would be compiled anew
        inputs = encoded if len(encoded) > 1 else encoded[0]
        return np.asarray(self.network.predict(inputs, verbose=0, batch_size=1024))

    def predict(self, table: Any, *, keep: str | Sequence[str] = ()) -> Any:
        """Predict rows of a table.

        Parameters
        ----------
        keep
            Columns of the table that are put before the predictions, as they are: what says which row is which.

        Returns
        -------
        A data frame with one row for each row of the table: the column of the target and, for classes, one column
        ``probability of <class>`` each; of several targets a column each and, of labels, ``probability of <target>``,
        that of its second class. It is of the table's own library, with the index of a pandas frame; polars' of
        a file or an array.

        Raises
        ------
        InputError
            A column is missing, a text stands where a number was, or a column cannot be kept.
        """
        opened = open_table(table)
        frame = as_it_stands(opened)
        kept = self.kept(frame.columns, keep)
        found = self.beside(frame.select(kept), self.predict_numbers(opened))
        # a file or a frame of polars; narwhals would be imported only to say so
        return found if table is opened or isinstance(table, str | Path) else in_library_of(table, found)

    def beside(self, kept: pl.DataFrame, numbers: np.ndarray) -> pl.DataFrame:
        """Put the predictions of `predict_numbers` behind the columns that are kept."""
        predictions = self._named(numbers)
        return kept.hstack(predictions) if kept.width else predictions

    def kept(self, columns: Sequence[str], keep: str | Sequence[str]) -> list[str]:
        """Check which of a table's columns are to be kept, and name each once."""
        names = [keep] if isinstance(keep, str) else list(dict.fromkeys(keep))
        self._check_kept(columns, names)
        return names

    def _check_kept(self, columns: Sequence[str], names: list[str]) -> None:
        named = [*self.classes, *self._labels]
        own = [*self.targets, *(f"probability of {name}" for name in named)]
        for name in names:
            if name not in columns:
                shown = ", ".join(columns[:20])
                raise InputError(f"There is no column '{name}' to keep. The columns are: {shown}.")
            if name in own:
                raise InputError(f"The column '{name}' cannot be kept, for a prediction is called so: rename it.")

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the columns that are predicted."""
        return tuple(one.name for one in self.outputs) or (self.target,)

    @property
    def _labels(self) -> tuple[str, ...]:
        return self.targets if self.task == "multilabel" else ()

    def _named(self, numbers: np.ndarray) -> pl.DataFrame:
        if self.outputs:
            return self._named_each(numbers)
        if self.task == "regression":
            return pl.DataFrame({self.target: numbers})
        # with the types that the table had: 0 and 1 come back as numbers
        labels = labels_of(numbers.argmax(axis=1), self.classes, self.label_type)
        probabilities = {f"probability of {name}": numbers[:, i] for i, name in enumerate(self.classes)}
        return pl.DataFrame({self.target: labels, **probabilities})

    def _named_each(self, numbers: np.ndarray) -> pl.DataFrame:
        found: dict[str, np.ndarray] = {}
        for place, one in enumerate(self.outputs):
            values = numbers[:, place]
            found[one.name] = (
                labels_of((values > 0.5).astype(int), one.classes, one.label_type) if one.classes else values
            )
        probabilities = {f"probability of {name}": numbers[:, i] for i, name in enumerate(self._labels)}
        return pl.DataFrame({**found, **probabilities})

    def ignored_columns(self, table: Any) -> tuple[str, ...]:
        """Name the columns of a table that prediction does not use (the target itself is not named)."""
        return self.ignored_names(as_it_stands(open_table(table)).columns)

    def ignored_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """The same of a table's names of columns."""
        return tuple(name for name in extra_columns(names, self.columns) if name not in self.targets)

    def write(self, directory: Path) -> None:
        """Write `MODEL_FILE` and `ENCODING_FILE` into an existing directory."""
        self.network.save(directory / MODEL_FILE)
        stored = {
            "format": FORMAT if self.outputs else FORMAT_OF_ONE,
            "target": self.target,
            "task": self.task,
            "classes": list(self.classes),
            "label_type": self.label_type,
            "head": self.head,
            **self.units.to_json(),
            "missing": None if self.missing is None else list(self.missing),
            **({"outputs": [asdict(one) for one in self.outputs]} if self.outputs else {}),
            "columns": [column.to_json() for column in self.columns],
            "encodings": [encoding.to_json() for encoding in self.encodings],
        }
        # names of columns stay readable, whatever their script
        (directory / ENCODING_FILE).write_text(json.dumps(stored, ensure_ascii=False, indent=1), encoding="utf-8")


def in_library_of(table: Any, found: pl.DataFrame) -> Any:
    """Return `found` as a frame of the library of `table`, with its index; as it is, if that is no frame in memory."""
    import narwhals as nw

    given = nw.from_native(table, eager_only=True, pass_through=True)
    if not isinstance(given, nw.DataFrame) or given.implementation.is_polars():
        return found
    native = nw.from_arrow(found.to_arrow(), backend=given.implementation).to_native()
    if given.implementation.is_pandas_like():
        native.index = table.index
    return native


def warn_of_unseen(unseen: Mapping[str, int], rows: int) -> None:
    """Say, by column, in how many of the rows stands a category that training did not have."""
    if unseen:
        counts = ", ".join(f"'{name}' in {count:,} of {counted(rows, 'row')}" for name, count in unseen.items())
        text = f'Categories that training did not have count as "other": {counts}.'
        warnings.warn(text, FitwellWarning, stacklevel=3)


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

"""A table, understood: columns, target, row sets, and an encoding fitted inside each row set."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.data.column_names import column_hint, names_to_drop
from fitwell.data.columns import Column, RawFeatures, describe_columns, extract
from fitwell.data.copies import ONE_TO_ONE, mark_copies
from fitwell.data.encoded_later import EncodedLater
from fitwell.data.encoding import Encoding, Layout, fit_encoding, inputs_of_columns, make_layout, stack
from fitwell.data.notation import Notation, missing_marks, without_marks
from fitwell.data.row_keys import moments_of, read_groups
from fitwell.data.row_sets import RowSets, folds
from fitwell.data.row_weights import WEIGHT_TYPE, RowWeights, read_sample_weight, weights_of_rows
from fitwell.data.table_files import as_frame, read_training
from fitwell.data.target import Target, read_targets, standardise
from fitwell.data.training_rows import warn_of_unseen_classes
from fitwell.engine.job import Dataset
from fitwell.engine.losses import CLASSIFICATION, LABELS, REGRESSION, SEVERAL_VALUES, Loss
from fitwell.engine.memory import give_back_freed
from fitwell.errors import FitwellWarning, InputError, InputTypeError, counted
from fitwell.results.predictors import TablePredictor

if TYPE_CHECKING:
    from fitwell.data.stored_features import StoredFeatures

MOST_COPIED = 2**28
"""Bytes (256 MiB) up to which every row set has its encoded copy. Of more they would be most of what a search keeps,
and making one takes a few percent of the time it is trained on."""

ARRAY_TARGET = "target"
"""Name of the target when it is given as an array beside the table."""


@dataclass(frozen=True)
class TableData:
    """A table, understood: what every later step needs of it. n rows (those whose target is known), d inputs.

    Attributes
    ----------
    columns
        All feature columns with their kinds, those set aside included.
    target
        Name, task, classes, values [n].
    rows_read, rows_without_target
        Rows of the table, and how many were set aside because their target is missing.
    layout, raw
        The inputs of the network, and the features before encoding.
    row_sets
        R folds or other splits of the n rows.
    encodings
        One for each row set, fitted on its training rows only.
    missing
        The marks of missing values.
    rows
        int [n], places in the table as it was read; None where that is all of it.
    weights
        What rows count; None where all count alike.
    keys
        What the n rows are called, as text; None where nobody asked.
    on_disk
        Whether the features are, and pass through memory in windows.
    """

    columns: tuple[Column, ...]
    target: Target
    rows_read: int
    rows_without_target: int
    layout: Layout
    raw: RawFeatures
    row_sets: RowSets
    encodings: tuple[Encoding, ...]
    missing: tuple[str, ...] | None = None
    rows: NDArray[np.int64] | None = None
    weights: RowWeights | None = None
    keys: pl.Series | None = None
    on_disk: bool = False

    @property
    def row_numbers(self) -> NDArray[np.int64]:
        """Number the n rows as people do, data rows of the table counted from 1."""
        return np.arange(1, self.row_sets.n_rows + 1) if self.rows is None else self.rows + 1

    @property
    def loss(self) -> Loss:
        """What is minimised."""
        if self.target.outputs:
            return LABELS if self.target.task == "multilabel" else SEVERAL_VALUES
        return CLASSIFICATION if self.target.task == "classification" else REGRESSION

    @property
    def outputs(self) -> int:
        """k: classes, or targets."""
        return len(self.target.classes) or len(self.target.outputs) or 1

    @property
    def copy_bytes(self) -> int:
        """Of the rows as one row set encodes them, float32."""
        return 4 * self.row_sets.n_rows * self.layout.width

    @property
    def groups(self) -> tuple[int, ...]:
        """The number of the column that each input of the network is of [d], counted from 0."""
        numbers = np.zeros(self.layout.width, int)
        for number, inputs in enumerate(inputs_of_columns(self.columns, self.layout).values()):
            numbers[inputs] = number
        return tuple(numbers.tolist())

    @property
    def encodes_later(self) -> bool:
        """Whether copies for all row sets are too much to be kept."""
        return self.row_sets.count > 1 and self.row_sets.count * self.copy_bytes > MOST_COPIED

    def dataset(self) -> Dataset:
        """Encode the rows for every row set, at once or when it is its turn; the numbers are the same."""
        inputs = self._inputs()
        return make_dataset(self.target, inputs, self.row_sets, self.weights)

    def _inputs(self) -> Any:
        if self.on_disk:
            from fitwell.data.streamed_inputs import StreamedInputs  # of no other tables

            return StreamedInputs(self.encodings, cast("StoredFeatures", self.raw))
        return (EncodedLater if self.encodes_later else stack)(self.encodings, self.raw)

    def on(self, row_sets: RowSets) -> TableData:
        """Return the table in other row sets, each encoded by numbers of its own training rows."""
        if self.weights is not None:
            self.weights.check(row_sets)
        # row sets that share one array of training rows (several networks on all rows) share its encoding
        fitted = {id(rows): fit_encoding(self.layout, self.raw, rows) for rows in row_sets.train}
        return replace(self, row_sets=row_sets, encodings=tuple(fitted[id(rows)] for rows in row_sets.train))

    @property
    def weight(self) -> NDArray[np.float64] | None:
        """What each row counts where losses are measured, [n] of mean 1; None is 1."""
        return None if self.weights is None else self.weights.measured

    @property
    def strata(self) -> NDArray[Any] | None:
        """Class of each row [n], None for numbers, and for labels, of which a row may have any."""
        return self.target.values if self.target.task == "classification" else None

    def predictor(
        self,
        encodings: tuple[Encoding, ...],
        network: Any,
        head: str = "probabilities",
        metadata: Mapping[str, Any] | None = None,
    ) -> TablePredictor:
        """Return what predicts new rows with a network that takes these encodings; `metadata` goes with it."""
        return TablePredictor(
            columns=self.columns,
            encodings=encodings,
            target=self.target.name,
            task=self.target.task,
            classes=self.target.classes,
            label_type=self.target.label_type,
            network=network,
            head=head,
            metadata=metadata or {},
            missing=self.missing,
            outputs=self.target.outputs,
        )

    def summary(self) -> dict[str, Any]:
        """Say what was read, as plain types."""
        counts = Counter(column.kind for column in self.columns)
        summary: dict[str, Any] = {
            "rows": self.rows_read,
            "rows_without_target": self.rows_without_target,
            "columns": dict(counts),
            "set_aside": {c.name: c.reason for c in self.columns if c.kind == "set aside"},
            "remarks": {c.name: c.reason for c in self.columns if c.kind != "set aside" and c.reason},
            "inputs": self.layout.width,
            "target": self.target.name,
            "task": self.target.task,
            **(self.weights.words if self.weights else {}),
            **({} if self.keys is None else {"key": self.keys.name}),
        }
        values = self.target.values
        if self.target.outputs:
            summary["by_target"] = {one.name: _described(one) for one in self.target.each}
        elif self.target.task == "classification":
            sizes = np.bincount(values, minlength=self.outputs)
            summary["classes"] = {name: int(size) for name, size in zip(self.target.classes, sizes, strict=True)}
        else:
            summary["target_mean"], summary["target_sd"] = float(values.mean()), float(values.std())
        return summary


def read_table(
    table: Any,
    target: Any,
    *,
    task: str | None = None,
    cv: Any = 5,
    repeats: int = 1,
    groups: str | None = None,
    time: str | None = None,
    drop: str | Sequence[str] = (),
    seed: int = 0,
    missing: Sequence[str] | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    key: str | None = None,
    on_disk: bool = False,
) -> TableData:
    """Read a table and set up its row sets.

    Parameters
    ----------
    table
        A path, a data frame of any library, or an array [n, d].
    target
        Name of a column, or an array [n] or [n, 1] or a frame of one column beside the table; names of several columns,
        or an array [n, k] or such a frame: numbers all, or two classes each.
    task
        `"classification"` or `"regression"`; None decides by the target.
    cv, repeats
        Folds (or a scikit-learn splitter) and how often they are drawn anew.
    groups, time
        Name of a column: rows of one group stay together; rows train on earlier rows only. It is no feature then.
    drop
        Names of columns that are left out.
    missing
        The texts that mean missing; None takes the usual ones.
    sample_weight, class_weight
        What rows count: the name of a column, which is no feature then, or an array [n]; and a dict from class to
        weight, or `"balanced"`.
    key
        Name of the column that says what rows are called, which is no feature then.
    on_disk
        Whether `table` is a `fitwell.data.disk_tables.DiskTable`: features are written to disk, too, and the targets
        and `sample_weight` are names.

    Raises
    ------
    InputError, FileError
        What is wrong with the table, in a sentence.
    """
    frame, notation, features_of = _opened(table, missing_marks(missing), on_disk)
    columns_before = frame.columns
    frame, names = _with_target(frame, target)
    # beside the table, and read by the same rule
    if given := [name for name in names if name in frame.columns and name not in columns_before]:
        frame = frame.with_columns(without_marks(frame.select(given), notation.missing))
    read, kept = read_targets(frame, names, task, notation.decimal)
    if not isinstance(sample_weight, str) and sample_weight is not None:
        frame, sample_weight = _with_array(frame, sample_weight, "'sample_weight'", "sample_weight")
    beside = {"groups": groups, "time": time, "sample_weight": sample_weight, "key": key}
    _check_columns(frame, beside, names)
    needed = {"target" if len(names) == 1 else f"target {name!r}": name for name in names}
    dropped = names_to_drop(drop, frame.columns, {**needed, **beside})
    features = [column for column in frame.columns if column not in (*names, *beside.values())]
    # a row without a target may hold anything: what is wrong with it must not stop the others
    if len(kept) < frame.height:
        _check_rows(frame, kept, [column for column in features if column not in dropped], groups, time, notation)
    rows: Any = frame
    if len(kept) < frame.height:
        rows = rows.taken(kept) if on_disk else frame[kept.tolist()]
    special = {key: rows[column] if column else None for key, column in {"groups": groups, "time": time}.items()}
    weights = None
    if sample_weight is not None or class_weight is not None:
        given = None if sample_weight is None else read_sample_weight(rows[sample_weight], notation.decimal, kept)
        weights = weights_of_rows(read, given, class_weight, sample_weight)
    # the columns' kinds are decided once, by all rows; numbers and categories by training rows only
    without = {*names, *beside.values()} - {None}
    columns = describe_columns(rows, without=without, dropped=dropped, notation=notation)
    raw = features_of(rows, columns, rows=kept)
    marked = mark_copies(columns, raw, read)
    if marked != columns:
        columns, raw = marked, features_of(rows, marked, rows=kept)
        _warn_of_copies(columns, read.name)
    if all(column.kind == "set aside" for column in columns):
        raise InputError(f"No column is left to learn from: {_set_aside(columns)}.")
    layout = make_layout(columns, raw)
    where = frame.height, frame.height - len(kept)
    keys = None if key is None else pl.Series(key, [None if one is None else str(one) for one in rows[key]], pl.String)
    # what follows needs the features only: the table itself, which is as large, may go
    del table, frame, rows
    row_sets = folds(read.values, read.task, cv=cv, repeats=repeats, seed=seed, classes=read.classes, **special)
    if read.task == "classification":
        warn_of_unseen_classes(row_sets, read.values, read.classes)
    if weights is not None:
        weights.check(row_sets)
    encodings = tuple(fit_encoding(layout, raw, train) for train in row_sets.train)
    if raw.nbytes > MOST_COPIED / 4:  # of a small table nobody would notice
        give_back_freed()
    marks = notation.missing
    return TableData(columns, read, *where, layout, raw, row_sets, encodings, marks, kept, weights, keys, on_disk)


def _opened(table: Any, marks: tuple[str, ...], on_disk: bool) -> tuple[Any, Notation, Callable[..., RawFeatures]]:
    """The table as a frame (or on disk, as what is like one), how it is written, and what makes features of it."""
    if not on_disk:
        return *read_training(table, marks), extract
    from fitwell.data.stored_features import store  # of no other tables

    return *table.typed(marks), store


def make_dataset(target: Target, inputs: Any, row_sets: RowSets, weights: RowWeights | None = None) -> Dataset:
    """Join inputs [R, n, d] to targets [R, n], each row set's standardised by its own training rows.

    So are weights in training; inputs are encoded without weights, for a row that counts more is no other row.
    """
    count = row_sets.count
    weighing: dict[str, Any] = {}
    if weights is not None:
        train_weight = np.stack([weights.among(train) for train in row_sets.train])
        weighing = {"weight": weights.measured.astype(WEIGHT_TYPE), "train_weight": train_weight.astype(WEIGHT_TYPE)}
    if target.task != "regression":
        known = np.asarray(target.values, np.int32 if target.task == "classification" else inputs.dtype)
        targets = np.ascontiguousarray(np.broadcast_to(known, (count, *known.shape)))
        return Dataset(inputs, targets, True, np.zeros(count), np.ones(count), **weighing)
    values = np.asarray(target.values, float)
    # by training rows only, like all else that is fitted
    moments = np.array([target_moments(target, train, weights) for train in row_sets.train])
    shift, scale = moments[:, 0], moments[:, 1]
    standardised = (values[None] - shift[:, None]) / scale[:, None]
    return Dataset(inputs, standardised.astype(inputs.dtype), True, shift, scale, **weighing)


def target_moments(target: Target, train: NDArray[Any], weights: RowWeights | None) -> Any:
    """Shift and scale of a target of numbers over some training rows; of k targets [k] each."""
    values, mine = np.asarray(target.values, float), None if weights is None else weights.values
    if values.ndim == 1:
        return standardise(values, train, mine)
    return tuple(zip(*(standardise(column, train, mine) for column in values.T), strict=True))


def _described(one: Target) -> dict[str, Any]:
    """What a target of several is: classes with their rows, or mean and standard deviation."""
    if one.task == "classification":
        sizes = np.bincount(one.values, minlength=len(one.classes)).tolist()
        return {"classes": dict(zip(one.classes, sizes, strict=True))}
    return {"mean": float(one.values.mean()), "sd": float(one.values.std())}


def _with_target(frame: pl.DataFrame, target: Any) -> tuple[pl.DataFrame, list[str]]:
    """The table with the targets among its columns, and their names."""
    if isinstance(target, str):
        return frame, [target]
    if names := _names_of_columns(frame, target):
        return frame, names
    if target is None:
        raise InputError(
            "A target is needed: the name of a column of the table, or an array with a value for each row."
        )
    shape = getattr(target, "shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1] > 1 and shape[0] == frame.height):
        frame, name = _with_array(frame, target, "The target", ARRAY_TARGET)
        return frame, [name]
    several = as_frame(target)
    # a frame's columns have names
    named = list(several.columns) if hasattr(target, "columns") or hasattr(target, "column_names") else []
    names = []
    for place, column in enumerate(several.get_columns(), start=1):
        wanted = named[place - 1] if named else f"{ARRAY_TARGET}_{place}"
        frame, name = _with_array(frame, column, "The target", wanted)
        names.append(name)
    return frame, names


def _names_of_columns(frame: pl.DataFrame, target: Any) -> list[str]:
    """The names of several targets, if they are names of the table's columns and not the labels of its rows."""
    if not isinstance(target, list | tuple) or not target or not all(isinstance(name, str) for name in target):
        return []
    known = [name for name in target if name in frame.columns]
    if not known or (len(known) < len(target) and len(target) == frame.height):
        return []
    if len(known) < len(target):
        other = next(name for name in target if name not in known)
        raise InputError(f"The table has no column named {other!r} to predict. {column_hint(other, frame.columns)}")
    if len(set(target)) < len(target):
        raise InputError(f"A column can be predicted once. Got the targets {list(target)}.")
    return known


def _with_array(frame: pl.DataFrame, values: Any, what: str, name: str) -> tuple[pl.DataFrame, str]:
    """Add an array that was given beside the table as a column, and return its name."""
    shape = getattr(values, "shape", None)
    # a number, or an array without axes: neither has a length to compare
    if not hasattr(values, "__len__") or shape == ():
        found = type(values).__name__
        raise InputError(f"{what} must have one value for each of the {counted(frame.height, 'row')}. Got {found}.")
    if len(values) != frame.height:
        raise InputError(
            f"{what} must have one value for each of the {counted(frame.height, 'row')}. Got "
            f"{counted(len(values), 'value')}."
        )
    if not isinstance(frame, pl.DataFrame):
        raise InputError(f"{what} must be a column of the file where a table is larger than memory: add it there.")
    if isinstance(shape, tuple) and len(shape) > 1:
        values = _only_column(values, shape, what)
    while name in frame.columns:
        # a column of the table may be called so already, and would be overwritten
        name += "_"
    column = as_frame({name: values})
    return frame.with_columns(column[name]), name


def _only_column(values: Any, shape: tuple[int, ...], what: str) -> pl.Series:
    """The values of an array or a frame [n, 1]."""
    if len(shape) != 2 or shape[1] != 1:
        raise InputError(f"{what} must be one column. Got {type(values).__name__} of shape {shape}: choose one.")
    return as_frame(values).to_series()


def _check_columns(frame: pl.DataFrame, wanted: dict[str, Any], targets: Sequence[str]) -> None:
    for argument, column in wanted.items():
        if column is not None and not isinstance(column, str):
            raise InputTypeError(f"'{argument}' must be the name of a column. Got {type(column).__name__}.")
        if column is not None and column not in frame.columns:
            raise InputError(f"There is no column {column!r} for '{argument}'. {column_hint(column, frame.columns)}")
        if column in targets:
            raise InputError(f"The column '{column}' cannot be both the target and the '{argument}'.")


def _check_rows(
    frame: Any,
    kept: NDArray[np.int64],
    features: list[str],
    groups: str | None,
    time: str | None,
    notation: Notation,
) -> None:
    """Raise what is wrong with the kept rows, by their numbers in the whole table; the other rows are not looked at."""
    # the whole table is looked at, so that rows are numbered as the person numbers them
    used = pl.Series(np.isin(np.arange(frame.height), kept))
    if isinstance(frame, pl.DataFrame):
        plain = [column for column, dtype in frame.schema.items() if dtype != pl.Object]  # polars cannot blank these
        blanked = frame.select(pl.when(used).then(pl.col(plain)))
    else:
        plain, blanked = frame.columns, frame.blanked(used)
    if groups is not None:
        read_groups(blanked[groups] if groups in plain else frame[groups], frame.height, used)
    if time is not None:
        moments_of(blanked[time] if time in plain else frame[time], frame.height, used)
    describe_columns(blanked.select([column for column in features if column in plain]), notation=notation)


def _warn_of_copies(columns: Sequence[Column], target: str) -> None:
    names = [column.name for column in columns if column.reason.endswith(ONE_TO_ONE)]
    if names:
        warnings.warn(
            f"The target {target!r} is determined one to one by {' and by '.join(map(repr, names))}: what was made "
            f"from the target will not be known of new rows, and is left out with drop={names}.",
            FitwellWarning,
            stacklevel=3,
        )


def _set_aside(columns: tuple[Column, ...]) -> str:
    return "; ".join(f"'{column.name}' was set aside ({column.reason})" for column in columns[:10])

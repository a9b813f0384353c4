"""The target: what is to be predicted, as class indices or numbers, and which task that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from fitwell.data.column_names import column_hint
from fitwell.data.encoding import moments
from fitwell.data.numbers import find_style, first_failure, parse_numbers
from fitwell.data.plain_types import unusable_values
from fitwell.data.values import as_numbers, canonical_text, canonical_value, is_number_like, plain_text
from fitwell.errors import InputError

Task = Literal["classification", "regression"]
LabelType = Literal["str", "int", "bool", "float"]

# whole numbers with more distinct values are ages, counts or prices
MAX_INTEGER_CLASSES = 20
ROWS_PER_CLASS = 20  # integers with fewer rows per distinct value than this are a quantity
EXACT_WHOLE = 2.0**53
"""From here on float64 holds not every whole number."""

LARGEST = 1e37
"""Of a target of numbers: what float32 still holds with room for a network's own numbers; its inverse is the least."""

TASKS = ("classification", "regression")


@dataclass(frozen=True)
class TargetOutput:
    """One of several targets of a row.

    Attributes
    ----------
    name, classes, label_type
        As in `Target`; a label has two classes, a number none.
    """

    name: str
    classes: tuple[str, ...]
    label_type: LabelType


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be predicted, for the n rows that have it.

    Attributes
    ----------
    task : "classification", "regression" or "multilabel"
        The last where a row has several targets of two classes each.
    name : str
    classes : tuple of str [k]
        The labels as text, sorted (numbers by value); empty for numbers, and where there are several targets.
    values : int32 [n] class index, or float64 [n]; of several targets [n, k]
    label_type : "str", "int", "bool" or "float"
        The type of the labels in the table, see `labels_of`.
    outputs
        Several targets, one by one; empty for one.
    """

    task: Task | Literal["multilabel"]
    name: str
    classes: tuple[str, ...]
    values: NDArray[np.int32] | NDArray[np.float64]
    label_type: LabelType
    outputs: tuple[TargetOutput, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that are to be predicted."""
        return tuple(one.name for one in self.outputs) or (self.name,)

    @property
    def each(self) -> tuple[Target, ...]:
        """Every target by itself."""
        task = "classification" if self.task == "multilabel" else "regression"
        alone = [replace(self, task=task, outputs=(), **vars(one)) for one in self.outputs]
        return tuple(replace(one, values=self.values[:, place]) for place, one in enumerate(alone)) or (self,)


def read_targets(
    frame: pl.DataFrame, names: Sequence[str], task: str | None = None, decimal: str = ""
) -> tuple[Target, NDArray[np.int64]]:
    """The target columns, and the rows [n] that have all of them; see `read_target`.

    Several must all be numbers, or all have two classes: the labels that a row has or has not.
    """
    if len(names) == 1:
        return read_target(frame, names[0], task, decimal)
    read = [read_target(frame, name, task, decimal) for name in names]
    kept = np.flatnonzero(np.bincount(np.concatenate([rows for _, rows in read]), minlength=frame.height) == len(names))
    parts = [replace(one, values=one.values[np.isin(rows, kept)]) for one, rows in read]
    for one in parts:
        _refuse_constant(one.name, one.values)
    kinds = {one.task for one in parts}
    if len(kinds) > 1:
        numbers, classes = (
            next(one.name for one in parts if one.task == kind) for kind in ("regression", "classification")
        )
        raise InputError(
            f"Several targets must all be numbers, or all have two classes. {numbers!r} is read as numbers and "
            f"{classes!r} as classes: choose the task 'regression', or predict them one by one."
        )
    for one in parts:
        if len(one.classes) > 2:
            raise InputError(
                f"Several targets of classes must have two classes each. {one.name!r} has {len(one.classes)}: predict "
                "it by itself, or choose the task 'regression' if they are numbers."
            )
    outputs = tuple(TargetOutput(one.name, one.classes, one.label_type) for one in parts)
    values: Any = np.stack([one.values for one in parts], axis=1)
    several = "regression" if kinds == {"regression"} else "multilabel"
    return Target(several, ", ".join(names), (), values, parts[0].label_type, outputs), kept


def read_target(
    frame: pl.DataFrame, name: str, task: str | None = None, decimal: str = ""
) -> tuple[Target, NDArray[np.int64]]:
    """The target column, and the rows [n] that have one; without a `task` the values decide.

    Text, booleans and categories are classes; so are integers with two values, or with at most 20 that have
    at least 20 rows each on average. Other numbers are regression. `decimal` is the table's decimal mark.
    """
    if task is not None and task not in TASKS:
        raise InputError(f"The task must be 'classification' or 'regression'. Got {task!r}.")
    given = _find(frame, name)
    values = _usable(given)
    # categories that are numbers were declared categories
    declared = given.dtype in (pl.Categorical, pl.Enum)
    if values.dtype == pl.String and task != "classification" and not (declared and task is None):
        values = _numbers_in(values, decimal, task)
    if task == "regression" or (task is None and not declared and _is_quantity(values)):
        return _read_numbers(values)
    return _read_classes(values)


def _find(frame: pl.DataFrame, name: str) -> pl.Series:
    if name in frame.columns:
        return frame[name]
    raise InputError(f"The table has no column named {name!r} to predict. {column_hint(name, frame.columns)}")


def _usable(values: pl.Series) -> pl.Series:
    """The target with nulls for what is missing, if it is of a kind that can be predicted."""
    dtype = values.dtype
    if dtype == pl.Null or values.null_count() == len(values):
        raise InputError(f"The target {values.name!r} has no values.")
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return plain_text(values)
    if dtype != pl.Boolean and not is_number_like(dtype):
        what = unusable_values(dtype) or ("dates" if dtype in (pl.Date, pl.Datetime) else f"{dtype} values")
        raise InputError(f"The target {values.name!r} must hold classes or numbers. It holds {what}.")
    return values.fill_nan(None) if dtype.is_float() else values


def _is_quantity(values: pl.Series, written: pl.Series | None = None) -> bool:
    """Whether the values are to be predicted as numbers rather than as classes; `written` are they as text."""
    if values.dtype in (pl.String, pl.Boolean):
        return False
    numbers = as_numbers(values)
    numbers = numbers[~np.isnan(numbers)]
    distinct = _distinct(values if written is None else written, numbers)
    # two values are classes even in a table of ten rows
    few = distinct <= min(MAX_INTEGER_CLASSES, max(2, len(numbers) / ROWS_PER_CLASS))
    return not (few and np.array_equal(numbers, np.round(numbers)))


def _read_numbers(values: pl.Series) -> tuple[Target, NDArray[np.int64]]:
    numbers = as_numbers(values)
    rows = np.flatnonzero(~np.isnan(numbers))
    _refuse_merged(values, numbers[rows])
    _refuse_constant(values.name, numbers[rows])
    _refuse_out_of_range(values.name, numbers, rows)
    return Target("regression", values.name, (), numbers[rows], label_type_of(values.dtype)), rows


def _numbers_in(text: pl.Series, decimal: str, task: str | None) -> pl.Series:
    """The numbers that the texts are, if they are a quantity, else the texts."""
    style = find_style(text, decimal)
    numbers, failed = parse_numbers(text, style.decimal, style.sign)
    quantity = task == "regression" or (
        style.count >= style.total / 2 and style.count > 0 and _is_quantity(numbers, text)
    )
    failure = first_failure(text, failed)
    if not quantity:
        return text
    if failure is None:
        _refuse_merged(text.filter(numbers.is_not_null()), numbers.drop_nulls().to_numpy())
        return numbers
    row, held = failure
    raise InputError(
        f"Regression needs numbers, and the target {text.name!r} holds them in {style.count} of {style.total} values, "
        f"but {held!r} in data row {row + 1}: correct or empty it, or choose the task 'classification'."
    )


def _distinct(values: pl.Series, numbers: NDArray[np.float64]) -> int:
    """How many values differ: whole numbers beyond 2**53 as they are, before floats make one of several."""
    if not (values.dtype.is_integer() or values.dtype == pl.String) or np.abs(numbers).max(initial=0) < EXACT_WHOLE:
        return len(np.unique(numbers))
    present = values.drop_nulls()
    return (present if present.dtype.is_integer() else canonical_text(present)).n_unique()


def _refuse_merged(values: pl.Series, numbers: NDArray[np.float64]) -> None:
    """Refuse whole numbers of which floats make one of several: account numbers, or nanoseconds since 1970."""
    exact, rounded = _distinct(values, numbers), len(np.unique(numbers))
    if rounded < exact:
        raise InputError(
            f"The target {values.name!r} holds whole numbers beyond 2**53: {exact} differ, and {rounded} still do as "
            f"floating point numbers. Subtract what they have in common, or choose the task 'classification'."
        )


def _refuse_out_of_range(name: str, numbers: NDArray[np.float64], rows: NDArray[np.int64]) -> None:
    sizes = np.abs(numbers[rows])
    if sizes.max() > LARGEST:
        row, limit, what = rows[sizes.argmax()], LARGEST, "above"
    elif sizes.max() < 1 / LARGEST:
        row, limit, what = rows[sizes.argmax()], 1 / LARGEST, "all below"
    else:
        return
    raise InputError(
        f"The target {name!r} has sizes {what} {limit:g}, which a network of float32 cannot hold; data row {row + 1} "
        f"has {numbers[row]:g}: give it in other units, or take its logarithm."
    )


def _refuse_words(values: pl.Series) -> None:
    _, failed = parse_numbers(values)
    row = failed.arg_max() if failed.any() else None
    if row is not None:
        raise InputError(
            f"Regression needs numbers, but the target {values.name!r} holds {values[row]!r} in data row "
            f"{row + 1}: choose the task 'classification' or make it a number."
        )


def _read_classes(values: pl.Series) -> tuple[Target, NDArray[np.int64]]:
    if values.dtype.is_numeric():
        as_numbers(values)  # refuses infinities
    rows = np.flatnonzero(values.is_not_null().to_numpy())
    present = values.drop_nulls()
    labels = _distinct_labels(present)
    _refuse_constant(values.name, labels)
    classes = tuple(sorted(labels, key=_class_order))
    label_type = label_type_of(values.dtype)
    return Target("classification", values.name, classes, _class_indices(present, classes), label_type), rows


def _distinct_labels(present: pl.Series) -> list[str]:
    """The labels, text as written; where several mean the same (1 and 1.0) the first in the alphabet."""
    canonical = canonical_text(present)
    written = present if present.dtype == pl.String else canonical
    table = pl.DataFrame({"canonical": canonical, "written": written})
    return table.group_by("canonical").agg(pl.col("written").min())["written"].to_list()


def _class_order(label: str) -> tuple[bool, float, str]:
    try:
        # numbers by value and before text, so that "10" follows "9"
        return (False, float(label), label)
    except ValueError:
        return (True, 0.0, label)


def _refuse_constant(name: str, values: Sequence[Any] | NDArray[Any]) -> None:
    if len(values) == 0:
        raise InputError(f"The target {name!r} has no values.")
    if len(np.unique(values)) == 1:
        raise InputError(
            f"The target {name!r} has the same value, {str(values[0])!r}, in every row: there is nothing to learn."
        )


def label_type_of(dtype: pl.DataType) -> LabelType:
    """The type in which predictions of a column of this type are written."""
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    return "float" if is_number_like(dtype) else "str"


def _class_indices(present: pl.Series, classes: Sequence[str]) -> NDArray[np.int32]:
    """The index of each label [n], compared as canonical text."""
    places = {canonical_value(label): index for index, label in enumerate(classes)}
    return canonical_text(present).replace_strict(places, return_dtype=pl.Int32).to_numpy().astype(np.int32)


def labels_of(indices: ArrayLike, classes: Sequence[str], label_type: LabelType) -> NDArray[Any]:
    """The labels [n] of class indices, in the type that the table had them in."""
    # the type of the table's own labels, so that predictions can be compared with it
    casts = {"str": str, "int": int, "float": float, "bool": lambda label: label == "true"}
    labels = [casts[label_type](label) for label in classes]
    # beyond int64 NumPy may round them to floats
    exact = object if label_type == "int" and any(abs(label) >= 2**63 for label in labels) else None
    return np.array(labels, dtype=exact)[np.asarray(indices)]


def standardise(
    values: NDArray[np.float64], rows: ArrayLike, weight: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Mean and population standard deviation of a regression target over the training rows; 1 if constant.

    Of rows that have a `weight` [n], those count that weigh more than 0.
    """
    rows = np.asarray(rows)
    rows = rows if weight is None else rows[weight[rows] > 0]
    center, scale, _ = moments(np.asarray(values, np.float64)[rows][:, None], None if weight is None else weight[rows])
    return float(center[0]), float(scale[0])

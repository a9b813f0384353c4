"""Columns in which the target stands once more: as it is, in another spelling, or in other words.

A table with its target among the features is learnt perfectly and predicts nothing. Equal columns are set aside; for
one that is the target in other words (`alive` beside `survived`) a warning leaves the choice to the person.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitwell.data.columns import Column, RawFeatures, number_names
from fitwell.data.target import Target
from fitwell.data.values import canonical_value

COPY = "it is the target once more"
ONE_TO_ONE = "it determines the target one to one"

# the chance that any column agrees with the target by accident must be below this
ACCIDENT = 1e-3
# rows that are looked at first: most columns are no copies, and a few rows show it soon
GLANCE = 200
# of a column's values that must be there, for a copy with gaps is a copy
PRESENT_SHARE = 0.5
SAME = 1e-6  # of a number: what a column of float32 beside one of float64 differs by
UNEXPLAINED = 1e-6  # share of the variance: what is left of a temperature in other units, rounded


def mark_copies(columns: Sequence[Column], raw: RawFeatures, target: Target) -> tuple[Column, ...]:
    """The columns; those that equal the target are set aside, and those that determine it say so in their reason."""
    candidates = _candidates(columns, raw)
    marked = list(columns)
    for one in target.each:
        if not candidates or _chance(one.values) * len(candidates) > ACCIDENT:
            continue
        for place, values in candidates.items():
            marked[place] = _marked(marked[place], _reason(columns[place], values(), one))
    return tuple(marked)


def _marked(column: Column, reason: str) -> Column:
    if COPY in (reason, column.reason):
        return Column(column.name, "set aside", COPY)
    if reason in column.reason:  # of another target, too
        return column
    remark = f"{column.reason}; {reason}" if column.reason else reason
    return replace(column, reason=remark) if reason else column


def _candidates(columns: Sequence[Column], raw: RawFeatures) -> dict[int, Callable[[], NDArray[np.float64]]]:
    """What gives numbers or level codes of each column, by its place; NaN where missing. A date is no copy of anything.

    One column after another: all of them as floats would be the table once more.
    """
    found: dict[int, Callable[[], NDArray[np.float64]]] = {}
    number, code = 0, 0
    for place, column in enumerate(columns):
        if column.kind == "categorical":
            # behind the levels come "missing" and "other"
            found[place] = partial(_without_missing, raw.codes[:, code], len(column.levels))
            code += 1
        elif column.kind in ("numeric", "boolean"):
            found[place] = partial(np.asarray, raw.numbers[:, number])
        number += len(number_names(column))
    return found


def _without_missing(codes: NDArray[np.int32], missing: int) -> NDArray[np.float64]:
    return np.where(codes == missing, np.nan, codes)


def _chance(target: NDArray[Any]) -> float:
    """How likely it is that a column with as many of each value has them in the rows where the target has them."""
    counts = np.unique(target, return_counts=True)[1]
    return math.exp(sum(math.lgamma(count + 1) for count in counts) - math.lgamma(len(target) + 1))


def _reason(column: Column, values: NDArray[np.float64], target: Target) -> str:
    present = ~np.isnan(values)
    if target.task == "regression" and column.kind == "numeric":
        return _compare_numbers(values[present], target.values[present]) if present.mean() >= PRESENT_SHARE else ""
    classes = target.values if target.task == "classification" else np.unique(target.values, return_inverse=True)[1]
    # a gap may be a value of its own ("left on" is missing where a customer stays), or just a gap
    if _one_to_one(np.where(present, values, -1), classes):
        complete = bool(present.all())
    elif present.mean() >= PRESENT_SHARE and _one_to_one(values[present], classes[present]):
        complete = len(np.unique(classes[present])) == len(np.unique(classes))
        if not complete:
            return ""
    else:
        return ""
    same = complete and target.task == "classification" and _same_labels(column, values, target)
    return COPY if same else ONE_TO_ONE


def _one_to_one(values: NDArray[np.float64], classes: NDArray[Any]) -> bool:
    """Whether each value goes with one class and each class with one value."""
    return _is_bijection(*_glance(values, classes)) and _is_bijection(values, classes)


def _glance(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """A few rows from everywhere: what does not hold there does not hold at all."""
    rows = np.linspace(0, len(arrays[0]) - 1, GLANCE).astype(int) if len(arrays[0]) > GLANCE else slice(None)
    return [array[rows] for array in arrays]


def _is_bijection(values: NDArray[np.float64], classes: NDArray[Any]) -> bool:
    levels, codes = np.unique(values, return_inverse=True)
    count = len(np.unique(classes))
    if len(levels) != count:
        return False
    pairs = codes.astype(np.int64) * (int(classes.max(initial=0)) + 1) + classes
    return len(np.unique(pairs)) == count


def _same_labels(column: Column, values: NDArray[np.float64], target: Target) -> bool:
    """Whether the values that go with the classes are their labels, up to the spelling."""
    present = np.flatnonzero(~np.isnan(values))
    first = present[np.unique(values[present], return_index=True)[1]]
    return all(
        _label(column, float(values[row])) == _spelling(target.classes[int(target.values[row])]) for row in first
    )


def _label(column: Column, value: float) -> str:
    # a code beyond the levels is any other value
    if column.kind == "categorical":
        return _spelling(column.levels[int(value)]) if value < len(column.levels) else ""
    return _spelling(repr(value))


def _spelling(label: str) -> str:
    text = canonical_value(label).casefold()
    return {"true": "1", "false": "0"}.get(text, text)


def _compare_numbers(values: NDArray[np.float64], wanted: NDArray[Any]) -> str:
    if np.allclose(values, wanted, rtol=SAME, atol=0):
        return COPY
    if len(values) < 3 or values.min() == values.max() or wanted.min() == wanted.max():
        return ""
    return ONE_TO_ONE if _is_linear(values, wanted) or _is_monotone(values, wanted) else ""


def _is_linear(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    # in units of the largest, for squares of 1e300 are infinite
    x, y = (array / np.abs(array).max() for array in (values, wanted))
    x, y = x - x.mean(), y - y.mean()
    product = float((x * x).sum() * (y * y).sum())
    return product > 0 and 1 - float((x * y).sum()) ** 2 / product < UNEXPLAINED


def _is_monotone(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    """Whether the column rises (or falls) exactly where the target rises, as its logarithm does."""
    return _moves_with(*_glance(values, wanted)) and _moves_with(values, wanted)


def _moves_with(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    order = np.argsort(wanted)
    steps, rises = np.sign(np.diff(values[order])), np.sign(np.diff(wanted[order]))
    return bool((steps == rises).all() or (steps == -rises).all())

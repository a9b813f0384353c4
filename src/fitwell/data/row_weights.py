"""What each row of a table counts: by weights of rows, and of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.arguments import is_real
from fitwell.data.column_names import COLUMNS_SHOWN
from fitwell.data.numbers import find_style
from fitwell.data.row_sets import RowSets
from fitwell.data.target import Target
from fitwell.data.training_rows import check_weights
from fitwell.data.values import as_numbers, canonical_value, known_row
from fitwell.errors import InputError, InputTypeError

BALANCED = "balanced"
"""In the place of a weight for each class: the training rows of each class weigh as much as those of any other."""

WEIGHT_TYPE = np.float32
"""In which weights go into losses: what is 0 there counts nothing."""


@dataclass(frozen=True, eq=False)
class RowWeights:
    """What each of n rows counts, in training and where losses are measured.

    Attributes
    ----------
    values
        float64 [n], weight of the row, times that of its class where classes were given some; the largest is 1.
    classes
        int [n], the class of each row, if classes are balanced; else None.
    words
        What was given, as plain types: `"sample_weight"`, a name, and `"class_weight"`.
    """

    values: NDArray[np.float64]
    classes: NDArray[np.int32] | None
    words: dict[str, Any]

    def among(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Weights [n] of which some rows' mean is 1; balanced by the classes of these rows, whatever others are of."""
        weights = self.values
        if self.classes is not None:
            totals = np.bincount(self.classes[rows], weights[rows], minlength=int(self.classes.max()) + 1)
            # n / (k * count) as scikit-learn has it, without n and k, which are the same for all rows
            factors = np.divide(1, totals, out=np.zeros(len(totals)), where=totals > 0)
            weights = weights * factors[self.classes]
        return weights / weights[rows].mean()

    @property
    def measured(self) -> NDArray[np.float64]:
        """Weights [n] where losses are measured: one for each row, whoever holds it out."""
        return self.among(np.arange(len(self.values)))

    def permuted(self, order: NDArray[np.int64]) -> RowWeights:
        """Return the weights of rows in another order."""
        return replace(self, values=self.values[order], classes=None if self.classes is None else self.classes[order])

    def check(self, row_sets: RowSets) -> None:
        """Raise an InputError if a row set would train on nothing, or be measured on nothing."""
        weights = self.measured.astype(WEIGHT_TYPE)
        check_weights(row_sets, weights, weights)


def weights_of_rows(
    target: Target, sample_weight: NDArray[np.float64] | None, class_weight: Any, name: str | None = None
) -> RowWeights | None:
    """What rows count; None where all count alike.

    Parameters
    ----------
    sample_weight
        float64 [n], see `read_sample_weight`; None is 1.
    class_weight
        Label to weight (1 for labels that are not named), `"balanced"`, or None.
    name
        Of the column that holds `sample_weight`.
    """
    weights = np.ones(len(target.values)) if sample_weight is None else sample_weight / sample_weight.max()
    words: dict[str, Any] = {} if sample_weight is None else {"sample_weight": name}
    if class_weight is None:
        return _unless_alike(RowWeights(weights, None, words))
    if target.task == "multilabel":
        raise InputError(
            f"'class_weight' goes with the classes of one target, and there are {len(target.outputs)} with labels: "
            "leave it out, or give a 'sample_weight'."
        )
    if target.task != "classification":
        raise InputError(
            f"'class_weight' needs classes, and the target {target.name!r} is read as numbers: leave it out, give a "
            "'sample_weight', or choose the task 'classification'."
        )
    words["class_weight"], classes = class_weight, np.asarray(target.values, np.int32)
    if isinstance(class_weight, str) and class_weight == BALANCED:
        return RowWeights(weights, classes, words)
    by_class = _by_class(class_weight, target)
    words["class_weight"] = dict(zip(target.classes, by_class.tolist(), strict=True))
    weights = weights * by_class[classes]
    if not weights.any():
        raise InputError("'class_weight' must not leave all rows a weight of 0: nothing would be learnt.")
    return _unless_alike(RowWeights(weights / weights.max(), None, words))


def _unless_alike(weights: RowWeights) -> RowWeights | None:
    return None if (weights.values == weights.values[0]).all() else weights


def _by_class(class_weight: Any, target: Target) -> NDArray[np.float64]:
    """The weight of each class [k]."""
    if not isinstance(class_weight, Mapping):
        raise InputTypeError(
            "'class_weight' must be 'balanced', or a dict from class to weight, such as "
            f"{{{target.classes[-1]!r}: 5}}. Got {class_weight!r}."
        )
    places = {canonical_value(label): place for place, label in enumerate(target.classes)}
    weights = np.ones(len(places))
    named: set[int] = set()
    for label, weight in class_weight.items():
        # read as the target's own values are: 1, 1.0 and "1" are one class
        place = places.get(canonical_value(str(label)))
        if place is None:
            raise InputError(
                f"'class_weight' names the class {str(label)!r}, and the target {target.name!r} has {_known(target)}."
            )
        if place in named:
            raise InputError(f"'class_weight' names the class {target.classes[place]!r} twice.")
        if not (is_real(weight) and weight >= 0):
            raise InputError(
                f"'class_weight' must hold finite weights of 0 or more. Got {weight!r} for the class {str(label)!r}."
            )
        named.add(place)
        weights[place] = weight
    return weights


def _known(target: Target) -> str:
    shown = [repr(label) for label in target.classes[:COLUMNS_SHOWN]]
    return f"the classes {', '.join(shown)}" + (", ..." if len(target.classes) > len(shown) else "")


def read_sample_weight(values: pl.Series, decimal: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights float64 [n] from a column of these rows.

    Parameters
    ----------
    decimal
        The table's decimal mark.
    rows
        int [n], numbers of the rows (from 0) in the table that a person knows.
    """
    style = {}
    if values.dtype == pl.String:
        found = find_style(values := values.str.strip_chars(), decimal)
        style = {"decimal": found.decimal, "sign": found.sign}
    # what is no number is missing here, too, and refused below
    weights = as_numbers(values, **style, rows=rows, unread={})
    missing, negative = np.isnan(weights), weights < 0
    if missing.any():
        raise InputError(
            f"'sample_weight' must be a number in every row, and data row {known_row(int(missing.argmax()), rows)} has "
            "none: write one, or 0 for a row that is not to count."
        )
    if negative.any():
        row = int(negative.argmax())
        raise InputError(
            f"'sample_weight' must not be negative. Got {weights[row]:g} in data row {known_row(row, rows)}."
        )
    if not weights.any():
        raise InputError("'sample_weight' must not be zero in every row: nothing would be learnt.")
    return weights

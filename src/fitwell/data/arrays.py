"""What `keras.Model.fit` takes as x and y, read into NumPy arrays in memory.

A part (x or y) is one array or a tree of arrays: a tuple, list or dict of parts. Each leaf is read by itself: an array
of any library, a data frame, a series, or a nested list of numbers. Batches are read once and joined row by row.

When y is None, x must bring batches (`fitwell.data.batches`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fitwell.arguments import is_whole
from fitwell.data.batches import read_batches
from fitwell.data.parts import (
    NamedArray,
    Tree,
    as_finite,
    check_rows,
    finish_input,
    finish_target,
    leaves_of,
    map_leaves,
    place_of,
    read_parts,
    read_tree,
    shown,
)
from fitwell.errors import InputError, InputTypeError


@dataclass(frozen=True, eq=False)
class Arrays:
    """The rows of a search as host arrays; they may share memory with what was given.

    Attributes
    ----------
    inputs
        One array [n, ...], or a tuple or dict of them as the user gave it (a list becomes a tuple).
    targets
        Likewise; class indices are int32.
    sample_weight
        float [n]: scales the loss of a row, in training and wherever losses are measured; None if not given.
    class_weight
        float [n]: the weight of the class of each row, in training only; None if not given.
    """

    inputs: Any
    targets: Any
    sample_weight: NDArray[Any] | None = None
    class_weight: NDArray[Any] | None = None

    @property
    def rows(self) -> int:
        """Number of rows, n."""
        return len(next(leaves_of(self.inputs)))

    def take(self, rows: Any) -> Arrays:
        """Return the rows with these numbers, int [m] (or a mask [n] or a slice), in that order."""
        return Arrays(
            map_leaves(lambda array: array[rows], self.inputs),
            map_leaves(lambda array: array[rows], self.targets),
            None if self.sample_weight is None else self.sample_weight[rows],
            None if self.class_weight is None else self.class_weight[rows],
        )


def read_arrays(
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    dtype: DTypeLike = np.float32,
    most_bytes: int | None = None,
) -> Arrays:
    """Read what `keras.Model.fit` takes.

    Floats become `dtype` and integers int32; booleans, and whole frames in x, become `dtype` in x; booleans become
    int32 in y. A frame becomes one array [n, d]; no array is reshaped.

    Parameters
    ----------
    x
        A part, or, without y, batches `(x, y)` or `(x, y, sample_weight)`: a list of tuples, a generator, a data
        loader, or whatever has `__len__` and `__getitem__`.
    y
        A part with the rows of x.
    sample_weight
        [n] or [n, 1], not negative: scales the loss of each row; batches bring their own.
    class_weight
        Dict from class index to weight, as in Keras; classes that are not in it weigh 1. y must then be one array:
        class indices [n] or [n, 1], or one-hot rows [n, k].
    dtype
        Type of floats.
    most_bytes
        Batches that hold more are refused, for they may never end; None reads on.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used, where it is and what to do, in a sentence.
    """
    floats = np.dtype(dtype)
    if y is None:
        parts = read_batches(x, sample_weight, floats, most_bytes)
    else:
        parts = read_parts(x, y, sample_weight, floats)
        check_rows(parts)
    # any leaf will do, for by now all have as many rows
    if not len(next(leaves_of(parts)).values):
        raise InputError("x has no rows: check the filter or file that it came from.")
    targets = map_leaves(lambda leaf: finish_target(leaf, floats), parts["y"])
    return Arrays(
        map_leaves(lambda leaf: finish_input(leaf, floats), parts["x"]),
        targets,
        _sample_weights(parts["sample_weight"], floats) if "sample_weight" in parts else None,
        None if class_weight is None else _class_weights(class_weight, targets).astype(floats),
    )


def read_inputs(x: Any, dtype: DTypeLike = np.float32) -> Any:
    """Read inputs alone, as `read_arrays` reads x: one array [n, ...] or a tuple or dict of them."""
    floats = np.dtype(dtype)
    parts = {"x": read_tree("x", x, floats)}
    check_rows(parts)
    return map_leaves(lambda leaf: finish_input(leaf, floats), parts["x"])


def _sample_weights(leaf: NamedArray, floats: np.dtype[Any]) -> NDArray[Any]:
    """Weights [n] from [n] or [n, 1]."""
    shape = leaf.values.shape
    if len(shape) > 2 or shape[1:] not in ((), (1,)):
        raise InputError(f"sample_weight must have one weight for each row, [n] or [n, 1]. Got the shape {shape}.")
    weights = as_finite(leaf, floats)
    if (weights < 0).any():
        raise InputError(
            f"sample_weight must not be negative. Got {weights[weights < 0][0]} in {place_of(leaf, weights < 0)}."
        )
    if not weights.any():
        raise InputError("sample_weight must not be zero in every row: nothing would be learnt.")
    return weights.reshape(-1)


def _class_weights(class_weight: Any, targets: Tree) -> NDArray[np.float64]:
    """The weight of each row's class [n]."""
    _check_class_weight(class_weight)
    classes = _classes_of(targets)
    # a misspelt class would otherwise weigh nothing, without a word
    absent = [key for key in class_weight if not (classes == key).any()]
    if absent:
        raise InputError(
            f"class_weight names the class {absent[0]}, but no row of y is of it; "
            f"its classes are {shown(np.unique(classes))}."
        )
    weights = np.ones(len(classes))
    for key, weight in class_weight.items():
        weights[classes == key] = weight
    if not weights.any():
        raise InputError("class_weight must not be 0 for every row: nothing would be learnt.")
    return weights


def _check_class_weight(class_weight: Any) -> None:
    if not isinstance(class_weight, Mapping):
        raise InputTypeError(
            f"class_weight must be a dict from class index to weight, such as {{0: 1.0, 1: 5.0}}. "
            f"Got {type(class_weight).__name__}."
        )
    for key, weight in class_weight.items():
        if not is_whole(key):
            raise InputTypeError(f"class_weight must have class indices as keys, such as 0 and 1. Got {key!r}.")
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.integer | np.floating):
            raise InputTypeError(f"class_weight must hold numbers. Got {weight!r} for the class {key}.")
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"class_weight must hold finite weights of 0 or more. Got {weight!r} for the class {key}.")


def _classes_of(targets: Tree) -> NDArray[Any]:
    """The class index of each row [n], from indices [n] or [n, 1] or from one-hot rows [n, k]."""
    if not isinstance(targets, np.ndarray):
        raise InputError("class_weight needs y to be one array: with several targets, give a sample_weight.")
    # [n, 1] is a column of indices, never one-hot rows of a single class
    single = targets.ndim == 1 or targets.shape[1:] == (1,)
    # class indices may have been read as floats
    if single and (np.round(targets) == targets).all():
        return targets.reshape(-1)
    if (
        not single
        and targets.ndim == 2
        and ((targets == 0) | (targets == 1)).all()
        and (targets.sum(axis=1) == 1).all()
    ):
        return targets.argmax(axis=1)
    raise InputError(
        f"class_weight needs y to be class indices [n] or [n, 1], or one-hot rows [n, k]. Got {targets.dtype} values "
        f"of shape {targets.shape} that are neither: give a sample_weight."
    )

"""Batches `(x, y)` or `(x, y, sample_weight)`, read once and joined row by row.

A tuple is never taken as batches, for it may be the pair (x, y) itself; a list of tuples always is; a list of two lists
only where it cannot be such a pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fitwell.data.parts import (
    ARRAYS_ACCEPTED,
    NamedArray,
    Tree,
    check_rows,
    is_array_like,
    is_nested_list,
    leaves_of,
    map_leaves,
    read_parts,
    shown,
)
from fitwell.errors import FitwellError, InputError, InputTypeError


def read_batches(x: Any, sample_weight: Any, floats: np.dtype[Any], most_bytes: int | None) -> Tree:
    """Read batches and join them: a dict of the parts "x", "y" and perhaps "sample_weight"."""
    batches = _batches_of(x)
    if sample_weight is not None:
        raise InputError("sample_weight must come with the batches: let them be (x, y, sample_weight).")
    first, found, size = None, [], 0
    for number, batch in enumerate(batches):
        parts = _read_batch(batch, number, floats)
        first = parts if first is None else first
        # by name, for the dicts of two batches may list their arrays in different orders
        found.append({leaf.name: _copy(leaf) for leaf in leaves_of(parts)})
        _check_like_first(found[0], found[-1], number)
        size += sum(leaf.values.nbytes for leaf in found[-1].values())
        # asked while reading, before memory is full
        if most_bytes is not None and size > most_bytes:
            raise InputError(
                f"x holds more than {most_bytes:,} bytes in its first {number + 1} batches: it may never end "
                f"(a generator must end after one pass), or be larger than memory; give fewer rows."
            )
    if first is None:
        raise InputError("x has no batches: a generator can be read only once; give a fresh one.")
    return map_leaves(lambda leaf: _join([leaves[leaf.name] for leaves in found]), first)


def _batches_of(x: Any) -> Iterable[Any]:
    """Whatever yields the batches, once; what holds none, or may be the pair (x, y), is refused."""
    if isinstance(x, tuple):
        raise InputError(
            "x is a tuple and y is missing: give x and y as two arguments, or batches as a list of tuples (x, y)."
        )
    if isinstance(x, list):
        _check_list(x)
        return x
    if _is_part(x):
        raise InputError(
            f"y is missing, and x is a {type(x).__name__} rather than batches (x, y): "
            f"give the targets as y, or name the target column of a table: fitwell.tune(table, target)."
        )
    # so says a Keras PyDataset that never ends; other objects have no such attribute
    if getattr(x, "num_batches", 0) is None:
        raise InputError(f"x is an endless {type(x).__name__}: give it a number of batches.")
    return _iterate(x)


def _is_part(x: Any) -> bool:
    import narwhals as nw

    if isinstance(x, Mapping) or is_array_like(x) or hasattr(x, "toarray"):
        return True
    # narwhals hands back what it does not know
    return nw.from_native(x, allow_series=True, pass_through=True) is not x


def _iterate(x: Any) -> Iterable[Any]:
    """By index up to its length if it has both: `iter` would go on until an IndexError, which may never come."""
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return (x[index] for index in range(len(x)))
    try:
        return iter(x)
    except TypeError:
        raise InputTypeError(
            f"x must be {ARRAYS_ACCEPTED}, with y beside it, or batches (x, y). Got {type(x).__name__}."
        ) from None


def _check_list(items: list[Any]) -> None:
    """Refuse a list that holds no batches, or that may be the pair [x, y]."""
    tuples = all(isinstance(item, tuple) for item in items)
    # Numbers may still be batches of lists, ([1.5, 2.5], [0, 1]): a tuple says so.
    numbers = is_nested_list(items) and not (tuples and all(isinstance(part, list) for item in items for part in item))
    if items and (numbers or not all(isinstance(item, tuple | list) for item in items)):
        raise InputError(
            "y is missing, and x is a list of numbers or arrays rather than of batches (x, y): give the targets as y."
        )
    if len(items) == 2 and not tuples and _equally_long(items):
        raise InputError(
            "x is a list of two lists and y is missing, which may be two batches [x, y] as well as one pair [x, y] of "
            "several arrays each: make each batch a tuple (x, y), or give x and y as two arguments."
        )


def _equally_long(items: Iterable[Any]) -> bool:
    """Whether all arrays inside have as many rows (True too if that cannot be told)."""
    lengths: set[int] = set()
    for leaf in leaves_of(map_leaves(_as_tree, tuple(items))):
        # -1: a leaf without a length tells nothing
        lengths.add(len(leaf) if hasattr(leaf, "__len__") else -1)
    return len(lengths - {-1}) < 2


def _as_tree(value: Any) -> Tree:
    """Mappings and lists of arrays as trees, whose leaves are not read."""
    if isinstance(value, Mapping):
        return {key: _as_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not is_nested_list(value):
        return tuple(_as_tree(item) for item in value)
    return value


def _read_batch(batch: Any, number: int, floats: np.dtype[Any]) -> Tree:
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        length = f" of length {len(batch)}" if isinstance(batch, tuple | list) else ""
        raise InputTypeError(
            f"Each batch of x must be a tuple (x, y) or (x, y, sample_weight). "
            f"Batch {number} is a {type(batch).__name__}{length}."
        )
    try:
        parts = read_parts(batch[0], batch[1], batch[2] if len(batch) == 3 else None, floats)
        check_rows(parts)
    except FitwellError as error:
        # of the same type, so that callers catch what they would without batches
        raise type(error)(f"In batch {number} (counted from 0): {error}") from None
    return parts


def _copy(leaf: NamedArray) -> NamedArray:
    """Its own memory, for a generator may fill the same arrays again for its next batch."""
    return replace(leaf, values=np.array(leaf.values))


def _check_like_first(first: dict[str, NamedArray], leaves: dict[str, NamedArray], number: int) -> None:
    if first.keys() != leaves.keys():
        raise InputError(
            f"All batches must hold the same arrays, but batch 0 holds {shown(first)} and batch {number} "
            f"{shown(leaves)}: make them alike."
        )
    for name, leaf in leaves.items():
        if leaf.columns != first[name].columns:
            raise InputError(
                f"All batches must have the same columns in the same order, but those of {name} in batch {number} "
                f"are not those of batch 0: make them alike."
            )
        if leaf.values.shape[1:] != first[name].values.shape[1:]:
            raise InputError(
                f"All batches must have rows of one shape, but those of {name} are {first[name].values.shape[1:]} in "
                f"batch 0 and {leaf.values.shape[1:]} in batch {number}: pad or reshape them."
            )


def _join(leaves: list[NamedArray]) -> NamedArray:
    return replace(leaves[0], values=np.concatenate([leaf.values for leaf in leaves]))

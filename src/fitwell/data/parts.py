"""One part of what a model is trained on (x or y): an array or a tree of arrays, read leaf by leaf.

Each leaf is read by itself: an array of any library, a data frame, a series, or a nested list of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.errors import InputError, InputTypeError

ARRAYS_ACCEPTED = "an array, a data frame, a series, a list of numbers, or a tuple, list or dict of these"
TABLE_MODE = "encode it as numbers, or use a table: fitwell.tune(table, target)"
KINDS = {"U": "text", "S": "text", "T": "text", "M": "dates", "m": "durations", "c": "complex numbers", "V": "records"}
# JAX has no wider integers unless its 64-bit mode is on
INT32 = np.iinfo(np.int32)
# of arrays or classes, so that a message stays a sentence
NAMES_SHOWN = 5

# A tree is a `NamedArray`, a tuple of trees or a dict of trees; Python has no short type for it.
Tree = Any


def map_leaves(change: Callable[[Any], Any], tree: Tree) -> Tree:
    """Change every leaf of a tree."""
    if isinstance(tree, dict):
        return {name: map_leaves(change, value) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map_leaves(change, value) for value in tree)
    return change(tree)


def leaves_of(tree: Tree) -> Iterator[Any]:
    """Yield the leaves of a tree."""
    if isinstance(tree, dict | tuple):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves_of(value)
    else:
        yield tree


@dataclass(frozen=True, eq=False)
class NamedArray:
    """One array of a part.

    Attributes
    ----------
    name
        As in Python: `x`, `x['age']`, `y[1]`.
    values
        [n, ...] of booleans, of any integers, or of floats that have their final type.
    columns
        The names of the columns [d] if it was a frame, else none.
    """

    name: str
    values: NDArray[Any]
    columns: tuple[str, ...] = ()

    def column(self, index: int) -> str:
        """The name of column `index` for a message."""
        return repr(self.columns[index]) if self.columns else str(index)


def read_tree(name: str, value: Any, floats: np.dtype[Any]) -> Tree:
    """Read a part; `name` is what it is called in messages."""
    if isinstance(value, Mapping):
        if not value or not all(isinstance(key, str) for key in value):
            raise InputTypeError(f"{name} must name its arrays by text. Got a dict with the keys {list(value)[:5]!r}.")
        return {key: read_tree(f"{name}[{key!r}]", item, floats) for key, item in value.items()}
    # a list of arrays is several arrays, a list of numbers one
    if isinstance(value, list | tuple) and not is_nested_list(value):
        return tuple(read_tree(f"{name}[{index}]", item, floats) for index, item in enumerate(value))
    return _read_leaf(name, value, floats)


def is_nested_list(values: list[Any] | tuple[Any, ...]) -> bool:
    """Whether there are only numbers (or other single values) inside, at any depth: one array, not several."""
    return all(is_nested_list(item) if isinstance(item, list | tuple) else is_single(item) for item in values)


def is_single(value: Any) -> bool:
    """Return whether something is one number or flag, no array of them."""
    if isinstance(value, bool | int | float | str | bytes) or getattr(value, "shape", None) == ():
        return True
    return not any(hasattr(value, name) for name in ("__len__", "__array__", "__jax_array__", "numpy"))


def _read_leaf(name: str, value: Any, floats: np.dtype[Any]) -> NamedArray:
    import narwhals as nw

    if isinstance(value, np.ndarray):
        return NamedArray(name, _as_numbers(name, _unmask(value), floats))
    try:
        table = nw.from_native(value, allow_series=True, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        twice = str(error).partition("\n")[2].strip("- ")
        raise InputError(f"{name} must have columns of different names, but has {twice}: rename them.") from None
    # a lazy frame has no rows until it is asked for them
    if isinstance(table, nw.LazyFrame):
        table = table.collect(backend="polars")
    if isinstance(table, nw.DataFrame):
        return _read_frame(name, table, floats)
    if isinstance(table, nw.Series):
        return NamedArray(name, _read_column(name, table, floats))
    return NamedArray(name, _as_numbers(name, _to_numpy(name, value), floats))


def _unmask(values: NDArray[Any]) -> NDArray[Any]:
    """A masked array with NaN where it is masked, so that it is refused there like any missing value."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if values.dtype.kind in "biuf" and np.ma.is_masked(values):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values.data


def _to_numpy(name: str, value: Any) -> NDArray[Any]:
    # np.asarray would make one object of a sparse matrix, not its numbers
    if hasattr(value, "toarray"):
        raise InputTypeError(f"{name} must be dense. Got a sparse {type(value).__name__}: give its toarray().")
    if not is_array_like(value):
        raise InputTypeError(
            f"{name} must be {ARRAYS_ACCEPTED}. Got {type(value).__name__}; batches are given as x alone, without y."
        )
    try:
        return np.asarray(_source(value))
    except (ValueError, TypeError, RuntimeError) as error:
        # NumPy has no error of its own for rows of unequal length
        if "inhomogeneous" in str(error):
            raise InputError(f"{name} must have rows of one length, but they differ: pad them to one length.") from None
        raise InputError(
            f"{name} cannot be read as a NumPy array ({str(error).partition(chr(10))[0]}): convert it before."
        ) from None


def is_array_like(value: Any) -> bool:
    """Return whether something is an array, a frame or a series of any library."""
    if isinstance(value, list | tuple | bool | int | float | complex | str | bytes):
        return True
    return any(hasattr(value, name) for name in ("__array__", "numpy", "__jax_array__"))


def _source(value: Any) -> Any:
    """What `np.asarray` understands."""
    if isinstance(value, list | tuple | bool | int | float | complex | str | bytes) or hasattr(value, "__array__"):
        return value
    return value.numpy() if hasattr(value, "numpy") else value.__jax_array__()


def _as_numbers(name: str, values: NDArray[Any], floats: np.dtype[Any]) -> NDArray[Any]:
    """The values with floats in their final type; what is not numbers, or has no rows, is refused."""
    kind = values.dtype.kind
    if kind not in "biuf" and not _is_small_float(values.dtype):
        raise _wrong_kind(name, KINDS.get(kind, "objects"))
    if values.ndim == 0:
        raise InputError(
            f"{name} must have a row for each sample, but is a single number: "
            f"a data set of single samples needs batches first, for instance by a data loader."
        )
    if kind in "biu":
        return values
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as such
        return values.astype(floats, copy=False)


def _is_small_float(dtype: np.dtype[Any]) -> bool:
    """Whether it is bfloat16 or smaller, which NumPy takes for raw bytes that can be cast."""
    return dtype.kind == "V" and np.can_cast(dtype, np.float32)


def _wrong_kind(name: str, found: str) -> InputError:
    return InputError(f"{name} must hold numbers, but holds {found}: {TABLE_MODE}.")


def read_parts(x: Any, y: Any, sample_weight: Any, floats: np.dtype[Any]) -> Tree:
    """Read x, y and perhaps weights: a dict of trees."""
    parts = {"x": read_tree("x", x, floats), "y": read_tree("y", y, floats)}
    if sample_weight is None:
        return parts
    weights = read_tree("sample_weight", sample_weight, floats)
    if not isinstance(weights, NamedArray):
        raise InputTypeError(
            f"sample_weight must be one array with a weight for each row, whatever y is. "
            f"Got a {type(sample_weight).__name__} of {len(weights)} arrays."
        )
    return {**parts, "sample_weight": weights}


def _read_frame(name: str, frame: Any, floats: np.dtype[Any]) -> NamedArray:
    names = tuple(str(column.name) for column in frame.iter_columns())
    if not names:
        raise InputError(f"{name} has no columns: at least one is needed.")
    columns = [
        _read_column(f"Column {label!r} of {name}", column, floats)
        for label, column in zip(names, frame.iter_columns(), strict=True)
    ]
    # before they are stacked: integers beside float32 would make float64 of all
    if any(column.dtype.kind == "f" for column in columns):
        columns = [column.astype(floats, copy=False) for column in columns]
    return NamedArray(name, np.stack(columns, axis=1), names)


def _read_column(name: str, column: Any, floats: np.dtype[Any]) -> NDArray[Any]:
    """The numbers of a narwhals column [n]; NaN where they are missing."""
    try:
        series: pl.Series = column.to_polars()
    except Exception:  # pyarrow and narwhals raise many kinds for a column of mixed values
        raise _wrong_kind(name, "mixed objects") from None
    dtype = series.dtype
    if not dtype.is_numeric() and dtype not in (pl.Boolean, pl.Null):
        text = dtype in (pl.String, pl.Categorical, pl.Enum)
        raise _wrong_kind(name, "text" if text else "dates" if dtype.is_temporal() else f"{dtype} values")
    # integers have no NaN, so a column with gaps is read as floats
    if series.null_count() or dtype.is_decimal():
        series = series.cast(pl.Float64).fill_null(np.nan)
    return _as_numbers(name, series.to_numpy(), floats)


def check_rows(parts: Tree) -> None:
    """Raise an InputError unless all leaves have as many rows."""
    first, *others = leaves_of(parts)
    for leaf in others:
        if len(leaf.values) != len(first.values):
            several = isinstance(parts["x"], tuple) and len(parts["x"]) == len(leaf.values)
            hint = "np.stack x if each of its arrays is one row" if several else "give both the same rows"
            raise InputError(
                f"{first.name} has {len(first.values)} rows, but {leaf.name} has {len(leaf.values)}: {hint}."
            )


def finish_input(leaf: NamedArray, floats: np.dtype[Any]) -> NDArray[Any]:
    """Give an input its final type: whole numbers int32, all else floats without gaps."""
    # whole numbers of a frame are quantities; those of an array may be codes for an embedding
    if leaf.values.dtype.kind in "iu" and not leaf.columns:
        return _as_int32(leaf)
    return as_finite(leaf, floats)


def finish_target(leaf: NamedArray, floats: np.dtype[Any]) -> NDArray[Any]:
    """Give a target its final type: whole numbers and flags int32, all else floats without gaps."""
    return _as_int32(leaf) if leaf.values.dtype.kind in "biu" else as_finite(leaf, floats)


def _as_int32(leaf: NamedArray) -> NDArray[np.int32]:
    values = leaf.values
    if not np.can_cast(values.dtype, np.int32):
        wrong = (values < INT32.min) | (values > INT32.max)
        if wrong.any():
            raise InputError(
                f"{leaf.name} holds the integer {values[wrong][0]} in {place_of(leaf, wrong)}, beyond int32: "
                f"make it a float if it is a quantity, or number the codes from 0."
            )
    return values.astype(np.int32, copy=False)


def as_finite(leaf: NamedArray, floats: np.dtype[Any]) -> NDArray[Any]:
    """Return floats, or raise where the first gap is."""
    values = leaf.values.astype(floats, copy=False)
    wrong = ~np.isfinite(values)
    if wrong.any():
        count = int(wrong.reshape(len(wrong), -1).any(axis=1).sum())
        raise InputError(
            f"{leaf.name} holds missing, NaN or infinite values (as {floats}) in {count} "
            f"row{'s' if count > 1 else ''}, first in {place_of(leaf, wrong)}: fill them in, or leave out those rows."
        )
    return values


def place_of(leaf: NamedArray, wrong: NDArray[np.bool_]) -> str:
    """Where the first True of `wrong` [n, ...] is."""
    first = np.unravel_index(int(wrong.argmax()), wrong.shape)
    column = f", column {leaf.column(int(first[1]))}" if len(first) == 2 else ""
    return f"row {first[0]} (counted from 0){column}"


def shown(names: Iterable[Any]) -> str:
    """Join names for a message, the first few of them."""
    names = [str(name) for name in names]
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")

"""What `keras.Model.fit` takes as x and y, read into NumPy arrays in memory.

A part (x or y) is one array or a tree of arrays: a tuple, list or dict of parts. Each leaf is read by itself: an array
of any library, a data frame, a series, or a nested list of numbers. Batches are read once and joined row by row.

When y is None, x must bring batches `(x, y)` or `(x, y, sample_weight)`. A tuple is then never taken as batches, for it
may be the pair (x, y) itself; a list of tuples always is; a list of two lists only where it cannot be such a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import DTypeLike, NDArray

from fitwell.errors import FitwellError, InputError, InputTypeError

ACCEPTED = "an array, a data frame, a series, a list of numbers, or a tuple, list or dict of these"
TABLE_MODE = "encode it as numbers, or use a table: fitwell.tune(table, target)"
KINDS = {"U": "text", "S": "text", "T": "text", "M": "dates", "m": "durations", "c": "complex numbers", "V": "records"}
INT32 = np.iinfo(np.int32)
NAMES_SHOWN = 5

# A tree is a `_Leaf`, a tuple of trees or a dict of trees; Python has no short type for it.
Tree = Any


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
        return len(next(_leaves(self.inputs)))

    def take(self, rows: Any) -> Arrays:
        """Return the rows with these numbers, int [m] (or a mask [n] or a slice), in that order."""
        return Arrays(
            _map(lambda array: array[rows], self.inputs),
            _map(lambda array: array[rows], self.targets),
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
        parts = _read_batches(x, sample_weight, floats, most_bytes)
    else:
        parts = _read_parts(x, y, sample_weight, floats)
        _check_rows(parts)
    if not len(next(_leaves(parts)).values):
        raise InputError("x has no rows: check the filter or file that it came from.")
    targets = _map(lambda leaf: _finish_target(leaf, floats), parts["y"])
    return Arrays(
        _map(lambda leaf: _finish_input(leaf, floats), parts["x"]),
        targets,
        _sample_weights(parts["sample_weight"], floats) if "sample_weight" in parts else None,
        None if class_weight is None else _class_weights(class_weight, targets).astype(floats),
    )


def read_inputs(x: Any, dtype: DTypeLike = np.float32) -> Any:
    """Read inputs alone, as `read_arrays` reads x: one array [n, ...] or a tuple or dict of them."""
    floats = np.dtype(dtype)
    parts = {"x": _read_tree("x", x, floats)}
    _check_rows(parts)
    return _map(lambda leaf: _finish_input(leaf, floats), parts["x"])


# Trees


def _map(change: Callable[[Any], Any], tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return {name: _map(change, value) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_map(change, value) for value in tree)
    return change(tree)


def _leaves(tree: Tree) -> Iterator[Any]:
    if isinstance(tree, dict | tuple):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(value)
    else:
        yield tree


@dataclass(frozen=True, eq=False)
class _Leaf:
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


# Reading one part


def _read_parts(x: Any, y: Any, sample_weight: Any, floats: np.dtype[Any]) -> Tree:
    parts = {"x": _read_tree("x", x, floats), "y": _read_tree("y", y, floats)}
    if sample_weight is None:
        return parts
    weights = _read_tree("sample_weight", sample_weight, floats)
    if not isinstance(weights, _Leaf):
        raise InputTypeError(
            f"sample_weight must be one array with a weight for each row, whatever y is. "
            f"Got a {type(sample_weight).__name__} of {len(weights)} arrays."
        )
    return {**parts, "sample_weight": weights}


def _read_tree(name: str, value: Any, floats: np.dtype[Any]) -> Tree:
    if isinstance(value, Mapping):
        if not value or not all(isinstance(key, str) for key in value):
            raise InputTypeError(f"{name} must name its arrays by text. Got a dict with the keys {list(value)[:5]!r}.")
        return {key: _read_tree(f"{name}[{key!r}]", item, floats) for key, item in value.items()}
    if isinstance(value, list | tuple) and not _is_nested_list(value):
        return tuple(_read_tree(f"{name}[{index}]", item, floats) for index, item in enumerate(value))
    return _read_leaf(name, value, floats)


def _is_nested_list(values: list[Any] | tuple[Any, ...]) -> bool:
    """Whether there are only numbers (or other single values) inside, at any depth: one array, not several."""
    return all(_is_nested_list(item) if isinstance(item, list | tuple) else _is_single(item) for item in values)


def _is_single(value: Any) -> bool:
    if isinstance(value, bool | int | float | str | bytes) or getattr(value, "shape", None) == ():
        return True
    return not any(hasattr(value, name) for name in ("__len__", "__array__", "__jax_array__", "numpy"))


def _read_leaf(name: str, value: Any, floats: np.dtype[Any]) -> _Leaf:
    import narwhals as nw

    if isinstance(value, np.ndarray):
        return _Leaf(name, _as_numbers(name, _unmask(value), floats))
    try:
        table = nw.from_native(value, allow_series=True, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        twice = str(error).partition("\n")[2].strip("- ")
        raise InputError(f"{name} must have columns of different names, but has {twice}: rename them.") from None
    if isinstance(table, nw.LazyFrame):
        table = table.collect(backend="polars")
    if isinstance(table, nw.DataFrame):
        return _read_frame(name, table, floats)
    if isinstance(table, nw.Series):
        return _Leaf(name, _read_column(name, table, floats))
    return _Leaf(name, _as_numbers(name, _to_numpy(name, value), floats))


def _unmask(values: NDArray[Any]) -> NDArray[Any]:
    """A masked array with NaN where it is masked, so that it is refused there like any missing value."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if values.dtype.kind in "biuf" and np.ma.is_masked(values):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values.data


def _to_numpy(name: str, value: Any) -> NDArray[Any]:
    if hasattr(value, "toarray"):
        raise InputTypeError(f"{name} must be dense. Got a sparse {type(value).__name__}: give its toarray().")
    if not _is_array_like(value):
        raise InputTypeError(
            f"{name} must be {ACCEPTED}. Got {type(value).__name__}; batches are given as x alone, without y."
        )
    try:
        return np.asarray(_source(value))
    except (ValueError, TypeError, RuntimeError) as error:
        if "inhomogeneous" in str(error):
            raise InputError(f"{name} must have rows of one length, but they differ: pad them to one length.") from None
        raise InputError(
            f"{name} cannot be read as a NumPy array ({str(error).partition(chr(10))[0]}): convert it before."
        ) from None


def _is_array_like(value: Any) -> bool:
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


# Frames


def _read_frame(name: str, frame: Any, floats: np.dtype[Any]) -> _Leaf:
    names = tuple(str(column.name) for column in frame.iter_columns())
    if not names:
        raise InputError(f"{name} has no columns: at least one is needed.")
    columns = [
        _read_column(f"Column {label!r} of {name}", column, floats)
        for label, column in zip(names, frame.iter_columns(), strict=True)
    ]
    if any(column.dtype.kind == "f" for column in columns):
        columns = [column.astype(floats, copy=False) for column in columns]
    return _Leaf(name, np.stack(columns, axis=1), names)


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
    if series.null_count() or dtype.is_decimal():
        series = series.cast(pl.Float64).fill_null(np.nan)
    return _as_numbers(name, series.to_numpy(), floats)


# Batches


def _read_batches(x: Any, sample_weight: Any, floats: np.dtype[Any], most_bytes: int | None) -> Tree:
    batches = _batches_of(x)
    if sample_weight is not None:
        raise InputError("sample_weight must come with the batches: let them be (x, y, sample_weight).")
    first, found, size = None, [], 0
    for number, batch in enumerate(batches):
        parts = _read_batch(batch, number, floats)
        first = parts if first is None else first
        found.append({leaf.name: _copy(leaf) for leaf in _leaves(parts)})
        _check_like_first(found[0], found[-1], number)
        size += sum(leaf.values.nbytes for leaf in found[-1].values())
        if most_bytes is not None and size > most_bytes:
            raise InputError(
                f"x holds more than {most_bytes:,} bytes in its first {number + 1} batches: it may never end "
                f"(a generator must end after one pass), or be larger than memory; give fewer rows."
            )
    if first is None:
        raise InputError("x has no batches: a generator can be read only once; give a fresh one.")
    return _map(lambda leaf: _join([leaves[leaf.name] for leaves in found]), first)


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
    if getattr(x, "num_batches", 0) is None:
        raise InputError(f"x is an endless {type(x).__name__}: give it a number of batches.")
    return _iterate(x)


def _is_part(x: Any) -> bool:
    import narwhals as nw

    if isinstance(x, Mapping) or _is_array_like(x) or hasattr(x, "toarray"):
        return True
    return nw.from_native(x, allow_series=True, pass_through=True) is not x


def _iterate(x: Any) -> Iterable[Any]:
    """By index up to its length if it has both: `iter` would go on until an IndexError, which may never come."""
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return (x[index] for index in range(len(x)))
    try:
        return iter(x)
    except TypeError:
        raise InputTypeError(
            f"x must be {ACCEPTED}, with y beside it, or batches (x, y). Got {type(x).__name__}."
        ) from None


def _check_list(items: list[Any]) -> None:
    """Refuse a list that holds no batches, or that may be the pair [x, y]."""
    tuples = all(isinstance(item, tuple) for item in items)
    # Numbers may still be batches of lists, ([1.5, 2.5], [0, 1]): a tuple says so.
    numbers = _is_nested_list(items) and not (tuples and all(isinstance(part, list) for item in items for part in item))
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
    for leaf in _leaves(_map(_as_tree, tuple(items))):
        lengths.add(len(leaf) if hasattr(leaf, "__len__") else -1)
    return len(lengths - {-1}) < 2


def _as_tree(value: Any) -> Tree:
    """Mappings and lists of arrays as trees, whose leaves are not read."""
    if isinstance(value, Mapping):
        return {key: _as_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not _is_nested_list(value):
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
        parts = _read_parts(batch[0], batch[1], batch[2] if len(batch) == 3 else None, floats)
        _check_rows(parts)
    except FitwellError as error:
        raise type(error)(f"In batch {number} (counted from 0): {error}") from None
    return parts


def _copy(leaf: _Leaf) -> _Leaf:
    """Its own memory, for a generator may fill the same arrays again for its next batch."""
    return replace(leaf, values=np.array(leaf.values))


def _check_like_first(first: dict[str, _Leaf], leaves: dict[str, _Leaf], number: int) -> None:
    if first.keys() != leaves.keys():
        raise InputError(
            f"All batches must hold the same arrays, but batch 0 holds {_shown(first)} and batch {number} "
            f"{_shown(leaves)}: make them alike."
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


def _shown(names: Iterable[Any]) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def _join(leaves: list[_Leaf]) -> _Leaf:
    return replace(leaves[0], values=np.concatenate([leaf.values for leaf in leaves]))


# Checks and final types


def _check_rows(parts: Tree) -> None:
    first, *others = _leaves(parts)
    for leaf in others:
        if len(leaf.values) != len(first.values):
            several = isinstance(parts["x"], tuple) and len(parts["x"]) == len(leaf.values)
            hint = "np.stack x if each of its arrays is one row" if several else "give both the same rows"
            raise InputError(
                f"{first.name} has {len(first.values)} rows, but {leaf.name} has {len(leaf.values)}: {hint}."
            )


def _finish_input(leaf: _Leaf, floats: np.dtype[Any]) -> NDArray[Any]:
    if leaf.values.dtype.kind in "iu" and not leaf.columns:
        return _as_int32(leaf)
    return _as_finite(leaf, floats)


def _finish_target(leaf: _Leaf, floats: np.dtype[Any]) -> NDArray[Any]:
    return _as_int32(leaf) if leaf.values.dtype.kind in "biu" else _as_finite(leaf, floats)


def _as_int32(leaf: _Leaf) -> NDArray[np.int32]:
    values = leaf.values
    if not np.can_cast(values.dtype, np.int32):
        wrong = (values < INT32.min) | (values > INT32.max)
        if wrong.any():
            raise InputError(
                f"{leaf.name} holds the integer {values[wrong][0]} in {_place(leaf, wrong)}, beyond int32: "
                f"make it a float if it is a quantity, or number the codes from 0."
            )
    return values.astype(np.int32, copy=False)


def _as_finite(leaf: _Leaf, floats: np.dtype[Any]) -> NDArray[Any]:
    values = leaf.values.astype(floats, copy=False)
    wrong = ~np.isfinite(values)
    if wrong.any():
        count = int(wrong.reshape(len(wrong), -1).any(axis=1).sum())
        raise InputError(
            f"{leaf.name} holds missing, NaN or infinite values (as {floats}) in {count} "
            f"row{'s' if count > 1 else ''}, first in {_place(leaf, wrong)}: fill them in, or leave out those rows."
        )
    return values


def _place(leaf: _Leaf, wrong: NDArray[np.bool_]) -> str:
    """Where the first True of `wrong` [n, ...] is."""
    first = np.unravel_index(int(wrong.argmax()), wrong.shape)
    column = f", column {leaf.column(int(first[1]))}" if len(first) == 2 else ""
    return f"row {first[0]} (counted from 0){column}"


# Weights


def _sample_weights(leaf: _Leaf, floats: np.dtype[Any]) -> NDArray[Any]:
    """Weights [n] from [n] or [n, 1]."""
    shape = leaf.values.shape
    if len(shape) > 2 or shape[1:] not in ((), (1,)):
        raise InputError(f"sample_weight must have one weight for each row, [n] or [n, 1]. Got the shape {shape}.")
    weights = _as_finite(leaf, floats)
    if (weights < 0).any():
        raise InputError(
            f"sample_weight must not be negative. Got {weights[weights < 0][0]} in {_place(leaf, weights < 0)}."
        )
    if not weights.any():
        raise InputError("sample_weight must not be 0 in every row: nothing would be learnt.")
    return weights.reshape(-1)


def _class_weights(class_weight: Any, targets: Tree) -> NDArray[np.float64]:
    """The weight of each row's class [n]."""
    _check_class_weight(class_weight)
    classes = _classes_of(targets)
    absent = [key for key in class_weight if not (classes == key).any()]
    if absent:
        raise InputError(
            f"class_weight names the class {absent[0]}, but no row of y is of it; "
            f"its classes are {_shown(np.unique(classes))}."
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
        if isinstance(key, bool) or not isinstance(key, int | np.integer):
            raise InputTypeError(f"class_weight must have class indices as keys, such as 0 and 1. Got {key!r}.")
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.integer | np.floating):
            raise InputTypeError(f"class_weight must hold numbers. Got {weight!r} for the class {key}.")
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"class_weight must hold finite weights of 0 or more. Got {weight!r} for the class {key}.")


def _classes_of(targets: Tree) -> NDArray[Any]:
    """The class index of each row [n], from indices [n] or [n, 1] or from one-hot rows [n, k]."""
    if not isinstance(targets, np.ndarray):
        raise InputError("class_weight needs y to be one array: with several targets, give a sample_weight.")
    single = targets.ndim == 1 or targets.shape[1:] == (1,)
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

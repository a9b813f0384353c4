"""Encoding: raw features to network inputs, its layout fixed by the table, its numbers fitted per row set.

Every row set has the same inputs in the same places, so that all of them are one array program, and yet
`fit_encoding` sees no row that does not train.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fitwell.data.columns import Column, RawFeatures, number_names
from fitwell.errors import InputError

MISSING = "(missing)"
OTHER = "(other)"

MIN_COUNT = 3  # training rows that a level needs for an input of its own ...
MIN_SHARE = 5e-4  # ... or this share of the training rows, if that is more (from 7,000 rows on)
CLIP = 3.0  # standard deviations: the bound that the smooth clipping approaches
LIMIT = 1e6  # standard deviations beyond which float32 cannot tell the clipped values apart
ROUNDING = 8 * np.finfo(np.float64).eps  # a spread below this share of the values is their rounding

ENCODED_INPUTS = 2**16
"""Inputs that are encoded at once: what is computed in float64 on the way stays in the cache, and is never a table."""

FITTED_AT_ONCE = 2**22
"""Numbers (of some columns, of all training rows) that are fitted at once: 32 MiB, and several copies of them."""


@dataclass(frozen=True)
class Layout:
    """Which input of the network holds what; d inputs from p raw numbers and q categorical columns.

    In this order: the p numbers; a 0/1 indicator for each number that can be missing (for a date, one for all
    of its numbers); then for each categorical column its levels, "(missing)" if it can be, and "(other)".

    Attributes
    ----------
    names : tuple of str [d]
        Such as "age", "age is missing", "city = Oslo", "city = (missing)", "city = (other)".
    n_numbers : int
        p.
    indicators : tuple of int
        The raw number whose absence each indicator shows.
    level_counts : tuple of int [q]
        V for each categorical column.
    has_missing : tuple of bool [q]
        Whether a categorical column has an input for missing.
    """

    names: tuple[str, ...]
    n_numbers: int
    indicators: tuple[int, ...]
    level_counts: tuple[int, ...]
    has_missing: tuple[bool, ...]

    @property
    def width(self) -> int:
        """d, the number of inputs."""
        return len(self.names)

    @property
    def one_hot_starts(self) -> tuple[int, ...]:
        """The first input of each categorical column [q]."""
        widths = [count + missing + 1 for count, missing in zip(self.level_counts, self.has_missing, strict=True)]
        first = self.n_numbers + len(self.indicators)
        return tuple(accumulate(widths, initial=first))[:-1]

    @property
    def code_starts(self) -> NDArray[np.int64]:
        """Where each categorical column's V + 2 codes begin in `Encoding.slots` [q]."""
        return np.cumsum([0, *(count + 2 for count in self.level_counts)], dtype=np.int64)[:-1]

    def to_json(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            "names": list(self.names),
            "n_numbers": self.n_numbers,
            "indicators": list(self.indicators),
            "level_counts": list(self.level_counts),
            "has_missing": list(self.has_missing),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Layout:
        """The layout that `to_json` wrote."""
        return cls(
            names=tuple(stored["names"]),
            n_numbers=stored["n_numbers"],
            indicators=tuple(stored["indicators"]),
            level_counts=tuple(stored["level_counts"]),
            has_missing=tuple(stored["has_missing"]),
        )


def make_layout(columns: Sequence[Column], raw: RawFeatures) -> Layout:
    """The layout of the inputs, from the columns alone; `raw` only shows that it belongs to them."""
    numeric = [column for column in columns if number_names(column)]
    categorical = [column for column in columns if column.kind == "categorical"]
    names = [name for column in numeric for name in number_names(column)]
    if raw.numbers.shape[1] != len(names) or raw.codes.shape[1] != len(categorical):
        raise InputError(
            f"The raw features must hold {len(names)} numbers and {len(categorical)} codes per row for these "
            f"columns. Got {raw.numbers.shape[1]} and {raw.codes.shape[1]}: extract them by the same columns."
        )
    if not numeric and not categorical:
        raise InputError("No column can be used as a feature: all of them are set aside.")
    widths = np.cumsum([0, *(len(number_names(column)) for column in numeric)])
    absent = [(column, int(first)) for column, first in zip(numeric, widths, strict=False) if column.has_missing]
    return Layout(
        names=(
            *names,
            *(f"{column.name} is missing" for column, _ in absent),
            *(name for column in categorical for name in _level_names(column)),
        ),
        n_numbers=len(names),
        indicators=tuple(first for _, first in absent),
        level_counts=tuple(len(column.levels) for column in categorical),
        has_missing=tuple(column.has_missing for column in categorical),
    )


def inputs_of_columns(columns: Sequence[Column], layout: Layout) -> dict[str, NDArray[np.int64]]:
    """Number the inputs [d] that each column becomes, by the column's name; those set aside are left out."""
    numeric = [column for column in columns if number_names(column)]
    categorical = [column for column in columns if column.kind == "categorical"]
    # the number that a numeric column begins with
    firsts = accumulate((len(number_names(column)) for column in numeric), initial=0)
    places = {
        column.name: list(range(first, first + len(number_names(column))))
        for column, first in zip(numeric, firsts, strict=False)
    }
    absent = [column for column in numeric if column.has_missing]
    for number, column in enumerate(absent):
        places[column.name].append(layout.n_numbers + number)
    ends = (*layout.one_hot_starts, layout.width)[1:]
    for column, first, end in zip(categorical, layout.one_hot_starts, ends, strict=True):
        places[column.name] = list(range(first, end))
    return {name: np.array(inputs, np.int64) for name, inputs in places.items()}


def _level_names(column: Column) -> list[str]:
    marks = [MISSING, OTHER] if column.has_missing else [OTHER]
    return [f"{column.name} = {level}" for level in (*column.levels, *marks)]


@dataclass(frozen=True, eq=False)
class Encoding:
    """Raw features to inputs, fitted on the training rows of one row set.

    For raw number j, computed in float64 and rounded to the wanted type at the end:

        x = fill[j] if the number is missing, else the number
        z = (x - center[j]) / scale[j], limited to [-1e6, 1e6]
        input = z / sqrt(1 + (z / 3)**2)

    An indicator is 1 if its number is missing, else 0. Of a categorical column's inputs the one at
    `slots[code_starts[column] + code]` is 1, the others 0. At last every input that is not `live` is set to
    0: it was the same in every training row, so its weights were never trained and must not speak on new
    rows.

    Attributes
    ----------
    layout : Layout
    fill : float64 [p]
        The median of the training rows; 0 if all are missing.
    center, scale : float64 [p]
        Mean and population standard deviation of the training rows after imputation; scale 1 where constant.
    slots : int32 [sum of V + 2]
        For each categorical column and each of its codes the input that becomes 1. Levels that are rare
        among the training rows (fewer than `MIN_COUNT` or `MIN_SHARE`) or absent there, and missing
        likewise, share the column's "(other)".
    live : bool [d]
        Whether an input differed between training rows.
    """

    layout: Layout
    fill: NDArray[np.float64]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    slots: NDArray[np.int32]
    live: NDArray[np.bool_]

    def transform(self, raw: RawFeatures, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """The inputs [n, d] of every row."""
        inputs = np.empty((len(raw), self.layout.width), dtype)
        for rows in parts_of_rows(*inputs.shape):
            self.write(raw.take(rows), inputs[rows])
        return inputs

    def write(self, raw: RawFeatures, inputs: NDArray[Any]) -> None:
        """Write the inputs of every row into an array [n, d]."""
        layout = self.layout
        first_one_hot = layout.n_numbers + len(layout.indicators)
        inputs[:, : layout.n_numbers] = self._clipped(raw.numbers)
        inputs[:, layout.n_numbers : first_one_hot] = np.isnan(raw.numbers[:, list(layout.indicators)])
        inputs[:, first_one_hot:] = 0
        np.put_along_axis(inputs, self.slots[raw.codes + layout.code_starts], 1, axis=1)
        inputs[:, ~self.live] = 0

    def _clipped(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        z = np.where(np.isnan(numbers), self.fill, numbers)
        with np.errstate(over="ignore"):  # the difference of 1e308 and -1e308 is infinite, then limited
            z -= self.center
            z /= self.scale
        np.clip(z, -LIMIT, LIMIT, out=z)
        return z / np.sqrt(1 + (z / CLIP) ** 2)

    def to_json(self) -> dict[str, Any]:
        """Plain types, for JSON; floats survive it bit for bit."""
        arrays = {name: getattr(self, name).tolist() for name in ("fill", "center", "scale", "slots", "live")}
        return {"layout": self.layout.to_json(), **arrays}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Encoding:
        """The encoding that `to_json` wrote."""
        return cls(
            layout=Layout.from_json(stored["layout"]),
            fill=np.array(stored["fill"], np.float64),
            center=np.array(stored["center"], np.float64),
            scale=np.array(stored["scale"], np.float64),
            slots=np.array(stored["slots"], np.int32),
            live=np.array(stored["live"], np.bool_),
        )


def fit_encoding(layout: Layout, raw: RawFeatures, rows: ArrayLike) -> Encoding:
    """Fit on the training rows `rows` [m]; no other row of `raw` is looked at."""
    rows = np.asarray(rows)
    if rows.size == 0:
        raise InputError("An encoding needs at least one training row. Got none.")
    # some columns at a time, for sorting and moments make several copies of them
    # row-major whatever they come from: the mean of a column is rounded by how its numbers lie
    fitted = [
        _fit_numbers(raw.numbers[:, some].take(rows, axis=0)) for some in _parts_of_columns(rows.size, layout.n_numbers)
    ]
    fill, center, scale, varies, any_missing, all_missing = map(np.concatenate, zip(*fitted, strict=True))
    slots, one_hot_live = _fit_slots(layout, raw.codes, rows)
    indicator_live = (any_missing & ~all_missing)[list(layout.indicators)]
    live = np.concatenate([varies, indicator_live, one_hot_live])
    raw.forget()
    return Encoding(layout, fill, center, scale, slots, live)


def parts_of_rows(n: int, width: int) -> Iterator[slice]:
    """Cut n rows into parts of about `ENCODED_INPUTS` inputs."""
    step = max(1, ENCODED_INPUTS // max(width, 1))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _parts_of_columns(rows: int, columns: int) -> list[slice]:
    """Cut columns into parts of about `FITTED_AT_ONCE` numbers of these rows.

    A single column is only cut from another one: NumPy sums rows of one number pairwise, and the mean would be rounded
    otherwise than among others.
    """
    count = max(1, min(math.ceil(rows * columns / FITTED_AT_ONCE), columns // 2))
    ends = [columns * part // count for part in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def _fit_numbers(numbers: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Of some columns [m, c]: fill, center, scale, whether it varies, whether any or all are missing; each [c]."""
    fill = _medians(numbers)
    missing = np.isnan(numbers)
    counts = missing.sum(axis=0)
    return fill, *moments(np.where(missing, fill, numbers)), counts > 0, counts == len(numbers)


def _medians(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each column without its NaN; 0 where there is nothing else."""
    ordered = np.sort(numbers, axis=0)  # NaN comes last
    counts = len(numbers) - np.isnan(numbers).sum(axis=0)
    middle = np.stack([np.maximum(counts - 1, 0) // 2, np.minimum(counts // 2, len(numbers) - 1)])
    low, high = np.take_along_axis(ordered, middle, axis=0)
    # Halves are added, for the sum of two numbers near 1e308 is infinite.
    return np.where(counts > 0, np.where(low == high, low, low / 2 + high / 2), 0.0)


def moments(
    values: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Mean and population standard deviation [p] of finite values [m, p], and where they vary (else scale 1).

    Rows may have weights [m] above 0. Computed on values divided by a power of two, which is exact, so that squares of
    1e300 do not overflow.
    """
    # without weights not `np.average`, which divides by the number of columns: there may be none
    mean_of = partial(np.mean, axis=0) if weight is None else partial(np.average, axis=0, weights=weight)
    largest = np.abs(values).max(axis=0, initial=0.0)
    exponent = np.frexp(largest)[1]
    scaled = np.ldexp(values, -exponent)
    mean = mean_of(scaled)
    mean += mean_of(scaled - mean)  # the rounding of the sum, which grows with the rows
    scale = np.ldexp(np.sqrt(mean_of((scaled - mean) ** 2)), exponent)
    constant = (values == values[0]).all(axis=0)
    varies = ~constant & (scale > ROUNDING * largest)
    return np.where(constant, values[0], np.ldexp(mean, exponent)), np.where(varies, scale, 1.0), varies


def _fit_slots(
    layout: Layout, codes: NDArray[np.int32], rows: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The input that each code sets, for all columns, and which of these inputs vary among some rows."""
    slots, live = [], []
    least = max(MIN_COUNT, MIN_SHARE * len(rows))
    columns = zip(layout.level_counts, layout.has_missing, layout.one_hot_starts, strict=True)
    for column, (levels, has_missing, start) in enumerate(columns):
        counts = np.bincount(codes[rows, column], minlength=levels + 2)
        other = levels + has_missing
        own = np.arange(levels + 2)
        has_own = (counts >= least) & (own < other)
        place = np.where(has_own, own, other)
        used = np.bincount(place, weights=counts, minlength=other + 1)
        slots.append(start + place)
        live.append((used > 0) & (used < len(rows)))
    none = np.empty(0, np.int64)
    return np.concatenate([none, *slots]).astype(np.int32), np.concatenate([none, *live]).astype(np.bool_)


def stack(encodings: Sequence[Encoding], raw: RawFeatures) -> NDArray[np.float32]:
    """The inputs of all rows under each row set's encoding, float32 [R, n, d]."""
    inputs = np.empty((len(encodings), len(raw), encodings[0].layout.width), np.float32)
    for place, encoding in zip(inputs, encodings, strict=True):
        for rows in parts_of_rows(*place.shape):
            encoding.write(raw.take(rows), place[rows])
    return inputs

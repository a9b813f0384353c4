"""What a regularizer is: one object that says how it acts, how it is searched, and where other libraries keep it.

A strength is a number and zero is off by arithmetic: nothing asks whether a strength is zero, so all strengths are one
array program. The functions of a regularizer are arithmetic on JAX arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fitwell.errors import InputError, InputTypeError

if TYPE_CHECKING:
    import numpy as np

Array = Any
"""A JAX or NumPy array."""

ZERO_SHARE = 0.15
"""Share of a search's strengths in which a regularizer is off: often the best answer, and a range never reaches it."""


@dataclass(frozen=True)
class Axes:
    """Which axes of a kernel stand for what, so that a penalty on whole inputs can be written for any layout.

    Attributes
    ----------
    inputs
        Axes along which the units or columns that go in are counted; an index of these is one input.
    outputs
        Likewise of what comes out. Axes in neither (the height and width of a convolution) belong to both.
    groups
        Of a kernel that sees a table's columns: the number of the column that each input is of, counted from 0, for a
        column may be several (the levels of a category). None where nobody knows.
    """

    inputs: tuple[int, ...] = (-2,)
    outputs: tuple[int, ...] = (-1,)
    groups: tuple[int, ...] | None = None


class Step(NamedTuple):
    """The step that an optimizer has just taken with a kernel.

    Attributes
    ----------
    before
        The kernel before the step.
    rate
        [], the learning rate of the step, the schedule counted.
    size
        By how much a unit of gradient moves each weight in this step: `rate` for gradient descent, another number for
        every weight with Adam. An array like the kernel, or a scalar.
    axes
        Of the kernel.
    """

    before: Array
    rate: Array
    size: Array
    axes: Axes


@dataclass(frozen=True)
class InKeras:
    """Where Keras keeps a strength, so that it is read from a model as given and written into the one handed back.

    Attributes
    ----------
    holder
        `"regularizer"`: of a kernel, one of L1, L2 or L1L2; `"layer"`: the layer that holds the kernel; `"dropout"`: a
        dropout layer; `"optimizer"`: the optimizer, which acts on biases and all else that it lets decay, too.
    attribute
        Its name there.
    """

    holder: Literal["regularizer", "layer", "dropout", "optimizer"]
    attribute: str


@dataclass(frozen=True)
class Unit:
    """A strength in another library's unit.

    Attributes
    ----------
    to_fitwell, from_fitwell
        ``f(strength, rows) -> strength``; `rows` are those that the library divides by, often those of the table.
    """

    to_fitwell: Callable[[float, int], float]
    from_fitwell: Callable[[float, int], float]


@dataclass(frozen=True)
class Regularizer:
    """One regularizer; pass your own in `regularizers=` beside the names of fitwell's.

    Attributes
    ----------
    name
        In settings, tables and files.
    does
        One line for people.
    scale
        How a search spaces it: `"log"` for penalties, `"linear"` for rates.
    low, high
        The range that the default search covers (the share of exact zeros comes on top).
    below
        Strengths must lie in ``[0, below)``.
    penalty
        ``penalty(strength, kernel, axes)``: a smooth term of the objective, see `Axes`.
    before_step
        ``before_step(strength, weights, rate)``: the weights that the optimizer's step is taken from, in place of
        those that its gradient was taken at; `rate` is the learning rate of the step.
    after_step
        ``after_step(strength, kernel, step)``: the kernel in place of what the optimizer's step made of it, see `Step`.
    on_inputs
        ``on_inputs(strength, kernel, step)``: likewise, of the kernel that sees the inputs only, and last of all;
        `step.axes.groups` says which inputs are one column of the table. Only the dense network of tables has it.
    on_kernel
        ``on_kernel(strength, kernel, noise)``: what a training step sees in place of the kernel; `noise` is uniform on
        [0, 1).
    on_units
        ``on_units(strength, units, noise)``: what a training step sees in place of a hidden layer's output.
    on_scales
        ``on_scales(strength, scales, step)``: learned scales of the inputs [1, d] in place of what the optimizer's step
        made of them. Only the dense network of tables has them, and only if one such regularizer is searched.
    keras
        Where Keras keeps it; None if nowhere.
    units
        Another library's setting, by name, to its conversion.

    Examples
    --------
    A penalty on the largest weight of every kernel:

    >>> largest = Regularizer("largest", "pulls the largest weight down", "log", 1e-3, 1.0,
    ...                       penalty=lambda strength, kernel, axes: strength * abs(kernel).max())
    >>> largest.acts_on
    'kernels'
    """

    name: str
    does: str
    scale: Literal["log", "linear"]
    low: float
    high: float
    below: float = math.inf
    penalty: Callable[[Array, Array, Axes], Array] | None = None
    before_step: Callable[[Array, Array, Array], Array] | None = None
    after_step: Callable[[Array, Array, Step], Array] | None = None
    on_inputs: Callable[[Array, Array, Step], Array] | None = None
    on_kernel: Callable[[Array, Array, Array], Array] | None = None
    on_units: Callable[[Array, Array, Array], Array] | None = None
    on_scales: Callable[[Array, Array, Step], Array] | None = None
    keras: InKeras | None = None
    # not compared: a regularizer is told from another by what it does, and dicts have no hash
    units: Mapping[str, Unit] = field(default_factory=dict, compare=False)

    @property
    def acts_on(self) -> Literal["kernels", "units", "decayed", "inputs"]:
        """The places that have a strength of it."""
        if self.keras and self.keras.holder == "optimizer":
            return "decayed"
        if self.on_scales or self.on_inputs:
            return "inputs"
        return "units" if self.on_units else "kernels"

    @property
    def heading(self) -> str:
        """Its name as a column's heading."""
        return self.name.replace("_", " ")

    def check(self, values: Sequence[Any] | np.ndarray) -> None:
        """Raise an InputError unless all strengths, numbers or rows of numbers, are in range."""
        # late, as in the other methods: the command's help names regularizers, and answers at once
        import numpy as np

        from fitwell.arguments import is_real

        wanted = "be finite and at least 0" if math.isinf(self.below) else f"lie in [0, {self.below:g})"
        for index, row in enumerate(values):
            for value in row.ravel() if isinstance(row, np.ndarray) else [row]:
                if not (is_real(value) and 0 <= value < self.below):
                    raise InputError(f"The '{self.name}' strength must {wanted}. Got {value!s:.60} at index {index}.")

    def spread(self, unit: np.ndarray) -> np.ndarray:
        """Return strengths for numbers in [0, 1): zero for the first `ZERO_SHARE`, then over the whole range."""
        import numpy as np

        share = np.clip((unit - ZERO_SHARE) / (1 - ZERO_SHARE), 0, 1)
        if self.scale == "linear":
            values = self.low + (self.high - self.low) * share
        else:
            values = np.exp(np.log(self.low) + np.log(self.high / self.low) * share)
        return np.where(unit < ZERO_SHARE, 0.0, values)

    def position(self, values: np.ndarray) -> np.ndarray:
        """Return where strengths stand in the range: 0 for off, above 0 to 1 (and beyond) otherwise."""
        import numpy as np

        if self.scale == "linear":
            return np.asarray(values) / self.high
        floor = self.low * (self.low / self.high)  # the range again below `low`, so that `low` stands in the middle
        safe = np.maximum(values, floor)
        return np.where(np.asarray(values) > 0, np.log(safe / floor) / np.log(self.high / floor), 0.0)


Table = Mapping[str, Regularizer]
"""Regularizers by name."""


def resolve(regularizer: str | Regularizer, table: Table) -> Regularizer:
    """Return a regularizer by its name, or as it is.

    Raises
    ------
    InputError, InputTypeError
        No regularizer has that name, or it is neither a name nor a regularizer.
    """
    if isinstance(regularizer, Regularizer):
        return regularizer
    if not isinstance(regularizer, str):
        raise InputTypeError(f"A regularizer must be a name or a fitwell.Regularizer. Got {regularizer!r}.")
    if regularizer not in table:
        raise InputError(f"There is no regularizer '{regularizer}'. Choose from {', '.join(table)}.")
    return table[regularizer]

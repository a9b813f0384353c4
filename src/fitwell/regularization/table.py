"""The table of regularizers: what each does to a network in training, and the range of its strengths.

The objective that a training minimises is

    mean over training rows of loss(row) + sum over penalised kernels of ( l1 * sum |w| + l2 * sum w**2 )

in Keras's and TensorFlow.js's convention (`fitwell.regularization.units` converts). A strength is a number and zero is
off by arithmetic: nothing here asks whether a strength is zero, so all strengths are one array program.

A new regularizer is one row of `REGULARIZERS` and one function; each row acts at one or more of four places:

- `penalty(strength, kernel)`: a smooth term of the objective;
- `proximal(strength, kernel, step)`: applied to the kernel after the optimizer's step, whose size is `step`;
- `on_kernel(strength, kernel, noise)`: what a training step sees in place of the kernel;
- `on_units(strength, units, noise)`: what a training step sees in place of a hidden layer's output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Array = Any
"""A JAX or NumPy array: the functions below are arithmetic only."""


def l1_proximal(strength: Array, kernel: Array, step: Array) -> Array:
    """Soft threshold: the exact minimiser of ``(w - kernel)**2 / (2 step) + strength |w|``.

    Weights become exactly zero, which a subgradient (Keras, TensorFlow.js) never reaches. Source: Parikh and Boyd,
    "Proximal Algorithms", 2014, section 6.5.2; with Adam's step per weight: Melchior et al., arXiv 1910.10094.
    """
    return _sign(kernel) * _positive_part(abs(kernel) - step * strength)


def l2_penalty(strength: Array, kernel: Array) -> Array:
    """``strength * sum(w**2)``: no factor one half, no division by the number of rows."""
    return strength * (kernel * kernel).sum()


def drop(strength: Array, values: Array, noise: Array) -> Array:
    """Zero a fraction `strength` of the values and scale the rest by ``1 / (1 - strength)``.

    `noise` is uniform on [0, 1) and the same for every strength of a row set, so that a larger rate drops a superset.
    Of units: Srivastava et al., JMLR 15, 2014. Of weights (DropConnect): Wan et al., ICML 2013.
    """
    keep = 1 - strength
    return values * ((noise < keep) / keep)


def _sign(values: Array) -> Array:
    return (values > 0) * 1.0 - (values < 0) * 1.0


def _positive_part(values: Array) -> Array:
    return values * (values > 0)


@dataclass(frozen=True)
class Regularizer:
    """One row of the table.

    Attributes
    ----------
    does
        One line for people.
    scale
        How a search spaces it: `"log"` for penalties, `"linear"` for rates.
    low, high
        The range that the default search covers (the share of exact zeros comes on top).
    below
        Strengths must lie in ``[0, below)``.
    """

    does: str
    scale: Literal["log", "linear"]
    low: float
    high: float
    below: float = math.inf
    penalty: Callable[[Array, Array], Array] | None = None
    proximal: Callable[[Array, Array, Array], Array] | None = None
    on_kernel: Callable[[Array, Array, Array], Array] | None = None
    on_units: Callable[[Array, Array, Array], Array] | None = None


REGULARIZERS: Mapping[str, Regularizer] = {
    "l1": Regularizer("pulls kernels to exactly zero", "log", 1e-5, 1e-2, proximal=l1_proximal),
    "l2": Regularizer("pulls kernels towards small", "log", 1e-5, 3e-1, penalty=l2_penalty),
    "dropout": Regularizer("zeroes a fraction of hidden units in training", "linear", 0.0, 0.6, 1.0, on_units=drop),
    "weight_dropout": Regularizer(
        "zeroes a fraction of a kernel's weights in training (DropConnect)", "linear", 0.0, 0.6, 1.0, on_kernel=drop
    ),
}

"""fitwell's own regularizers: a function and a row each.

The objective that a training minimises is

    mean over training rows of loss(row) + sum over penalised kernels of ( l1 * sum |w| + l2 * sum w**2 )

in Keras's and TensorFlow.js's convention: no factor one half, no division by the number of rows, the squared error not
halved. What other libraries mean by their settings is in each row's `units`; n is the number of rows:

| library | its objective | here |
|---|---|---|
| scikit-learn `MLPClassifier(alpha)` | mean loss + alpha / (2 n) * sum w**2 | l2 = alpha / (2 n) |
| scikit-learn `MLPRegressor(alpha)` | half the mean squared error + alpha / (2 n) * sum w**2 | l2 = alpha / n |
| scikit-learn `Ridge(alpha)` | sum of squared errors + alpha * sum w**2 | l2 = alpha / n |
| scikit-learn `LogisticRegression(C)` | C * sum of log losses + sum w**2 / 2 | l2 = 1 / (2 C n) |
| scikit-learn `Lasso(alpha)` | half the mean squared error + alpha * sum abs(w) | l1 = 2 alpha |
| decoupled decay (AdamW, PyTorch) | w -= learning_rate * decay * w | l2 = decay / 2, for plain gradient descent only |

scikit-learn's MLP divides `alpha` by the rows of the *batch* in every step (`_multilayer_perceptron.py`,
`_compute_loss_grad`), so with mini-batches n is the batch size.
"""

from __future__ import annotations

import copyreg
from functools import partial
from typing import Any

from fitwell.regularization.regularizer import Array, Axes, InKeras, Regularizer, Step, Table, Unit


def l1_proximal(strength: Array, kernel: Array, size: Array) -> Array:
    """Soft threshold: the exact minimiser of ``(w - kernel)**2 / (2 size) + strength |w|``.

    Weights become exactly zero, which a subgradient (Keras, TensorFlow.js) never reaches. Source: Parikh and Boyd,
    "Proximal Algorithms", 2014, section 6.5.2; with Adam's step per weight: Melchior et al., arXiv 1910.10094.
    """
    return _sign(kernel) * _positive_part(abs(kernel) - size * strength)


def l2_penalty(strength: Array, kernel: Array, axes: Axes | None = None) -> Array:
    """``strength * sum(w**2)``: no factor one half, no division by the number of rows."""
    del axes
    return strength * (kernel * kernel).sum()


def drop(strength: Array, values: Array, noise: Array) -> Array:
    """Zero a fraction `strength` of the values and scale the rest by ``1 / (1 - strength)``.

    `noise` is uniform on [0, 1) and the same for every strength of a row set, so that a larger rate drops a superset.
    Of units: Srivastava et al., JMLR 15, 2014. Of weights (DropConnect): Wan et al., ICML 2013.
    """
    keep = 1 - strength
    return values * ((noise < keep) / keep)


def _soft_threshold(strength: Array, kernel: Array, step: Step) -> Array:
    return l1_proximal(strength, kernel, step.size)


def decay(strength: Array, weights: Array, rate: Array) -> Array:
    """Decoupled weight decay: takes ``rate * strength * w`` off the weights w, before the step.

    Unlike L2, whose gradient an adaptive optimizer divides by its running size, it shrinks all weights alike. As Keras,
    PyTorch and optax do it, the schedule counts. It comes before the step so that L1's, which is the last, has zeros in
    the end. Source: Loshchilov and Hutter, ICLR 2019, algorithm 2.
    """
    return weights - rate * strength * weights


def quicker_scales(strength: Array, scales: Array, step: Step) -> Array:
    """Take the optimizer's step `strength` times as far: with 0 the scales stay what they are, 1."""
    return step.before + strength * (scales - step.before)


NEWTON_STEPS = 3
"""Of `shrink_inputs`, after a first one that is a formula: the norm is then right to a millionth."""

LEAST = 1e-30
"""What is divided by in the place of zero."""


def shrink_inputs(strength: Array, kernel: Array, step: Step) -> Array:
    """Shrink the weights of every column as a whole, to exactly zero where the loss hardly asks for it.

    The exact minimiser of ``sum((w - kernel)**2 / (2 size)) + strength * sum over columns of sqrt(p) |w of a column|``,
    with the optimizer's own size of every weight's step, p inputs of a column, and the Euclidean norm. Source: the
    group lasso of Yuan and Lin, JRSS B 68, 2006, equation 2.1; its step under an adaptive optimizer: Deleu and Bengio,
    arXiv 2102.03869, section 3.2. With c = rate / size and k = rate * strength * sqrt(p), a column becomes zero if
    ``|c kernel| <= k``, else ``w = kernel * c t / (c t + k)`` where the norm t solves ``|c kernel / (c t + k)| = 1``:
    by Newton's method on the inverse of that norm, which is concave and nearly a line, from zero.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    assert step.axes.groups is not None  # whoever has no columns has no such strength
    axis = step.axes.inputs[-1] % kernel.ndim
    member = np.asarray(step.axes.groups)
    others = tuple(a for a in range(kernel.ndim) if a != axis)
    shape = [-1 if a == axis else 1 for a in range(kernel.ndim)]

    def summed(values: Array) -> Array:
        return jax.ops.segment_sum(values.sum(axis=others), member, num_segments=int(member.max()) + 1)

    def spread(by_column: Array) -> Array:
        return by_column[member].reshape(shape)

    # where the rate has fallen to zero nothing moves, and all will do
    size = jnp.broadcast_to(step.size, kernel.shape)
    bend = jnp.where(size > 0, step.rate / jnp.where(size > 0, size, 1), 1)
    threshold = (step.rate * strength * np.sqrt(np.bincount(member))).astype(kernel.dtype)
    pull = bend * kernel
    total = jnp.sqrt(summed(pull**2))
    stays = total > threshold
    length = jnp.where(stays, (total - threshold) * total**2 / _above_zero(summed(bend * pull**2)), 0)
    for _ in range(NEWTON_STEPS):
        whole = _above_zero(bend * spread(length) + spread(threshold))
        rest = (pull / whole) ** 2
        norm = jnp.sqrt(summed(rest))
        length = jnp.where(stays, length + (norm - 1) * norm**2 / _above_zero(summed(rest * bend / whole)), 0)
    # one less a share: exactly 1 where the strength is zero, exactly 0 where nothing is left
    return kernel * (1 - spread(threshold) / _above_zero(bend * spread(length) + spread(threshold)))


def _above_zero(values: Array) -> Array:
    return values + (values < LEAST) * LEAST


def _sign(values: Array) -> Array:
    return (values > 0) * 1.0 - (values < 0) * 1.0


def _positive_part(values: Array) -> Array:
    return values * (values > 0)


def _times(factor: float, power: int, strength: float, rows: int) -> float:
    return strength * factor * rows**power


def _inverse_of_twice(strength: float, rows: int) -> float:
    return 1 / (2 * strength * rows)


def _by_factor(factor: float, power: int) -> Unit:
    """A unit in which a strength times `factor` times rows to the `power` is fitwell's."""
    return Unit(
        partial(_times, factor, power), partial(_times, 1 / factor, -power)
    )  # no lambdas: they cannot be pickled


L1 = Regularizer(
    "l1",
    "pulls kernels to exactly zero",
    "log",
    1e-5,
    1e-2,
    after_step=_soft_threshold,
    keras=InKeras("regularizer", "l1"),
    units={"scikit-learn Lasso(alpha)": _by_factor(2, 0)},
)

L1_INPUTS = Regularizer(
    "l1_inputs",
    "drops whole columns: pulls all weights of a column to exactly zero together",
    "log",
    1e-3,
    3e-1,
    on_inputs=shrink_inputs,
)
"""The group lasso on the columns of a table: which of them a network uses can then be read off its weights."""

L2 = Regularizer(
    "l2",
    "pulls kernels towards small",
    "log",
    1e-5,
    3e-1,
    penalty=l2_penalty,
    keras=InKeras("regularizer", "l2"),
    units={
        "scikit-learn MLPClassifier(alpha)": _by_factor(1 / 2, -1),
        "scikit-learn MLPRegressor(alpha)": _by_factor(1, -1),
        "scikit-learn Ridge(alpha)": _by_factor(1, -1),
        "scikit-learn LogisticRegression(C)": Unit(_inverse_of_twice, _inverse_of_twice),
        "decoupled weight decay": _by_factor(1 / 2, 0),
    },
)

DROPOUT = Regularizer(
    "dropout",
    "zeroes a fraction of hidden units in training",
    "linear",
    0.0,
    0.6,
    1.0,
    on_units=drop,
    keras=InKeras("dropout", "rate"),
)

WEIGHT_DROPOUT = Regularizer(
    "weight_dropout",
    "zeroes a fraction of a kernel's weights in training (DropConnect)",
    "linear",
    0.0,
    0.6,
    1.0,
    on_kernel=drop,
    keras=InKeras("layer", "dropout_rate"),  # of fitwell.layers.Dense; Keras itself has no such layer
)

WEIGHT_DECAY = Regularizer(
    "weight_decay",
    "shrinks weights by a share of themselves in every step (decoupled, AdamW)",
    "log",
    # weights that nothing else moves shrink by exp(-strength) in a thousand steps at a rate of 1e-3: hardly, to gone
    1e-3,
    1e1,
    before_step=decay,
    keras=InKeras("optimizer", "weight_decay"),
    units={"AdamW(weight_decay)": _by_factor(1, 0)},  # of Keras, PyTorch, optax
)

INPUT_SCALING = Regularizer(
    "input_scaling",
    "learns a scale of every input, at so many times the learning rate",
    "log",
    1.0,
    1e1,
    on_scales=quicker_scales,
)
"""Not a penalty: inputs that help little get small scales soon, and with them small gradients of their weights, so that
a network stopped early has hardly used them. The scales are multiplied into the first kernel when it is handed over."""

BUILT_IN: Table = {row.name: row for row in (L1, L2, DROPOUT, WEIGHT_DROPOUT, WEIGHT_DECAY, INPUT_SCALING, L1_INPUTS)}


def _named(name: str) -> Regularizer:
    return BUILT_IN[name]


def _reduced(row: Regularizer) -> Any:
    # fitwell's own by their names, so that they are known as such in another process; others as they are
    return (_named, (row.name,)) if BUILT_IN.get(row.name) is row else row.__reduce_ex__(4)


copyreg.pickle(Regularizer, _reduced)

DEFAULT_REGULARIZERS = ("l2", "dropout")
"""Searched unless others are named: the two that paid on real tables; L1's zeros and the others are for who asks."""

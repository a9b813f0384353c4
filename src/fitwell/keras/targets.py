"""Targets that a loss would take without a word, although they are not what it means, or cannot be told apart."""

from __future__ import annotations

import math
import warnings
from typing import Any

import jax
import numpy as np
from numpy.typing import DTypeLike

from fitwell.errors import FitwellWarning, InputError
from fitwell.keras.backend import import_keras, is_keras_own
from fitwell.keras.heads import from_logits, loss_name
from fitwell.keras.internals import mask_of

# Keras would broadcast [n, 1] against [n, 3] and give a loss that means nothing
BY_NUMBER = frozenset(
    ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
     "huber", "log_cosh", "binary_crossentropy", "poisson")
)  # fmt: skip
"""Losses that compare each number of the target with one of the output."""

OF_PROBABILITIES = frozenset(("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"))

# float32 is off by some 1e-7, logits by far more than this
NEARLY = 1e-4
"""By how much rounding may carry a probability beyond 0 or 1."""


LOST = 1e-3
"""Share of the targets' spread that may lie between two neighbouring numbers of the model's kind."""


def warn_of_lost_digits(values: Any, dtype: DTypeLike, where: str = "y") -> None:
    """Warn where targets differ by too little for their size: a model that computes in `dtype` sees few of them.

    Parameters
    ----------
    values
        [n, ...], or a tree of such: the targets as they were given, if possible not rounded to `dtype` yet.
    """
    for leaf in jax.tree.leaves(values):
        columns = np.asarray(leaf, np.float64).reshape(len(leaf), -1)
        # exactly 0 where all are the same, which is no loss, unless they were rounded to it before
        spread = np.where(columns.min(axis=0) == columns.max(axis=0), 0, columns.std(axis=0))
        size = abs(columns).max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond the dtype is refused elsewhere
            gap = np.spacing(size.astype(dtype)).astype(np.float64)
        lost = (gap > LOST * spread) & ((spread > 0) | (gap >= 1))
        if lost.any():
            first = int(lost.argmax())
            warnings.warn(
                f"{where} holds numbers of about {size[first]:.3g} that differ by about {spread[first]:.2g}, and "
                f"{np.dtype(dtype)}, in which the model computes, tells numbers of that size apart by {gap[first]:.2g} "
                f"only: subtract an offset, such as {where}'s mean, and add it to what the model predicts.",
                FitwellWarning,
                stacklevel=2,
            )
            return


def check_targets(model: Any, values: Any, outputs: Any) -> None:
    """Check targets, and a few rows' outputs, against the losses that a model was compiled with.

    Parameters
    ----------
    values
        [n, ...], or a list or dict of such: the targets of all rows.
    outputs
        Of a few rows, as the model returns them.

    Raises
    ------
    InputError
        Classes that the outputs do not have, or that are no whole numbers; targets of a binary cross-entropy beyond 0
        and 1; another number of numbers than the output has; outputs that are no probabilities for a loss that takes
        them for such.
    """
    found = import_keras().tree.flatten_with_path(outputs)
    keys = [path[0] for path, _ in found] if isinstance(outputs, dict) else list(getattr(model, "output_names", []))
    targets = _by_output(values, keys, len(found))
    each = isinstance(model.loss, dict | list | tuple)
    losses = _by_output(model.loss, keys, len(found)) if each else [model.loss] * len(found)
    if len(losses) != len(found) or len(targets) != len(found):
        return  # what does not fit is for Keras to say
    for number, (_, output) in enumerate(found):
        where = "y" if len(found) == 1 else f"y of output '{keys[number] if keys else number}'"
        masked = mask_of(output) is not None  # what stands at padded places does not count
        if losses[number] is not None and targets[number] is not None and not masked:
            _check(losses[number], np.asarray(targets[number]), np.asarray(output), where)


def _by_output(tree: Any, keys: list[Any], count: int) -> list[Any]:
    if isinstance(tree, dict):
        return [tree.get(key) for key in keys]
    return list(tree) if count > 1 and isinstance(tree, list | tuple) else [tree]


def _check(loss: Any, values: np.ndarray, output: np.ndarray, where: str) -> None:
    name = loss_name(loss)
    if _is_own(loss):
        _check_kind_of_classes(name, values, output, where)
    # before it is asked whose loss it is: by the name, a class index is one in somebody's own loss too
    if "sparse" in name:
        _check_classes(loss, values, output.shape[-1], where)
    # what somebody's own loss takes is not known here
    if not _is_own(loss):
        return
    if name == "binary_crossentropy" and values.size and not 0 <= values.min() <= values.max() <= 1:
        raise InputError(
            f"{where} must lie between 0 and 1 for a binary cross-entropy. Got {values.min():g} to {values.max():g}."
        )
    given, made = math.prod(values.shape[1:]), math.prod(output.shape[1:])
    if name in BY_NUMBER and given != made:
        raise InputError(f"The model gives {made} numbers for each row, and {where} has {given}: they must be as many.")
    if name in OF_PROBABILITIES and not from_logits(loss) and _no_probabilities(output):
        end = "a sigmoid" if name.startswith("binary") else "a softmax"
        given = f"{output.min():.3g} to {output.max():.3g}"
        raise InputError(
            f"The loss {name} takes probabilities, and the model gives {given}: end it with {end}, or compile it with "
            "a loss from_logits."
        )


def _check_kind_of_classes(name: str, values: np.ndarray, output: np.ndarray, where: str) -> None:
    """Refuse one-hot rows where a loss takes class indices, and the other way round, by the loss that takes them."""
    classes = output.shape[-1]
    one_hot = classes > 1 and values.ndim == output.ndim and values.shape[-1] == classes
    if name == "sparse_categorical_crossentropy" and one_hot:
        raise InputError(
            f"{where} has one number for each of {classes} classes, and the loss {name} takes class indices: use "
            "categorical_crossentropy."
        )
    indices = values.ndim == output.ndim - 1 or (values.ndim == output.ndim and values.shape[-1] == 1)
    if name == "categorical_crossentropy" and classes > 1 and indices:
        raise InputError(
            f"{where} holds class indices, and the loss {name} takes one number for each of {classes} classes: use "
            "sparse_categorical_crossentropy."
        )


def _is_own(loss: Any) -> bool:
    """Whether a loss is Keras's, by name, as a function or as an object."""
    module = getattr(loss, "__module__", None)
    return isinstance(loss, str) or is_keras_own(loss) or str(module).startswith("keras.")


def _check_classes(loss: Any, values: np.ndarray, classes: int, where: str) -> None:
    """Refuse class indices beyond the model's outputs, whose loss Keras takes to be zero."""
    ignored = loss.get_config().get("ignore_class") if hasattr(loss, "get_config") else None
    # what is ignored may be any number, often -1
    wanted = values if ignored is None else values[values != ignored]
    if not wanted.size:
        return
    if not 0 <= wanted.min() <= wanted.max() < classes:
        found = f"{wanted.min():g} to {wanted.max():g}"
        raise InputError(
            f"The model gives {classes} numbers, so {where} must hold classes 0 to {classes - 1}. Got {found}."
        )
    broken = wanted[wanted != np.round(wanted)]
    if broken.size:
        raise InputError(f"{where} must hold classes, which are whole numbers. Got {broken.flat[0]:g}.")


def _no_probabilities(output: np.ndarray) -> bool:
    # NaN says nothing about what the outputs mean
    finite = output[np.isfinite(output)]
    return bool(finite.size and (finite.min() < -NEARLY or finite.max() > 1 + NEARLY))

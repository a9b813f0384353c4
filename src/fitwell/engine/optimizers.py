"""Optimizers: optax's directions, and the size of the step each weight takes, which the proximal L1 step needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fitwell.errors import InputError


@dataclass(frozen=True)
class Optimizer:
    """A descent direction at learning rate one.

    Attributes
    ----------
    name
        For people.
    transform
        optax's transformation of gradients into an ascent direction, without a learning rate. If it takes further
        arguments, it is given the schedule's `factor` at the step.
    step_size
        ``step_size(optimizer state, trainable)``: by how much a weight moves for a unit of gradient at learning rate
        one, a tree of arrays (or scalars) like `trainable`.
    """

    name: str
    transform: optax.GradientTransformation
    step_size: Callable[[Any, Any], Any]


@cache
def adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam (Kingma and Ba 2015); its step per weight is ``1 / (sqrt(v / (1 - b2**t)) + eps)``.

    The same numbers give the same object, so that Adam is known as such.
    """

    def step_size(state: Any, trainable: Any) -> Any:
        del trainable
        # the step size belongs to the state after the update, whose count is this step's
        correction = 1 - b2**state.count
        return jax.tree.map(lambda nu: 1 / (jnp.sqrt(nu / correction.astype(nu.dtype)) + eps), state.nu)

    return Optimizer("adam", optax.scale_by_adam(b1, b2, eps), step_size)


def sgd(momentum: float = 0.0) -> Optimizer:
    """Gradient descent, with heavy-ball momentum if it is not zero (a unit of gradient moves 1 / (1 - momentum))."""
    # without momentum the slot would be a copy of all weights for nothing
    transform = optax.trace(momentum) if momentum else optax.identity()

    def step_size(state: Any, trainable: Any) -> Any:
        del state
        return jax.tree.map(lambda leaf: jnp.asarray(1 / (1 - momentum), leaf.dtype), trainable)

    return Optimizer("sgd", transform, step_size)


def make_schedule(name: str | Callable[[Any], Any], total_steps: int) -> Callable[[Any], Any]:
    """Return the factor of the learning rate by step, of a schedule by its name.

    `"constant"` is 1; `"cosine"` falls to zero at the last step; `"cooldown"` is 1 for the first half of the steps, and
    falls linearly to zero in the second (Hägele et al., NeurIPS 2024). A function from the number of the step to the
    factor is returned as it is.
    """
    if callable(name):
        return name
    if name == "constant":
        # an array, as a schedule gives one: the program is the same for both
        return lambda step: jnp.ones_like(step, dtype=jnp.float32)
    if name == "cosine":
        return optax.cosine_decay_schedule(1.0, total_steps)
    if name == "cooldown":
        # of a whole number JAX makes float32 by itself, which a float64 training would see
        return lambda step: jnp.clip(2 * (1 - jnp.asarray(step, float) / total_steps), 0, 1)
    raise InputError(f"The schedule must be 'constant', 'cosine' or 'cooldown'. Got '{name}'.")

"""Keras's optimizers as directions at learning rate one, with Keras's own formulas.

Where optax's formula is Keras's, optax's is used. Keras's Adam, Nadam, Adamax and Adadelta are written out here: the
first and third put epsilon elsewhere than optax, the second changes its momentum by step, and of the last optax forgets
the step it took. With t counted from 1, g the clipped gradient and d the direction, a weight w moves by -rate * d.
Weight decay is no part of the direction: it is one of the strengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fitwell.engine.optimizers import Optimizer
from fitwell.errors import InputError
from fitwell.keras.backend import import_keras

# as long as BERT's warm-up, among the longest in use; a longer one only makes the reference smaller
WARM_UP_STEPS = 10_000
"""First steps of a schedule among which the largest rate is looked for, if it starts at zero."""

NADAM_DECAY = 0.96
"""By which Nadam's momentum approaches `beta_1`: fixed in Keras, as in Dozat's paper."""


@dataclass(frozen=True)
class Translated:
    """A compiled Keras optimizer in fitwell's terms.

    Attributes
    ----------
    optimizer
        Clipping and the method, at learning rate one. Weight decay is a strength, see `fitwell.regularization.table`.
    learning_rate
        At step 0. If a schedule starts at zero (a warm-up), the largest of its first `WARM_UP_STEPS` rates.
    schedule
        ``schedule(step)``, the rate at a step (int [], counted from 0, may be traced) over `learning_rate`; None if
        the rate is constant.
    """

    optimizer: Optimizer
    learning_rate: float
    schedule: Callable[[Any], jax.Array] | None


def translate(optimizer: Any) -> Translated:
    """Translate a compiled Keras optimizer.

    Parameters
    ----------
    optimizer
        A `keras.optimizers.Optimizer` of one of the classes in `TRANSLATORS`. Its state is left aside: training starts
        anew, and so is its weight decay.

    Raises
    ------
    InputError
        If the optimizer is of another class (or a subclass), or does what fitwell cannot.

    Notes
    -----
    Keras multiplies the gradient by the learning rate before it enters the velocity of SGD and RMSprop. So these
    transformations take the schedule's `factor` at the step as a further argument of `update`. `step_size` leaves
    clipping aside. A rate that is a function without arguments is called when the program is compiled.
    """
    keras = import_keras()
    _refuse_other_classes(keras, optimizer)
    _refuse_other_arguments(optimizer)
    method = TRANSLATORS[type(optimizer).__name__](optimizer)
    # Keras's order: the method sees clipped gradients
    transform = optax.chain(_clipping(optimizer), method.transform)
    learning_rate, schedule = _learning_rate(keras, optimizer)
    return Translated(
        Optimizer(method.name, transform, lambda state, trainable: method.step_size(state[1], trainable)),
        learning_rate,
        schedule,
    )


def _refuse_other_classes(keras: Any, optimizer: Any) -> None:
    name = type(optimizer).__name__
    # a subclass has the same name and arguments, and may take other steps
    if name in TRANSLATORS and type(optimizer) is getattr(keras.optimizers, name):
        return
    names = ", ".join(sorted(TRANSLATORS))
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise InputError(
            f"The model's optimizer must be one of Keras's {names}, but is {name}, in which Keras wraps it for half "
            "precision: compile the model under the dtype policy 'float32'."
        )
    raise InputError(
        f"The model's optimizer must be one of Keras's {names} (and no subclass), but is {name}: compile the model "
        "with one of these."
    )


def _refuse_other_arguments(optimizer: Any) -> None:
    # each changes the steps in a way that the directions here do not know
    for argument, unset in (("use_ema", False), ("gradient_accumulation_steps", None), ("loss_scale_factor", None)):
        value = getattr(optimizer, argument)
        if value:
            raise InputError(
                f"The optimizer's '{argument}' must be {unset}, but is {value}: compile the model without it, with any "
                f"of Keras's {', '.join(sorted(TRANSLATORS))}."
            )


def _learning_rate(keras: Any, optimizer: Any) -> tuple[float, Callable[[Any], jax.Array] | None]:
    if isinstance(optimizer.learning_rate, keras.Variable):
        return _shortest(optimizer.learning_rate), None

    def rate(step: Any) -> jax.Array:
        # the optimizer's own public reading, as if it had taken that many steps: no need to know the schedule
        with keras.StatelessScope(state_mapping=[(optimizer.iterations, step)]):
            return jnp.asarray(optimizer.learning_rate)

    reference = rate(jnp.int32(0))
    # a warm-up begins at zero, by which no rate could be divided
    if reference <= 0:
        reference = jax.vmap(rate)(jnp.arange(WARM_UP_STEPS, dtype=jnp.int32)).max()
    if not reference > 0:
        raise InputError(
            f"The optimizer's learning rate must be positive at some of its first {WARM_UP_STEPS:,} steps, but is at "
            f"most {reference}: change its schedule."
        )
    learning_rate = _shortest(reference)
    # a search may change the rate: the schedule keeps its shape and is scaled along
    return learning_rate, lambda step: rate(step) / learning_rate


def _shortest(number: Any) -> float:
    """Return the shortest decimal of the same value: 0.001, where float32 holds 0.0010000000474974513."""
    return float(str(np.asarray(number)[()]))


def _clipping(optimizer: Any) -> optax.GradientTransformation:
    """Clip each variable's norm, the norm of all, or each entry: Keras allows one of them, and takes 0 for none."""
    if optimizer.clipnorm and optimizer.clipnorm > 0:
        return _clip_by_norm(optimizer.clipnorm)
    if optimizer.global_clipnorm and optimizer.global_clipnorm > 0:
        return optax.clip_by_global_norm(optimizer.global_clipnorm)
    if optimizer.clipvalue and optimizer.clipvalue > 0:
        return optax.clip(optimizer.clipvalue)
    return optax.identity()


def _clip_by_norm(most: float) -> optax.GradientTransformation:
    """Scale each leaf whose norm is above `most` down to it (optax has this for blocks' root mean squares only)."""

    def clip(gradient: jax.Array) -> jax.Array:
        # the larger of the two below the line: a gradient of zero has norm zero
        return gradient * (most / jnp.maximum(jnp.sqrt(jnp.square(gradient).sum()), most))

    return optax.stateless(lambda gradients, trainable: jax.tree.map(clip, gradients))


def _sgd(optimizer: Any) -> Optimizer:
    """Gradient descent with heavy-ball (Polyak 1964) or Nesterov's momentum (Sutskever et al. 2013).

    ``u = momentum * u + f * g``, f the schedule's factor; ``d = u / f``, or ``(momentum * u + f * g) / f`` for
    Nesterov. A unit of gradient moves 1 / (1 - momentum) in the end.
    """
    momentum = optimizer.momentum
    transform = _velocity(momentum, optimizer.nesterov) if momentum else optax.identity()

    def step_size(state: Any, trainable: Any) -> Any:
        del state
        # the proximal step must be as long as what a gradient moves in the end, or L1 would be too weak
        return jax.tree.map(lambda leaf: jnp.asarray(1 / (1 - momentum), leaf.dtype), trainable)

    return Optimizer("SGD", transform, step_size)


def _velocity(momentum: float, nesterov: bool = False) -> optax.GradientTransformationExtraArgs:
    """Collect gradients at the rates of their own steps, as Keras does, and give the direction at today's.

    Where the factor is zero Keras coasts on the velocity that it has; here it stands still.
    """

    def update(updates: Any, state: Any, params: Any = None, *, factor: Any = 1.0, **_: Any) -> tuple[Any, Any]:
        del params
        scaled = jax.tree.map(lambda g: g * jnp.asarray(factor, g.dtype), updates)
        velocity = jax.tree.map(lambda u, g: momentum * u + g, state, scaled)
        moved = jax.tree.map(lambda u, g: momentum * u + g, velocity, scaled) if nesterov else velocity
        # divided, since the program multiplies by the rate; at a rate of zero this would be 0 / 0
        return jax.tree.map(lambda d: jnp.where(factor == 0, 0, d / jnp.asarray(factor, d.dtype)), moved), velocity

    return optax.GradientTransformationExtraArgs(lambda params: _zeros(params), update)


class AdamState(NamedTuple):
    """Slots of Adam.

    Attributes
    ----------
    steps
        int32 [], how many were taken.
    mean, square
        Trees like the trainable one: moving averages of the gradient and of its square.
    largest
        The largest `square` so far (AMSGrad); None without.
    """

    steps: jax.Array
    mean: Any
    square: Any
    largest: Any


def _adam(optimizer: Any) -> Optimizer:
    """Adam (Kingma and Ba 2015, with epsilon as before their section 2.1) and AMSGrad (Reddi et al. 2018).

    ``m += (1 - b1) * (g - m)``; ``v += (1 - b2) * (g**2 - v)``; ``d = m / (1 - b1**t) * s`` with the step size
    ``s = sqrt(1 - b2**t) / (sqrt(v) + eps)``. Epsilon is added to the root before its bias is corrected (in optax:
    after), and AMSGrad's largest v is of uncorrected ones.
    """
    b1, b2 = optimizer.beta_1, optimizer.beta_2

    def init(params: Any) -> AdamState:
        return AdamState(jnp.int32(0), _zeros(params), _zeros(params), _zeros(params) if optimizer.amsgrad else None)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdamState]:
        del params
        steps = state.steps + 1
        mean = _average(state.mean, updates, b1)
        square = _average(state.square, _squared(updates), b2)
        largest = jax.tree.map(jnp.maximum, state.largest, square) if optimizer.amsgrad else None
        after = AdamState(steps, mean, square, largest)
        direction = jax.tree.map(lambda m, s: m / (1 - _power(b1, steps, m)) * s, mean, step_size(after, None))
        return direction, after

    def step_size(state: AdamState, trainable: Any) -> Any:
        del trainable

        def of(v: jax.Array) -> jax.Array:
            return jnp.sqrt(1 - _power(b2, state.steps, v)) / (jnp.sqrt(v) + optimizer.epsilon)

        return jax.tree.map(of, state.largest if optimizer.amsgrad else state.square)

    return Optimizer(type(optimizer).__name__, optax.GradientTransformation(init, update), step_size)


class NadamState(NamedTuple):
    """Slots of Nadam: those of Adam, and the product of the momenta of all steps so far."""

    steps: jax.Array
    mean: Any
    square: Any
    product: jax.Array


def _nadam(optimizer: Any) -> Optimizer:
    """Adam with Nesterov's momentum (Dozat 2016).

    With the momentum of a step ``u(t) = b1 * (1 - 0.96**t / 2)`` and ``U(t)`` the product of those up to t, ``d = (u(t
    + 1) * m / (1 - U(t + 1)) + (1 - u(t)) * g / (1 - U(t))) * s``, ``s = 1 / (sqrt(v / (1 - b2**t)) + eps)``.
    """
    b1, b2 = optimizer.beta_1, optimizer.beta_2

    def momentum(step: jax.Array, like: jax.Array) -> jax.Array:
        return b1 * (1 - 0.5 * _power(NADAM_DECAY, step, like))

    def init(params: Any) -> NadamState:
        one = jnp.ones((), jax.tree.leaves(params)[0].dtype)  # of the first leaf's dtype, as in Keras
        return NadamState(jnp.int32(0), _zeros(params), _zeros(params), one)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, NadamState]:
        del params
        steps = state.steps + 1
        mean = _average(state.mean, updates, b1)
        square = _average(state.square, _squared(updates), b2)
        after = NadamState(steps, mean, square, state.product * momentum(steps, state.product))

        def direction(g: jax.Array, m: jax.Array, s: jax.Array) -> jax.Array:
            now, following, product = momentum(steps, g), momentum(steps + 1, g), after.product.astype(g.dtype)
            # `product` holds the momenta up to this step: the next step's is one factor more
            return (following * m / (1 - product * following) + (1 - now) * g / (1 - product)) * s

        return jax.tree.map(direction, updates, mean, step_size(after, None)), after

    def step_size(state: NadamState, trainable: Any) -> Any:
        del trainable

        def of(v: jax.Array) -> jax.Array:
            return 1 / (jnp.sqrt(v / (1 - _power(b2, state.steps, v))) + optimizer.epsilon)

        return jax.tree.map(of, state.square)

    return Optimizer("Nadam", optax.GradientTransformation(init, update), step_size)


class AdamaxState(NamedTuple):
    """Slots of Adamax: steps taken (int32 []), the moving average of the gradient, its decaying largest size."""

    steps: jax.Array
    mean: Any
    norm: Any


def _adamax(optimizer: Any) -> Optimizer:
    """Adam by the largest gradient (Kingma and Ba 2015, section 7.1).

    ``u = max(b2 * u, abs(g))``; ``d = m / (1 - b1**t) * s``, ``s = 1 / (u + eps)``. (optax adds epsilon to abs(g).)
    """
    b1, b2 = optimizer.beta_1, optimizer.beta_2

    def init(params: Any) -> AdamaxState:
        return AdamaxState(jnp.int32(0), _zeros(params), _zeros(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdamaxState]:
        del params
        steps = state.steps + 1
        mean = _average(state.mean, updates, b1)
        norm = jax.tree.map(lambda u, g: jnp.maximum(b2 * u, jnp.abs(g)), state.norm, updates)
        after = AdamaxState(steps, mean, norm)
        direction = jax.tree.map(lambda m, s: m / (1 - _power(b1, steps, m)) * s, mean, step_size(after, None))
        return direction, after

    def step_size(state: AdamaxState, trainable: Any) -> Any:
        del trainable
        return jax.tree.map(lambda u: 1 / (u + optimizer.epsilon), state.norm)

    return Optimizer("Adamax", optax.GradientTransformation(init, update), step_size)


def _rmsprop(optimizer: Any) -> Optimizer:
    """RMSprop (Hinton 2012, lecture 6e), by the variance if `centered` (Graves 2013), with heavy-ball momentum.

    ``v = rho * v + (1 - rho) * g**2``, ``a`` alike of g; ``d = g * s``, ``s = 1 / sqrt(v - a**2 + eps)`` (without a,
    unless centered). Momentum as in SGD.
    """
    rho, eps, momentum = optimizer.rho, optimizer.epsilon, optimizer.momentum
    scale = optax.scale_by_stddev if optimizer.centered else optax.scale_by_rms
    velocity = _velocity(momentum) if momentum > 0 else optax.identity()

    def step_size(state: Any, trainable: Any) -> Any:
        del trainable
        slots = state[0]
        variance = slots.nu
        if optimizer.centered:
            # as in the step itself: proximal step and step must be of one size
            variance = jax.tree.map(lambda v, a: v - a**2, slots.nu, slots.mu)
        return jax.tree.map(lambda v: 1 / (jnp.sqrt(v + eps) * (1 - momentum)), variance)

    return Optimizer("RMSprop", optax.chain(scale(rho, eps), velocity), step_size)


def _adagrad(optimizer: Any) -> Optimizer:
    """Adagrad (Duchi et al. 2011): ``v += g**2``; ``d = g * s``, ``s = 1 / sqrt(v + eps)``."""

    def step_size(state: Any, trainable: Any) -> Any:
        del trainable
        return jax.tree.map(lambda v: 1 / jnp.sqrt(v + optimizer.epsilon), state.sum_of_squares)

    transform = optax.scale_by_rss(optimizer.initial_accumulator_value, optimizer.epsilon)
    return Optimizer("Adagrad", transform, step_size)


class AdadeltaState(NamedTuple):
    """Slots of Adadelta: moving averages of the gradient's and of the direction's square, and the last step's size."""

    gradient: Any
    direction: Any
    size: Any


def _adadelta(optimizer: Any) -> Optimizer:
    """Adadelta (Zeiler 2012).

    ``v = rho * v + (1 - rho) * g**2``; ``d = g * s``, ``s = sqrt(x + eps) / sqrt(v + eps)``; then ``x = rho * x +
    (1 - rho) * d**2``. So x as it was is lost with the step, and s is kept.
    """
    rho, eps = optimizer.rho, optimizer.epsilon

    def init(params: Any) -> AdadeltaState:
        return AdadeltaState(_zeros(params), _zeros(params), jax.tree.map(jnp.ones_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdadeltaState]:
        del params
        square = _average(state.gradient, _squared(updates), rho)
        size = jax.tree.map(lambda x, v: jnp.sqrt(x + eps) / jnp.sqrt(v + eps), state.direction, square)
        direction = jax.tree.map(jnp.multiply, size, updates)
        return direction, AdadeltaState(square, _average(state.direction, _squared(direction), rho), size)

    return Optimizer("Adadelta", optax.GradientTransformation(init, update), lambda state, trainable: state.size)


def _lion(optimizer: Any) -> Optimizer:
    """Lion (Chen et al. 2023): ``d = sign(b1 * m + (1 - b1) * g)``; ``m = b2 * m + (1 - b2) * g``. A step is of 1."""

    def step_size(state: Any, trainable: Any) -> Any:
        del state
        return jax.tree.map(lambda leaf: jnp.ones((), leaf.dtype), trainable)

    return Optimizer("Lion", optax.scale_by_lion(optimizer.beta_1, optimizer.beta_2), step_size)


TRANSLATORS: dict[str, Callable[[Any], Optimizer]] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adam,
    "Nadam": _nadam,
    "Adamax": _adamax,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
    "Lion": _lion,
}
"""Keras's class to the translation of its method, without clipping and weight decay."""


def _zeros(trainable: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, trainable)


def _squared(tree: Any) -> Any:
    return jax.tree.map(jnp.square, tree)


def _average(old: Any, new: Any, keep: float) -> Any:
    """Return the moving average ``keep * old + (1 - keep) * new``, rounded as Keras does it."""
    return jax.tree.map(lambda before, now: before + (now - before) * (1 - keep), old, new)


def _power(base: float, step: jax.Array, like: jax.Array) -> jax.Array:
    """Return ``base**step`` [] in the dtype of `like`."""
    return jnp.asarray(base, like.dtype) ** step.astype(like.dtype)

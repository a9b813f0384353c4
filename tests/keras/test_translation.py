from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fitwell.errors import InputError
from fitwell.keras.backend import import_keras
from fitwell.keras.internals import decays
from fitwell.keras.translation import TRANSLATORS, Translated, translate
from fitwell.regularization.table import decay

keras = import_keras()

STEPS = 7
SHAPES = {"kernel": (3, 4), "bias": (4,), "scale": ()}
NAMES = "Adadelta, Adagrad, Adam, AdamW, Adamax, Lion, Nadam, RMSprop, SGD"

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.8}),
    "nesterov": ("SGD", {"learning_rate": 0.1, "momentum": 0.8, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    "amsgrad": ("Adam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.7, "epsilon": 1e-3, "amsgrad": True}),
    "adamw": ("AdamW", {"learning_rate": 0.02, "beta_1": 0.85, "weight_decay": 0.1}),
    "nadam": ("Nadam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    "adamax": ("Adamax", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.6, "epsilon": 1e-2}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.02, "rho": 0.8, "epsilon": 1e-3}),
    "rmsprop_momentum": ("RMSprop", {"learning_rate": 0.02, "rho": 0.8, "momentum": 0.7, "epsilon": 1e-3}),
    "rmsprop_centered": (
        "RMSprop",
        {"learning_rate": 0.02, "rho": 0.8, "momentum": 0.7, "epsilon": 1e-3, "centered": True},
    ),
    "adagrad": ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.3, "epsilon": 1e-3}),
    "adadelta": ("Adadelta", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-3}),
    "lion": ("Lion", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95}),
}

EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weight_decay": {"weight_decay": 0.2},
    "clipnorm": {"clipnorm": 1.5},
    "clipvalue": {"clipvalue": 0.4},
    "global_clipnorm": {"global_clipnorm": 2.0},
    "decay_and_clip": {"weight_decay": 0.2, "clipnorm": 1.5},
}

# hyperparameters under which the direction is the gradient times something that does not change sign with it
WITHOUT_MOMENTUM = {
    "sgd": {},
    "adam": {"beta_1": 0.0},
    "amsgrad": {"beta_1": 0.0},
    "nadam": {"beta_1": 0.0},
    "adamax": {"beta_1": 0.0},
    "rmsprop": {},
    "adagrad": {},
    "adadelta": {},
}

SCHEDULES = {
    "exponential": lambda: keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=3, decay_rate=0.5),
    "warm_up": lambda: keras.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=0.05, warmup_steps=3),
    "piecewise": lambda: keras.optimizers.schedules.PiecewiseConstantDecay([2, 4], [0.05, 0.02, 0.005]),
}


@pytest.fixture
def keras_float64(float64: None) -> Iterator[None]:
    """Let JAX and Keras compute in float64 in this test."""
    del float64  # what counts is that it is on
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def make(case: str, **changes: Any) -> Any:
    name, arguments = CASES[case]
    return getattr(keras.optimizers, name)(**{**arguments, **changes})


def make_variables(seed: int, dtype: str = "float64") -> list[Any]:
    rng = np.random.default_rng(seed)
    return [keras.Variable(rng.normal(size=s).astype(dtype), dtype=dtype, name=name) for name, s in SHAPES.items()]


def make_gradients(seed: int, steps: int = STEPS, dtype: str = "float64") -> list[list[np.ndarray]]:
    """Of changing size, so that a clip is at work in some steps and not in others."""
    rng = np.random.default_rng(100 + seed)
    return [
        [np.asarray(2.0 ** (i % 4 - 2) * rng.normal(size=shape), dtype) for shape in SHAPES.values()]
        for i in range(steps)
    ]


def train_keras(optimizer: Any, variables: list[Any], gradients: Any) -> list[Any]:
    """Return the weights after each step."""
    optimizer.build(variables)
    trainable, slots = [v.value for v in variables], [v.value for v in optimizer.variables]
    weights = []
    for gradient in gradients:
        trainable, slots = optimizer.stateless_apply(slots, gradient, trainable)
        weights.append(trainable)
    return weights


def train_ours(optimizer: Any, variables: list[Any], gradients: Any, transform: Any = None) -> list[Any]:
    """Return the weights after each step, taken as `fitwell.engine.program` takes it, with the optimizer's decay."""
    strengths = [(optimizer.weight_decay or 0.0) * decays(optimizer, variable) for variable in variables]
    return take_steps(translate(optimizer), as_values(variables), gradients, transform, strengths)


def take_steps(
    translated: Translated, trainable: Any, gradients: Any, transform: Any = None, strengths: Any = None
) -> list[Any]:
    """Return the weights after each step; `strengths` are of weight decay, a list like `trainable`."""
    transform = optax.with_extra_args_support(transform or translated.optimizer.transform)

    @jax.jit
    def step(trainable: Any, state: Any, gradient: Any, number: jax.Array) -> tuple[Any, Any]:
        factor = translated.schedule(number) if translated.schedule else 1.0
        direction, state = transform.update(gradient, state, trainable, factor=factor)
        rate = translated.learning_rate * factor
        if strengths is not None:
            trainable = [decay(strength, weight, rate) for strength, weight in zip(strengths, trainable, strict=True)]
        return jax.tree.map(lambda weight, way: weight - rate * way, trainable, direction), state

    state = transform.init(trainable)
    weights = []
    for number, gradient in enumerate(gradients):
        trainable, state = step(trainable, state, gradient, jnp.int32(number))
        weights.append(trainable)
    return weights


def as_values(variables: list[Any]) -> list[jax.Array]:
    return [jnp.asarray(v.value) for v in variables]


def assert_equal(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)


def warmed(translated: Translated, trainable: Any, gradients: Any) -> Any:
    """Return the optimizer's state after the gradients."""
    state = translated.optimizer.transform.init(trainable)
    for gradient in gradients:
        _, state = translated.optimizer.transform.update(gradient, state, trainable)
    return state


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize(
    ("case", "extra"),
    [(case, extra) for case in CASES for extra in ("plain", "decay_and_clip")]
    + [(case, extra) for case in ("momentum", "adam") for extra in EXTRAS if extra not in ("plain", "decay_and_clip")],
)
def test_it_takes_keras_steps(case: str, extra: str, seed: int) -> None:
    """Every method, plain and with a clip and weight decay, gives Keras's weights at each step; two with each extra."""
    variables, gradients = make_variables(seed), make_gradients(seed)
    optimizer = make(case, **EXTRAS[extra])
    found = train_ours(optimizer, variables, gradients)
    assert_equal(found, train_keras(optimizer, variables, gradients))


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("extra", [name for name in EXTRAS if name != "plain"])
def test_the_extras_are_at_work(extra: str, seed: int) -> None:
    """The gradients are such that leaving out any clip or the decay gives other weights."""
    variables, gradients = make_variables(seed), make_gradients(seed)
    plain, with_extra = (
        train_ours(make("momentum", **EXTRAS[name]), variables, gradients) for name in ("plain", extra)
    )
    assert max(float(abs(a - b).max()) for a, b in zip(plain[-1], with_extra[-1], strict=True)) > 1e-3


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("by", ["var_names", "var_list"])
@pytest.mark.parametrize("case", ["momentum", "adamw"])
def test_excluded_variables_do_not_decay(case: str, by: str, seed: int) -> None:
    """What `exclude_from_weight_decay` names is left out as in Keras, and only that; the optimizer stays unbuilt."""
    variables, gradients = make_variables(seed), make_gradients(seed)
    optimizer = make(case, weight_decay=0.2)
    optimizer.exclude_from_weight_decay(**{by: ["bias"] if by == "var_names" else [variables[1]]})
    found = train_ours(optimizer, variables, gradients)
    assert not optimizer.built
    everywhere = train_ours(make(case, weight_decay=0.2), variables, gradients)
    assert_equal(found, train_keras(optimizer, variables, gradients))
    assert_equal([found[-1][i] for i in (0, 2)], [everywhere[-1][i] for i in (0, 2)])
    assert float(abs(found[-1][1] - everywhere[-1][1]).max()) > 1e-3


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("case", ["sgd", "momentum", "nesterov", "rmsprop_centered", "adamw"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_are_keras_own(schedule: str, case: str, seed: int) -> None:
    """The learning rate times the factor of the step is Keras's rate, in a compiled program."""
    variables, gradients = make_variables(seed), make_gradients(seed)
    optimizer = make(case, learning_rate=SCHEDULES[schedule]())
    found = train_ours(optimizer, variables, gradients)
    assert_equal(found, train_keras(optimizer, variables, gradients))


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_reference_rate_is_that_of_step_0_or_the_largest(schedule: str) -> None:
    """All three schedules start at 0.05 or warm up to it; factors can be had for many steps at once."""
    rate = SCHEDULES[schedule]()
    translated = translate(make("adam", learning_rate=rate))
    assert translated.schedule is not None
    assert translated.learning_rate == pytest.approx(0.05, rel=1e-14)
    factors = jax.jit(jax.vmap(translated.schedule))(jnp.arange(12))
    np.testing.assert_allclose(translated.learning_rate * factors, [rate(i) for i in range(12)], rtol=1e-14, atol=1e-17)


@pytest.mark.usefixtures("keras_float64")
def test_a_schedule_of_ones_own_is_followed() -> None:
    """A user's class works without a configuration, and from an optimizer that has taken steps."""

    class Own(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 0.3 / (step + 1)

    optimizer = make("adam", learning_rate=Own())
    optimizer.iterations.assign(5)
    translated = translate(optimizer)
    assert translated.learning_rate == pytest.approx(0.3)
    assert translated.schedule is not None
    assert float(translated.schedule(2)) == pytest.approx(1 / 3)


def test_a_constant_rate_comes_as_it_was_written() -> None:
    """A rate of 0.001, which Keras holds in float32, is 0.001 and has no schedule."""
    translated = translate(keras.optimizers.Adam(0.001))
    assert translated.learning_rate == 0.001
    assert translated.schedule is None


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("case", CASES)
def test_networks_are_trained_side_by_side(case: str) -> None:
    """Two networks under `vmap` get what each gets alone, global clip included, and so do step sizes."""
    translated = translate(make(case, global_clipnorm=2.0))
    transform, step_size = translated.optimizer.transform, translated.optimizer.step_size

    def train(trainable: Any, gradients: Any) -> Any:
        state = transform.init(trainable)
        for gradient in gradients:
            direction, state = transform.update(gradient, state, trainable)
            trainable = jax.tree.map(lambda weight, way: weight - 0.1 * way, trainable, direction)
        sizes = step_size(state, trainable)
        return trainable, jax.tree.map(lambda size, leaf: jnp.broadcast_to(size, leaf.shape), sizes, trainable)

    each = [(as_values(make_variables(s)), make_gradients(s, 3)) for s in (0, 1)]
    together = jax.jit(jax.vmap(train))(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))
    alone = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(train(*item) for item in each))
    assert_equal(together, alone)


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("case", ["momentum", "amsgrad", "nadam", "rmsprop_centered"])
def test_trees_of_any_form_are_trained(case: str) -> None:
    """A tree of dictionaries is trained as the list of its leaves is."""
    variables, gradients = make_variables(0), make_gradients(0)
    translated = translate(make(case, clipnorm=1.5))
    structure = jax.tree.structure({"a": {"w": 0, "x": 0}, "b": (0,)})
    values = as_values(variables)
    found = take_steps(
        translated, jax.tree.unflatten(structure, values), [jax.tree.unflatten(structure, g) for g in gradients]
    )
    assert jax.tree.structure(found[-1]) == structure
    assert_equal(found[-1], take_steps(translated, values, gradients)[-1])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("case", "extra"), [*((case, "decay_and_clip") for case in CASES), ("sgd", "global_clipnorm")])
def test_the_state_is_arrays_of_the_weights_dtype(case: str, extra: str) -> None:
    """float32 weights have float32 directions and slots and int32 counts, and a step keeps shapes and dtypes."""
    trainable = as_values(make_variables(0, "float32"))
    optimizer = translate(make(case, **EXTRAS[extra])).optimizer
    state = optimizer.transform.init(trainable)
    direction, after = optimizer.transform.update(make_gradients(0, 1, "float32")[0], state, trainable)
    sizes = optimizer.step_size(after, trainable)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((direction, sizes)))
    for tree in (state, after):
        leaves = jax.tree.leaves(tree)
        assert all(isinstance(leaf, jax.Array) for leaf in leaves)
        assert all(leaf.dtype == (jnp.int32 if leaf.dtype.kind == "i" else jnp.float32) for leaf in leaves)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, after)


@pytest.mark.usefixtures("keras_float64")
def test_training_starts_anew() -> None:
    """An optimizer that has taken steps in Keras is translated as a fresh one is."""
    variables, gradients = make_variables(0), make_gradients(0)
    used = make("adagrad")
    used.apply(gradients[0], make_variables(1))
    found, expected = (train_ours(optimizer, variables, gradients) for optimizer in (used, make("adagrad")))
    assert_equal(found, expected)


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("case", WITHOUT_MOMENTUM)
def test_the_step_size_is_the_directions_derivative(case: str, seed: int) -> None:
    """Without momentum it is the numerical derivative of the direction by the gradient, at zero, after some steps.

    There, the gradient's own part in the slots is of second order.
    """
    variables, near = make_variables(seed), 1e-6
    translated = translate(make(case, **WITHOUT_MOMENTUM[case]))
    trainable, update = as_values(variables), translated.optimizer.transform.update
    state = warmed(translated, trainable, make_gradients(seed))
    up, after = update([jnp.full(shape, near) for shape in SHAPES.values()], state, trainable)
    down, _ = update([jnp.full(shape, -near) for shape in SHAPES.values()], state, trainable)
    derivative: list[Any] = jax.tree.leaves(jax.tree.map(lambda a, b: (a - b) / (2 * near), up, down))
    sizes = translated.optimizer.step_size(after, trainable)
    assert_equal([jnp.broadcast_to(s, d.shape) for s, d in zip(sizes, derivative, strict=True)], derivative, rtol=1e-9)


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize("case", [case for case in CASES if case not in ("nadam", "rmsprop_centered")])
def test_a_steady_gradient_moves_by_the_step_size(case: str) -> None:
    """With momentum too: under a gradient of one the direction comes to the step size.

    (Nadam's correction is not exact until its momentum is steady; a steady gradient has no variance.)
    """
    variables = make_variables(0)
    translated = translate(make(case))
    trainable = as_values(variables)
    ones = [jnp.ones(shape) for shape in SHAPES.values()]
    state = warmed(translated, trainable, [ones] * 100)
    direction, state = jax.jit(translated.optimizer.transform.update)(ones, state, trainable)
    sizes = translated.optimizer.step_size(state, trainable)
    assert_equal([jnp.broadcast_to(s, d.shape) for s, d in zip(sizes, direction, strict=True)], direction, rtol=1e-8)


@pytest.mark.usefixtures("keras_float64")
@pytest.mark.parametrize(
    ("case", "other"),
    [
        ("adam", lambda: optax.scale_by_adam(0.8, 0.95, 1e-3)),
        ("amsgrad", lambda: optax.scale_by_amsgrad(0.8, 0.7, 1e-3)),
        ("adamax", lambda: optax.scale_by_adamax(0.8, 0.6, 1e-2)),
        ("nadam", lambda: optax.scale_by_adam(0.8, 0.95, 1e-3, nesterov=True)),
        ("rmsprop", lambda: optax.scale_by_rms(0.8, 1e-3, eps_in_sqrt=False)),
    ],
)
def test_optax_other_formulas_would_be_seen(case: str, other: Any) -> None:
    """The comparison can tell: optax's epsilon, put elsewhere than Keras's, fails it."""
    variables, gradients = make_variables(0), make_gradients(0)
    optimizer = make(case)
    found = train_ours(optimizer, variables, gradients, other())
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_equal(found, train_keras(optimizer, variables, gradients), rtol=1e-8)


class Adam(keras.optimizers.Adam):
    """A subclass of the same name, whose step may be another."""


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            lambda: keras.optimizers.Ftrl(),
            f"The model's optimizer must be one of Keras's {NAMES} (and no subclass), but is Ftrl: compile the model "
            "with one of these.",
        ),
        (
            lambda: Adam(),
            f"The model's optimizer must be one of Keras's {NAMES} (and no subclass), but is Adam: compile the model "
            "with one of these.",
        ),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
            f"The model's optimizer must be one of Keras's {NAMES}, but is LossScaleOptimizer, in which Keras wraps it "
            "for half precision: compile the model under the dtype policy 'float32'.",
        ),
        (
            lambda: keras.optimizers.Adam(use_ema=True),
            "The optimizer's 'use_ema' must be False, but is True: compile the model without it, with any of "
            f"Keras's {NAMES}.",
        ),
        (
            lambda: keras.optimizers.SGD(gradient_accumulation_steps=4),
            "The optimizer's 'gradient_accumulation_steps' must be None, but is 4: compile the model without it, with "
            f"any of Keras's {NAMES}.",
        ),
        (
            lambda: keras.optimizers.SGD(loss_scale_factor=128.0),
            "The optimizer's 'loss_scale_factor' must be None, but is 128.0: compile the model without it, with any of "
            f"Keras's {NAMES}.",
        ),
        (
            lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.0, 3, 0.5)),
            "The optimizer's learning rate must be positive at some of its first 10,000 steps, but is at most 0.0: "
            "change its schedule.",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused(optimizer: Any, message: str) -> None:
    """Each refusal is one sentence: what must be, what came, what to do, and what can be translated."""
    with pytest.raises(InputError) as refused:
        translate(optimizer())
    assert str(refused.value) == message


def test_all_methods_are_compared() -> None:
    """Every class that is translated is in the table of cases."""
    assert {name for name, _ in CASES.values()} == set(TRANSLATORS)

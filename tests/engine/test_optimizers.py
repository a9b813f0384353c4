"""Optimizers: optax's own updates, and the step per weight that the soft threshold needs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fitwell.engine.optimizers import adam, make_schedule, sgd
from fitwell.errors import InputError


def gradients(seed: int, steps: int) -> list[dict[str, jax.Array]]:
    """A gradient for each step, a tree of two leaves of very different sizes."""
    rng = np.random.default_rng(seed)
    sizes = {"kernel": (3, 2), "bias": (3, 1)}
    return [
        {name: jnp.asarray(rng.normal(size=shape) * (1e-3 if name == "bias" else 1)) for name, shape in sizes.items()}
        for _ in range(steps)
    ]


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        (adam(), optax.adam(0.01)),
        (adam(0.8, 0.95, 1e-5), optax.adam(0.01, 0.8, 0.95, 1e-5)),
        (sgd(), optax.sgd(0.01)),
        (sgd(0.9), optax.sgd(0.01, 0.9)),
    ],
    ids=["adam", "adam of other numbers", "sgd", "sgd with momentum"],
)
@pytest.mark.usefixtures("float64")
def test_directions_are_optax_updates(own: object, theirs: optax.GradientTransformation, seed: int) -> None:
    """Minus the learning rate times the direction is what optax's optimizer of that learning rate does."""
    weights = jax.tree.map(jnp.ones_like, gradients(seed, 1)[0])
    state, their_state = own.transform.init(weights), theirs.init(weights)
    for gradient in gradients(seed, 7):
        direction, state = own.transform.update(gradient, state, weights)
        update, their_state = theirs.update(gradient, their_state, weights)
        for way, moved in zip(jax.tree.leaves(direction), jax.tree.leaves(update), strict=True):
            np.testing.assert_allclose(-0.01 * way, moved, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_adam_step_is_direction_per_mean_gradient(seed: int) -> None:
    """Adam's direction is its step per weight times the mean gradient, bias corrected, at every step."""
    optimizer = adam()
    weights = jax.tree.map(jnp.ones_like, gradients(seed, 1)[0])
    state = optimizer.transform.init(weights)
    for count, gradient in enumerate(gradients(seed, 6), start=1):
        direction, state = optimizer.transform.update(gradient, state, weights)
        sizes = optimizer.step_size(state, weights)
        for name, size in sizes.items():
            assert size.dtype == np.float64
            mean = state.mu[name] / (1 - 0.9**count)
            np.testing.assert_allclose(size * mean, direction[name], rtol=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.usefixtures("float64")
def test_sgd_step_is_its_limit(momentum: float) -> None:
    """Under a steady gradient of one the direction becomes the step per weight, 1 / (1 - momentum)."""
    optimizer, weights = sgd(momentum), {"kernel": jnp.ones((2, 2))}
    state = optimizer.transform.init(weights)
    for _ in range(300):
        direction, state = optimizer.transform.update(weights, state, weights)
    np.testing.assert_allclose(direction["kernel"], optimizer.step_size(state, weights)["kernel"], rtol=1e-9)
    assert float(direction["kernel"][0, 0]) == pytest.approx(1 / (1 - momentum))


def test_steps_keep_the_type_of_the_weights() -> None:
    """In float32 the steps are float32, so that the soft threshold does not widen the weights."""
    weights = {"kernel": jnp.ones((2, 2), jnp.float32)}
    for optimizer in (adam(), sgd(0.9)):
        state = optimizer.transform.init(weights)
        _, state = optimizer.transform.update(weights, state, weights)
        assert optimizer.step_size(state, weights)["kernel"].dtype == np.float32


def test_schedules() -> None:
    """The constant factor is one at every step; the cosine's falls over a half to zero, a cooldown's in the end."""
    constant, cosine = make_schedule("constant", 10), make_schedule("cosine", 10)
    assert [float(constant(jnp.int32(step))) for step in (0, 5, 99)] == [1, 1, 1]
    found = [float(cosine(jnp.int32(step))) for step in (0, 5, 10, 12)]
    np.testing.assert_allclose(found, [1, 0.5, 0, 0], atol=1e-6)
    cooldown = make_schedule("cooldown", 10)
    found = [float(cooldown(jnp.int32(step))) for step in (0, 5, 6, 9, 10, 12)]
    np.testing.assert_allclose(found, [1, 1, 0.8, 0.2, 0, 0], atol=1e-6)
    with pytest.raises(InputError, match=r"must be 'constant', 'cosine' or 'cooldown'\. Got 'linear'\."):
        make_schedule("linear", 10)

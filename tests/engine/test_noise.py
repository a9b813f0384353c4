"""Noise: uniform, independent between keys, and a function of its key alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from fitwell.engine import noise

WORD = 2**32
WORDS = st.integers(0, WORD - 1)


def chain(*numbers: int) -> jax.Array:
    """The key of a search's seed, then one number after the other folded in."""
    key = noise.make_key(numbers[0])
    for number in numbers[1:]:
        key = noise.fold(key, number)
    return key


def keys_of(count: int, *before: int) -> jax.Array:
    """The keys of items 0 to `count` - 1 of something."""
    return jax.vmap(lambda i: noise.fold(chain(*before), i))(jnp.arange(count))


def mixed(word: int) -> int:
    """The mixer lowbias32 by Python's own integers."""
    word = (word ^ (word >> 16)) * 0x7FEB352D % WORD
    word = (word ^ (word >> 15)) * 0x846CA68B % WORD
    return word ^ (word >> 16)


@given(WORDS, WORDS, WORDS)
def test_the_hash_is_the_documented_one(first: int, second: int, number: int) -> None:
    """Keys and numbers are what exact integers give: a seed means the same on every machine and for ever."""
    key = jnp.array([first, second], jnp.uint32)
    one = mixed(first ^ mixed((number + second) % WORD))
    two = mixed((second + mixed(one ^ number) + 0x85EBCA6B) % WORD)
    assert noise.fold(key, jnp.uint32(number)).tolist() == [one, two]
    expected = [(mixed((mixed(i ^ first) + second) % WORD) >> 8) / 2**24 for i in range(4)]
    assert noise.uniform(key, (4,)).tolist() == expected


@pytest.mark.parametrize("what", [(), (3,), (0, 1, 7, 2, 1)], ids=str)
def test_uniform(what: tuple[int, ...], seed: int) -> None:
    """Numbers are uniform on [0, 1): Kolmogorov-Smirnov finds nothing in 50,000, whatever they are for."""
    values = np.asarray(noise.uniform(chain(seed, *what), (50_000,)))
    assert values.dtype == np.float32
    assert 0 <= values.min() < 1e-3
    assert 1 - 1e-3 < values.max() < 1
    assert kstest(values, "uniform").pvalue > 1e-3
    assert kstest(values**1.05, "uniform").pvalue < 1e-3  # the counterpart: it sees a bend of 5%


@pytest.mark.parametrize("lag", [1, 2, 3, 16, 64, 4096])
def test_no_pattern_inside_a_draw(lag: int, seed: int) -> None:
    """Numbers of one draw are uncorrelated at any distance, to five standard errors."""
    values = np.asarray(noise.uniform(chain(seed, 5), (50_000,)))
    assert abs(np.corrcoef(values[lag:], values[:-lag])[0, 1]) < 5 / np.sqrt(50_000 - lag)


@pytest.mark.parametrize(
    "before", [(), (0,), (2, 1), (2, 1, 3), (2, 1, 3, 4)], ids=["row set", "kind", "epoch", "step", "layer"]
)
def test_independent_between_keys(before: tuple[int, ...], seed: int) -> None:
    """Row sets, epochs, steps and layers next to one another draw uncorrelated numbers."""
    draws = np.asarray(jax.vmap(lambda key: noise.uniform(key, (4096,)))(keys_of(48, seed, *before)))
    correlations = np.corrcoef(draws) - np.eye(48)
    assert np.abs(correlations).max() < 5 / np.sqrt(4096)
    assert kstest(draws[:, 0], "uniform").pvalue > 1e-3  # the first number of each key too


@pytest.mark.slow
def test_no_key_comes_twice(seed: int) -> None:
    """Any two paths (row set, epoch, step) have different keys, and the order of a path matters."""
    epochs = jax.vmap(lambda r: jax.vmap(lambda e: noise.fold(noise.fold(chain(seed), r), e))(jnp.arange(60)))
    steps = jax.vmap(jax.vmap(lambda key: jax.vmap(lambda s: noise.fold(key, s))(jnp.arange(30))))
    keys = np.asarray(steps(epochs(jnp.arange(10)))).reshape(-1, 2)
    assert len(np.unique(keys, axis=0)) == len(keys) == 10 * 60 * 30
    assert (chain(seed, 1, 2) != chain(seed, 2, 1)).any()


def test_seeds_differ() -> None:
    """All seeds of 32 bits give their own keys, the largest included."""
    seeds = [0, 1, 2, 2**31, 2**32 - 1]
    keys = [tuple(noise.make_key(np.uint32(seed)).tolist()) for seed in seeds]
    assert [key[0] for key in keys] == seeds
    assert len(set(keys)) == len(seeds)


@pytest.mark.slow
def test_the_same_together_as_alone(seed: int) -> None:
    """Under `vmap` over keys, twice nested too, every key draws bit for bit what it draws alone."""
    keys = keys_of(6, seed).reshape(2, 3, 2)
    together = np.asarray(jax.vmap(jax.vmap(lambda key: noise.uniform(key, (5, 4))))(keys))
    alone = np.stack([[noise.uniform(key, (5, 4)) for key in row] for row in keys])
    assert together.tobytes() == alone.tobytes()


def test_jax_own_fast_generator_is_not(seed: int) -> None:
    """The counterpart: JAX's `rbg` draws for a batch of keys from the first one, so neighbours matter."""
    keys = jax.random.split(jax.random.key(seed, impl="rbg"), 3)
    together = np.asarray(jax.vmap(lambda key: jax.random.uniform(key, (20,)))(keys))
    alone = np.stack([jax.random.uniform(key, (20,)) for key in keys])
    assert (together[0] == alone[0]).all()
    assert (together[1] != alone[1]).any()


def test_the_same_in_every_floating_type(seed: int) -> None:
    """float64 training sees the noise of float32 training, number for number."""
    with jax.enable_x64(True):
        wide = np.asarray(noise.uniform(chain(seed, 3), (1000,), jnp.float64))
    narrow = np.asarray(noise.uniform(chain(seed, 3), (1000,), jnp.float32))
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    assert (wide == narrow).all()


def test_the_shape_only_arranges(seed: int) -> None:
    """The same key gives the same numbers in the same order in any shape, none at all included."""
    flat = noise.uniform(chain(seed), (24,))
    assert (noise.uniform(chain(seed), (2, 3, 4)).reshape(24) == flat).all()
    assert float(noise.uniform(chain(seed), ())) == float(flat[0])
    assert noise.uniform(chain(seed), (0, 3)).shape == (0, 3)

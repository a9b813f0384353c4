"""The noise in NumPy is the noise of `fitwell.engine.noise`."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.engine import noise, plain_noise

WORDS = st.integers(0, 2**32 - 1)


@given(WORDS, WORDS)
def test_keys_are_the_same(seed: int, number: int) -> None:
    """Of a seed, and of what is folded into it."""
    key = noise.make_key(np.uint32(seed))
    assert key.tolist() == list(plain_noise.words_of(seed))
    folded = plain_noise.folded(plain_noise.words_of(seed), number)
    assert noise.fold(key, np.uint32(number)).tolist() == list(folded)
    assert folded != plain_noise.folded(plain_noise.words_of(seed), number + 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_the_same(dtype: type, float64: None) -> None:
    """Bit for bit, in every shape and dtype; another key draws others."""
    del float64
    key = (3, 2**32 - 5)
    for shape in ((1,), (7,), (4, 9)):
        expected = noise.uniform(jnp.array(key, jnp.uint32), shape, jnp.dtype(dtype))
        drawn = plain_noise.plain_uniform(key, shape, np.dtype(dtype))
        assert drawn.dtype == expected.dtype
        np.testing.assert_array_equal(drawn, expected)
        assert not np.array_equal(drawn, plain_noise.plain_uniform((4, key[1]), shape, np.dtype(dtype)))


def test_levels_are_whole_numbers_below_their_count() -> None:
    """Noise times `LEVELS`; drawn into arrays that are there."""
    key, positions = (1, 2), np.arange(100, dtype=np.uint32)
    out, other = np.empty_like(positions), np.empty_like(positions)
    assert plain_noise.draw_levels(key, positions, out, other) is out
    assert out.max() < plain_noise.LEVELS
    np.testing.assert_array_equal(out / plain_noise.LEVELS, plain_noise.plain_uniform(key, (100,), np.dtype(float)))
    np.testing.assert_array_equal(out, plain_noise.levels(key, 100))

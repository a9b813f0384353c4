"""Scrambled Sobol points: those of `scipy.stats.qmc.Sobol` at the same seed, whose import takes longer than a search.

Sources: Bratley and Fox, Algorithm 659, ACM TOMS 14(1), 1988 (the sequence); Joe and Kuo, SIAM J. Sci. Comput. 30(5),
2008 (the direction numbers, their table new-joe-kuo-6.21201); Matousek, J. Complexity 14(4), 1998 (the scrambling).
"""

from __future__ import annotations

import numpy as np

BITS = 30
"""Of a coordinate, as in SciPy."""

# of dimensions 1 to 16: a primitive polynomial's coefficients as bits, and the first direction numbers
DIRECTIONS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (1, (1,)),
    (3, (1,)),
    (7, (1, 3)),
    (11, (1, 3, 1)),
    (13, (1, 1, 1)),
    (19, (1, 1, 3, 3)),
    (25, (1, 3, 5, 13)),
    (37, (1, 1, 5, 5, 17)),
    (41, (1, 1, 5, 5, 5)),
    (47, (1, 1, 7, 11, 19)),
    (55, (1, 1, 5, 1, 1)),
    (59, (1, 1, 1, 3, 11)),
    (61, (1, 3, 5, 5, 31)),
    (67, (1, 3, 3, 9, 7, 49)),
    (91, (1, 1, 1, 15, 21, 21)),
    (97, (1, 3, 1, 13, 27, 49)),
)


def sobol_points(count: int, dimensions: int, seed: int) -> np.ndarray:
    """Return the first `count` points of a scrambled sequence, float [count, dimensions] in [0, 1)."""
    if dimensions > len(DIRECTIONS):
        return _by_scipy(count, dimensions, seed)
    generator = np.random.default_rng(seed).spawn(1)[0]  # SciPy draws from one of its own
    powers = 2 ** np.arange(BITS, dtype=np.uint32)
    point = generator.integers(2, size=(dimensions, BITS), dtype=np.uint32) @ powers
    lower = np.tril(generator.integers(2, size=(dimensions, BITS, BITS), dtype=np.uint32))
    lower[:, np.arange(BITS), np.arange(BITS)] = 1
    # a product of bits modulo 2, the highest bit first
    bits = _directions(dimensions)[:, :, None] >> np.arange(BITS - 1, -1, -1) & 1
    scrambled = np.einsum("dpk,djk->djp", lower.astype(np.int64), bits) % 2 @ powers[::-1].astype(np.int64)
    points = np.empty((count, dimensions))
    for number in range(count):
        points[number] = point * 2.0**-BITS
        # one bit of Gray's code changes from a number to the next: that of its lowest zero
        lowest = (~number & (number + 1)).bit_length() - 1
        point = point ^ scrambled[:, lowest].astype(np.uint32)
    return points


def _directions(dimensions: int) -> np.ndarray:
    """Direction numbers, int [dimensions, BITS]."""
    found = np.ones((dimensions, BITS), np.int64)
    for row, (polynomial, first) in zip(found[1:], DIRECTIONS[1:dimensions], strict=True):
        degree = len(first)
        row[:degree] = first
        for place in range(degree, BITS):
            value = int(row[place - degree])
            for back in range(1, degree + 1):
                if polynomial >> (degree - back) & 1:
                    value ^= int(row[place - back]) << back
            row[place] = value
    return found << np.arange(BITS - 1, -1, -1)


def _by_scipy(count: int, dimensions: int, seed: int) -> np.ndarray:
    from scipy.stats import qmc

    exponent = max(0, int(np.ceil(np.log2(max(count, 1)))))
    return qmc.Sobol(dimensions, scramble=True, rng=seed).random_base2(exponent)[:count]

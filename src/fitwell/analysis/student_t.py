"""Student's t for whole degrees of freedom: finite sums. SciPy's takes any, and a tenth of a search to be imported.

Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4 (page 948).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


def t_below(degrees: int, value: Any) -> Any:
    """Return the probability that Student's t is below a value, or each of an array.

    Parameters
    ----------
    degrees
        Degrees of freedom, at least 1.
    value
        Infinite ones are allowed, and NaN gives NaN.

    Examples
    --------
    >>> float(t_below(1, 1.0)), float(t_below(4, 0.0))
    (0.75, 0.5)
    """
    angle = np.arctan(np.asarray(value, float) / np.sqrt(degrees))
    sine, squared = np.sin(angle), np.cos(angle) ** 2
    odd = degrees % 2
    # 1 + 1/2 c^2 + (1 3)/(2 4) c^4 + ... for even degrees, 1 + 2/3 c^2 + (2 4)/(3 5) c^4 + ... for odd ones
    term = np.ones_like(squared)
    total = np.zeros_like(squared)
    for number in range((degrees - odd) // 2):
        total += term
        term = term * squared * (2 * number + 1 + odd) / (2 * number + 2 + odd)
    within = 2 / np.pi * (angle + sine * np.cos(angle) * total) if odd else sine * total
    # a sum of many terms may be one rounding too large
    return np.clip((1 + within) / 2, 0.0, 1.0)


@cache  # one level and a few numbers of folds are asked about again and again
def t_quantile(degrees: int, share: float) -> float:
    """Return the value that Student's t is below with this probability, between 0 and 1 and neither.

    Examples
    --------
    >>> round(t_quantile(4, 0.975), 3)
    2.776
    """
    if share <= 0.5:
        return -t_quantile(degrees, 1 - share) if share < 0.5 else 0.0
    low, high = 0.0, 1.0
    while t_below(degrees, high) < share:
        low, high = high, 2 * high
    # halved until two numbers stand side by side
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if t_below(degrees, middle) < share else (low, middle)
    return high

"""How far off a number may be: intervals, the corrected t of row sets, standard errors, and all of them in words.

NumPy and SciPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from fitwell.errors import InputError


def figures(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits as a person would: no exponent between 0.0001 and a billion.

    Examples
    --------
    >>> figures(4783.2), figures(-0.02345, 2), figures(0.0), figures(12.0)
    ('4,780', '-0.023', '0', '12')
    """
    # outside this range a person counts zeros, and an exponent is easier to read
    if not np.isfinite(value) or value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    decimals = digits - 1 - int(np.floor(np.log10(abs(value))))
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    # only behind a point: the zeros of 1,200 are its size
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True)
class Interval:
    """A number and how far off it may be.

    Examples
    --------
    >>> print(Interval(0.2913, 0.2101, 0.3725, 0.95))
    0.29 (95% interval 0.21 to 0.37)
    """

    estimate: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        numbers = [_plain(value, self.high - self.low) for value in (self.estimate, self.low, self.high)]
        return f"{numbers[0]} ({100 * self.level:g}% interval {numbers[1]} to {numbers[2]})"


@dataclass(frozen=True)
class Test:
    """A test of whether a mean difference is zero.

    Attributes
    ----------
    difference, standard_error, degrees
        The mean, its standard error (NaN if unknown), and the degrees of freedom of the latter.
    low, high, level
        Interval of the mean.
    p_greater
        Chance of a mean this large or larger if the true one is zero.
    p_value
        Chance of a mean this far from zero, on either side, if the true one is zero.
    """

    __test__ = False  # pytest: not a class of tests

    difference: float
    standard_error: float
    degrees: int
    low: float
    high: float
    level: float
    p_greater: float
    p_value: float

    @property
    def interval(self) -> Interval:
        """The mean with its interval."""
        return Interval(self.difference, self.low, self.high, self.level)


def corrected_t(differences: np.ndarray, test_to_train: float, level: float = 0.95) -> Test:
    """Test a mean over row sets by the corrected resampled t of Nadeau and Bengio (2003).

    Row sets share training rows, so their mean varies more than that of R independent numbers. The variance of the mean
    is taken as ``(1 / R + n_test / n_train) * variance`` with R - 1 degrees of freedom, of repeated folds too, which
    average the noise of splitting and add no data (Bouckaert and Frank 2004).

    Parameters
    ----------
    differences
        float [R]. If all are the same, the interval is a point and the one-sided p is 0 or 1, or 0.5 if they are zero.
        If there are fewer than two, or some are not finite, nothing is known: the standard error is NaN, the interval
        infinite, and both p are 1.
    test_to_train
        Held-out rows of a row set divided by its training rows. 0 gives the usual t of independent numbers.

    Examples
    --------
    >>> test = corrected_t(np.array([0.1, 0.3, 0.2, 0.4]), 1 / 3)
    >>> f"{test.difference:.2f} {test.standard_error:.3f} {test.p_greater:.3f}"
    '0.25 0.099 0.043'
    """
    check_level(level)
    check_ratio(test_to_train)
    differences = np.asarray(differences, float)
    degrees = len(differences) - 1
    if degrees < 1 or not np.isfinite(differences).all():
        known = float(differences[0]) if degrees == 0 else np.nan
        return Test(known, np.nan, degrees, -np.inf, np.inf, level, 1.0, 1.0)
    mean = float(differences.mean())
    error = float(np.sqrt((1 / len(differences) + test_to_train) * differences.var(ddof=1)))
    # differences that are all the same are certain, on the side of their sign; all zero they say nothing
    statistic = mean / error if error > 0 else np.inf * mean if mean else 0.0
    greater, farther = float(stdtr(degrees, -statistic)), float(2 * stdtr(degrees, -abs(statistic)))
    half = float(stdtrit(degrees, (1 + level) / 2)) * error
    return Test(mean, error, degrees, mean - half, mean + half, level, greater, farther)


def error_of_mean(values: np.ndarray, groups: np.ndarray | None) -> float:
    """Return the standard error of a mean of rows [n] that are independent, or whose groups are."""
    if groups is None:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    unit = np.unique(groups, return_inverse=True)[1]
    return error_by_groups(np.bincount(unit, values), np.bincount(unit))


def error_by_groups(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Return the standard error of the mean over rows, from sums and sizes of groups; NaN of fewer than two."""
    count = len(sizes)
    if count < 2:
        return np.nan
    # a mean over rows is a ratio of two sums over groups; to first order its error is that of these deviations
    deviations = sums - sizes * (sums.sum() / sizes.sum())
    return float(np.sqrt(count / (count - 1) * (deviations**2).sum()) / sizes.sum())


def check_level(level: float) -> None:
    """Raise an InputError unless a level of confidence is a share."""
    if not 0 < level < 1:
        raise InputError(f"'level' must lie between 0 and 1. Got {level!r}.")


def check_ratio(test_to_train: float) -> None:
    """Raise an InputError unless held-out rows by training rows are a ratio."""
    if not 0 <= test_to_train < np.inf:
        raise InputError(f"'test_to_train' must be a ratio of at least 0. Got {test_to_train!r}.")


def _plain(value: float, width: float) -> str:
    """Write a number with as many decimals as two digits of the interval's width have."""
    # a point, or a width beyond all reason, says nothing about digits
    if not (0 < width < np.inf and np.isfinite(value)) or not 1e-6 < width < 1e6:
        return figures(value)
    decimals = max(0, 1 - int(np.floor(np.log10(width))))
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # 0.0 turns -0.0 into 0.0

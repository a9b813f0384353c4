"""How far off a number may be: intervals, the corrected t of row sets, and choices compared without favour to any.

R row sets (K folds, repeated), J candidates. Losses: lower is better. Row sets of one repeat are consecutive, `folds`
of them in each. `test_to_train` is the number of held-out rows of a row set divided by its training rows. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fitwell.analysis.student_t import t_below, t_quantile
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
    greater, farther = float(t_below(degrees, -statistic)), float(2 * t_below(degrees, -abs(statistic)))
    half = t_quantile(degrees, (1 + level) / 2) * error
    return Test(mean, error, degrees, mean - half, mean + half, level, greater, farther)


MOST_DEGREES = 1000
"""Of a t with more it is all the same."""


def chance_of_rise(rises: np.ndarray, units: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the chance of a mean this large or larger over rows, if the true one is zero.

    For what is known of every row by networks that did not train on it: of these networks, not of others that would
    be trained on other rows, the rows (or their units) are independent. By Student's t of the sums of units.

    Parameters
    ----------
    rises
        float [n].
    units
        int [n], the unit of each row: rows of one belong together.
    weight
        float [n], what each row counts; None is 1.

    Returns
    -------
    1 where there are fewer than two units, or nothing differs and the mean is not above zero.

    Examples
    --------
    >>> rises = np.array([0.1, 0.3, 0.2, 0.4])
    >>> round(chance_of_rise(rises, np.arange(4)), 4), round(chance_of_rise(rises, np.array([0, 0, 1, 1])), 4)
    (0.0151, 0.1257)
    """
    weight = np.ones(len(rises)) if weight is None else weight
    total, numbers = weight.sum(), np.unique(units, return_inverse=True)[1]
    count = int(numbers.max(initial=-1)) + 1
    if count < 2 or not total > 0:
        return 1.0
    mean = float((weight * rises).sum() / total)
    sums = np.bincount(numbers, weight * (rises - mean), count)
    error = float(np.sqrt(count / (count - 1) * (sums**2).sum()) / total)
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return float(t_below(min(count - 1, MOST_DEGREES), -mean / error))


def p_of_each(differences: np.ndarray, test_to_train: float) -> np.ndarray:
    """Return `corrected_t`'s `p_greater` of every column of finite differences [R, J], float [J]."""
    count = len(differences)
    if count < 2:
        return np.ones(differences.shape[1])
    mean = differences.mean(axis=0)
    error = np.sqrt((1 / count + test_to_train) * differences.var(axis=0, ddof=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(mean == 0, 0.0, mean / error)
    return t_below(count - 1, -statistic)


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


def cross_fitted(losses: np.ndarray, folds: int) -> np.ndarray:
    """Choose for each row set by the others of its repeat: the candidate of their lowest mean loss, int [R].

    A row set then scores a candidate that it had no part in choosing, so a comparison pays for having searched. Whether
    searching beats a reference, the corrected t of its losses minus these then says. With 10 or 50 candidates no better
    than the reference, at 0.05 one-sided, 2% to 7% of 600 simulated sets of 100 independent rows said that the search
    is better (5 folds, 10 folds, 5 folds 5 times), and at most 3% where each candidate was a least squares fit to a
    noise input of its own. Comparing with the lowest mean said so in up to 42%. It is no cure for what all row sets
    have in common: if a fifth of the variance of a candidate's losses is the same for all of them, as the corrected t
    supposes, 20% said so, and 36% by the lowest mean.

    Parameters
    ----------
    losses
        float [R, J]. One that is not finite counts as infinite.

    Examples
    --------
    >>> cross_fitted(np.array([[1.0, 2.0], [3.0, 2.0], [3.0, 2.0]]), folds=3).tolist()
    [1, 0, 0]
    """
    losses = _finite_or_infinite(losses)
    if folds < 2 or len(losses) % folds:
        raise InputError(f"'folds' must be at least 2 and divide the {len(losses)} row sets. Got {folds}.")
    repeats = losses.reshape(-1, folds, losses.shape[1])
    others = [np.delete(repeats, fold, axis=1).mean(axis=1) for fold in range(folds)]
    return np.stack([mean.argmin(axis=1) for mean in others], axis=1).ravel()


def confidence_set(losses: np.ndarray, test_to_train: float, folds: int, level: float = 0.9) -> np.ndarray:
    """Mark the candidates that may be the best: those not significantly worse than it, bool [J].

    The best of J by the same losses is too good a reference. So each row set compares with the candidate that the
    others of its repeat choose, and j is out if the one-sided corrected t of the difference to it rejects at one minus
    the level. At 0.9, with noise inputs as in `cross_fitted`, the best was kept in 94% to 99% of sets, and in 75% to
    94% by comparing with the lowest mean.

    Zhang, Lee and Lei ("Winners with confidence", arXiv 2408.02060) split samples in the same way. They compare j with
    an exponentially weighted mean of all other candidates, for n independent samples and a normal limit. Here it is the
    one chosen, which may be j itself, for a few dependent row sets. Each candidate has a test of its own, so the level
    is that of keeping the best, not of keeping all that are equally good.

    The lowest mean is always in, a candidate with a loss that is not finite never.
    """
    losses = _finite_or_infinite(losses)
    usable = np.all(np.isfinite(losses), axis=0)
    if not usable.any():
        return usable
    # a candidate that diverged in one row set is no reference in the others either
    comparable = np.where(usable, losses, np.inf)
    reference = comparable[np.arange(len(losses)), cross_fitted(comparable, folds)]
    kept = np.zeros(len(usable), bool)
    kept[usable] = p_of_each(losses[:, usable] - reference[:, None], test_to_train) > 1 - level
    # its own test may reject it too, and a set of the best without the lowest mean would be absurd
    kept[comparable.mean(axis=0).argmin()] = True
    return kept


def _finite_or_infinite(losses: np.ndarray) -> np.ndarray:
    losses = np.asarray(losses, float)
    # minus infinity too: what diverged must never be the lowest
    return np.where(np.isfinite(losses), losses, np.inf)

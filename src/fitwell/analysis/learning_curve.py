"""What more rows would bring: the held-out loss as a power law of the training rows. NumPy and SciPy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fitwell.analysis.intervals import Interval, check_level, check_ratio
from fitwell.analysis.student_t import t_quantile
from fitwell.errors import InputError

RATES = (0.05, 2.0)
"""Range of the rate. Slower is hardly a fall within any real number of rows, faster is over at once."""


@dataclass(frozen=True)
class PowerLaw:
    """A mean held-out loss of ``limit + scale * rows**-rate``.

    Attributes
    ----------
    limit, scale, rate
        Loss with endless rows, and how it falls towards it. A loss that does not fall has scale 0.
    rate_fixed
        Whether there were too few sizes to fit the rate, so that 0.5 was assumed.
    signed
        float [3], limit, scale and rate where a loss may also rise with rows: what intervals are around.
    left_out
        float [R, 3], the same without each of the row sets.
    test_to_train, level
        See `fit_power_law`.
    """

    limit: float
    scale: float
    rate: float
    rate_fixed: bool
    signed: np.ndarray
    left_out: np.ndarray
    test_to_train: float
    level: float

    def at(self, rows: float) -> Interval:
        """Give the mean held-out loss of networks trained with this many rows."""
        return self._interval(lambda law: law[..., 0] + law[..., 1] * rows ** -law[..., 2])

    def change(self, before: float, after: float) -> Interval:
        """Give how much lower the loss is with `after` rows than with `before`; positive is a gain."""
        return self._interval(lambda law: law[..., 1] * (before ** -law[..., 2] - after ** -law[..., 2]))

    def _interval(self, number: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """Jackknife over row sets: the t of R - 1 degrees of freedom, around the signed law, widened to the law itself.

        With the scale held at 0 or more, a flat loss would be flat without any row set too, and the interval a point.
        """
        estimate = float(number(np.array([self.limit, self.scale, self.rate])))
        without, count = number(self.left_out), len(self.left_out)
        if count < 2:
            return Interval(estimate, -np.inf, np.inf, self.level)
        variance = (count - 1) / count * ((without - without.mean()) ** 2).sum()
        error = np.sqrt((1 + count * self.test_to_train) * variance)  # as in `intervals.corrected_t`: 1 / R + ratio
        half = t_quantile(count - 1, (1 + self.level) / 2) * error
        centre = float(number(self.signed))
        return Interval(estimate, min(estimate, centre - half), max(estimate, centre + half), self.level)


def fit_power_law(sizes: np.ndarray, losses: np.ndarray, level: float = 0.9, *, test_to_train: float = 0.0) -> PowerLaw:
    """Fit ``limit + scale * rows**-rate`` to mean held-out losses.

    Least squares over sizes, each weighted by one over the variance of its mean over row sets. For a given rate the law
    is linear in limit and scale, so only the rate is searched, on ever finer grids.

    Parameters
    ----------
    sizes
        int [S], rows trained with; at least two that differ. With two the rate is not fitted but 0.5, that of a mean's
        error.
    losses
        float [S, R], held-out losses of R row sets, the same ones at each size.
    test_to_train
        Held-out rows of a row set divided by its training rows, as in `intervals.corrected_t`: widens intervals
        because row sets share rows. Of repeated folds it has to be given.

    Notes
    -----
    The limit is at least 0 unless a loss is negative, the scale at least 0, the rate within `RATES`.

    Intervals are a jackknife over row sets. In 120 simulated sets of 4 sizes at level 0.9, for laws of rate 0.5, 0.1
    and a flat one, they contained the true loss and the true gain of twice as many rows in 84% to 96% with one repeat
    of 5 or 10 folds. With 5 repeats it was 50% to 83%, since repeats show the same rows again; given `test_to_train` it
    was 90% to 100%, and 92% to 100% with one repeat. Three sizes hardly tell a rate: the gain was within in 77% (83%
    given `test_to_train`). With two sizes the interval knows nothing of the rate being another.

    Examples
    --------
    >>> sizes = np.array([100, 200, 400, 800])
    >>> law = fit_power_law(sizes, np.stack([0.2 + 3 / sizes**0.5] * 5, axis=1))
    >>> f"{law.limit:.3f} {law.scale:.3f} {law.rate:.3f}"
    '0.200 3.000 0.500'
    """
    sizes, losses = np.asarray(sizes, float), np.asarray(losses, float)
    _check(sizes, losses, level, test_to_train)
    fixed = len(np.unique(sizes)) < 3
    count = losses.shape[1]
    # a loss that never is negative cannot fall below 0 with more rows; another has no such floor
    fit = _Fit(sizes, _weights(losses), 0.0 if losses.min() >= 0 else -np.inf, fixed)
    mean = losses.mean(axis=1)
    # the scale may be negative here, unlike in the law itself: see `PowerLaw._interval`
    without = [fit.law(np.delete(losses, r, axis=1).mean(axis=1)) for r in range(count)] if count > 1 else []
    limit, scale, rate = fit.law(mean, lowest_scale=0.0)
    left_out = np.array(without).reshape(-1, 3)
    return PowerLaw(limit, scale, rate, fixed, np.array(fit.law(mean)), left_out, test_to_train, level)


@dataclass(frozen=True)
class _Fit:
    """Weighted least squares of a mean loss at each size.

    Attributes
    ----------
    sizes, weights
        float [S].
    lowest_limit
        0 or -infinity.
    fixed
        Whether the rate is 0.5.
    """

    sizes: np.ndarray
    weights: np.ndarray
    lowest_limit: float
    fixed: bool

    def law(self, mean: np.ndarray, lowest_scale: float = -np.inf) -> tuple[float, float, float]:
        """Return limit, scale and rate of a mean loss [S]."""
        low, high = (0.5, 0.5) if self.fixed else RATES
        rate = low
        for _ in range(6):  # each grid spans two steps of the one before: 50^6 times finer at last
            grid = np.linspace(low, high, 101)
            best = int(self.linear(mean, grid, lowest_scale)[2].argmin())
            rate, low, high = float(grid[best]), grid[max(best - 1, 0)], grid[min(best + 1, 100)]
        limit, scale, _ = self.linear(mean, np.array([rate]), lowest_scale)
        return float(limit[0]), float(scale[0] * self.sizes.max() ** rate), rate

    def linear(
        self, mean: np.ndarray, rates: np.ndarray, lowest_scale: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best limit, scale and weighted squared error [rates] for given rates; sizes are in units of the largest.

        With two parameters, a bound that the free solution breaks is met by one of the two solutions on a bound.
        """
        x, w = (self.sizes / self.sizes.max()) ** -rates[:, None], self.weights
        # means, because the weights add up to 1
        x_mean, y_mean = x @ w, mean @ w
        scale = ((x - x_mean[:, None]) * (mean - y_mean)) @ w / ((x - x_mean[:, None]) ** 2 @ w)
        scales = [scale, (x * (mean - self.lowest_limit)) @ w / (x**2 @ w)] if self.lowest_limit == 0 else [scale]
        scales = [*scales, np.full_like(scale, lowest_scale)] if lowest_scale == 0 else scales
        tried = np.maximum(scales, lowest_scale)
        limits = np.maximum(y_mean - tried * x_mean, self.lowest_limit)
        errors = (limits[..., None] + tried[..., None] * x - mean) ** 2 @ w
        best = errors.argmin(axis=0), np.arange(len(rates))
        return limits[best], tried[best], errors[best]


def _weights(losses: np.ndarray) -> np.ndarray:
    """One over the variance of the mean over row sets at each size [S], adding up to 1.

    A few row sets say little about a variance, and a size at which they happen to agree must not outweigh the rest: the
    variances are floored at half of their mean.
    """
    count = losses.shape[1]
    variances = losses.var(axis=1, ddof=1) / count if count > 1 else np.zeros(len(losses))
    floored = np.maximum(variances, variances.mean() / 2)
    # sizes without any noise give nothing to weigh by, and count alike
    weights = 1 / floored if floored.min() > 0 else np.ones(len(losses))
    return weights / weights.sum()


def _check(sizes: np.ndarray, losses: np.ndarray, level: float, test_to_train: float) -> None:
    if losses.ndim != 2 or len(losses) != len(sizes) or not losses.size:
        raise InputError(f"'losses' must have one row for each of the {len(sizes)} sizes. Got shape {losses.shape}.")
    if len(np.unique(sizes)) < 2 or not (sizes > 0).all():
        raise InputError("'sizes' must have at least two different numbers of rows, all positive.")
    if not np.isfinite(losses).all():
        raise InputError("'losses' must be finite: leave out the row sets that are not.")
    check_level(level)
    check_ratio(test_to_train)

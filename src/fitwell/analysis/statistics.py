"""How sure a cross-validated comparison is, and what a loss is after choosing by it. NumPy and SciPy only.

R row sets (K folds, repeated), J candidates, n rows. Losses: lower is better. Row sets of one repeat are consecutive,
`folds` of them in each. `test_to_train` is the number of held-out rows of a row set divided by its training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from fitwell.errors import InputError

_BYTES = 64_000_000  # what the arrays of one chunk of bootstrap draws may take together


def figures(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits as a person would: no exponent between 0.0001 and a billion.

    Examples
    --------
    >>> figures(4783.2), figures(-0.02345, 2), figures(0.0), figures(12.0)
    ('4,780', '-0.023', '0', '12')
    """
    if not np.isfinite(value) or value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    decimals = digits - 1 - int(np.floor(np.log10(abs(value))))
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
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


@dataclass(frozen=True)
class Corrected:
    """A score after choosing, corrected for having chosen.

    Attributes
    ----------
    naive
        Score, on all rows, of the candidate chosen by all rows: too good, as they are the same rows.
    interval
        Mean score of the bootstrap draws on the rows not drawn, and its interval.
    chosen_counts
        int [J], how many draws chose each candidate.
    standard_error
        Of the mean, by rows: each has the mean of its losses over the draws that it had no part in, and the standard
        error is that of a mean of these (by groups, if rows are drawn by them). It averages over what the draws chose,
        which the interval does not.
    """

    naive: float
    interval: Interval
    chosen_counts: np.ndarray
    standard_error: float


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
        See the top of this module. 0 gives the usual t of independent numbers.

    Examples
    --------
    >>> test = corrected_t(np.array([0.1, 0.3, 0.2, 0.4]), 1 / 3)
    >>> f"{test.difference:.2f} {test.standard_error:.3f} {test.p_greater:.3f}"
    '0.25 0.099 0.043'
    """
    _check_level(level)
    if not 0 <= test_to_train < np.inf:
        raise InputError(f"'test_to_train' must be a ratio of at least 0. Got {test_to_train!r}.")
    differences = np.asarray(differences, float)
    degrees = len(differences) - 1
    if degrees < 1 or not np.isfinite(differences).all():
        known = float(differences[0]) if degrees == 0 else np.nan
        return Test(known, np.nan, degrees, -np.inf, np.inf, level, 1.0, 1.0)
    mean = float(differences.mean())
    error = float(np.sqrt((1 / len(differences) + test_to_train) * differences.var(ddof=1)))
    statistic = mean / error if error > 0 else np.inf * mean if mean else 0.0
    greater, farther = float(stdtr(degrees, -statistic)), float(2 * stdtr(degrees, -abs(statistic)))
    half = float(stdtrit(degrees, (1 + level) / 2)) * error
    return Test(mean, error, degrees, mean - half, mean + half, level, greater, farther)


def cross_fitted(losses: np.ndarray, folds: int) -> np.ndarray:
    """Choose for each row set by the others of its repeat: the candidate of their lowest mean loss, int [R].

    A row set then scores a candidate that it had no part in choosing, so a comparison pays for having searched. Whether
    searching beats a reference is then the corrected t of the reference's losses minus these. With 10 or 50 candidates
    no better than the reference, at 0.05 one-sided, 2% to 7% of 600 simulated sets of 100 independent rows said that
    the search is better (5 folds, 10 folds, 5 folds 5 times), and at most 3% where each candidate was a least squares
    fit to a noise input of its own. Comparing with the lowest mean said so in up to 42%. It is no cure for what all row
    sets have in common: if a fifth of the variance of a candidate's losses is the same for all of them, as the
    corrected t supposes, 20% said so, and 36% by the lowest mean.

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
    reference = _cross_fitted_losses(np.where(usable, losses, np.inf), folds)
    worse = [corrected_t(losses[:, j] - reference, test_to_train, level).p_greater for j in np.flatnonzero(usable)]
    kept = np.zeros(len(usable), bool)
    kept[usable] = np.array(worse) > 1 - level
    kept[np.where(usable, losses, np.inf).mean(axis=0).argmin()] = True
    return kept


def bbc(
    losses: np.ndarray,
    *,
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    groups: np.ndarray | None = None,
    choose: Callable[[np.ndarray], int] | None = None,
) -> Corrected:
    """Correct a mean loss for having chosen by it: bootstrap bias corrected cross-validation, without training.

    Tsamardinos, Greasidou and Borboudakis (2018, doi 10.1007/s10994-018-5714-4): in each draw, rows are drawn with
    replacement, a candidate is chosen by them and scored on the rows not drawn. The mean of the scores is the estimate:
    those rows had no part in the choice, which was made by 63% of the rows.

    The paper's interval is that of the scores' quantiles. It is too wide, because a score is of m of the n rows, about
    0.37 n. Around the mean over all rows, a mean of m of them drawn without replacement has the variance
    ``s^2 (1 / m - 1 / n)``, but the mean over n rows itself ``s^2 / n``. So each score's deviation from the mean score
    is multiplied by ``sqrt(m / (n - m))``, about 0.76, before quantiles are taken. How often each interval contained
    the true loss of the chosen candidate, at level 0.9, in 2,000 simulated sets of 200 rows:

    ===============================================  =====  =========  =================
    candidates                                       here   quantiles  naive, ±1.64 SE
    ===============================================  =====  =========  =================
    1                                                0.88   0.96       0.89
    30 on a curve, with 84% of the noise in common   0.92   0.98       0.83
    100 of equal loss, all noise their own           1.00   1.00       0.01
    ===============================================  =====  =========  =================

    In the last row the mean over sets of the estimate was off by 0.001 and of the naive loss by 0.176, with a standard
    deviation of 1 over rows: the estimate is unbiased, the interval wide because the draws choose differently.

    Like the interval of `nested`, it takes rows as independent, though they share networks.

    Parameters
    ----------
    losses
        float [n, J], held-out loss of each row. Rows that are NaN for all candidates were never held out and are left
        out. A candidate with any other value that is not finite is never chosen.
    groups
        int [n], rows of one group are drawn together.
    choose
        Function of drawn rows int [n], with repetitions, that chooses a candidate; by default the lowest mean loss.
        Rows are numbered as in `losses`.
    """
    _check_level(level)
    if draws < 1:
        raise InputError(f"'draws' must be at least 1. Got {draws}.")
    table = _Rows.of(np.asarray(losses, float), groups)
    rng = np.random.default_rng(seed)
    chosen, scores, shrink, spread = [], [], [], _Spread.of(table)
    for counts in _bootstrap(rng, draws, table):
        left = counts == 0
        counts, left = counts[left.any(axis=1)], left[left.any(axis=1)]  # a draw of every row leaves none to score
        best = table.lowest(counts) if choose is None else np.array([choose(table.members(c)) for c in counts], int)
        chosen.append(best)
        scores.append(table.mean(left, best))
        spread.add(left, best)
        share = left.mean(axis=1)
        shrink.append(np.sqrt(share / (1 - share)))
    every = np.ones((1, len(table.sizes)), int)
    best = int(table.lowest(every)[0]) if choose is None else choose(table.members(every[0]))
    naive = float(table.mean(every > 0, np.array([best]))[0])
    counted = np.bincount(np.concatenate(chosen), minlength=table.candidates)
    interval = _shrunken(np.concatenate(scores), np.concatenate(shrink), level)
    return Corrected(naive, interval, counted, spread.standard_error)


def nested(losses: np.ndarray, *, level: float = 0.9, groups: np.ndarray | None = None) -> Interval:
    """Give the mean of the outer loop's losses of nested cross-validation [n], and its interval by rows.

    Each row's loss is by a network whose strengths were chosen without it, so the mean is honest. The standard error
    takes rows as independent, which they are not: they share networks, and networks share rows. So the interval is too
    narrow (Bates, Hastie and Tibshirani, arXiv 2104.00673). With least squares of 50 rows on 15 inputs it contained the
    true loss in 72% of 250 simulated sets at level 0.9, on 5 inputs in 88%; `bates` in 94% and 91%, for many more fits.
    Rows that are NaN were never held out and are left out; of rows in `groups`, int [n], only groups are independent.
    """
    _check_level(level)
    losses = np.asarray(losses, float)
    known = ~np.isnan(losses)
    losses, groups = losses[known], None if groups is None else np.asarray(groups)[known]
    if not len(losses):
        raise InputError("No row was held out.")
    mean, count = float(losses.mean()), len(losses) if groups is None else len(np.unique(groups))
    if count < 2:
        return Interval(mean, -np.inf, np.inf, level)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * _error_of_mean(losses, groups)
    return Interval(mean, mean - half, mean + half, level)


def bates(
    inner: np.ndarray,
    outer: np.ndarray,
    fold: np.ndarray,
    *,
    level: float = 0.9,
    groups: np.ndarray | None = None,
) -> Interval:
    """Give the expected loss and its interval by the nested cross-validation of Bates, Hastie and Tibshirani.

    arXiv 2104.00673 (JASA 2024), Algorithm 1. T times, rows are dealt to K folds.

    Parameters
    ----------
    inner
        float [T, K, n]. [t, j, i] is the loss of row i by a network that was trained without fold j and without the
        fold of row i; NaN for the rows of fold j.
    outer
        float [T, n], loss of row i by a network that was trained without the fold of row i.
    fold
        int [T, n], from 0 to K - 1.
    groups
        int [n]: of rows in groups only groups are independent, so both errors are by groups. By how much a fold
        of one group varies is not known, and then nothing is taken from the error.
    """
    _check_level(level)
    repeats, folds, rows = inner.shape
    if folds < 3:
        raise InputError(f"'inner' must be of at least 3 folds. Got {folds}.")
    a, b = np.zeros((2, repeats, folds))
    for t, k in np.ndindex(repeats, folds):
        mine = fold[t] == k
        out = outer[t, mine]
        a[t, k] = (inner[t, k, ~mine].mean() - out.mean()) ** 2
        b[t, k] = np.nan_to_num(_error_of_mean(out, None if groups is None else groups[mine]) ** 2)
    # Algorithm 1: mean(a) - mean(b) is the mean squared error of cross-validation with n (K - 1) / K rows. For the mean
    # of rows held out from it is off by that error and by noise of its own, whose variance is b
    squared = max(0.0, float(a.mean() - b.mean()))
    # section 4.3.2: to n rows by (K - 1) / K, and its root within [SE, sqrt(K) SE], between that of independent rows
    # and that of folds which are all the same
    naive = float(outer.std(ddof=1) / np.sqrt(rows))
    if groups is not None:
        naive = float(np.sqrt(np.mean([_error_of_mean(losses, groups) ** 2 for losses in outer])))
    error = float(np.clip(np.sqrt((folds - 1) / folds * squared), naive, np.sqrt(folds) * naive))
    # equation (15): NCV trains with K - 2 folds, CV with K - 1. If the loss is c + d / n, the step from NCV to all n
    # rows is exactly 1 + (K - 2) / K times that from NCV to CV. The authors' R package has ((K - 2) / K)^1.5 in it
    kept = fold[:, None, :] != np.arange(folds)[:, None]
    ncv, cv = float(inner[kept].mean()), float(outer.mean())
    estimate = ncv - (1 + (folds - 2) / folds) * (ncv - cv)
    half = float(ndtri((1 + level) / 2)) * error
    return Interval(estimate, estimate - half, estimate + half, level)


@dataclass(frozen=True)
class _Rows:
    """Losses summed by group: what the mean over any choice of groups needs.

    Attributes
    ----------
    rows, unit
        int [m], the rows that were held out, and the group of each (a row of its own if there are none).
    sizes, sums
        int [groups], rows of each; float [usable candidates, groups], sums of their losses.
    usable, candidates
        int, numbers of the candidates that may be chosen, of J.
    """

    rows: np.ndarray
    unit: np.ndarray
    sizes: np.ndarray
    sums: np.ndarray
    usable: np.ndarray
    candidates: int

    @staticmethod
    def of(losses: np.ndarray, groups: np.ndarray | None) -> _Rows:
        rows = np.flatnonzero(~np.isnan(losses).all(axis=1))
        usable = np.flatnonzero(np.isfinite(losses[rows]).all(axis=0))
        names = np.arange(len(rows)) if groups is None else np.asarray(groups)[rows]
        unit, sizes = np.unique(names, return_inverse=True, return_counts=True)[1:]
        if len(sizes) < 2:
            raise InputError(f"A bootstrap needs at least two rows or groups that were held out. Got {len(sizes)}.")
        if not len(usable):
            raise InputError("No candidate has a finite loss on every row that was held out.")
        order = np.argsort(unit, kind="stable")
        sums = np.add.reduceat(losses[np.ix_(rows[order], usable)], np.cumsum(sizes) - sizes, axis=0)
        return _Rows(rows, unit, sizes, np.ascontiguousarray(sums.T), usable, losses.shape[1])

    def lowest(self, counts: np.ndarray) -> np.ndarray:
        """Candidate of the lowest mean over groups taken `counts` times [draws, groups] -> int [draws]."""
        return self.usable[(counts.astype(float) @ self.sums.T).argmin(axis=1)]

    def mean(self, taken: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Mean loss over the taken groups, bool [draws, groups], of each draw's candidate."""
        place = np.searchsorted(self.usable, chosen)
        if (self.usable[np.minimum(place, len(self.usable) - 1)] != chosen).any():
            raise InputError("'choose' must return a candidate whose losses are finite.")
        return (taken * self.sums[place]).sum(axis=1) / (taken @ self.sizes)

    def members(self, counts: np.ndarray) -> np.ndarray:
        """Rows of groups taken `counts` times, int [groups]."""
        return np.repeat(self.rows, counts[self.unit])


@dataclass(frozen=True)
class _Spread:
    """Losses of groups in the draws that left them out: their sums [groups], and how many draws these were [groups]."""

    table: _Rows
    sums: np.ndarray
    draws: np.ndarray

    @staticmethod
    def of(table: _Rows) -> _Spread:
        return _Spread(table, np.zeros(len(table.sizes)), np.zeros(len(table.sizes)))

    def add(self, left: np.ndarray, chosen: np.ndarray) -> None:
        """Count draws: who was left out [draws, groups], and what was chosen [draws]."""
        place = np.searchsorted(self.table.usable, chosen)
        self.sums[:] += (left * self.table.sums[place]).sum(axis=0)
        self.draws[:] += left.sum(axis=0)

    @property
    def standard_error(self) -> float:
        """Of the mean over rows of their means over draws; groups are independent of each other."""
        known = self.draws > 0
        sums, sizes = self.sums[known] / self.draws[known], self.table.sizes[known]
        return _error_by_groups(sums, sizes)


def _error_of_mean(values: np.ndarray, groups: np.ndarray | None) -> float:
    """Return the standard error of a mean of rows [n] that are independent, or whose groups are."""
    if groups is None:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    unit = np.unique(groups, return_inverse=True)[1]
    return _error_by_groups(np.bincount(unit, values), np.bincount(unit))


def _error_by_groups(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Return the standard error of the mean over rows, from sums and sizes of groups; NaN of fewer than two."""
    count = len(sizes)
    if count < 2:
        return np.nan
    deviations = sums - sizes * (sums.sum() / sizes.sum())
    return float(np.sqrt(count / (count - 1) * (deviations**2).sum()) / sizes.sum())


def _bootstrap(rng: np.random.Generator, draws: int, table: _Rows) -> Iterator[np.ndarray]:
    """Draw groups with replacement: how often each was drawn, int [draws of a chunk, groups]."""
    size = len(table.sizes)
    chunk = max(1, _BYTES // (48 * size + 16 * len(table.usable)))  # six arrays [chunk, size] of eight bytes
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)


def _shrunken(scores: np.ndarray, shrink: np.ndarray, level: float) -> Interval:
    """Mean of the finite scores, and quantiles of their shrunken deviations from it."""
    finite = np.isfinite(scores)
    if not finite.any():
        return Interval(np.nan, -np.inf, np.inf, level)
    mean = float(scores[finite].mean())
    low, high = np.quantile((scores - mean)[finite] * shrink[finite], [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, mean + float(low), mean + float(high), level)


def _cross_fitted_losses(losses: np.ndarray, folds: int) -> np.ndarray:
    """Loss of each row set by the candidate that the others of its repeat choose, [R]."""
    return losses[np.arange(len(losses)), cross_fitted(losses, folds)]


def _finite_or_infinite(losses: np.ndarray) -> np.ndarray:
    losses = np.asarray(losses, float)
    return np.where(np.isfinite(losses), losses, np.full_like(losses, np.inf))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"'level' must lie between 0 and 1. Got {level!r}.")


def _plain(value: float, width: float) -> str:
    """Write a number with as many decimals as two digits of the interval's width have."""
    if not (0 < width < np.inf and np.isfinite(value)) or not 1e-6 < width < 1e6:
        return figures(value)
    decimals = max(0, 1 - int(np.floor(np.log10(width))))
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # 0.0 turns -0.0 into 0.0

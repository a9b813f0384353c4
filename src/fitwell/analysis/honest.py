"""Performance on new rows of the strength and the epoch that a search chose, corrected for having chosen them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np

from fitwell.analysis.bootstrap import bbc
from fitwell.analysis.intervals import Interval, figures
from fitwell.engine.records import Records

Method = Literal["bbc", "nested", "bates"]
METHODS = get_args(Method)

SHARED = 2.0
"""By how many times n_test / n_train the variance of a mean over rows is larger because the rows share networks."""

Rule = Callable[[np.ndarray, int], int]
"""Chooses a strength from losses [row sets, G] and the row sets that make up one repeat."""

_BYTES = 16_000_000  # of the means of some draws, in the cache; what is chosen is the same whatever it is


@dataclass(frozen=True)
class Score:
    """Loss on new rows of one network trained as the search recommends, and what the search itself shows.

    Attributes
    ----------
    name
        Of the loss.
    method
        `"bbc"`: bootstrap bias-corrected cross-validation (Tsamardinos et al. 2018); `"nested"`: nested
        cross-validation (Varma and Simon 2006); `"bates"`: nested cross-validation with the interval of Bates, Hastie
        and Tibshirani (2021).
    naive
        Mean cross-validated loss of the choice: optimistic, for the rows that chose it also score it.
    interval
        The corrected loss.
    """

    name: str
    method: str
    naive: float
    interval: Interval

    @property
    def value(self) -> float:
        """The corrected loss."""
        return self.interval.estimate

    def __str__(self) -> str:
        return f"{self.name} on new rows: {self.interval}; uncorrected, which is optimistic: {figures(self.naive)}"


@dataclass(frozen=True, eq=False)
class Replay:
    """What a search may choose, in draws of units: J candidates, some of each strength.

    Attributes
    ----------
    units
        [u_r] for each row set, the units that it holds out; see `Records`.
    strength
        int [J], the strength of each candidate, in rising order; its epochs follow one another.
    strengths, folds
        G, and the row sets that make up one repeat.
    """

    units: tuple[np.ndarray, ...]
    strength: np.ndarray
    strengths: int
    folds: int

    def means(self, counts: np.ndarray) -> np.ndarray:
        """Mean loss in every row set of units taken `counts` times [draws, U] -> float [draws, R, J].

        NaN in the row sets where there is none.
        """
        raise NotImplementedError

    @cached_property
    def every(self) -> np.ndarray:
        """Numbers of all units that were held out, int [U], rising."""
        return np.unique(np.concatenate(self.units))

    @cached_property
    def places(self) -> list[np.ndarray]:
        """Where the units of each row set are among all."""
        return [np.searchsorted(self.every, units) for units in self.units]

    def choosing(self, rule: Rule | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """Choose as a search does: every strength at its best epoch by the mean over row sets, and one of them by rule.

        Returns
        -------
        Callable
            Of how often each unit was drawn, int [draws, U], to the candidates chosen, int [draws]. Without a rule the
            lowest.
        """
        some = max(1, _BYTES // (8 * len(self.units) * len(self.strength)))
        first = np.flatnonzero(np.diff(self.strength, prepend=-1))
        last = np.append(first[1:], len(self.strength))

        def best_epochs(mean: np.ndarray) -> np.ndarray:
            return np.stack([i + mean[:, i:j].argmin(axis=1) for i, j in zip(first, last, strict=True)], axis=1)

        def by_rule(means: np.ndarray, best: np.ndarray, rule: Rule) -> int:
            kept = self._kept(~np.isnan(means[:, 0]))
            losses = np.full((len(kept), self.strengths), np.inf)  # what may not be chosen ranks last
            losses[:, self.strength[first]] = means[np.ix_(kept, best)]
            g = rule(losses, self.folds if len(kept) == len(means) else len(kept))
            return best[np.searchsorted(self.strength[first], g)]

        def choose(counts: np.ndarray) -> np.ndarray:
            means = self.means(counts)
            mean = means.mean(axis=1)
            missed = np.isnan(mean).any(axis=1)  # few draws, and `nanmean` of all takes ten times as long
            mean[missed] = np.nanmean(means[missed], axis=1)
            if rule is None:
                return mean.argmin(axis=1)
            best = best_epochs(mean)
            return np.array([by_rule(*one, rule) for one in zip(means, best, strict=True)], int)

        return lambda counts: np.concatenate([choose(counts[i : i + some]) for i in range(0, len(counts), some)])

    def _kept(self, drawn: np.ndarray) -> np.ndarray:
        """Number the row sets by which a rule chooses: all, or where a draw misses some, the others of one repeat."""
        # with a few groups in a fold that is common; repeats that miss different folds are no repeats any more
        return np.arange(len(drawn)) if drawn.all() else _first_repeat(drawn, self.folds)


@dataclass(frozen=True, eq=False)
class Surface(Replay):
    """Held-out losses at every strength and epoch that a search may choose: J candidates, strengths outside.

    Attributes
    ----------
    sizes
        [u_r] for each row set, see `Records`.
    sums
        float [J, u_r] for each row set.
    """

    sizes: tuple[np.ndarray, ...]
    sums: tuple[np.ndarray, ...]

    @staticmethod
    def of(records: Records, usable: np.ndarray, folds: int) -> Surface:
        """Take the strengths and epochs marked in bool [G, E] out of the records of a search."""
        return Surface(
            units=records.units,
            sizes=records.sizes,
            sums=tuple(sums[usable] for sums in records.sums),
            strength=np.nonzero(usable)[0],
            strengths=len(usable),
            folds=folds,
        )

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums over all row sets [J, U], and sizes [U]: a row held out in several repeats counts in each."""
        sums, sizes = np.zeros((len(self.strength), len(self.every))), np.zeros(len(self.every), self.sizes[0].dtype)
        for place, mine, count in zip(self.places, self.sums, self.sizes, strict=True):
            sums[:, place] += mine
            sizes[place] += count
        return sums, sizes

    def means(self, counts: np.ndarray) -> np.ndarray:
        """Mean loss in every row set of units taken `counts` times [draws, U] -> float [draws, R, J].

        NaN in the row sets of which no unit was taken.
        """
        means = np.empty((len(self.units), len(counts), len(self.strength)))
        for mean, place, sums, sizes in zip(means, self.places, self.sums, self.sizes, strict=True):
            taken = counts[:, place].astype(float)
            np.matmul(taken, sums.T, out=mean)
            with np.errstate(invalid="ignore"):
                mean /= (taken @ sizes)[:, None]
        return means.swapaxes(0, 1)


def _first_repeat(drawn: np.ndarray, folds: int) -> np.ndarray:
    starts = range(0, len(drawn), folds)
    return next(start + mine for start in starts if len(mine := np.flatnonzero(drawn[start : start + folds])))


def bbc_score(
    surface: Surface,
    name: str,
    *,
    rule: Rule | None = None,
    test_to_train: float = 0.0,
    level: float = 0.9,
) -> Score:
    """Correct the mean loss of the choice on a surface for having been chosen, strength and epoch; see `bootstrap.bbc`.

    The interval is by the standard error over units of their losses by choices that they had no part in. Units are not
    independent, though: of two in different folds each trained the network that scores the other. For that `SHARED`
    times ``n_test / n_train`` of the variance is added; no estimate of it without bias exists (Bengio and Grandvalet
    2004), and this much makes intervals cover in `benchmarks/calibration.py`. Losses are skew, and where they are low
    by chance so is their spread; the interval is therefore symmetric for the logarithm of the loss (if none is
    negative).

    Parameters
    ----------
    name
        Of the loss.
    rule
        What chooses; None takes the lowest point of the surface.
    test_to_train
        Held-out rows of a row set by its training rows.
    level
        Of the interval.
    """
    sums, sizes = surface.joined()
    corrected = bbc(sums, sizes, level=level, choose=surface.choosing(rule))
    estimate, error = corrected.interval.estimate, corrected.standard_error * np.sqrt(1 + SHARED * test_to_train)
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    interval = Interval(estimate, estimate - reach, estimate + reach, level)
    return Score(name, "bbc", corrected.naive, for_positive(interval, sums))


def for_positive(interval: Interval, losses: np.ndarray) -> Interval:
    """Return an interval that is symmetric around its estimate as one symmetric for the logarithm.

    Unless some of the losses are negative: then zero is no bound, and the logarithm says nothing.
    """
    finite = losses[np.isfinite(losses)]
    if not interval.estimate > 0 or (finite < 0).any():
        return interval
    # the error of a logarithm is, to first order, the error divided by the value
    factor = float(np.exp((interval.high - interval.estimate) / interval.estimate))
    return Interval(interval.estimate, interval.estimate / factor, interval.estimate * factor, interval.level)

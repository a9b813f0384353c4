"""The verdict: what would lower the held-out loss of the network as given, by tests that pay for having searched.

No threshold on the gap between training and held-out loss decides: a wide gap may have no cure, a narrow one may.
Mean losses are compared by their ratio: the few rows that make most of a mean loss are hard for both networks, and a
difference would hear little else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fitwell.analysis.intervals import Interval, Test, corrected_t, cross_fitted

VERDICTS = ("overfits", "underfits", "needs data", "fits well", "undecided")

LEAST_WORTH = 0.01
"""Share of the loss below which a difference, however sure, is called none: in every verdict alike."""


@dataclass(frozen=True)
class Menu:
    """Networks that may do better than the one as given, each at every epoch.

    Attributes
    ----------
    names
        What each network is.
    train_loss, held_out_loss
        float [R, number of networks, E]; NaN where a network did not train (any more).
    """

    names: tuple[str, ...]
    train_loss: np.ndarray
    held_out_loss: np.ndarray

    @staticmethod
    def joined(menus: list[Menu]) -> Menu:
        """Put menus side by side; those with fewer epochs end with NaN."""
        epochs = max(menu.held_out_loss.shape[2] for menu in menus)

        def side_by_side(curves: list[np.ndarray]) -> np.ndarray:
            # NaN is what was not trained: it is never chosen
            wide = [np.pad(c, ((0, 0), (0, 0), (0, epochs - c.shape[2])), constant_values=np.nan) for c in curves]
            return np.concatenate(wide, axis=1)

        return Menu(
            tuple(name for menu in menus for name in menu.names),
            side_by_side([menu.train_loss for menu in menus]),
            side_by_side([menu.held_out_loss for menu in menus]),
        )


@dataclass(frozen=True)
class Reduction:
    """By how much one loss is lower than another, as a share of it; negative if it is higher.

    Attributes
    ----------
    test
        Of the logarithm of the ratio of the mean losses (of their difference by the first, where one is not positive).
    logarithmic
        Whether it is of logarithms.
    """

    test: Test
    logarithmic: bool

    @property
    def share(self) -> float:
        """The estimate."""
        return self._share(self.test.difference)

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self._share(self.test.low)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self._share(self.test.high)

    @property
    def helps(self) -> bool:
        """Whether the loss is surely lower (the whole interval lies above zero), and by enough to speak of."""
        return self.low > 0 and self.share >= LEAST_WORTH

    def _share(self, value: float) -> float:
        return float(-np.expm1(-value)) if self.logarithmic else value


def reduction(before: np.ndarray, after: np.ndarray, test_to_train: float, level: float) -> Reduction:
    """Test by which share the mean of the losses `after` [R] is lower than that of the losses `before` [R].

    The logarithm of a ratio of means is a mean to first order (the delta method): its value in row set r is
    ``log(B / A) + (b_r - B) / B - (a_r - A) / A``, with B and A the means. These values are tested. Logarithms of the
    single row sets' ratios would weigh the row sets alike in which hardly a row is hard.
    """
    first, second = float(before.mean()), float(after.mean())
    # a ratio of losses means something only where zero is the best that can be
    if first > 0 and second > 0 and (before >= 0).all() and (after >= 0).all():
        values = np.log(first / second) + before / first - after / second
        return Reduction(corrected_t(values, test_to_train, level), True)
    # of a first loss of 0 there is no share: then the difference itself is told
    return Reduction(corrected_t((before - after) / (abs(first) or 1.0), test_to_train, level), False)


@dataclass(frozen=True)
class Help:
    """How much a menu helps the network as given.

    Attributes
    ----------
    held_out
        Share by which the menu's choice lowers the held-out loss of the network as given; no row set had a part in the
        choice that it scores. Tested as Nadeau and Bengio (2003) do.
    train
        The same of the training losses, at the same choices.
    chosen_loss
        Mean held-out loss of these choices.
    best, epoch
        Name and epoch of the menu's lowest mean held-out loss: what to do.
    """

    held_out: Reduction
    train: Reduction
    chosen_loss: float
    best: str
    epoch: int

    @property
    def helps(self) -> bool:
        """See `Reduction.helps`."""
        return self.held_out.helps


@dataclass(frozen=True)
class Evidence:
    """What the verdict rests on.

    Attributes
    ----------
    search
        Of regularization and earlier epochs together: it alone decides whether the network overfits, so that two cures
        are one test.
    regularization, earlier
        Of each alone; regularization at its own best epochs.
    beyond
        How much lower the held-out loss is with regularization than with fewer epochs alone.
    growth
        Of larger and less regularized networks, and more epochs; None if there are none, or the network overfits.
    gain
        Share by which twice as many rows would lower the held-out loss, a forecast; None where it is not known.
    falls
        Share by which the last doubling of the rows has lowered it, as measured. Its lower end decides: a one-sided
        bound, if the interval's level is twice the wanted one minus 1.
    """

    search: Help
    regularization: Help
    earlier: Help
    beyond: Reduction
    growth: Help | None
    gain: Interval | None
    falls: Reduction | None = None


@dataclass(frozen=True)
class Verdict:
    """What the evidence says.

    Attributes
    ----------
    word
        One of `VERDICTS`.
    cure
        `"regularization"`, `"fewer epochs"`, name of a larger or less regularized network, `"more rows"`, or `""`.
    missing
        Where undecided: what is not known, in words.
    rows
        Where undecided: about how many times as many rows would decide it, by how far the estimates lie from what is
        to be decided; infinite if they lie on it.
    more_folds
        Where undecided: whether folds drawn anew could decide it, too. They average the noise of splitting only.
    """

    word: str
    cure: str
    missing: tuple[str, ...] = ()
    rows: float = 1.0
    more_folds: bool = False


def weigh(
    menu: Menu, train_loss: np.ndarray, held_out_loss: np.ndarray, test_to_train: float, folds: int, level: float
) -> Help:
    """Compare a menu with the network as given at its last epoch.

    Parameters
    ----------
    train_loss, held_out_loss
        float [R], of the network as given.
    test_to_train, folds, level
        See `intervals.corrected_t` and `comparisons.cross_fitted`.
    """
    row_sets, epochs = len(held_out_loss), menu.held_out_loss.shape[2]
    losses, chosen, best = _cross_fitted_losses(menu.held_out_loss, folds)
    train = menu.train_loss.reshape(row_sets, -1)[np.arange(row_sets), chosen]
    held_out = reduction(held_out_loss, losses, test_to_train, level)
    # every row set kept the network as given: all differences are 0
    if np.array_equal(losses, held_out_loss):
        held_out = _at_most(held_out, menu, held_out_loss, test_to_train)
    return Help(
        held_out,
        reduction(train_loss, train, test_to_train, level),
        float(losses.mean()),
        menu.names[best // epochs],
        best % epochs + 1,
    )


def _at_most(held_out: Reduction, menu: Menu, held_out_loss: np.ndarray, test_to_train: float) -> Reduction:
    """Say by how much a menu might help of which no row set chooses anything.

    The test of the choices is then of zeros, and its interval a point, which rules nothing out. What each of the menu
    might do at its best epoch is tested by itself, and the highest of the upper ends is taken.
    """
    test, highs = held_out.test, [held_out.test.high]
    for one in np.moveaxis(menu.held_out_loss, 1, 0):
        mean = np.where(np.isfinite(one).all(axis=0), one.mean(axis=0), np.inf)
        if np.isfinite(mean.min()):
            alone = reduction(held_out_loss, one[:, mean.argmin()], test_to_train, test.level)
            highs.append(alone.test.high)
    return replace(held_out, test=replace(test, high=max(highs)))


def beyond(menu: Menu, other: Menu, test_to_train: float, folds: int, level: float) -> Reduction:
    """Test by which share the held-out loss of a menu's choice is lower than that of another menu's choice."""
    one, two = (_cross_fitted_losses(m.held_out_loss, folds)[0] for m in (menu, other))
    return reduction(two, one, test_to_train, level)


def cure_of(earlier: Help, beyond: Reduction) -> str:
    """Say which of two cures it takes: fewer epochs, unless they do not help or regularization helps beyond them."""
    return "fewer epochs" if earlier.helps and not beyond.helps else "regularization"


def judge(evidence: Evidence, *, worth: float, test_to_train: float = 0.25) -> Verdict:
    """Say whether the network as given overfits, underfits, needs data, fits well, or that it cannot be said.

    Parameters
    ----------
    test_to_train
        See `intervals.corrected_t`; that of five folds, if not told.
    worth
        Share of the held-out loss that is not worth more rows. "Fits well" needs it too: "nothing would help" cannot be
        shown, "nothing would help by more than this" can. (What helps by less than `LEAST_WORTH` is no help in any
        verdict.)
    """
    growth, gain = evidence.growth, evidence.gain
    if evidence.search.helps:
        return Verdict("overfits", cure_of(evidence.earlier, evidence.beyond))
    # more room must lower the training loss too, else it helped by something other than fitting better
    if growth is not None and growth.helps and growth.train.helps:
        return Verdict("underfits", growth.best)
    if gain is not None and evidence.falls is not None and evidence.falls.helps and gain.estimate > worth:
        return Verdict("needs data", "more rows")
    asked: dict[str, Reduction | Interval | None] = {"a regularization or an earlier epoch": evidence.search.held_out}
    asked |= {} if growth is None else {"a larger network": growth.held_out}
    asked["twice as many rows"] = gain
    # `not <=`, so that NaN counts as not known
    missing = {name: found for name, found in asked.items() if found is None or not found.high <= worth}
    if not missing:
        return Verdict("fits well", "")
    factor = folds_alone(evidence.search.held_out.test.degrees + 1, test_to_train)
    rows = max(_times_as_many(found, worth) for found in missing.values())
    possible = all(_narrower_decides(found, worth, factor) for found in missing.values())
    return Verdict("undecided", "", tuple(missing), rows, possible)


def folds_alone(row_sets: int, test_to_train: float) -> float:
    """Return by which factor endlessly many row sets of the same rows make intervals narrower.

    The variance of a mean over R row sets is ``(1 / R + n_test / n_train) * variance`` (`corrected_t`): folds drawn
    anew take the first part away, and only more rows the second.
    """
    return float(np.sqrt(test_to_train / (1 / max(row_sets, 1) + test_to_train)))


def _estimate(found: Reduction | Interval) -> float:
    return found.share if isinstance(found, Reduction) else found.estimate


def _narrower_decides(found: Reduction | Interval | None, worth: float, factor: float) -> bool:
    """Whether an interval that is narrower around its estimate would lie above zero, or not reach what is worth it."""
    if found is None or not np.isfinite([found.low, found.high]).all():
        return False
    estimate = _estimate(found)
    return estimate + factor * (found.high - estimate) <= worth or estimate - factor * (estimate - found.low) > 0


def _times_as_many(found: Reduction | Interval | None, worth: float) -> float:
    """About how many times as many rows make an interval decide: its width falls as one over their root."""
    if found is None or not np.isfinite([found.low, found.high]).all():
        return np.inf
    estimate = _estimate(found)
    below = (found.high - estimate) / (worth - estimate) if estimate < worth else np.inf
    above = (estimate - found.low) / estimate if estimate > 0 else np.inf
    return float(min(below, above) ** 2)


def _cross_fitted_losses(held_out_loss: np.ndarray, folds: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return each row set's loss at the choice it had no part in, the choices [R], and the best of all."""
    flat = held_out_loss.reshape(len(held_out_loss), -1)
    usable = np.where(np.isfinite(flat).all(axis=0), flat, np.inf)
    chosen = cross_fitted(usable, folds)
    return flat[np.arange(len(flat)), chosen], chosen, int(np.argmin(usable.mean(axis=0)))

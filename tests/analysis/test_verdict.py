"""The verdict: every word from curves made by hand, and no choice scored where it was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import t

from fitwell.analysis.intervals import Interval, Test, corrected_t
from fitwell.analysis.verdict import (
    VERDICTS,
    Evidence,
    Help,
    Menu,
    Reduction,
    beyond,
    cure_of,
    folds_alone,
    judge,
    reduction,
    weigh,
)

FOLDS, RATIO, LEVEL, WORTH = 5, 0.25, 0.95, 0.1
JITTER = np.array([0.01, -0.01, 0.02, -0.02, 0.0])
"""What row sets differ by."""
LOSSES = arrays(float, 5, elements=st.floats(0.1, 5))


def curves(*means: list[float], spread: float = 0.0) -> np.ndarray:
    """Losses [R, networks, E]: each network's curve, all of a row set off by the same, each for itself by `spread`."""
    own = spread * np.random.default_rng(0).normal(size=(len(JITTER), len(means), len(means[0])))
    return np.array(means)[None] + JITTER[:, None, None] + own


def menu(*means: list[float], train: float = 0.0, spread: float = 0.0) -> Menu:
    """A menu of networks with these held-out curves, and training losses so much lower."""
    held_out = curves(*means, spread=spread)
    return Menu(tuple(f"network {i}" for i in range(len(means))), held_out - train, held_out)


def helped(found: Menu, loss: float = 1.0, train: float = 1.0) -> Help:
    """Compare a menu with a network of this held-out and this training loss."""
    return weigh(found, train + JITTER, loss + JITTER, RATIO, FOLDS, LEVEL)


def interval(estimate: float, half: float) -> Interval:
    """An interval around its estimate."""
    return Interval(estimate, estimate - half, estimate + half, LEVEL)


NOTHING = helped(menu([1.0, 1.0]))
BETTER = helped(menu([0.7, 0.6]))
FITS_MORE = helped(menu([0.7, 0.6], train=0.2), train=0.9)
UNSURE = helped(menu([0.9, 0.9], spread=0.5))
NO_GAIN, GAIN, UNSURE_GAIN = interval(0.01, 0.02), interval(0.3, 0.1), interval(0.05, 0.4)


def evidence(**parts: Any) -> Evidence:
    """Evidence that nothing helps, surely, but for what is given."""
    ordinary: dict[str, Any] = {
        "search": NOTHING,
        "regularization": NOTHING,
        "earlier": NOTHING,
        "beyond": NOTHING.held_out,
        "growth": NOTHING,
        "gain": NO_GAIN,
    }
    falls = {"falls": falling(parts["gain"])} if parts.get("gain") else {}  # as sure as the forecast
    return Evidence(**{**ordinary, **falls, **parts})


def falling(gain: Interval) -> Reduction:
    """The last doubling of the rows lowered the loss by as much as the next would, and that is as sure."""
    return Reduction(Test(gain.estimate, 0.1, 9, gain.low, gain.high, gain.level, 0.0, 0.0), False)


@pytest.mark.parametrize(
    ("parts", "word", "cure"),
    [
        pytest.param({"search": BETTER, "regularization": BETTER}, "overfits", "regularization", id="overfits"),
        pytest.param({"search": BETTER, "earlier": BETTER}, "overfits", "fewer epochs", id="overfits in time"),
        pytest.param({"growth": FITS_MORE}, "underfits", "network 0", id="underfits"),
        pytest.param({"gain": GAIN}, "needs data", "more rows", id="needs data"),
        pytest.param({}, "fits well", "", id="fits well"),
        pytest.param({"growth": None}, "fits well", "", id="fits well, growth not asked"),
        pytest.param({"search": UNSURE}, "undecided", "", id="undecided"),
        pytest.param({"search": BETTER, "growth": FITS_MORE, "gain": GAIN}, "overfits", "regularization", id="first"),
        pytest.param({"growth": FITS_MORE, "gain": GAIN}, "underfits", "network 0", id="second"),
        pytest.param({"search": UNSURE, "gain": GAIN}, "needs data", "more rows", id="third"),
    ],
)
def test_every_word(parts: dict[str, Any], word: str, cure: str) -> None:
    """Hand-made curves give each of the five verdicts, and overfitting comes first, then underfitting, then data."""
    verdict = judge(evidence(**parts), worth=WORTH)
    assert (verdict.word, verdict.cure) == (word, cure)
    assert verdict.word in VERDICTS
    assert bool(verdict.missing) == (word == "undecided")


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        pytest.param({"search": UNSURE}, ("a regularization or an earlier epoch",), id="search"),
        pytest.param({"growth": UNSURE}, ("a larger network",), id="growth"),
        pytest.param({"gain": UNSURE_GAIN}, ("twice as many rows",), id="gain"),
        pytest.param({"gain": None}, ("twice as many rows",), id="gain not known"),
        pytest.param(
            {"search": UNSURE, "growth": UNSURE, "gain": None},
            ("a regularization or an earlier epoch", "a larger network", "twice as many rows"),
            id="all",
        ),
    ],
)
def test_what_is_missing(parts: dict[str, Any], missing: tuple[str, ...]) -> None:
    """Undecided says which of the three may still help by more than it is worth; worth almost all, only the unknown."""
    verdict = judge(evidence(**parts), worth=WORTH)
    assert (verdict.word, verdict.missing) == ("undecided", missing)
    unknown = ("twice as many rows",) if parts.get("gain", NO_GAIN) is None else ()
    assert judge(evidence(**parts), worth=0.999).missing == unknown


@pytest.mark.parametrize(
    ("parts", "ordinary"),
    [({"search": 1}, "overfits"), ({"search": 1, "earlier": 1}, "overfits"), ({"growth": 1}, "underfits")],
)
def test_a_sure_help_must_be_worth_something(parts: dict[str, int], ordinary: str) -> None:
    """A loss lower by a millionth, however surely, is no verdict; by a fiftieth it is. In every verdict alike."""

    def verdict(lower: float) -> str:
        sure = helped(menu([1 - lower, 1 - lower], spread=1e-9, train=lower))
        assert sure.held_out.low > 0
        return judge(evidence(**dict.fromkeys(parts, sure)), worth=WORTH).word

    assert verdict(1e-6) == "fits well"
    assert verdict(0.02) == ordinary
    falls = Reduction(Test(1e-6, 1e-9, 9, 0.9e-6, 1.1e-6, 0.9, 0.0, 0.0), False)
    assert judge(evidence(gain=GAIN, falls=falls), worth=WORTH).word == "undecided"


def test_how_many_rows_would_decide() -> None:
    """An interval that must be half as wide takes four times the rows, one that is not known endlessly many."""
    wide = interval(0.05, 0.1)  # it must not reach beyond 0.1
    assert judge(evidence(gain=wide), worth=0.1).rows == pytest.approx(4)
    assert judge(evidence(gain=interval(0.08, 0.16)), worth=0.1).rows == pytest.approx(4)  # above zero is nearer
    assert judge(evidence(gain=None), worth=0.1).rows == np.inf
    assert judge(evidence(gain=interval(0.0, 0.12)), worth=0.1).rows == pytest.approx(1.44)


def test_whether_more_folds_could_decide() -> None:
    """They take away the noise of splitting only: with five row sets intervals shrink by a quarter at most."""
    assert folds_alone(5, 0.25) == pytest.approx(np.sqrt(0.25 / 0.45))
    assert judge(evidence(gain=interval(0.0, 0.11)), worth=0.1).more_folds
    assert not judge(evidence(gain=interval(0.0, 0.14)), worth=0.1).more_folds
    assert not judge(evidence(gain=None), worth=0.1).more_folds


def test_a_larger_network_must_fit_better_too() -> None:
    """A lower held-out loss without a lower training loss is no underfitting: the larger network only regularizes."""
    smoother = helped(menu([0.7, 0.6], train=-0.5), train=0.9)
    assert smoother.helps
    assert not smoother.train.low > 0
    assert judge(evidence(growth=smoother), worth=WORTH).word == "undecided"
    assert judge(evidence(growth=FITS_MORE), worth=WORTH).word == "underfits"


def test_a_gain_that_is_not_worth_it() -> None:
    """A small gain by more rows, however sure, is no need for data."""
    sure = interval(0.05, 0.01)
    assert judge(evidence(gain=sure), worth=0.1).word == "fits well"
    assert judge(evidence(gain=sure), worth=0.04).word == "needs data"


@pytest.mark.parametrize("falls", [NOTHING.held_out, UNSURE.held_out, None], ids=["flat", "unsure", "unknown"])
def test_a_forecast_alone_is_no_need_for_data(falls: Reduction | None) -> None:
    """A large gain is believed only where the last doubling of the rows is known to have helped."""
    assert judge(evidence(gain=GAIN, falls=falls), worth=WORTH).word == "undecided"
    assert judge(evidence(gain=GAIN, falls=BETTER.held_out), worth=WORTH).word == "needs data"


def test_no_row_set_scores_its_own_choice() -> None:
    """Forty networks of pure noise do not help on average; by the lowest mean of the same losses they do."""
    honest, naive, said = [], [], []
    given_loss = np.ones(FOLDS)
    for seed in range(60):
        held_out = 1 + 0.2 * np.random.default_rng(seed).normal(size=(FOLDS, 40, 1))
        one = weigh(Menu(tuple(map(str, range(40))), held_out, held_out), given_loss, given_loss, RATIO, FOLDS, LEVEL)
        plain = reduction(given_loss, held_out[:, held_out.mean(axis=0)[:, 0].argmin(), 0], RATIO, LEVEL)
        honest.append(one.held_out.share)
        naive.append(plain.share)
        said.append((one.helps, plain.low > 0))
    assert abs(np.mean(honest)) < 3 * np.std(honest) / np.sqrt(60)
    assert np.mean(naive) > 0.12
    wrongly, wrongly_by_minimum = np.sum(said, axis=0)
    assert wrongly <= 6
    assert wrongly_by_minimum >= 3 * max(1, wrongly)


def test_a_row_set_is_scored_by_the_choice_of_the_others() -> None:
    """Row set 0 alone likes network a, the others b: each is scored by what the others like."""
    held_out = np.array([[0.0, 1.0], [3.0, 1.0], [1.0, 1.0]])[:, :, None]
    found = weigh(Menu(("a", "b"), held_out, held_out), np.full(3, 2.0), np.full(3, 2.0), 0.5, 3, LEVEL)
    # without row set 0 the means are (2, 1): b; without 1 (0.5, 1): a; without 2 (1.5, 1): b
    assert found.chosen_loss == pytest.approx(np.mean([1.0, 3.0, 1.0]))
    assert (found.best, found.epoch) == ("b", 1)


def test_zeros_rule_nothing_out() -> None:
    """Where every row set keeps the network as given, an alternative that may be far better still may be.

    Its own test says by how much; one that is surely worse leaves the point as it is.
    """
    as_given = menu([1.0, 1.0])
    unsure = Menu(("far apart",), np.zeros((5, 1, 1)), 1.25 + JITTER[:, None, None] * 15)
    worse = Menu(("surely worse",), np.zeros((5, 1, 1)), 2.0 + JITTER[:, None, None])
    found, certain = (helped(Menu.joined([as_given, other])) for other in (unsure, worse))
    alone = reduction(1 + JITTER, unsure.held_out_loss[:, 0, 0], RATIO, LEVEL)
    assert (found.held_out.share, found.held_out.low, found.held_out.high) == pytest.approx((0, 0, alone.high))
    assert alone.high > 0.05
    assert certain.held_out.high == 0
    assert "a regularization or an earlier epoch" in judge(evidence(search=found), worth=0.05).missing


def test_the_best_epoch_is_counted_from_one() -> None:
    """What to do is the lowest mean of all networks and epochs, by name and epoch."""
    found = helped(menu([0.9, 0.8, 0.7], [0.9, 0.5, 0.6]))
    assert (found.best, found.epoch) == ("network 1", 2)
    assert found.chosen_loss == pytest.approx(0.5 + JITTER.mean())


# Reductions


def by_hand(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """The ratio of two means by the delta method, from covariances, with the corrected t interval."""
    b, a, count = before.mean(), after.mean(), len(before)
    cov = np.cov(before, after)
    variance = cov[0, 0] / b**2 + cov[1, 1] / a**2 - 2 * cov[0, 1] / (a * b)
    half = t.ppf((1 + LEVEL) / 2, count - 1) * np.sqrt((1 / count + RATIO) * max(variance, 0.0))
    centre = np.log(b / a)
    return 1 - np.exp(-centre), 1 - np.exp(-(centre - half)), 1 - np.exp(-(centre + half))


@given(LOSSES, LOSSES)
def test_a_reduction_is_the_delta_method(before: np.ndarray, after: np.ndarray) -> None:
    """Share and interval are those of the ratio of means, with its first-order variance from the covariances."""
    found = reduction(before, after, RATIO, LEVEL)
    assert found.logarithmic
    assert (found.share, found.low, found.high) == pytest.approx(by_hand(before, after), rel=1e-5, abs=1e-5)
    assert found.share == pytest.approx(1 - after.mean() / before.mean(), abs=1e-9)
    assert found.low <= found.share <= found.high


@given(LOSSES, LOSSES, st.floats(1e-6, 1e6))
def test_units_do_not_matter(before: np.ndarray, after: np.ndarray, unit: float) -> None:
    """Losses in other units (a target in thousands) give the same share and the same interval."""
    one, other = (reduction(factor * before, factor * after, RATIO, LEVEL) for factor in (1.0, unit))
    assert (one.share, one.low, one.high) == pytest.approx((other.share, other.low, other.high), rel=1e-6, abs=1e-7)


def test_ratios_hear_what_differences_do_not() -> None:
    """Where two row sets are hard for both, a halved loss is sure by the ratio; by the difference (the break) not."""
    before = np.array([1.0, 1.1, 30.0, 0.9, 25.0])
    after = before * np.array([0.5, 0.52, 0.5, 0.49, 0.51])
    assert reduction(before, after, RATIO, LEVEL).low > 0.4
    assert corrected_t(before - after, RATIO, LEVEL).low < 0


@pytest.mark.parametrize("sign", [(1, -1), (-1, 1), (-1, -1), (0, 1)])
def test_losses_that_are_not_positive(sign: tuple[int, int]) -> None:
    """A loss that is not above zero has no logarithm: the difference counts, by the size of the first."""
    before, after = sign[0] * (2 + JITTER), sign[1] * (1 + JITTER[::-1])
    found = reduction(before, after, RATIO, LEVEL)
    assert not found.logarithmic
    unit = abs(before.mean()) or 1.0
    assert found.share == pytest.approx((before - after).mean() / unit)
    expected = corrected_t((before - after) / unit, RATIO, LEVEL)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_lower_is_positive() -> None:
    """A loss that falls is a positive reduction, also below zero; one that rises a negative one."""
    assert reduction(1 + JITTER, 0.5 + JITTER, RATIO, LEVEL).share == pytest.approx(0.5)
    assert reduction(0.5 + JITTER, 1 + JITTER, RATIO, LEVEL).share == pytest.approx(-1)
    assert reduction(-1 + JITTER, -2 + JITTER, RATIO, LEVEL).share == pytest.approx(1)


# Menus


def test_joined_menus_end_with_nothing() -> None:
    """Menus of different lengths stand side by side, and the missing epochs are NaN and never chosen."""
    short, long = menu([0.5]), menu([0.9, 0.8, 0.7])
    joined = Menu.joined([short, long])
    assert joined.names == ("network 0", "network 0")
    np.testing.assert_array_equal(joined.held_out_loss[:, :1, :1], short.held_out_loss)
    np.testing.assert_array_equal(joined.held_out_loss[:, 1:], long.held_out_loss)
    assert np.isnan(joined.held_out_loss[:, 0, 1:]).all()
    assert np.isnan(joined.train_loss[:, 0, 1:]).all()
    found = helped(joined)
    assert (found.epoch, found.chosen_loss) == (1, pytest.approx(0.5))
    assert np.isfinite([found.held_out.low, found.train.low]).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_did_not_train_on_every_row_set_is_never_chosen(broken: float) -> None:
    """A network without a loss on one row set is left out for all; the low losses of the others do not count."""
    held_out = curves([1.0], [0.1])
    held_out[2, 1, 0] = broken
    found = weigh(Menu(("whole", "broken"), held_out, held_out), 1 + JITTER, 1 + JITTER, RATIO, FOLDS, LEVEL)
    assert (found.best, found.chosen_loss) == ("whole", pytest.approx(1.0))


@pytest.mark.parametrize(
    ("earlier", "more", "cure"),
    [
        pytest.param(BETTER, UNSURE.held_out, "fewer epochs", id="stopping is enough"),
        pytest.param(BETTER, BETTER.held_out, "regularization", id="more than stopping"),
        pytest.param(UNSURE, BETTER.held_out, "regularization", id="stopping does nothing"),
        pytest.param(UNSURE, UNSURE.held_out, "regularization", id="only both together"),
    ],
)
def test_the_cure(earlier: Help, more: Reduction, cure: str) -> None:
    """Fewer epochs, if they help and regularization does not help beyond them; else regularization."""
    assert cure_of(earlier, more) == cure


def test_beyond_is_of_one_menu_by_another() -> None:
    """It is by how much the first menu's choice is lower than the second's; a menu beyond itself is nothing."""
    low, high = menu([0.5, 0.6]), menu([0.9, 0.8])
    assert beyond(low, high, RATIO, FOLDS, LEVEL).share == pytest.approx(1 - 0.5 / 0.8)
    assert beyond(high, low, RATIO, FOLDS, LEVEL).share < 0
    itself = beyond(low, low, RATIO, FOLDS, LEVEL)
    assert (itself.share, itself.low, itself.high) == pytest.approx((0, 0, 0), abs=1e-12)


# Less evidence


def widened(found: Help | None, factor: float) -> Help | None:
    """The same estimates, the intervals so many times as wide: as with fewer row sets."""
    if found is None:
        return None

    def of(part: Reduction) -> Reduction:
        test, mean = part.test, part.test.difference
        low, high = (mean + factor * (end - mean) for end in (test.low, test.high))
        return replace(part, test=replace(test, low=low, high=high))

    return replace(found, held_out=of(found.held_out), train=of(found.train))


def knowing_less(whole: Evidence, factor: float) -> Evidence:
    """All intervals so many times as wide."""
    gain = whole.gain and interval(whole.gain.estimate, factor * (whole.gain.high - whole.gain.estimate))
    search, growth = widened(whole.search, factor), widened(whole.growth, factor)
    return replace(whole, search=search, growth=growth, gain=gain, falls=gain and falling(gain))


SOME = st.sampled_from([BETTER, FITS_MORE, UNSURE, NOTHING, helped(menu([1.02, 1.04], spread=0.03))])
GAINS = st.none() | st.builds(interval, st.floats(-0.2, 0.5), st.floats(0.001, 0.5))


@given(SOME, SOME | st.none(), GAINS, st.floats(1, 100))
def test_less_evidence_shows_nothing_more(
    search: Help, growth: Help | None, gain: Interval | None, factor: float
) -> None:
    """Wider intervals around the same numbers never give an earlier verdict: nothing is shown by knowing less.

    The order is: overfits, underfits, needs data, fits well, undecided. A later one may come to light, as where what a
    strength seemed to help is no longer sure and the need for data still is.
    """
    whole = evidence(search=search, growth=growth, gain=gain)
    order = ["overfits", "underfits", "needs data", "fits well", "undecided"]
    before, after = (order.index(judge(part, worth=WORTH).word) for part in (whole, knowing_less(whole, factor)))
    assert before <= after


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"search": helped(menu([0.7, 0.6], spread=0.05))}, id="overfits"),
        pytest.param({"growth": helped(menu([0.7, 0.6], train=0.2, spread=0.05), train=0.9)}, id="underfits"),
        pytest.param({"gain": GAIN}, id="needs data"),
        pytest.param({"search": helped(menu([1.0, 1.01], spread=0.01))}, id="fits well"),
    ],
)
def test_each_verdict_becomes_undecided(parts: dict[str, Any]) -> None:
    """With one thing to show, ever wider intervals turn each verdict into "undecided" and into nothing else."""
    whole = evidence(**parts)
    found = [judge(knowing_less(whole, factor), worth=WORTH).word for factor in (1, 2, 5, 20, 1000)]
    assert found[0] != "undecided"
    assert found[-1] == "undecided"
    assert set(found) == {found[0], "undecided"}


def test_fewer_row_sets_widen() -> None:
    """The same spread on three row sets instead of fifteen gives a wider interval, so that less is shown."""
    before, after = 1 + np.array([0.15, 0.0, -0.15]), 0.7 + np.array([-0.05, 0.1, -0.05])
    few = reduction(before, after, 1 / 2, LEVEL)
    many = reduction(np.tile(before, 5), np.tile(after, 5), 1 / 14, LEVEL)
    assert few.share == pytest.approx(many.share)
    assert many.low > 0 > few.low

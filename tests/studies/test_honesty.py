"""The score on new rows: nested by a plain loop, with a leak planted, and by rows already held out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from example_tables import QUICK, mixed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fitwell.analysis import selection
from fitwell.analysis.honest import for_positive
from fitwell.analysis.losses_of_units import UnitLosses
from fitwell.analysis.nested import nested_interval
from fitwell.analysis.selection import choose, choose_by
from fitwell.api.tune import tune
from fitwell.data import units
from fitwell.data.resampling import inner_number, nested_folds
from fitwell.engine.histories import Histories
from fitwell.engine.plan import Listener
from fitwell.engine.records import recorded_bytes
from fitwell.errors import InputError, TrainingError
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import Options
from fitwell.problems.tables import read_table
from fitwell.regularization.strengths import Candidates
from fitwell.studies import honesty
from fitwell.studies import search as one_road
from fitwell.studies.honesty import LEVEL, honest_score
from fitwell.studies.search import Searched, recording, train_networks
from fitwell.studies.search import search as search_problem

FOLDS, REPEATS = 3, 2
OPTIONS = Options(hidden=(6,), strengths=4, epochs=6, refit="single", rule="min", learning_rate=0.02)


@pytest.fixture(scope="module")
def dense() -> DenseOnTable:
    """A small table in three folds, twice."""
    return DenseOnTable(read_table(mixed(60), "ill", cv=FOLDS, repeats=REPEATS, seed=0), OPTIONS.hidden)


@pytest.fixture(scope="module")
def search(dense: DenseOnTable) -> tuple[Histories, Candidates]:
    """An ordinary search of it, all rows recorded."""
    found = search_problem(dense, OPTIONS)
    assert found.trained.histories.records is not None
    return found.trained.histories, found.candidates


def inner_search(dense: DenseOnTable, candidates: Candidates) -> Histories:
    """The inner and outer row sets of all folds, trained to the last epoch."""
    sets = nested_folds(dense.row_sets)
    alone = recording(replace(dense.settings(OPTIONS), stopping=None), sets, candidates.count)
    return train_networks(dense.on(sets), candidates, alone).histories


@pytest.fixture(scope="module")
def trained(dense: DenseOnTable, search: tuple[Histories, Candidates]) -> Histories:
    """See `inner_search`."""
    return inner_search(dense, search[1])


def as_searched(
    dense: DenseOnTable, histories: Histories, candidates: Candidates, options: Options = OPTIONS
) -> Searched:
    """These numbers as the finished search of a problem."""
    trained: Any = SimpleNamespace(histories=histories)
    return Searched(dense, options, candidates, dense.settings(options), trained, 0.0)


def score(dense: DenseOnTable, search: tuple[Histories, Candidates], **options: str) -> Any:
    """The honest score with some options."""
    how, (histories, candidates) = replace(OPTIONS, **options), search
    choice = choose(histories, candidates, dense.row_sets.independent, test_to_train=dense.row_sets.test_to_train)
    return honest_score(as_searched(dense, histories, candidates, how), choice)


class SomebodysOwn(DenseOnTable):
    """A problem whose network as given may be left alone."""

    may_stay = True


def outer_losses(dense: DenseOnTable, histories: Histories, *, leak: bool = False) -> np.ndarray:
    """Losses of all rows [repeats, n] by a plain loop over rows, each by what was chosen without its fold.

    Row sets are found by their rows, not by their numbers. With a leak the rows that are scored choose, too.
    """
    sets, n = nested_folds(dense.row_sets), dense.row_sets.n_rows
    found = np.full((REPEATS, n), np.nan)
    for repeat, k in product(range(REPEATS), range(FOLDS)):
        mine = range(repeat * FOLDS**2, (repeat + 1) * FOLDS**2)
        fold = set(dense.row_sets.held_out[repeat * FOLDS + k].tolist())
        outer = [r for r in mine if set(sets.held_out[r].tolist()) == fold and len(sets.train[r]) == n - len(fold)]
        inner = [r for r in mine if not fold & (set(sets.train[r].tolist()) | set(sets.held_out[r].tolist()))]
        assert (len(outer), len(inner)) == (1, FOLDS - 1)
        mean = histories.held_out_loss[outer if leak else inner].mean(axis=0)
        mean[~np.isfinite(histories.held_out_loss[outer[0]])] = np.inf  # a network that diverged is handed to nobody
        g, e = np.unravel_index(mean.argmin(), mean.shape)
        for row, loss in zip(histories.records.units[outer[0]], histories.records.sums[outer[0]][g, e], strict=True):
            found[repeat, row] = loss
    return found


@pytest.mark.slow
def test_nested_is_a_plain_loop(dense: DenseOnTable, search: Any, trained: Histories) -> None:
    """The score is the mean of losses of rows whose fold had no part in choosing; with the leak it is lower."""
    found = score(dense, search, honest="nested")
    losses = outer_losses(dense, trained).mean(axis=0)
    expected = for_positive(nested_interval(UnitLosses.of_rows(losses), level=LEVEL), losses)
    numbers = [(i.estimate, i.low, i.high) for i in (found.interval, expected)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-6)
    assert found.method == "nested"
    leaking = outer_losses(dense, trained, leak=True).mean()
    assert leaking < found.value * (1 - 1e-6)


@pytest.mark.slow
def test_the_outer_networks_are_those_of_the_table(dense: DenseOnTable, trained: Histories) -> None:
    """Each outer row set has the losses of a network trained on that fold's training rows alone, encoded by them."""
    sets = nested_folds(dense.row_sets)
    on_inner = dense.on(sets)
    for r in (0, FOLDS, FOLDS + 1):
        one = on_inner.table.encodings[r]
        again = dense.on(replace(sets, train=(sets.train[r],), held_out=(sets.held_out[r],), folds_per_repeat=0))
        np.testing.assert_array_equal(again.table.dataset().inputs[0], on_inner.table.dataset().inputs[r])
        assert one is not again.table.encodings[0]
    means = [trained.records.sums[r].sum(axis=-1) / len(rows) for r, rows in enumerate(sets.held_out)]
    np.testing.assert_allclose(means, trained.held_out_loss, rtol=1e-4)


Chosen = tuple[tuple[int, int], np.ndarray]


def choices(
    dense: DenseOnTable,
    search: Any,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    histories: Histories | None = None,
) -> list[Chosen]:
    """What was chosen and by what, fold after fold: by `"bates"` first without each other fold, then the fold's own."""
    found, choice = [], honesty._choice

    def spied(by: Any, surface: np.ndarray, test_to_train: float) -> tuple[int, int]:
        assert test_to_train == pytest.approx(1 / (FOLDS - 2), rel=0.1)
        found.append((choice(by, surface, test_to_train), surface))
        return found[-1][0]

    with monkeypatch.context() as patched:
        patched.setattr(honesty, "_choice", spied)
        if histories is not None:
            patched.setattr(honesty, "train_networks", lambda *_: SimpleNamespace(histories=histories))
        score(dense, search, honest=method)
    return found


@pytest.mark.slow
def test_a_planted_leak_does_not_reach_the_choice(
    dense: DenseOnTable, search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other targets of the first fold's held-out rows leave all it chooses by as it was, bit for bit."""
    values = dense.table.target.values.copy()
    rows = dense.row_sets.held_out[0]
    values[rows] = 1 - values[rows]
    planted = replace(dense, table=replace(dense.table, target=replace(dense.table.target, values=values)))
    before, after = (choices(problem, search, monkeypatch, "nested") for problem in (dense, planted))
    assert len(before) == len(after) == REPEATS * FOLDS
    assert before[0][0] == after[0][0]
    np.testing.assert_array_equal(before[0][1], after[0][1])
    for k in range(1, FOLDS):  # the break: the first fold's rows train or are held out in every other's choice
        assert not np.array_equal(before[k][1], after[k][1])


@pytest.mark.slow
def test_the_scored_fold_has_no_part_in_the_inner_choice(
    dense: DenseOnTable, search: Any, trained: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `"bates"` a fold inside a fold is scored by what the others choose: a point that shines on it lures nobody."""
    k, j = 0, 2
    r = inner_number(FOLDS, k, j)
    planted = trained.held_out_loss.copy()
    planted[r, 1, 3] = -100.0
    before, after = (
        choices(dense, search, monkeypatch, "bates", replace(trained, held_out_loss=losses))
        for losses in (trained.held_out_loss, planted)
    )
    assert len(before) == REPEATS * FOLDS * FOLDS
    changed = [number for number, (one, other) in enumerate(zip(before, after, strict=True)) if one[0] != other[0]]
    # of the first fold: without its first other fold (the planted one chooses), without the planted one, its own
    assert changed == [0, 2]
    assert after[0][0] == after[2][0] == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nested", "bates"])
def test_a_fold_is_not_lost_where_a_network_diverged(
    dense: DenseOnTable, search: Any, trained: Histories, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What diverged on the fold that is scored is not chosen for it: its rows are scored by the next best."""
    lowest = trained.held_out_loss[[inner_number(FOLDS, 0, j) for j in range(1, FOLDS)]].mean(axis=0)
    g = np.unravel_index(lowest.argmin(), lowest.shape)[0]
    losses, sums = trained.held_out_loss.copy(), list(trained.records.sums)
    losses[0, g], sums[0] = np.nan, sums[0].copy()
    sums[0][g] = np.nan
    broken = replace(trained, held_out_loss=losses, records=replace(trained.records, sums=tuple(sums)))
    monkeypatch.setattr(honesty, "train_networks", lambda *_: SimpleNamespace(histories=broken))
    found = score(dense, search, honest=method)
    assert np.isfinite([found.interval.low, found.interval.high]).all()
    if method == "nested":
        every = outer_losses(dense, broken)
        assert np.isfinite(every).all()
        assert found.value == pytest.approx(every.mean(), rel=1e-9)
        without = np.delete(every, dense.row_sets.held_out[0], axis=1)  # the break: the fold as never held out
        assert abs(without.mean() - every.mean()) > 1e-3


@pytest.mark.slow
def test_bates_has_an_interval(dense: DenseOnTable, search: Any) -> None:
    """The interval of Bates, Hastie and Tibshirani is finite and contains its estimate."""
    found = score(dense, search, honest="bates")
    assert found.method == "bates"
    assert np.isfinite([found.interval.low, found.interval.high, found.naive]).all()
    assert found.interval.low < found.value < found.interval.high


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["min", "1se", "confidence-set"])
@pytest.mark.parametrize("method", ["bbc", "nested"])
def test_every_rule_has_a_score(dense: DenseOnTable, search: Any, rule: str, method: str) -> None:
    """All rules and methods give a finite interval around a positive loss; no rule looks better than the minimum."""
    found = score(dense, search, honest=method, rule=rule)
    assert 0 < found.interval.low < found.value < found.interval.high < np.inf
    assert found.naive >= score(dense, search, honest=method, rule="min").naive * (1 - 1e-6)


SURFACES = st.integers(2, 5).flatmap(lambda r: arrays(float, (r, 6, 3), elements=st.floats(0.1, 3)))
STRENGTHS = st.fixed_dictionaries(
    {
        "l2": arrays(float, 6, elements=st.sampled_from([0.0, 1e-4, 1e-2, 0.1])),
        "dropout": arrays(float, 6, elements=st.sampled_from([0.0, 0.2, 0.5])),
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bbc", "nested", "bates"])
def test_rows_of_a_group_are_no_news(dense: DenseOnTable, method: str) -> None:
    """With groups the interval is another, and with each row a group of its own the same as without."""
    sets = dense.row_sets

    def interval(groups: np.ndarray | None) -> Any:
        grouped = dense.on(replace(sets, groups=groups))
        found = search_problem(grouped, OPTIONS)
        return score(grouped, (found.trained.histories, found.candidates), honest=method).interval

    alone, own, few = map(interval, (None, np.arange(sets.n_rows), np.arange(sets.n_rows) // 10))
    assert vars(own) == pytest.approx(vars(alone), rel=1e-9)
    assert [few.estimate, few.high] != pytest.approx([alone.estimate, alone.high], rel=5e-3)


@settings(max_examples=60)
@given(SURFACES, STRENGTHS, st.sampled_from(["1se", "confidence-set"]))
def test_never_weaker_than_the_minimum(surface: np.ndarray, strengths: dict[str, np.ndarray], rule: str) -> None:
    """Inside each fold, too, a rule chooses a strength nowhere weaker than the minimum's, at its own best epoch."""
    candidates = Candidates(strengths, np.ones(6))
    (lowest, _), (chosen, epoch) = (
        honesty._choice(partial(choose_by, name, candidates=candidates), surface, 0.5) for name in ("min", rule)
    )
    assert all(values[chosen] >= values[lowest] for values in strengths.values())
    assert epoch == surface.mean(axis=0)[chosen].argmin()
    mean = surface.mean(axis=0)
    assert mean[lowest].min() == mean.min()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bbc", "nested"])
@pytest.mark.parametrize("rule", ["min", "1se", "confidence-set"])
def test_what_is_scored_is_what_is_chosen(dense: DenseOnTable, search: Any, rule: str, method: str) -> None:
    """The uncorrected number is the cross-validated loss of the choice, also if strengths were left halfway."""
    histories, candidates = search
    halved = np.arange(candidates.count) == candidates.count - 1
    for left in (np.zeros(candidates.count, bool), halved):
        found = replace(histories, cut=left)
        g = choose(found, candidates, FOLDS, test_to_train=dense.row_sets.test_to_train).chosen(rule)
        naive = score(dense, (found, candidates), honest=method, rule=rule).naive
        assert naive == histories.at_best("held_out_loss").mean(axis=0)[g]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bbc", "nested"])
def test_a_network_left_alone_is_what_is_scored(dense: DenseOnTable, search: Any, method: str) -> None:
    """The draws leave it alone, too: where it is always the choice, the score is its own, else another."""
    histories, candidates = search
    mean = histories.at_best("held_out_loss").mean(axis=0)
    given = int(mean.argmax())
    how, kept = replace(OPTIONS, honest=method, rule="1se"), replace(candidates, given=given)
    choice = replace(choose(histories, candidates, FOLDS), given=given, leave_alone=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_may_stay", lambda *_: True)
        own = SomebodysOwn(dense.table, dense.hidden)
        alone = honest_score(as_searched(own, histories, kept, how), choice)
    assert alone.naive == mean[given]
    if method == "bbc":
        assert alone.value == pytest.approx(np.nanmean(histories.row_loss[given]), rel=0.05)
    free = honest_score(as_searched(dense, histories, kept, how), replace(choice, leave_alone=False))
    assert free.naive < alone.naive
    assert free.value != alone.value


@pytest.mark.slow
def test_rows_in_bundles_have_the_score_of_the_rows(
    dense: DenseOnTable, search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the records of rows would be too many they are kept by bundles, and the score hardly changes."""
    candidates = search[1]
    size = REPEATS * dense.row_sets.n_rows * candidates.count * OPTIONS.epochs
    monkeypatch.setattr(one_road, "MOST_RECORDED", size)
    settings = search_problem(dense, OPTIONS).settings
    assert len(np.unique(settings.units)) == dense.row_sets.n_rows
    monkeypatch.setattr(one_road, "MOST_RECORDED", size - 1)
    monkeypatch.setattr(units, "FEWEST_BUNDLES", 20)
    few = search_problem(dense, OPTIONS)
    assert len(np.unique(few.settings.units)) == 20
    found, whole = score(dense, (few.trained.histories, candidates)), score(dense, search)
    assert found.value == pytest.approx(whole.value, rel=0.02)
    assert found.naive == whole.naive


@pytest.mark.slow
def test_the_memory_of_records_is_planned(dense: DenseOnTable, search: Any) -> None:
    """A nested search that would not fit is refused with the budget, before anything is trained."""
    sets = nested_folds(dense.row_sets)
    settings = recording(replace(dense.settings(OPTIONS), stopping=None), sets, search[1].count)
    assert settings.units is not None
    records = recorded_bytes(sets, settings.units, search[1].count, settings.epochs)
    plans: list[Any] = []
    train_networks(dense.on(sets), search[1], settings, listener=Listener(on_plan=plans.append))
    without = replace(settings, units=None)
    train_networks(dense.on(sets), search[1], without, listener=Listener(on_plan=plans.append))
    assert plans[0].memory >= plans[1].memory + 3 * records
    with pytest.raises(TrainingError, match="memory budget"):
        train_networks(dense.on(sets), search[1], replace(settings, memory=2 * records))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"honest": "cv"}, "'honest' must be 'bbc', 'nested' or 'bates'. Got 'cv'"),
        ({"honest": None}, "'honest' must be 'bbc', 'nested' or 'bates'. Got None"),
        ({"rule": "best"}, "'rule' must be '1se', 'min' or 'confidence-set'. Got 'best'"),
    ],
)
def test_names_that_are_none(options: dict[str, str], message: str) -> None:
    """A method or rule that does not exist is refused in a sentence with the names that do."""
    with pytest.raises(InputError, match=message):
        tune(mixed(), "ill", **QUICK, **options)


@pytest.mark.parametrize("method", ["nested", "bates"])
def test_folds_that_cannot_be_nested_are_refused_before_training(method: str) -> None:
    """Two folds have no folds inside them: that is said before hours of training, not after."""
    planned: list[Any] = []
    with pytest.raises(InputError, match="Nested cross-validation needs at least 3 folds"):
        tune(mixed(), "ill", **{**QUICK, "cv": 2}, honest=method, listener=Listener(on_plan=planned.append))
    assert planned == []

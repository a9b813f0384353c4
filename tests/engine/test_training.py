"""The search: what it reports, when it ends, what it leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.data.row_sets import RowSets
from fitwell.engine.ending import Ended, Ending
from fitwell.engine.executor import Job
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Settings, make_rows
from fitwell.engine.plan import Listener, Plan, Progress, default_batch_size
from fitwell.engine.stopping import Stopping
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import TrainingError, UnfinishedError
from fitwell.regularization.strengths import Candidates

pytestmark = pytest.mark.usefixtures("quickly_compiled")

THREE = Candidates({"l2": np.array([0, 0.01, 0.1])}, np.array([0.01, 0.02, 0.03]))


def settings(seed: int, **others: Any) -> Settings:
    """Blocks of three strengths on one device."""
    return Settings(batch_size=8, devices=1, block_strengths=3, call_epochs=2, seed=seed, **others)


def test_reports(problem: Callable[..., Any], seed: int) -> None:
    """The plan is told once, before training and with an estimate; progress grows to one."""
    case, plans, reports = problem(seed, regression=True), list[Plan](), list[Progress]()
    trained = train_all(
        *case[:3],
        THREE,
        loss=case.loss,
        settings=settings(seed, epochs=4, stopping=None),
        listener=Listener(on_plan=plans.append, on_progress=reports.append),
    )
    assert plans == [trained.plan]
    assert plans[0].seconds > 0
    assert [report.epoch for report in reports] == [2, 4]
    assert [report.done for report in reports] == [0.5, 1.0]
    assert reports[-1].running == 0
    assert reports[0].running == reports[0].networks == 9
    assert reports[-1].best_loss == pytest.approx(trained.histories.best_loss.min())
    assert set(trained.seconds) == {"compile", "train", "measure"}


def test_patience_ends_a_search(problem: Callable[..., Any], seed: int) -> None:
    """Strengths that do not improve leave: far fewer epochs than allowed, and NaN behind them."""
    case, stopping = problem(seed), Stopping(patience=4, rungs=(), finalists=3)
    rates = Candidates(THREE.strengths, np.full(3, 0.1))
    patient = settings(seed, epochs=400, stopping=stopping)
    histories = train_all(*case[:3], rates, loss=case.loss, settings=patient).histories
    assert histories.epochs.max() < 200
    assert (histories.epochs - histories.best_epoch >= 4).all()
    for g, epochs in enumerate(histories.epochs):
        assert np.isfinite(histories.held_out_loss[:, g, :epochs]).all()
        assert np.isnan(histories.held_out_loss[:, g, epochs:]).all()


@pytest.mark.slow
def test_halved_strengths_are_marked(problem: Callable[..., Any], seed: int) -> None:
    """Strengths that left while still improving are marked; those that lost patience or trained on are not."""
    case, rates = problem(seed), Candidates(THREE.strengths, np.array([1e-3, 2e-3, 1e-4]))
    halving = settings(seed, epochs=6, stopping=Stopping(patience=100, rungs=(2,), kept=0.5, finalists=1))
    histories = train_all(*case[:3], rates, loss=case.loss, settings=halving).histories
    assert histories.cut.any()
    np.testing.assert_array_equal(histories.cut, histories.epochs == 2)
    assert histories.epochs[~histories.cut].tolist() == [6] * int((~histories.cut).sum())
    impatient = settings(seed, epochs=400, stopping=Stopping(patience=4, rungs=(), finalists=3))
    fast = Candidates(THREE.strengths, np.full(3, 0.1))
    assert not train_all(*case[:3], fast, loss=case.loss, settings=impatient).histories.cut.any()


def test_something_beside(problem: Callable[..., Any], seed: int) -> None:
    """What is to be done beside the training is done once, in a thread of its own, after the first epochs."""
    case, threads, reports = problem(seed), list[str](), list[int]()

    def beside() -> None:
        threads.append(threading.current_thread().name)

    listener = Listener(on_progress=lambda progress: reports.append(progress.epoch))
    how = settings(seed, epochs=4, stopping=None)
    train_all(*case[:3], THREE, loss=case.loss, settings=how, listener=listener, beside=beside)
    for thread in threading.enumerate():
        if thread.name == "beside":
            thread.join(5)
    assert threads == ["beside"]
    assert reports == [2, 4]


CANDIDATES = Candidates({"l2": np.array([0, 0.01, 0.1])}, np.array([0.01, 0.02, 0.03]))
SETTINGS = Settings(epochs=4, batch_size=8, stopping=None, devices=1, block_strengths=3, call_epochs=2)


@given(st.integers(1, 100_000))
def test_default_batch_size(rows: int) -> None:
    """About an eighth of the rows, a power of two from 16 to 256, never more than there are."""
    size = default_batch_size(rows)
    assert size <= rows
    if rows >= 16:
        assert 16 <= size <= 256
        assert size & (size - 1) == 0
    if 128 <= rows <= 2048:
        assert 1 / 1.5 <= size / (rows / 8) <= 1.5


def test_make_rows(problem: Callable[..., Any], seed: int) -> None:
    """Rows are padded; measured are training rows, as many as are held out, none twice, by the seed."""
    row_sets = problem(seed).row_sets
    rows = make_rows(row_sets, seed)
    assert (rows.n_train.tolist(), rows.n_held_out.tolist()) == ([27, 27, 28], [14, 14, 13])
    assert rows.n_measured.tolist() == rows.n_held_out.tolist()
    for r in range(3):
        measured = rows.measured[r, : rows.n_measured[r]]
        assert len(set(measured)) == rows.n_measured[r]
        assert set(measured) <= set(row_sets.train[r])
        assert set(rows.train[r, : rows.n_train[r]]) == set(row_sets.train[r])
    assert {leaf.dtype for leaf in rows} == {np.dtype(np.int32)}
    np.testing.assert_array_equal(rows.measured, make_rows(row_sets, seed).measured)
    assert (rows.measured != make_rows(row_sets, seed + 1).measured).any()


def test_few_training_rows_are_all_measured() -> None:
    """Where fewer rows train than are held out, all of them are measured; with none held out none is."""
    sets = RowSets((np.array([5, 6], np.int32),), (np.arange(5, dtype=np.int32),), 7)
    assert set(make_rows(sets, 0).measured[0]) == {5, 6}
    alone = RowSets((np.arange(5, dtype=np.int32),), (np.array([], np.int32),), 5)
    assert make_rows(alone, 0).measured.shape == (1, 0)


def test_rows_that_weigh_nothing_are_measured_last(problem: Callable[..., Any], seed: int) -> None:
    """A mean over them alone is none; where other rows suffice none of them is measured, and equal weights are none."""
    row_sets = problem(seed).row_sets
    weight = np.random.default_rng(seed).gamma(1.0, size=41)
    weight[np.random.default_rng(seed).permutation(41)[:20]] = 0
    rows, plain = make_rows(row_sets, seed, weight), make_rows(row_sets, seed)
    for r in range(3):
        there = (weight[row_sets.train[r]] > 0).sum()
        for one, most in ((rows, True), (plain, False)):
            taken = (weight[one.measured[r, : one.n_measured[r]]] > 0).sum()
            assert bool(taken == min(there, one.n_measured[r])) is most
    np.testing.assert_array_equal(make_rows(row_sets, seed, np.full(41, 0.3)).measured, plain.measured)


@pytest.fixture(scope="module")
def search(problem: Callable[..., Any], seed: int) -> tuple[Any, Trained]:
    """A regression of three row sets and three strengths, float32."""
    case = problem(seed, regression=True)
    return case, train_all(*case[:3], CANDIDATES, loss=case.loss, settings=replace(SETTINGS, seed=seed))


def test_shapes(search: tuple[Any, Trained]) -> None:
    """Curves are [R, G, E], snapshots [R, G, ...] in the data's own type, and one strength's are [R, ...]."""
    case, trained = search
    histories = trained.histories
    assert histories.train_loss.shape == histories.held_out_metric.shape == (3, 3, 4)
    assert np.isfinite(histories.train_loss).all()
    assert histories.row_loss.shape == (3, 41)
    assert (trained.plan.steps, trained.plan.batch_size, trained.compilations) == (4, 8, 1)
    for whole, one in zip(jax.tree.leaves(trained.best), jax.tree.leaves(trained.variables(1)), strict=True):
        assert whole.dtype == np.float32
        np.testing.assert_array_equal(whole[:, 1], one)
    assert trained.dataset is case.dataset


def test_best_losses_are_in_the_targets_units(search: tuple[Any, Trained]) -> None:
    """The best loss is the lowest mean over row sets, at the best epoch, in squared units of the target."""
    _, trained = search
    histories = trained.histories
    means = histories.held_out_loss.mean(axis=0)
    np.testing.assert_allclose(histories.best_loss, means.min(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(histories.best_epoch, means.argmin(axis=1) + 1)


def test_held_out_predictions(search: tuple[Any, Trained]) -> None:
    """Each row is predicted by the network that did not train on it, in the target's units."""
    case, trained = search
    predictions = trained.held_out_predictions([2, 0])
    assert predictions.shape == (2, 41)
    for r, held_out in enumerate(case.row_sets.held_out):
        variables = jax.tree.map(lambda leaf, r=r: leaf[r], trained.variables(2))
        outputs = case.network.apply(variables, case.dataset.inputs[r, held_out], None)[0][:, 0]
        expected = case.dataset.shift[r] + case.dataset.scale[r] * outputs
        np.testing.assert_allclose(predictions[0, held_out], expected, rtol=1e-4, atol=1e-5)


def test_row_losses_are_those_of_the_predictions(search: tuple[Any, Trained]) -> None:
    """The loss of a row is the squared error of its held-out prediction, and their mean is the best loss."""
    case, trained = search
    target = case.dataset.shift[0] + case.dataset.scale[0] * case.dataset.targets[0]
    errors = (trained.held_out_predictions([0, 1, 2]) - target) ** 2
    np.testing.assert_allclose(trained.histories.row_loss, errors, rtol=1e-3, atol=1e-4)
    by_set = [errors[:, rows].mean(axis=1) for rows in case.row_sets.held_out]
    np.testing.assert_allclose(trained.histories.best_loss, np.mean(by_set, axis=0), rtol=1e-4)


@pytest.mark.slow
def test_shared_data_is_own_data_repeated(problem: Callable[..., Any], seed: int) -> None:
    """Row sets that share inputs train as if each had a copy."""
    case = problem(seed, own=False)
    copies = replace(
        case.dataset,
        inputs=np.stack([case.dataset.inputs] * 3),
        targets=np.stack([case.dataset.targets] * 3),
        own=True,
    )
    runs = [
        train_all(case.network, data, case.row_sets, CANDIDATES, loss=case.loss, settings=SETTINGS)
        for data in (case.dataset, copies)
    ]
    np.testing.assert_allclose(*(run.histories.held_out_loss for run in runs), rtol=1e-4)
    np.testing.assert_allclose(*(run.held_out_predictions([0, 1, 2]) for run in runs), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_rows_held_out_often_or_never(problem: Callable[..., Any], seed: int) -> None:
    """Rows held out twice have the mean of both, rows never held out NaN, in predictions and row losses."""
    case = problem(seed)
    first = np.arange(0, 14, dtype=np.int32)
    second = np.arange(7, 20, dtype=np.int32)
    everything = np.arange(41, dtype=np.int32)
    held_out = (first, second, second)
    sets = RowSets(tuple(np.setdiff1d(everything, part) for part in held_out), held_out, 41)
    trained = train_all(case.network, case.dataset, sets, CANDIDATES, loss=case.loss, settings=SETTINGS)
    predictions = trained.held_out_predictions([1])[0]
    assert np.isnan(predictions[20:]).all()
    assert np.isnan(trained.histories.row_loss[:, 20:]).all()
    np.testing.assert_allclose(predictions[:20].sum(axis=1), 1, rtol=1e-5)
    by_set = []
    for r in range(3):
        variables = jax.tree.map(lambda leaf, r=r: leaf[r], trained.variables(1))
        outputs = case.network.apply(variables, case.dataset.inputs[r, 7:14], None)[0]
        by_set.append(case.loss.predict(outputs))
    np.testing.assert_allclose(predictions[7:14], np.mean(by_set, axis=0), rtol=1e-4)


def test_refit_on_all_rows(problem: Callable[..., Any], seed: int) -> None:
    """Without held-out rows all strengths train to the end, nothing diverges, and no row has a loss."""
    case = problem(seed)
    everything = np.arange(41, dtype=np.int32)
    sets = RowSets((everything,) * 3, (np.array([], np.int32),) * 3, 41)
    trained = train_all(case.network, case.dataset, sets, CANDIDATES, loss=case.loss, settings=SETTINGS)
    histories = trained.histories
    assert histories.best_epoch.tolist() == histories.epochs.tolist() == [4, 4, 4]
    assert not histories.diverged.any()
    assert np.isnan(histories.row_loss).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trained.best))


@pytest.mark.slow
def test_no_leak_into_training_curves(problem: Callable[..., Any], seed: int) -> None:
    """Shuffled targets of all held-out rows of a row set leave its training curve as it was, bit for bit."""
    case = problem(seed)
    targets = case.dataset.targets.copy()
    held_out = case.row_sets.held_out[0]
    targets[0, held_out] = (targets[0, held_out] + 1) % 3
    changed = replace(case.dataset, targets=targets)
    runs = [
        train_all(case.network, data, case.row_sets, CANDIDATES, loss=case.loss, settings=SETTINGS).histories
        for data in (case.dataset, changed)
    ]
    np.testing.assert_array_equal(runs[0].train_loss, runs[1].train_loss)
    assert (runs[0].held_out_loss[0] != runs[1].held_out_loss[0]).all()
    np.testing.assert_array_equal(runs[0].held_out_loss[1:], runs[1].held_out_loss[1:])


def test_too_little_memory_is_an_error(problem: Callable[..., Any], seed: int) -> None:
    """A budget that holds not even one block is refused before anything is compiled."""
    case = problem(seed)
    with pytest.raises(TrainingError, match=r"The smallest block \(3 row sets x 3 strengths\)"):
        train_all(*case[:3], CANDIDATES, loss=case.loss, settings=replace(SETTINGS, memory=1000))


def test_batches_are_sized_by_the_largest_row_set(problem: Callable[..., Any], seed: int) -> None:
    """A batch is an eighth of the largest row set's rows, and an epoch as many batches as that needs."""
    case, plans = problem(seed), []

    class PlannedError(Exception):
        """Stops a search once it is planned."""

    def stop(plan: Plan) -> None:
        plans.append(plan)
        raise PlannedError

    sets = RowSets((np.arange(10, dtype=np.int32), np.arange(40, dtype=np.int32)), (np.array([40], np.int32),) * 2, 41)
    data = replace(case.dataset, inputs=case.dataset.inputs[:2], targets=case.dataset.targets[:2])
    data = replace(data, shift=np.zeros(2), scale=np.ones(2))
    with pytest.raises(PlannedError):
        train_all(
            case.network, data, sets, CANDIDATES, loss=case.loss, settings=Settings(), listener=Listener(on_plan=stop)
        )
    assert (plans[0].batch_size, plans[0].steps) == (16, 3)


# Losses of rows at every epoch

UNITS = np.arange(41) % 9
RECORDING = replace(SETTINGS, units=UNITS)


@pytest.fixture(scope="module", params=["classes", "values"])
def recorded(request: pytest.FixtureRequest, problem: Callable[..., Any], seed: int) -> tuple[Any, Trained, Trained]:
    """A problem, and a search of it with the losses of its rows recorded and without.

    The values' row sets have scales of their own, so that units differ.
    """
    case = problem(seed, regression=request.param == "values")
    if request.param == "values":
        scale = np.array([2.0, 3.0, 50.0])
        factors = (case.dataset.scale / scale)[:, None].astype(np.float32)
        case = case._replace(dataset=replace(case.dataset, targets=case.dataset.targets * factors, scale=scale))
    runs = [
        train_all(case.network, case.dataset, case.row_sets, CANDIDATES, loss=case.loss, settings=settings)
        for settings in (RECORDING, SETTINGS)
    ]
    return case, runs[0], runs[1]


def test_recorded_sums_are_what_held_out_losses_are_means_of(recorded: tuple[Any, Trained, Trained]) -> None:
    """At every epoch the mean over a row set's own held-out rows is its held-out loss, in the target's units."""
    case, trained, _ = recorded
    records, losses = trained.histories.records, trained.histories.held_out_loss
    assert records is not None
    for r, held_out in enumerate(case.row_sets.held_out):
        assert records.sums[r].shape == (3, 4, len(np.unique(UNITS[held_out])))
        np.testing.assert_allclose(records.sums[r].sum(axis=-1) / len(held_out), losses[r], rtol=1e-5)


def test_recorded_sums_at_the_best_epoch(recorded: tuple[Any, Trained, Trained]) -> None:
    """At its best epoch a strength's sums are those of `row_loss`, which is measured by the networks kept."""
    case, trained, _ = recorded
    histories = trained.histories
    for r, held_out in enumerate(case.row_sets.held_out):
        for g in range(3):
            found = histories.records.sums[r][g, histories.best_epoch[g] - 1]
            expected = np.bincount(UNITS[held_out], histories.row_loss[g, held_out])[histories.records.units[r]]
            np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)


def test_recording_changes_nothing_else(recorded: tuple[Any, Trained, Trained]) -> None:
    """Every other number and every weight is the same bit for bit, and nothing is recorded unless asked for."""
    _, trained, without = recorded
    assert without.histories.records is None
    for name, value in vars(trained.histories).items():
        if name != "records":
            np.testing.assert_array_equal(value, getattr(without.histories, name), err_msg=name)
    assert jax.tree.all(jax.tree.map(np.array_equal, trained.best, without.best))


def test_what_a_strength_did_not_train_is_not_recorded(problem: Callable[..., Any], seed: int) -> None:
    """Recorded sums end where the strength's curves end."""
    case = problem(seed)
    stopping = Stopping(patience=50, rungs=(2,), kept=0.5, finalists=1)
    settings = replace(RECORDING, epochs=6, stopping=stopping)
    histories = train_all(*case[:3], CANDIDATES, loss=case.loss, settings=settings).histories
    assert histories.epochs.min() < histories.epochs.max()
    for sums, losses in zip(histories.records.sums, histories.held_out_loss, strict=True):
        np.testing.assert_array_equal(np.isnan(sums[:, :, 0]), np.isnan(losses))


def test_a_fold_that_diverged_stops_no_other_where_nobody_leaves(problem: Callable[..., Any], seed: int) -> None:
    """Without stopping a strength trains on in the row sets that are sound; with it, it leaves in all of them."""
    case = problem(seed)
    inputs = case.dataset.inputs.copy()
    inputs[1] *= np.float32(1e20)  # the second row set's own: with weights of 1e10 they leave float32's range
    data, rates = replace(case.dataset, inputs=inputs), replace(CANDIDATES, learning_rate=np.array([0.01, 0.01, 1e10]))

    def run(stopping: Stopping | None) -> Any:
        how = replace(RECORDING, epochs=4, call_epochs=2, stopping=stopping)
        return train_all(case.network, data, case.row_sets, rates, loss=case.loss, settings=how).histories

    on, left = run(None), run(Stopping())
    for histories in (on, left):
        assert histories.diverged.tolist() == [[False] * 3, [False, False, True], [False] * 3]
        assert np.isinf(histories.best_loss).tolist() == [False, False, True]
    assert (on.epochs[2], left.epochs[2]) == (4, 2)
    assert np.isfinite(on.records.sums[0][2]).all()


# Searches that are ended


def ended_after(case: Any, calls: int, **others: Any) -> Trained:
    """Train, and want the end after so many calls of two epochs."""
    asked = iter(range(1, 100))
    ending = Ending(wanted=lambda: next(asked) >= calls)
    how = replace(RECORDING, epochs=12, call_epochs=2, stopping=Stopping(), **others, ending=ending)
    return train_all(*case[:3], CANDIDATES, loss=case.loss, settings=how)


def test_an_ended_search_is_the_beginning_of_a_whole_one(problem: Callable[..., Any], seed: int) -> None:
    """Bit for bit: its curves, its best epochs, and the variables that a search of so many epochs has."""
    case = problem(seed)
    ended = ended_after(case, 3)
    rates = replace(RECORDING, call_epochs=2, stopping=Stopping())
    short, whole = (
        train_all(*case[:3], CANDIDATES, loss=case.loss, settings=replace(rates, epochs=epochs)) for epochs in (6, 12)
    )
    assert ended.ended == Ended("interrupted", 6, 3, 3, 3)
    assert short.ended is whole.ended is None
    for name in ("train_loss", "held_out_loss"):
        found, all_of_it = getattr(ended.histories, name), getattr(whole.histories, name)
        np.testing.assert_array_equal(found[:, :, :6], all_of_it[:, :, :6])
        assert np.isnan(found[:, :, 6:]).all()
    for name in ("best_epoch", "best_loss", "epochs", "cut", "row_loss"):
        np.testing.assert_array_equal(getattr(ended.histories, name), getattr(short.histories, name))
    assert not ended.histories.cut.any()  # all were ended: nobody left while others went on
    assert jax.tree.all(jax.tree.map(np.array_equal, ended.best, short.best))
    assert not jax.tree.all(jax.tree.map(np.array_equal, ended.best, ended_after(case, 1).best))


def test_time_for_everything_changes_nothing(problem: Callable[..., Any], seed: int) -> None:
    """A deadline that is far away: not one bit of curves and variables differs."""
    case = problem(seed)
    how = replace(RECORDING, epochs=12, call_epochs=2, stopping=Stopping(patience=4, rungs=(4,), kept=0.5, finalists=1))
    far = replace(how, ending=Ending(deadline=time.perf_counter() + 1e6, droppable=True))
    without, within = (train_all(*case[:3], CANDIDATES, loss=case.loss, settings=s) for s in (how, far))
    assert within.ended is None
    assert within.plan.budget > 1e5
    for name in ("train_loss", "held_out_loss", "best_loss", "epochs", "cut"):
        np.testing.assert_array_equal(getattr(without.histories, name), getattr(within.histories, name))
    assert jax.tree.all(jax.tree.map(np.array_equal, without.best, within.best))


def test_time_that_is_up_ends_after_one_call(problem: Callable[..., Any], seed: int) -> None:
    """Of one epoch; a training that is of use only when it is over is not begun at all, or not gone on with."""
    case, over = problem(seed), Ending(deadline=time.perf_counter())
    how = replace(RECORDING, epochs=12, call_epochs=2, stopping=Stopping(), ending=over)
    found = train_all(*case[:3], CANDIDATES, loss=case.loss, settings=how)
    assert found.ended == Ended("out of time", 1, 3, 3, 3)
    assert found.histories.epochs.tolist() == [1, 1, 1]
    with pytest.raises(UnfinishedError, match="no time for all epochs"):
        train_all(*case[:3], CANDIDATES, loss=case.loss, settings=replace(how, ending=over.strict))
    wanted = Ending(wanted=lambda: True, complete=True)
    with pytest.raises(UnfinishedError, match="over before all epochs"):
        train_all(*case[:3], CANDIDATES, loss=case.loss, settings=replace(how, ending=wanted))


def test_strengths_that_were_never_reached_are_left_out(problem: Callable[..., Any], seed: int) -> None:
    """In waves, for want of memory, the later ones may not begin: what is found is of the first alone."""
    case = problem(seed)
    how = replace(RECORDING, epochs=4, call_epochs=2, devices=1, block_strengths=1)
    whole = train_all(*case[:3], CANDIDATES, loss=case.loss, settings=how)
    small = whole.plan.memory
    while len(_waves(case, how, small)) < 3:
        small = int(small * 0.98)
    ended = train_all(
        *case[:3], CANDIDATES, loss=case.loss, settings=replace(how, memory=small, ending=Ending(wanted=lambda: True))
    )
    assert ended.ended == Ended("interrupted", 2, 1, 1, 3)
    assert ended.candidates.count == ended.plan.strengths == len(ended.histories.best_loss) == 1
    assert ended.plan.asked == 3
    np.testing.assert_array_equal(ended.histories.held_out_loss[:, 0, :2], whole.histories.held_out_loss[:, 0, :2])
    assert len(ended.histories.records.sums[0]) == len(ended.histories.row_loss) == 1


def _waves(case: Any, how: Settings, memory: int) -> list[range]:
    return JaxExecutor(Job(*case[:3], CANDIDATES, case.loss), replace(how, memory=memory)).plan.waves


# Row sets of very different size


def sized(case: Any, *sizes: int, steps: bool) -> Trained:
    """Train row sets of the first so many rows, the last eight held out, in batches of eight."""
    held_out = np.arange(33, 41, dtype=np.int32)
    sets = RowSets(tuple(np.arange(size, dtype=np.int32) for size in sizes), (held_out,) * len(sizes), 41)
    settings = replace(SETTINGS, equal_steps=steps)
    count = len(sizes)
    data = replace(case.dataset, shift=np.zeros(count), scale=np.ones(count))
    return train_all(case.network, data, sets, CANDIDATES, loss=case.loss, settings=settings)


@pytest.mark.slow
def test_rungs_keep_pace_with_steps(problem: Callable[..., Any], seed: int) -> None:
    """In epochs of more than 16 steps the worst leave sooner."""
    case, rules = problem(seed), Stopping(patience=99, rungs=(8,), kept=0.3, finalists=1)
    for batch_size, epochs in ((2, 8), (1, 5)):  # 14 steps, and 28: 16 / 28 of the epochs
        settings = replace(SETTINGS, epochs=9, batch_size=batch_size, stopping=rules)
        histories = train_all(*case[:3], CANDIDATES, loss=case.loss, settings=settings).histories
        assert histories.cut.any()
        assert set(histories.epochs[histories.cut]) == {epochs}


def test_equal_steps(problem: Callable[..., Any], seed: int) -> None:
    """A row set of one full batch takes four steps beside one of four: its gradients are those of four epochs alone.

    All its batches are the same eight rows, so that, without noise, order does not matter but by rounding.
    """
    case = problem(seed, own=False)
    equal, own = (sized(case, 8, 32, steps=steps) for steps in (True, False))
    assert (equal.plan.steps, own.plan.steps) == (4, 4)
    np.testing.assert_allclose(equal.histories.train_loss[1], own.histories.train_loss[1], rtol=1e-5)
    settings = replace(SETTINGS, epochs=16, call_epochs=4)
    sets = RowSets((np.arange(8, dtype=np.int32),), (np.arange(33, 41, dtype=np.int32),), 41)
    data = replace(case.dataset, shift=np.zeros(1), scale=np.ones(1))
    alone = train_all(case.network, data, sets, CANDIDATES, loss=case.loss, settings=settings)
    every_fourth = alone.histories.held_out_loss[0, :, 3::4]
    np.testing.assert_allclose(equal.histories.held_out_loss[0], every_fourth, rtol=1e-3)
    assert not np.allclose(own.histories.held_out_loss[0], every_fourth, rtol=1e-2)  # the break
    np.testing.assert_allclose(own.histories.held_out_loss[0], alone.histories.held_out_loss[0, :, :4], rtol=1e-3)

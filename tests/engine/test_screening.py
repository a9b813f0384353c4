"""Strengths compared on a part of the rows: who begins, what it leaves as it was, and what it may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from example_tables import mixed

from fitwell.data.row_sets import RowSets
from fitwell.engine import screening
from fitwell.engine.checkpoints import Checkpoints
from fitwell.engine.ending import AT_THE_END, Ending
from fitwell.engine.engines import with_jax
from fitwell.engine.executor import Job
from fitwell.engine.job import Settings, paced
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.plan import Listener, Plan, Progress
from fitwell.engine.screening import best_on_a_part, losses_on_a_part
from fitwell.engine.stopping import Screening, Stopping
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import InputError
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.tables import read_table
from fitwell.regularization.strengths import Candidates

RATES = np.array([1e-4, 3e-4, 0.02, 1e-5, 0.01, 0.001])
SIX = Candidates({"l2": np.array([0, 1e-3, 1e-2, 0.1, 0, 0]), "dropout": np.array([0, 0, 0.1, 0.1, 0.2, 0.5])}, RATES)
FEW = Screening(share=0.5, held_out=10, steps=1, rows=1)


class Slow(NumpyExecutor):
    """Expects that an epoch of one strength takes eleven days."""

    def _make_plan(self, estimate: bool) -> tuple[Plan, int]:
        plan, copies = super()._make_plan(estimate)
        return replace(plan, epoch_seconds=1e6), copies


HOW = Settings(
    epochs=8,
    batch_size=16,
    stopping=Stopping(patience=8, rungs=(4,), finalists=2),
    screening=FEW,
    executor=Slow,
    # so that there is time for three of six
    ending=Ending(deadline=2.75e7, droppable=True),
    devices=1,
    call_epochs=1,
)
UNHURRIED: dict[str, Any] = {"screening": None, "ending": AT_THE_END}


@pytest.fixture(scope="module")
def problem() -> DenseOnTable:
    """A table of 90 rows in three folds."""
    return DenseOnTable(read_table(mixed(), "ill", cv=3, seed=0), (8,))


@pytest.fixture(scope="module")
def trains(problem: DenseOnTable) -> Callable[..., Trained]:
    """Train strengths on the table."""

    def train(candidates: Candidates = SIX, listener: Listener | None = None, **others: Any) -> Trained:
        return train_all(
            problem.network,
            problem.dataset(0),
            problem.row_sets,
            candidates,
            loss=problem.loss,
            settings=replace(HOW, **others),
            listener=listener,
        )

    return train


@pytest.fixture(scope="module")
def screened(trains: Callable[..., Trained]) -> Trained:
    """The search whose strengths were compared on a part of the rows."""
    return trains()


@pytest.fixture(scope="module")
def job(problem: DenseOnTable) -> Job:
    """The same, to be compared."""
    return Job(problem.network, problem.dataset(0), problem.row_sets, SIX, problem.loss)


def assert_same(found: Trained, expected: Trained) -> None:
    """Every number is the same bit for bit."""
    for name, value in vars(expected.histories).items():
        np.testing.assert_array_equal(getattr(found.histories, name), value, err_msg=name)
    assert jax.tree.all(jax.tree.map(np.array_equal, found.best, expected.best))
    np.testing.assert_array_equal(found.candidates.learning_rate, expected.candidates.learning_rate)


def test_who_wants_the_end_need_not_wait(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between parts of the strengths it is asked for the end and the time: those it did not come to are the last."""
    monkeypatch.setattr(screening, "STRENGTHS_AT_ONCE", 2)
    asked: list[int] = []

    def wanted() -> bool:
        asked.append(1)
        return len(asked) > 2

    whole = losses_on_a_part(job, replace(HOW, ending=AT_THE_END), FEW)
    losses = losses_on_a_part(job, replace(HOW, ending=Ending(wanted=wanted)), FEW)
    np.testing.assert_array_equal(losses, np.where(np.arange(6) < 4, whole, np.inf))
    assert np.isfinite(whole).all()
    late = replace(HOW, ending=Ending(deadline=0.0))
    assert best_on_a_part(job, late, FEW, 3) == [0, 1, 2]


def test_those_that_begin_train_as_if_they_had_been_asked_for_alone(
    trains: Callable[..., Trained], screened: Trained, job: Job
) -> None:
    """Bit for bit; of six the unregularized one and the two best begin, in their order."""
    kept = best_on_a_part(job, HOW, FEW, 3)
    assert kept[0] == 0
    assert kept == sorted(kept)
    assert_same(screened, trains(SIX.take(kept), **UNHURRIED))
    assert (screened.plan.strengths, screened.plan.asked, screened.plan.screened) == (3, 6, 6)
    # the break: others are not the same
    with pytest.raises(AssertionError):
        assert_same(screened, trains(SIX.first(3), **UNHURRIED))


def test_on_all_rows_the_losses_are_the_searchs_own(trains: Callable[..., Trained], job: Job) -> None:
    """With a share of 1 what is compared is what the search itself measures, bit for bit; with half of the rows not."""
    whole = trains(stopping=None, epochs=1, **UNHURRIED).histories.best_loss
    compared = [losses_on_a_part(job, HOW, replace(FEW, share=share)) for share in (1, 0.5)]
    np.testing.assert_array_equal(compared[0], whole)
    assert (compared[1] != whole).all()


def test_the_best_begin(job: Job) -> None:
    """By the loss on a part of the rows; the unregularized network begins, though it is not among them."""
    losses = losses_on_a_part(job, HOW, FEW)
    order = [g for g in np.argsort(losses) if g]
    assert np.argsort(losses)[-1] != order[0]
    assert best_on_a_part(job, HOW, FEW, 3) == sorted([0, *order[:2]])


def test_one_that_diverges_does_not_begin(trains: Callable[..., Trained]) -> None:
    """However few others there are."""
    wild = replace(SIX, learning_rate=np.array([0.01, 1e30, 0.02, 1e30, 1e30, 0.01]))
    np.testing.assert_array_equal(trains(wild).candidates.learning_rate, [0.01, 0.02, 0.01])


def test_alone_or_together(job: Job) -> None:
    """A strength's loss on a part of the rows does not depend on who else is compared, nor on blocks."""
    together = losses_on_a_part(job, HOW, FEW)
    alone = losses_on_a_part(replace(job, candidates=SIX.take([4])), HOW, FEW)
    np.testing.assert_array_equal(alone, together[[4]])
    blocks = losses_on_a_part(job, replace(HOW, block_strengths=1), FEW)
    np.testing.assert_array_equal(blocks, together)


@pytest.mark.slow
def test_jax_compares_alike(job: Job) -> None:
    """Either engine's losses are the other's to rounding."""
    mine, other = (losses_on_a_part(job, replace(HOW, executor=make), FEW) for make in (NumpyExecutor, with_jax))
    np.testing.assert_allclose(mine, other, rtol=1e-4)


@pytest.mark.parametrize(
    "others",
    [
        {"screening": replace(FEW, steps=1000)},
        {"screening": replace(FEW, rows=1000)},
        {"stopping": Stopping(patience=8, rungs=(), finalists=2)},
    ],
    ids=["few steps", "few rows", "no rungs"],
)
def test_of_a_small_table_the_first_begin(trains: Callable[..., Trained], others: dict[str, Any]) -> None:
    """As ever, bit for bit; and where nobody is to be cut, nobody is compared before."""
    found = trains(**others)
    assert found.plan.screened == 0
    assert found.plan.strengths < 6
    assert_same(found, trains(SIX.first(found.plan.strengths), **{**others, **UNHURRIED}))


def test_with_time_for_all_all_begin(trains: Callable[..., Trained]) -> None:
    """As ever, bit for bit: with enough time, with no hurry, and where no strength may be left out."""
    expected = trains(**UNHURRIED)
    for ending in (Ending(deadline=1e12, droppable=True), AT_THE_END, Ending(deadline=2.75e7)):
        found = trains(ending=ending)
        assert (found.plan.strengths, found.plan.screened) == (6, 0)
        assert_same(found, expected)


def test_what_was_broken_off_goes_on_with_those_that_had_begun(
    trains: Callable[..., Trained], screened: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, and nothing is compared again; another share of the rows is another search."""

    class Broken(BaseException):
        """The process dies."""

    def on_progress(progress: Progress) -> None:
        if progress.epoch == 3:
            raise Broken

    checkpoints = Checkpoints(tmp_path, {"said": "by me"}, soonest=0, share=np.inf)
    with pytest.raises(Broken):
        trains(listener=Listener(on_progress=on_progress), checkpoints=checkpoints)

    def again(*_: object) -> None:
        raise AssertionError("compared again")

    monkeypatch.setattr(screening, "best_on_a_part", again)
    plans: list[Plan] = []
    found = trains(listener=Listener(on_plan=plans.append), checkpoints=checkpoints)
    assert (plans[0].begun, plans[0].strengths, plans[0].asked, plans[0].screened) == (2, 3, 6, 6)
    assert_same(found, screened)
    with pytest.raises(InputError, match="options have changed"):
        trains(checkpoints=checkpoints, screening=replace(FEW, share=0.25))
    with pytest.raises(InputError, match="have changed since"):
        trains(SIX.first(4), checkpoints=checkpoints)


def test_screening_is_by_the_largest_epoch() -> None:
    """It is asked of a row set's training rows, and of their batches."""
    rows = np.arange(400, dtype=np.int32)
    sets = RowSets((rows[:300], rows[100:]), (rows[300:], rows[:100]), 400)
    for limits, expected in (((10, 300), True), ((11, 300), False), ((10, 301), False)):
        asked = replace(FEW, steps=limits[0], rows=limits[1])
        found = paced(Settings(batch_size=30, screening=asked), sets)
        assert (found.screening is not None) == expected

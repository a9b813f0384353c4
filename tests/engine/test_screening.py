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
from fitwell.engine.ending import Ending
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
FEW = Screening(share=0.5, kept=0.5, fewest=2, held_out=10, steps=1, rows=1)
HOW = Settings(
    epochs=8,
    batch_size=16,
    stopping=Stopping(patience=8, rungs=(4,), finalists=2),
    screening=FEW,
    executor=NumpyExecutor,
    devices=1,
    call_epochs=1,
)


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


def test_those_that_begin_train_as_if_they_had_been_asked_for_alone(
    trains: Callable[..., Trained], screened: Trained, job: Job
) -> None:
    """Bit for bit; of six the unregularized one and the two best begin, in their order."""
    kept = best_on_a_part(job, HOW, FEW, 3)
    assert kept[0] == 0
    assert kept == sorted(kept)
    assert_same(screened, trains(SIX.take(kept), screening=None))
    assert (screened.plan.strengths, screened.plan.asked, screened.plan.screened) == (3, 6, 3)
    # the break: others are not the same
    with pytest.raises(AssertionError):
        assert_same(screened, trains(SIX.first(3), screening=None))


def test_on_all_rows_the_losses_are_the_searchs_own(trains: Callable[..., Trained], job: Job) -> None:
    """With a share of 1 what is compared is what the search itself measures, bit for bit; with half of the rows not."""
    whole = trains(screening=None, stopping=None, epochs=1).histories.best_loss
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
        {"screening": replace(FEW, fewest=6)},
    ],
    ids=["few steps", "few rows", "few strengths"],
)
def test_a_small_search_is_as_ever(trains: Callable[..., Trained], others: dict[str, Any]) -> None:
    """Not one bit differs where there are few rows, short epochs or few strengths."""
    found = trains(**others)
    assert (found.plan.strengths, found.plan.screened) == (6, 0)
    assert_same(found, trains(screening=None))


def test_without_rungs_all_begin(trains: Callable[..., Trained]) -> None:
    """Where nobody is to be cut, nobody is kept from beginning."""
    assert trains(stopping=Stopping(rungs=())).plan.strengths == 6
    assert trains(stopping=None).plan.strengths == 6


@pytest.mark.slow
def test_where_a_second_program_would_be_compiled_all_begin(trains: Callable[..., Trained]) -> None:
    """JAX compiles for every number of rows, which takes longer than is saved."""
    found = trains(executor=with_jax, epochs=2)
    assert (found.plan.strengths, found.plan.screened) == (6, 0)


def test_with_little_time_the_best_on_a_part_begin(
    trains: Callable[..., Trained], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there is time for, and they train as if they had been asked for alone."""
    plan_of = NumpyExecutor._make_plan
    slow = {"epoch_seconds": 1e6}
    monkeypatch.setattr(NumpyExecutor, "_make_plan", lambda *given: (replace(plan_of(*given)[0], **slow), 0))
    # what is trained is as fast as ever, so that rungs come at their own epochs
    hurried = trains(ending=Ending(deadline=3.3e7, droppable=True), screening=replace(FEW, kept=0.8))
    assert (hurried.plan.screened, hurried.plan.asked) == (5, 6)
    assert hurried.plan.strengths < 5
    kept = best_on_a_part(job, HOW, FEW, hurried.plan.strengths)
    assert_same(hurried, trains(SIX.take(kept), screening=None))


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
    assert (plans[0].begun, plans[0].strengths, plans[0].asked, plans[0].screened) == (2, 3, 6, 3)
    assert_same(found, screened)
    with pytest.raises(InputError, match="options have changed"):
        trains(checkpoints=checkpoints, screening=replace(FEW, share=0.25))
    with pytest.raises(InputError, match="have changed since"):
        trains(SIX.first(4), checkpoints=checkpoints)


def test_rungs_and_screening_are_by_the_largest_epoch() -> None:
    """It is asked of a row set's training rows, and of their batches."""
    rows = np.arange(400, dtype=np.int32)
    sets = RowSets((rows[:300], rows[100:]), (rows[300:], rows[:100]), 400)
    for limits, expected in (((10, 300), True), ((11, 300), False), ((10, 301), False)):
        asked = replace(FEW, steps=limits[0], rows=limits[1])
        found = paced(Settings(batch_size=30, screening=asked), sets)
        assert (found.screening is not None) == expected


def test_how_many_begin() -> None:
    """The share of the strengths, rounded up, and never too few; work is that of a strength's epochs on all rows."""
    rules = Screening(share=0.25, kept=0.25, fewest=5)
    assert [rules.begin(strengths) for strengths in (3, 5, 20, 21, 33)] == [3, 5, 5, 6, 9]
    assert rules.work(32) == 8.0
    assert rules.shorter is not None
    assert rules.shorter.share == 0.125
    assert replace(rules, smallest=0.2).shorter is None

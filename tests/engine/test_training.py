"""The search: what it reports while it runs, and when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fitwell.engine.listening import Listener, Progress
from fitwell.engine.plan import Plan
from fitwell.engine.run import train_all
from fitwell.engine.settings import Settings
from fitwell.engine.stopping import Stopping
from fitwell.regularization.strengths import Candidates

CANDIDATES = Candidates({"l2": np.array([0, 0.01, 0.1])}, np.array([0.01, 0.02, 0.03]))


def settings(seed: int, **others: Any) -> Settings:
    """Blocks of three strengths on one device."""
    return Settings(batch_size=8, devices=1, block_strengths=3, call_epochs=2, seed=seed, **others)


def test_reports(problem: Callable[..., Any], seed: int) -> None:
    """The plan is told once, before training and with an estimate; progress grows to one."""
    case, plans, reports = problem(seed, regression=True), list[Plan](), list[Progress]()
    trained = train_all(
        *case[:3],
        CANDIDATES,
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
    case, stopping = problem(seed), Stopping(patience=4, halvings=(), finalists=3)
    rates = Candidates(CANDIDATES.strengths, np.full(3, 0.1))
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
    case, rates = problem(seed), Candidates(CANDIDATES.strengths, np.array([1e-3, 2e-3, 1e-4]))
    halving = settings(seed, epochs=6, stopping=Stopping(patience=100, halvings=(2,), finalists=1))
    histories = train_all(*case[:3], rates, loss=case.loss, settings=halving).histories
    assert histories.halved.any()
    np.testing.assert_array_equal(histories.halved, histories.epochs == 2)
    assert histories.epochs[~histories.halved].tolist() == [6] * int((~histories.halved).sum())
    impatient = settings(seed, epochs=400, stopping=Stopping(patience=4, halvings=(), finalists=3))
    fast = Candidates(CANDIDATES.strengths, np.full(3, 0.1))
    assert not train_all(*case[:3], fast, loss=case.loss, settings=impatient).histories.halved.any()


def test_something_beside(problem: Callable[..., Any], seed: int) -> None:
    """What is to be done beside the training is done once, in a thread of its own, after the first epochs."""
    case, threads, reports = problem(seed), list[str](), list[int]()

    def beside() -> None:
        threads.append(threading.current_thread().name)

    listener = Listener(on_progress=lambda progress: reports.append(progress.epoch))
    how = settings(seed, epochs=4, stopping=None)
    train_all(*case[:3], CANDIDATES, loss=case.loss, settings=how, listener=listener, beside=beside)
    for thread in threading.enumerate():
        if thread.name == "beside":
            thread.join(5)
    assert threads == ["beside"]
    assert reports == [2, 4]

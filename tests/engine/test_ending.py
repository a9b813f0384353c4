"""When a search ends: what rungs do where time is short, and where it is not."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.engine.ending import AT_THE_END, PACES, Ending, Pacing, affordable_strengths, beginning_of
from fitwell.engine.plan import Plan
from fitwell.engine.stopping import Screening, Stopping, work_ahead

PLAN = Plan(5, 32, 150, 8, 64, 2, 8, 32, 0, 100.0, epoch_seconds=0.05, asked=32)


def left_by(pacing: Pacing, epochs: int, running: int, affordable: float) -> list[tuple[int, float]]:
    """The epochs after which somebody leaves, and the share that stays, where there is always time for so much."""
    found = []
    for epoch in range(1, epochs + 1):
        pacing.fit(running, epoch, affordable - running * epoch)
        rules = pacing.rules(epoch)
        assert rules is not None
        if rules.rungs:
            found.append((epoch, rules.kept))
    return found


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5, unique=True).map(sorted), st.integers(4, 64))
def test_with_time_for_all_rungs_come_when_they_do(rungs: list[int], running: int) -> None:
    """Each after its own epochs, with its own share; and so it is without a deadline."""
    rules = Stopping(rungs=tuple(rungs))
    expected = [(rung, rules.kept) for rung in rungs]
    assert left_by(Pacing(rules, 150), 70, running, math.inf) == expected
    assert left_by(Pacing(rules, 150), 70, running, 1e9) == expected
    # the break: there is time for a tenth of it
    assert left_by(Pacing(rules, 150), 70, running, 0.1 * work_ahead(rules, running, 0, 150)) != expected or rungs == [
        1
    ]


def test_rungs_that_come_together_leave_what_each_would() -> None:
    """Of five rungs that are due at once a strength passes all."""
    pacing = Pacing(Stopping(), 150)
    pacing.fit(32, 1, 0.0)
    assert pacing.pace == PACES[-1]
    rules = pacing.rules(1)
    assert rules is not None
    assert rules.rungs == (1,)
    assert rules.kept == pytest.approx(0.7**5)
    again = pacing.rules(2)
    assert again is not None
    assert again.rungs == ()


@given(st.integers(4, 64), st.integers(0, 60), st.integers(1, 4000))
def test_the_pace_is_the_slowest_for_which_there_is_time(running: int, epoch: int, affordable: int) -> None:
    """What it leaves to train fits, and that of the next slower does not."""
    rules = Stopping()
    pacing = Pacing(rules, 150)
    pacing.fit(running, epoch, affordable)
    place = PACES.index(pacing.pace)
    if place:
        assert work_ahead(rules, running, epoch, 150, PACES[place - 1]) > affordable
    if place < len(PACES) - 1:
        assert work_ahead(rules, running, epoch, 150, pacing.pace) <= affordable


def test_without_rules_nobody_leaves() -> None:
    """A search that trains all to the end has no rungs to bring forward."""
    pacing = Pacing(None, 10)
    pacing.fit(5, 1, 0.0)
    assert pacing.rules(1) is None


@given(st.floats(0.01, 200))
def test_with_less_time_there_are_fewer_strengths(seconds: float) -> None:
    """Never fewer than may survive, never more than with twice the time; all where there is time for all of them."""
    rules = Stopping()
    fewer, more = (affordable_strengths(PLAN, rules, s, 4) for s in (seconds, 2 * seconds))
    assert 4 <= fewer <= more <= 32
    if seconds >= 0.05 * work_ahead(rules, 32, 0, 150):
        assert fewer == 32
    assert affordable_strengths(PLAN, rules, 0.01, 4) == 4
    assert affordable_strengths(PLAN, rules, math.inf, 4) == affordable_strengths(PLAN, None, 1e9, 4) == 32
    assert affordable_strengths(replace(PLAN, epoch_seconds=0.0), rules, 0.01, 4) == 32  # nobody knows how fast it is


def test_a_reason_to_end() -> None:
    """A person's wish, or that the next call would be too late; what comes after training counts."""
    assert AT_THE_END.reason(1e9) is None
    assert Ending(wanted=lambda: True).reason(0.0) == "interrupted"
    soon = Ending(deadline=time.perf_counter() + 100, reserve=40)
    assert soon.reason(50) is None
    assert soon.reason(70) == "out of time"
    assert soon.strict.reason(70) is None
    assert soon.strict.complete
    compiling = replace(soon, compilations=2.0)
    assert compiling.reason(50, compile_seconds=2) is None
    assert compiling.reason(50, compile_seconds=20) == "out of time"
    assert np.isclose(soon.left() - compiling.left(10), 20, atol=0.1)


def test_what_is_compared_fits_the_time() -> None:
    """A quarter of the rows, with less time fewer, or none; and none where there is time for all."""
    rules, screening = Stopping(), Screening()
    one = PLAN.strengths / 16 * PLAN.epoch_seconds
    times = (math.inf, 1e4, 40 * one, 20 * one, 9 * one, 7 * one)
    found = [beginning_of(PLAN, rules, screening, seconds) for seconds in times]
    assert [used and used.share for _, used in found] == [None, None, 1 / 4, 1 / 8, 1 / 16, None]
    counts = [count for count, _ in found]
    assert counts[:2] == [PLAN.strengths, PLAN.strengths] > counts[2:]
    for (count, used), seconds in zip(found[2:], times[2:], strict=True):
        left = seconds - (used.work(PLAN.strengths) * PLAN.epoch_seconds if used else 0.0)
        assert count == affordable_strengths(PLAN, rules, left, rules.finalists)


def test_where_it_would_not_pay_nothing_is_compared() -> None:
    """JAX compiles a program for every number of rows, and a table on disk is read whole: the first strengths begin."""
    for other in ({"compile_seconds": 4.0}, {"windows": 3}):
        plan = replace(PLAN, **other)
        assert beginning_of(plan, Stopping(), Screening(), 4.0) == beginning_of(PLAN, Stopping(), None, 4.0)

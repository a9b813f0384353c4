"""When a search ends before its epochs are over: its time is up, or somebody wants the best so far."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from fitwell.engine.plan import Plan
from fitwell.engine.stopping import Screening, Stopping, work_ahead

Reason = Literal["interrupted", "out of time"]

PACES = tuple(2 ** (-step / 4) for step in range(25))
"""By which rungs come earlier where time is short: 1 to a 64th."""

SHARE_OF_A_CALL = 0.05
"""Of the time that is left: no call shall take more, so that a search ends nearly when its time does."""

FEWEST_STRENGTHS = 4
"""Of a search without rungs that has little time."""

SHARE_OF_SCREENING = 1 / 8
"""Of the time that is left: comparing strengths on a part of the rows shall take no more."""


@dataclass(frozen=True)
class Ended:
    """That, and when, a search was ended.

    Attributes
    ----------
    reason
        `"interrupted"` by a person, or `"out of time"`.
    epoch
        Epochs of the strengths that were in training then.
    running
        How many these were: they might have improved further. 0 where it ended before others began.
    trained, asked
        Strengths that were trained, of those that were to be: with little memory some wait for others.
    """

    reason: Reason
    epoch: int
    running: int
    trained: int
    asked: int


def _never() -> bool:  # no lambda: it could not be pickled
    return False


@dataclass(frozen=True, eq=False)
class Ending:
    """When to end what is not over yet.

    Attributes
    ----------
    deadline
        `time.perf_counter` at which everything must be done; infinite if there is no hurry.
    reserve
        Seconds of it that are needed after training.
    compilations
        How many compilations, as long as the first one, are to come after training.
    wanted
        Asked between two calls: does somebody want the end?
    droppable
        Whether strengths for which there is no time may be left out from the start.
    complete
        Whether a training is of use only when it is over: then its end is an `UnfinishedError`.
    """

    deadline: float = math.inf
    reserve: float = 0.0
    compilations: float = 0.0
    wanted: Callable[[], bool] = _never
    droppable: bool = False
    complete: bool = False

    @property
    def strict(self) -> Ending:
        """The same for a training that nobody can use before its end; it may take what was kept for it."""
        return replace(self, complete=True, droppable=False, reserve=0.0)

    def left(self, compile_seconds: float = 0.0) -> float:
        """Seconds in which may be trained."""
        return self.deadline - self.reserve - self.compilations * compile_seconds - time.perf_counter()

    def reason(self, next_seconds: float, compile_seconds: float = 0.0) -> Reason | None:
        """Why not to go on with a call that takes so long; None if there is no reason."""
        if self.wanted():
            return "interrupted"
        return "out of time" if next_seconds > self.left(compile_seconds) else None


AT_THE_END = Ending()
"""The end is where all epochs are over."""


class Pacing:
    """The rungs of some strengths in training: each after its own epochs, or earlier where time is short.

    Nothing is changed while there is time for all: then the numbers are those of a search without a deadline.
    `decided` is how many rungs have been passed.
    """

    def __init__(self, rules: Stopping | None, epochs: int, decided: int = 0) -> None:
        self._rules, self._epochs, self.decided, self.pace = rules, epochs, decided, 1.0

    def fit(self, running: int, epoch: int, affordable: float) -> None:
        """Choose the pace by the strengths in training, and the epochs of one strength for which there is time."""
        if self._rules is None:
            return
        ahead = (pace for pace in PACES if self._ahead(self._rules, pace, running, epoch) <= affordable)
        self.pace = next(ahead, PACES[-1])

    def rules(self, epoch: int) -> Stopping | None:
        """Who leaves after this epoch: of several rungs that come together, what all of them would leave."""
        if self._rules is None:
            return None
        come = sum(math.ceil(rung * self.pace) <= epoch for rung in self._rules.rungs)
        due, self.decided = max(come - self.decided, 0), max(come, self.decided)
        return replace(self._rules, rungs=(epoch,) if due else (), kept=self._rules.kept ** max(due, 1))

    def _ahead(self, rules: Stopping, pace: float, running: int, epoch: int) -> float:
        return work_ahead(replace(rules, rungs=rules.rungs[self.decided :]), running, epoch, self._epochs, pace)


def affordable_strengths(plan: Plan, rules: Stopping | None, seconds: float, fewest: int) -> int:
    """Return with how many strengths to begin, so that what is left of a search fits.

    Where only a part of the work fits, strengths and epochs both become fewer by about its root: strengths by the pace
    at which rungs come.
    """
    if not plan.epoch_seconds or math.isinf(seconds):
        return plan.strengths
    affordable = seconds / plan.epoch_seconds
    for pace in PACES:
        strengths = min(plan.strengths, max(fewest, math.ceil(plan.strengths * pace)))
        work = strengths * plan.epochs * pace if rules is None else work_ahead(rules, strengths, 0, plan.epochs, pace)
        if work <= affordable:
            return strengths
    return min(plan.strengths, fewest)


def beginning_of(
    plan: Plan, rules: Stopping | None, screening: Screening | None, seconds: float
) -> tuple[int, Screening | None]:
    """Return how many strengths there is time for, and how these are found, if they are not simply the first ones.

    Parameters
    ----------
    plan
        Of all strengths.
    screening
        How all may be compared on a part of the rows: fewer where there is little time. It is left out where there is
        time for all, where even the fewest rows take too much, where another program would have to be compiled, and
        of a table on disk, which would be read whole for a part of its rows.
    seconds
        In which may be trained; infinite if there is no hurry.
    """
    fewest = FEWEST_STRENGTHS if rules is None else rules.finalists
    count = affordable_strengths(plan, rules, seconds, fewest)
    if count == plan.strengths or screening is None or plan.compile_seconds or plan.windows:
        return count, None
    while screening and screening.work(plan.strengths) * plan.epoch_seconds > SHARE_OF_SCREENING * seconds:
        screening = screening.shorter
    if screening is None:
        return count, None
    left = seconds - screening.work(plan.strengths) * plan.epoch_seconds
    return affordable_strengths(plan, rules, left, fewest), screening

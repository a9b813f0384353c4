"""When a study is to end: by a budget of seconds, or because somebody wants the best so far."""

from __future__ import annotations

import time

from fitwell.arguments import is_whole
from fitwell.engine.ending import Ending
from fitwell.engine.plan import Listener
from fitwell.errors import TrainingError
from fitwell.problems.options import Options
from fitwell.problems.problem import Problem

ANSWER_SECONDS, ROW_SECONDS = 1.2, 4e-5
"""What scores, simple models, importance and files take after a search, and what each row adds (2 cores)."""

REFIT_COMPILATIONS = 0.6
"""Of the time that compiling a search took, what a refit with its training takes."""

BUDGET_SHARE = 0.04
"""Of a budget, kept besides: an estimate is off by more the longer a search is."""

DIAGNOSIS_SHARE = 0.5
"""Of a budget, kept for what a diagnosis trains after its search: fewer rows, larger networks, more folds."""


def ending_of(
    problem: Problem, options: Options, listener: Listener, budget: float | None = None, begun: float = 0.0
) -> Ending:
    """Return when to end a study.

    Parameters
    ----------
    listener
        Who may want the end.
    budget, begun
        Seconds for all of it, and `time.perf_counter` when they began; None is no limit.

    Raises
    ------
    TrainingError
        The budget was over before anything could be trained.
    """
    if budget is None:
        return Ending(wanted=listener.wants_end)
    share = DIAGNOSIS_SHARE if options.to_the_end else BUDGET_SHARE
    ending = Ending(
        deadline=begun + budget,
        reserve=ANSWER_SECONDS + ROW_SECONDS * problem.row_sets.n_rows + share * budget,
        # a single network is compiled and trained once more, on all rows; its program is smaller than a search's
        compilations=REFIT_COMPILATIONS if options.refit == "single" else 0.0,
        wanted=listener.wants_end,
        droppable=is_whole(options.strengths),
    )
    if ending.left() <= 0:
        gone = time.perf_counter() - begun
        raise TrainingError(
            f"The {budget:.1f} s of the budget leave no time to train: reading took {gone:.1f} s, and scores and files "
            f"will take about {ending.reserve:.1f} s. Give it at least {2 * (gone + ending.reserve):.0f} s."
        )
    return ending

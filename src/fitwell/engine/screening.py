"""All strengths on a part of the rows: which of them are worth training on all."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from fitwell.data.resampling import part_of
from fitwell.engine.ending import SHARE_OF_SCREENING
from fitwell.engine.engines import with_jax
from fitwell.engine.executor import Executor, Job
from fitwell.engine.job import Settings, make_batching
from fitwell.engine.stopping import Screening

STRENGTHS_AT_ONCE = 8
"""Between two looks at the clock, and at whether somebody wants the end."""


def best_on_a_part(job: Job, settings: Settings, screening: Screening, count: int) -> list[int]:
    """Return the numbers of the strengths that begin: the unregularized one, and the best on a part of the rows.

    All are given the same rows, parts of their row sets' own: nothing that is held out is trained on. Batches are as
    large as on all rows, so that steps do as much.

    Parameters
    ----------
    job
        With all strengths.
    settings
        How they would train on all rows.
    count
        How many begin.

    Returns
    -------
    In order.
    """
    losses = losses_on_a_part(job, settings, screening)
    # the one that all others are compared with begins, whatever it is worth
    losses[0] = -np.inf
    # stable: of equals the first, on every machine
    return sorted(int(g) for g in np.argsort(losses, kind="stable")[:count])


def losses_on_a_part(job: Job, settings: Settings, screening: Screening) -> np.ndarray:
    """Return every strength's mean held-out loss after an epoch, float [G].

    Infinite for those that diverged, and for those that it did not come to: it ends when the search is to end, or when
    it has taken twice the time that it was to take at most.
    """
    until = time.perf_counter() + 2 * SHARE_OF_SCREENING * settings.ending.left()
    row_sets = part_of(job.row_sets, screening.share, screening.held_out, screening.strata, settings.seed)
    batch_size = make_batching(job.row_sets, settings).batch_size
    few = replace(
        settings,
        epochs=1,
        batch_size=batch_size,
        stopping=None,
        screening=None,
        schedule="constant",
        units=None,
        checkpoints=None,
    )
    executor: Executor[Any] = (settings.executor or with_jax)(replace(job, row_sets=row_sets), few, False)
    losses = np.full(job.candidates.count, np.inf)
    for part in np.array_split(np.arange(len(losses)), math.ceil(len(losses) / STRENGTHS_AT_ONCE)):
        if settings.ending.wanted() or time.perf_counter() > until:
            break
        blocks, done = executor.advance(executor.start(part), 0, 1)
        for block, epochs in zip(blocks, done, strict=True):
            losses[block.numbers] = epochs.best_loss
    return losses

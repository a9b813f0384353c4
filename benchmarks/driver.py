"""What the driver of a search itself costs: a search with 1 to 10,000 workers that do not train, and so cost nothing.

Decisions, histories and the best variables are the real ones (`engine/training.py`); only the executor is not: each of
its blocks stands for a worker and answers at once with losses that somebody wrote down before. So the seconds are those
that a driver needs however fast its workers are, and the bytes those that must reach it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import measuring
import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine.executor import Epochs, Job, Measured, SavedBlock
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import REGRESSION
from fitwell.engine.network import DenseNetwork
from fitwell.engine.plan import Plan
from fitwell.engine.training import train_all
from fitwell.regularization.strengths import Candidates

FOLDS, EPOCHS, ROWS, WEIGHTS = 5, 50, 50, 100
NETWORKS = (1_000, 10_000, 100_000, 1_000_000)
WORKERS = (1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True, eq=False)
class Block:
    """What one worker has."""

    numbers: np.ndarray


class Workers:
    """An `Executor` whose workers answer at once."""

    compile_seconds, compilations, structure = 0.0, 0, None

    def __init__(self, job: Job, settings: Settings, estimate: bool = False, *, workers: int) -> None:
        del estimate
        self.workers, self.calls, self.bytes = workers, 0, 0
        strengths, row_sets = job.candidates.count, job.row_sets.count
        block = -(-strengths // workers)
        self.plan = Plan(row_sets, strengths, settings.epochs, 1, 1, 1, block, strengths, 0, 0.0)
        random = np.random.default_rng(0)
        # better strengths fall further; all of them improve, so that rungs and not patience decide
        self._level = random.uniform(0.5, 1.0, strengths)

    def start(self, strengths: np.ndarray) -> list[Block]:
        """Spread strengths over workers."""
        return [Block(part) for part in np.array_split(strengths, min(self.workers, len(strengths)))]

    def advance(self, blocks: Sequence[Block], first: int, count: int) -> tuple[Sequence[Block], Iterator[Epochs]]:
        """Answer with losses that fall."""
        return blocks, (self._answer(block, first, count) for block in blocks)

    def repack(self, blocks: Sequence[Block], strengths: np.ndarray) -> list[Block]:
        """Spread those that stay over workers anew."""
        del blocks
        return self.start(strengths) if len(strengths) else []

    def read(self, blocks: Sequence[Block], strengths: np.ndarray) -> Any:
        """Give variables."""
        del blocks
        found = [np.ones((FOLDS, len(strengths), WEIGHTS), np.float32)]
        self.bytes += found[0].nbytes
        return found

    def measure(self, variables: Any) -> Iterator[Measured]:
        """Give losses of held-out rows, of the networks of one worker at a time."""
        for places in np.array_split(np.arange(variables[0].shape[1]), self.workers):
            if len(places):
                losses = np.ones((FOLDS, len(places), ROWS // FOLDS))
                self.bytes += losses.nbytes
                yield Measured(places, losses[..., None], losses)

    def saved(self, blocks: Sequence[Block]) -> list[SavedBlock]:
        """Nothing is written down."""
        raise NotImplementedError

    restored = saved

    def _answer(self, block: Block, first: int, count: int) -> Epochs:
        when = np.exp(-np.arange(first, first + count) / EPOCHS)
        curves = np.broadcast_to(self._level[block.numbers][:, None] * when, (4, FOLDS, len(block.numbers), count))
        self.calls += 1
        self.bytes += curves.nbytes + 16 * len(block.numbers)
        return Epochs(curves, None, curves[1, 0, :, -1], np.full(len(block.numbers), first + count))


def search(networks: int, workers: int) -> dict[str, Any]:
    """Let a driver decide about so many networks on so many workers."""
    strengths = networks // FOLDS
    random = np.random.default_rng(0)
    rows = np.arange(ROWS, dtype=np.int32)
    held_out = tuple(rows[fold::FOLDS] for fold in range(FOLDS))
    row_sets = RowSets(tuple(np.setdiff1d(rows, part) for part in held_out), held_out, ROWS)
    inputs, targets = random.normal(size=(ROWS, 2)).astype(np.float32), random.normal(size=ROWS).astype(np.float32)
    dataset = Dataset(inputs, targets, False, np.zeros(FOLDS), np.ones(FOLDS))
    candidates = Candidates({"l2": random.uniform(1e-6, 1e-2, strengths)}, np.full(strengths, 0.01))
    made: list[Workers] = []

    def make(*arguments: Any) -> Workers:
        made.append(Workers(*arguments, workers=workers))
        return made[0]

    settings = Settings(epochs=EPOCHS, executor=make)
    measuring.forget_peak()
    before, begin, processor = measuring.resident_bytes(), time.perf_counter(), time.process_time()
    train_all(DenseNetwork(2, (2,), 1), dataset, row_sets, candidates, loss=REGRESSION, settings=settings)
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    grown = measuring.peak_bytes() - before
    return {"seconds": seconds, "cpu": processor, "calls": made[0].calls, "bytes": made[0].bytes, "grown": grown}


def main() -> None:
    """Measure and print."""
    options = measuring.arguments(__doc__, {"search": search})
    cases = [(networks, 1_000) for networks in NETWORKS] + [(100_000, workers) for workers in WORKERS]
    cases = [(1_000, 10)] if options.quick else list(dict.fromkeys(cases))
    print(measuring.heading("The driver of a search", options))
    rows = []
    for networks, workers in cases:
        found = measuring.in_child(__file__, "search", networks=networks, workers=workers)
        cost = [found["cpu"], found["calls"], 1e6 * found["cpu"] / found["calls"], 1e6 * found["cpu"] / networks]
        rows.append([networks, workers, *cost, round(found["bytes"] / 2**20), round(found["grown"] / 2**20)])
    header = ["networks", "workers", "CPU s of the driver", "answers of workers", "us an answer", "us a network"]
    print(measuring.table([*header, "MiB that reach it", "its memory, MiB"], rows))


if __name__ == "__main__":
    main()

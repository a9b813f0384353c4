"""What training in NumPy costs, and how it is spread over threads because of that."""

from __future__ import annotations

import itertools
import math
import time
from typing import cast

import numpy as np

from fitwell.engine.executor import Job
from fitwell.engine.fused_training import can_fuse
from fitwell.engine.job import Batching, Settings, make_batching
from fitwell.engine.network import DenseNetwork
from fitwell.engine.one_core import blas_on_one_core
from fitwell.engine.stopping import share_of_work
from fitwell.startup import cpu_devices

MOST_STRENGTHS = 16
"""Strengths of a block: with more, what one thread works on leaves its cache."""

MOST_THREADS = 4
"""Of NumPy's own training, where Python's lock is what threads wait for. What is compiled has no such limit."""

WORTH_A_THREAD = 2**18
"""Numbers of a block's largest layer below which threads take Python's lock from each other as often as they compute:
with fewer two threads are no faster than one, with more 1.3 times as fast (`benchmarks/RESULTS.md`)."""

OVERHEAD = 0.5
"""What a task costs beyond its networks, in networks: Python, and noise that all its strengths share."""


FUSED_EFFICIENCY = 0.55
"""Share of a large matrix product's speed that training in C reaches, measuring included (`benchmarks/RESULTS.md`)."""


def step_operations(network: DenseNetwork, rows: int) -> float:
    """Return the floating point operations of a training step: a product forward, and two back."""
    return 6.0 * rows * sum(out * into for into, out in itertools.pairwise(network.sizes))


def search_operations(job: Job, settings: Settings) -> float:
    """Return the floating point operations of a search of dense networks, as many epochs as are typical."""
    batching = make_batching(job.row_sets, settings)
    networks = job.row_sets.count * job.candidates.count
    share = share_of_work(settings.stopping, job.candidates.count, settings.epochs)
    steps = networks * settings.epochs * batching.steps * share
    return steps * step_operations(cast(DenseNetwork, job.network), batching.batch_size)


def useful_threads(network: DenseNetwork, batching: Batching, dtype: np.dtype) -> int:
    """Return how many threads to train with."""
    if can_fuse(network, dtype):
        return cpu_devices()  # an epoch is one call, during which nobody holds Python's lock
    return (
        min(MOST_THREADS, cpu_devices())
        if MOST_STRENGTHS * max(network.sizes[1:]) * batching.batch_size >= WORTH_A_THREAD
        else 1
    )


def block_size(row_sets: int, strengths: int, threads: int) -> int:
    """Return how many strengths stand together, so that threads are done soonest."""

    def rounds(size: int) -> float:
        # threads meet after every epoch, and the last round may leave some of them without a task
        return math.ceil(row_sets * math.ceil(strengths / size) / threads) * (size + OVERHEAD)

    return min(range(1, min(MOST_STRENGTHS, strengths) + 1), key=lambda size: (rounds(size), -size))


def measure_products(threads: int, size: int = 512, repeats: int = 4) -> float:
    """Return floating point operations a second of matrix products on so many cores, measured on one in 100 ms."""
    matrix = np.ones((size, size), np.float32)
    with blas_on_one_core():
        begin = time.perf_counter()
        for _ in range(repeats):
            np.matmul(matrix, matrix)
        return threads * 2.0 * size**3 * repeats / (time.perf_counter() - begin)

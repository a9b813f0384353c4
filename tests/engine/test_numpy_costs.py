"""What training in NumPy costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fitwell.engine import numpy_costs
from fitwell.engine.executor import Job
from fitwell.engine.job import Settings, make_batching
from fitwell.engine.numpy_costs import MOST_THREADS, block_size, measure_products, search_operations, useful_threads
from fitwell.engine.stopping import Stopping
from fitwell.regularization.strengths import Candidates


def test_threads_are_for_large_layers(problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """In NumPy a small network is trained on one core, a large one on several; what is compiled takes all cores."""
    case = problem()
    batching, float32 = make_batching(case.row_sets, Settings(batch_size=16)), np.dtype(np.float32)
    monkeypatch.setattr(numpy_costs, "cpu_devices", lambda: 64)
    monkeypatch.setattr(numpy_costs, "can_fuse", lambda network, dtype: False)
    assert useful_threads(case.network, batching, float32) == 1
    assert useful_threads(replace(case.network, hidden=(2048,)), batching, float32) == MOST_THREADS
    monkeypatch.setattr(numpy_costs, "can_fuse", lambda network, dtype: True)
    assert useful_threads(case.network, batching, float32) == 64


def test_operations_of_a_search(problem: Callable[..., Any], seed: int) -> None:
    """Networks times epochs times steps, of each 6 for every weight of a kernel and row."""
    case = problem(seed)
    five = Candidates({}, np.full(5, 1e-3))
    job = Job(case.network, case.dataset, case.row_sets, five, case.loss)
    chosen = Settings(epochs=6, batch_size=8, stopping=None)
    assert search_operations(job, chosen) == 15 * 6 * 4 * 6 * 8 * (4 * 5 + 5 * 3)
    fewer, more = replace(chosen, epochs=60, stopping=Stopping(kept=0.5, finalists=1)), replace(chosen, epochs=60)
    assert search_operations(job, fewer) < search_operations(job, more)


def test_block_size() -> None:
    """Full blocks where there are many; with few, all threads have work."""
    assert block_size(5, 32, 2) == 16
    assert block_size(1, 8, 2) == 4
    assert block_size(5, 1, 2) == 1
    assert block_size(5, 32, 16) < 16


def test_products_have_a_speed() -> None:
    """More than a million operations a second, on any machine."""
    assert measure_products(1, size=64) > 1e6

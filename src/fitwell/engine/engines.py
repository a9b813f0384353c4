"""Which executor trains a job: NumPy's where it can and is done first, JAX's for everything else."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Literal, cast, get_args

from fitwell.engine.executor import Executor, Job
from fitwell.engine.fused_training import can_fuse
from fitwell.engine.job import Settings
from fitwell.engine.network import DenseNetwork
from fitwell.engine.numpy_costs import search_operations
from fitwell.engine.numpy_executor import NumpyExecutor, why_not
from fitwell.extras import check_installed, is_installed
from fitwell.startup import cpu_devices

Engine = Literal["auto", "numpy", "jax"]
ENGINES = get_args(Engine)

OPERATIONS_OF_A_START = 2e11
"""What NumPy computes on one core while JAX is imported and compiles: 5 s of 40 thousand million operations."""


def executor_of(engine: str) -> Callable[..., Executor[Any]]:
    """Return what makes an executor of a job, see `Settings.executor`."""
    return {"auto": suitable, "numpy": NumpyExecutor, "jax": with_jax}[engine]


def with_jax(job: Job, settings: Settings, estimate: bool = False) -> Executor[Any]:
    """Train with JAX, which is imported by whoever comes here first."""
    check_installed()
    from fitwell.engine.jax_executor import JaxExecutor

    return JaxExecutor(job, settings, estimate)


def suitable(job: Job, settings: Settings, estimate: bool = False) -> Executor[Any]:
    """Train with NumPy what it can train, unless it is so much that JAX has made up for its compilation.

    By the size of the job and the number of cores, never by a measured time: the same job has the same numbers on a
    machine. An accelerator is JAX's, and without JAX all is NumPy's.
    """
    if why_not(job, settings):
        return with_jax(job, settings, estimate)
    if is_installed() and (_is_worth_compiling(job, settings) or _may_have_accelerator()):
        return with_jax(job, settings, estimate)
    return NumpyExecutor(job, settings, estimate)


def _is_worth_compiling(job: Job, settings: Settings) -> bool:
    if can_fuse(cast(DenseNetwork, job.network), job.dataset.dtype):
        return False  # compiled already, and on all cores
    # NumPy trains on about one core whatever there are, see `WORTH_A_THREAD`
    return search_operations(job, settings) * (1 - 1 / cpu_devices()) > OPERATIONS_OF_A_START


def _may_have_accelerator() -> bool:
    # accelerators come as plugins: without one JAX, which takes a while to look for devices, need not be asked
    if not any(entry_points(group="jax_plugins")):
        return False
    from fitwell.engine.devices import on_accelerator

    return on_accelerator()

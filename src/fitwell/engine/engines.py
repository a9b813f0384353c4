"""Which executor trains a job: NumPy's where it can, JAX's for everything else."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from fitwell.engine.executor import Executor, Job
from fitwell.engine.job import Settings
from fitwell.engine.numpy_executor import NumpyExecutor, why_not
from fitwell.extras import check_installed

ENGINES = ("auto", "numpy", "jax")


def executor_of(engine: str) -> Callable[..., Executor[Any]]:
    """Return what makes an executor of a job, see `Settings.executor`."""
    return {"auto": suitable, "numpy": NumpyExecutor, "jax": with_jax}[engine]


def with_jax(job: Job, settings: Settings, estimate: bool = False) -> Executor[Any]:
    """Train with JAX, which is imported by whoever comes here first."""
    check_installed()
    from fitwell.engine.jax_executor import JaxExecutor

    return JaxExecutor(job, settings, estimate)


def suitable(job: Job, settings: Settings, estimate: bool = False) -> Executor[Any]:
    """Train with NumPy what it can train, unless there is an accelerator."""
    if why_not(job, settings) or _may_have_accelerator():
        return with_jax(job, settings, estimate)
    return NumpyExecutor(job, settings, estimate)


def _may_have_accelerator() -> bool:
    # accelerators come as plugins: without one JAX, which takes a while to look for devices, need not be asked
    if not any(entry_points(group="jax_plugins")):
        return False
    from fitwell.engine.devices import on_accelerator

    return on_accelerator()

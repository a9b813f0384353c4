"""Which executor trains a job: NumPy's where it can and is done first, JAX's for everything else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Literal, cast, get_args

from fitwell.engine.executor import Executor, Job
from fitwell.engine.fused_training import can_fuse
from fitwell.engine.job import Settings
from fitwell.engine.network import DenseNetwork
from fitwell.engine.numpy_costs import search_operations
from fitwell.engine.numpy_executor import NumpyExecutor, why_not
from fitwell.engine.ray_options import Ray, is_ray
from fitwell.errors import InputError
from fitwell.extras import check_installed, is_installed
from fitwell.startup import cpu_devices

ByName = Literal["auto", "numpy", "jax", "ray"]
Engine = ByName | Ray
ENGINES = get_args(ByName)

OPERATIONS_OF_A_START = 2e11
"""What NumPy computes on one core while JAX is imported and compiles: 5 s of 40 thousand million operations."""


def checked_engine(engine: Engine | str) -> str:
    """Return an engine as a text, checked.

    Raises
    ------
    InputError
        There is no such engine.
    """
    if engine in ENGINES:
        return str(engine)
    if is_ray(engine):
        return str(engine if isinstance(engine, Ray) else Ray.read(engine))
    raise InputError(f"'engine' must be 'auto', 'numpy', 'jax' or 'ray'. Got {engine!r}.")


def executor_of(engine: str) -> Callable[..., Executor[Any]]:
    """Return what makes an executor of a job, see `Settings.executor`."""
    here = {"auto": suitable, "numpy": NumpyExecutor, "jax": with_jax}
    return here[engine] if engine in here else partial(with_ray, options=Ray.read(engine))


def with_ray(job: Job, settings: Settings, estimate: bool = False, *, options: Ray) -> Executor[Any]:
    """Train on Ray's workers with what would train here."""
    from fitwell.engine.ray_executor import RayExecutor

    trains = suitable_name(job, settings) if options.train == "auto" else options.train
    return RayExecutor(job, settings, estimate, options=options, trains=trains)


def with_jax(job: Job, settings: Settings, estimate: bool = False) -> Executor[Any]:
    """Train with JAX, which is imported by whoever comes here first."""
    check_installed()
    from fitwell.engine.jax_executor import JaxExecutor

    return JaxExecutor(job, settings, estimate)


def suitable(job: Job, settings: Settings, estimate: bool = False) -> Executor[Any]:
    """Train with NumPy or JAX, see `suitable_name`."""
    make = NumpyExecutor if suitable_name(job, settings) == "numpy" else with_jax
    return make(job, settings, estimate)


def suitable_name(job: Job, settings: Settings) -> str:
    """Return `"numpy"` for what NumPy can train, unless it is so much that JAX has made up for its compilation.

    By the size of the job and the number of cores, never by a measured time: the same job has the same numbers on a
    machine. An accelerator is JAX's, and without JAX all is NumPy's.
    """
    if why_not(job, settings):
        return "jax"
    return "jax" if is_installed() and (_is_worth_compiling(job, settings) or _may_have_accelerator()) else "numpy"


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

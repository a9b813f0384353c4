"""Which executor trains what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fitwell.engine import devices, engines
from fitwell.engine.executor import Job
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Settings
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.optimizers import sgd
from fitwell.regularization.strengths import Candidates


def made(problem: Callable[..., Any], engine: str, settings: Settings, **kind: Any) -> Any:
    """The executor of a small job."""
    case = problem(**kind)
    one = Candidates({}, np.array([1e-3]))
    return engines.executor_of(engine)(Job(case.network, case.dataset, case.row_sets, one, case.loss), settings)


def test_numpy_where_it_can(problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless there is an accelerator, or somebody chooses."""
    assert isinstance(made(problem, "auto", Settings()), NumpyExecutor)
    assert isinstance(made(problem, "auto", Settings(optimizer=sgd())), JaxExecutor)
    assert isinstance(made(problem, "jax", Settings()), JaxExecutor)
    assert isinstance(made(problem, "numpy", Settings()), NumpyExecutor)
    monkeypatch.setattr(engines, "entry_points", lambda group: [group])
    assert isinstance(made(problem, "auto", Settings()), NumpyExecutor)  # a plugin without a device
    monkeypatch.setattr(devices, "on_accelerator", lambda: True)
    assert isinstance(made(problem, "auto", Settings()), JaxExecutor)


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_jax_where_its_compilation_pays(
    problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    """Of networks that are large enough for the cores; what is compiled already, or without JAX, NumPy trains."""
    monkeypatch.setattr(engines, "can_fuse", lambda network, dtype: False)
    monkeypatch.setattr(engines, "cpu_devices", lambda: cores)
    large, to_the_end = {"hidden": (1500, 1500)}, Settings(epochs=1000, stopping=None)
    kind = NumpyExecutor if cores == 1 else JaxExecutor
    assert isinstance(made(problem, "auto", to_the_end, **large), kind)
    assert isinstance(made(problem, "auto", Settings(epochs=2), **large), NumpyExecutor)
    with monkeypatch.context() as without_jax:
        without_jax.setattr(engines, "is_installed", lambda: False)
        assert isinstance(made(problem, "auto", to_the_end, **large), NumpyExecutor)
    monkeypatch.setattr(engines, "can_fuse", lambda network, dtype: True)
    assert isinstance(made(problem, "auto", to_the_end, **large), NumpyExecutor)

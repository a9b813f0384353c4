"""What is said before Keras and JAX start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fitwell.startup import MAX_CPU_DEVICES, cpu_devices

CLEAN = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS")}
CORES = min(len(os.sched_getaffinity(0)), MAX_CPU_DEVICES) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def said(code: str, **environment: str) -> str:
    """What a fresh process prints."""
    run = subprocess.run([sys.executable, "-c", code], env=CLEAN | environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_cpu_devices_are_the_cores_of_this_process() -> None:
    """One device for each core that may be used, 16 at the most."""
    assert cpu_devices() == CORES


@pytest.mark.parametrize(
    ("before", "environment", "devices"),
    [
        ("import fitwell", {}, CORES),
        ("import jax, fitwell", {}, CORES),
        ("import fitwell", {"JAX_NUM_CPU_DEVICES": "3"}, 3),
        ("import jax; jax.config.update('jax_num_cpu_devices', 3); import fitwell", {}, 3),
        ("import jax; jax.devices(); import fitwell", {}, 1),
        ("import fitwell", {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, 3),
    ],
)
def test_jax_gets_a_device_for_each_core(before: str, environment: dict[str, str], devices: int) -> None:
    """Importing fitwell is enough, in either order; what somebody has chosen, or what runs already, stays."""
    assert said(f"{before}; import jax; print(jax.device_count())", **environment) == str(devices)


def test_importing_fitwell_loads_nothing_heavy() -> None:
    """It sets Keras's backend and imports neither Keras nor JAX."""
    code = "import os, sys, fitwell; print(os.environ['KERAS_BACKEND'], 'jax' in sys.modules, 'keras' in sys.modules)"
    assert said(code) == "jax False False"
    assert said(code, KERAS_BACKEND="torch") == "torch False False"

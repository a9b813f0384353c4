"""What is said before Keras and JAX start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


HEAVY = ("jax", "keras", "optax", "scipy.special", "scipy.stats", "sklearn", "pandas", "pyarrow")


@pytest.mark.slow
def test_a_table_is_tuned_saved_and_predicted_with_little(tmp_path: Path) -> None:
    """From a file to a run with its TensorFlow.js model, and from that to predictions: nothing heavy is imported."""
    path = tmp_path / "table.csv"
    path.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}\n" for i in range(60)))
    code = """
import sys, fitwell
from pathlib import Path
folder = Path(sys.argv[1])
result = fitwell.tune(folder / "table.csv", "y", strengths=2, epochs=2)
stored = result.save(folder / "run")
print(fitwell.load(folder / "run").predict(folder / "table.csv").height, (folder / "run" / "tfjs").is_dir())
print(*(name for name in HEAVY if name in sys.modules))
result.model
print("keras" in sys.modules)  # it is made when it is asked for, and the list above could have held it
"""
    code = f"HEAVY = {HEAVY}" + code
    run = subprocess.run([sys.executable, "-c", code, tmp_path], env=CLEAN, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n") == ["60 True", "", "True", ""]

"""Keras's backend: JAX, set when nobody has chosen, and another one refused in a sentence before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fitwell.errors import InputError
from fitwell.keras.backend import check_backend, has_default_settings, import_keras, is_keras_own

CLEAN = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
ASKED = "Keras must run on JAX here, and KERAS_BACKEND is '{0}': set KERAS_BACKEND=jax, or unset it."
LOADED = (
    "Keras must run on JAX here, and Keras was imported with the backend '{0}': set KERAS_BACKEND=jax before Keras is "
    "imported, or import fitwell first."
)
USES = {
    "tune": "fitwell.tune([[0.0], [1.0]] * 9, [0, 1] * 9)",
    "opened": "fitwell.opened(None)",
    "layers": "fitwell.layers.Dense(3)",
    "Opened": "fitwell.Opened(None)",
}
CATCH = """
import os, sys, fitwell
for use in {uses}:
    if not os.fork():  # each use in a process of its own, in which nothing else has been asked
        try:
            exec(use)
        except fitwell.InputError as error:
            print(error)
        print(*[name for name in ("keras", "torch", "tensorflow") if name in sys.modules], flush=True)
        os._exit(0)
    os.wait()
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env=CLEAN | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str], list[str]]:
    """What processes print: for each use, two lines with another backend asked for, and two with it loaded."""
    code = CATCH.format(uses=list(USES.values()))
    asked = python(code, KERAS_BACKEND="torch")
    loaded = python("import keras\n" + code, KERAS_BACKEND="numpy")
    found = {}
    for state, done in (("asked", asked), ("loaded", loaded)):
        lines = done.stdout.splitlines()
        assert (len(lines), done.stderr) == (2 * len(USES), "")
        found |= {(name, state): lines[2 * i : 2 * i + 2] for i, name in enumerate(USES)}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
def test_another_backend_is_asked_for(answers: dict, use: str) -> None:
    """KERAS_BACKEND=torch: one sentence, and neither Keras nor torch is loaded."""
    assert answers[use, "asked"] == [ASKED.format("torch"), ""]


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
def test_another_backend_is_loaded(answers: dict, use: str) -> None:
    """Keras imported first on another backend: one sentence that says what to do."""
    assert answers[use, "loaded"] == [LOADED.format("numpy"), "keras"]


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    """`fitwell tune` ends with one sentence and status 2, before it looks at the table."""
    command = [sys.executable, "-m", "fitwell", "tune", str(tmp_path / "nowhere.csv"), "--target", "y"]
    done = subprocess.run(command, env=CLEAN | {"KERAS_BACKEND": "torch"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"fitwell: {ASKED.format('torch')}\n")


@pytest.mark.slow
def test_unset_becomes_jax() -> None:
    """`import fitwell` loads neither Keras nor JAX, and Keras imported afterwards runs on JAX."""
    code = (
        "import fitwell, sys; before = [name for name in ('keras', 'jax') if name in sys.modules]\n"
        "import keras; print(before, keras.backend.backend())"
    )
    assert python(code).stdout == "[] jax\n"
    alone = "import keras; print(keras.backend.backend())"
    if (other := python(alone, KERAS_BACKEND="numpy").stdout) != "numpy\n":  # the break: without fitwell it is another
        pytest.fail(f"Keras on NumPy answered {other!r}")


def test_on_jax_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras on JAX is handed over; what the variable says no longer matters once Keras is there."""
    keras = import_keras()
    assert keras.backend.backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    check_backend()
    monkeypatch.delitem(sys.modules, "keras")
    with pytest.raises(InputError, match="KERAS_BACKEND is 'torch'"):
        check_backend()


def test_what_is_keras_own() -> None:
    """A subclass is not, whatever it is called, nor is an object with other settings one of the usual."""
    keras = import_keras()

    class MeanSquaredError(keras.losses.MeanSquaredError):
        """Somebody's own."""

    assert is_keras_own(keras.losses.MeanSquaredError())
    assert has_default_settings(keras.losses.MeanSquaredError(name="mine"))
    assert not is_keras_own(MeanSquaredError())
    assert not has_default_settings(MeanSquaredError())
    assert not has_default_settings(keras.losses.MeanSquaredError(reduction="sum"))
    assert not has_default_settings(keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error))

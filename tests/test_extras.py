"""Without Keras and JAX tables work, and everything else says what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fitwell.errors import InputError
from fitwell.extras import LIBRARIES_OF_MODELS, check_installed, check_matplotlib, import_extra, installed_version

HIDDEN = f"""
import importlib.abc, importlib.util, sys
class Hides(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {LIBRARIES_OF_MODELS}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Hides())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {LIBRARIES_OF_MODELS} else find(name, package)
"""
"""Makes a process believe that they are not installed."""

CODE = """
import fitwell, numpy as np
x = np.random.default_rng(0).normal(size=(60, 3))
y = (x[:, 0] > 0).astype(int)
options = {"strengths": 2, "epochs": 2}
result = fitwell.tune(x, y, **options)
result.save("run")
print(fitwell.load("run").predict(x).height)
print(fitwell.export("run", "tfjs", "web"))
fitwell.tune(np.column_stack([x, np.arange(60) % 9, y]), "x4", groups="x3", refit="single", **options)
print(fitwell.diagnose(x, y, learning_curve=False, larger=False, **options).verdict != "")
penalty = fitwell.Regularizer("mine", "mine", "log", 1e-3, 1.0, penalty=lambda s, kernel, axes: s * abs(kernel).max())
for needs in (
    lambda: result.model,
    lambda: fitwell.layers,
    lambda: fitwell.opened,
    lambda: fitwell.train,
    lambda: fitwell.tfjs.save,
    lambda: fitwell.tune(x, y, engine="jax", **options),
    lambda: fitwell.tune(x, y, regularizers=[penalty], **options),
    lambda: fitwell.export("run", "onnx", "model.onnx"),
):
    try:
        needs()
    except fitwell.InputError as error:
        print(error)
"""


def test_nothing_is_missing_here() -> None:
    """These tests need all of it."""
    check_installed()
    assert installed_version("keras")
    assert installed_version("no-such-distribution") is None


def test_an_extra_is_imported_or_named() -> None:
    """What is installed is returned with the modules that were asked for; else one sentence says what to install."""
    assert import_extra("json", "json", "json.decoder") is sys.modules["json"]
    with pytest.raises(InputError, match=r'takes the package no_such, .*pip install "fitwell\[such\]"\.'):
        import_extra("such", "no_such", "no_such.module")


def test_plots_need_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is here; where it is not, a sentence says what to install and what needs nothing."""
    check_matplotlib()
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what Python makes of it is: there is none
    with pytest.raises(InputError, match=r'^matplotlib is not installed\. The report\.html .*"fitwell\[plot\]"\.$'):
        check_matplotlib()


@pytest.mark.slow
def test_tables_need_neither(tmp_path: Path) -> None:
    """Tuned, saved, loaded, exported, diagnosed; the rest answers with one sentence, and no traceback."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", HIDDEN + CODE],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "60"
    assert lines[2] == "True"
    assert len(lines) == 3 + 8
    for line in lines[3:]:
        assert line.startswith("jax, keras, optax are not installed.")
        assert line.endswith('pip install "fitwell[keras]".')


@pytest.mark.slow
def test_the_command_says_it_too(tmp_path: Path) -> None:
    """A model that is given to the command: the sentence, a status of 2, and no traceback."""
    (tmp_path / "table.csv").write_text("a,y\n1,0\n2,1\n")
    code = HIDDEN + "from fitwell.api.cli import main; main()"
    call = [sys.executable, "-c", code, "tune", "table.csv", "--target", "y", "--model", "model.keras"]
    (tmp_path / "model.keras").write_bytes(b"PK")
    run = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2
    assert 'pip install "fitwell[keras]"' in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr

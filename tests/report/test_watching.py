from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from example_tables import QUICK, QUICK_ARGUMENTS, mixed
from rich.console import Console

from fitwell.api.diagnose import diagnose
from fitwell.api.train import train
from fitwell.api.tune import tune
from fitwell.engine.plan import QUIET, Listener
from fitwell.problems.functions import Network
from fitwell.report.watching import watched_on, watching

COMMAND = [sys.executable, "-m", "fitwell", "tune", "table.csv", "--target", "ill", *QUICK_ARGUMENTS]
COLOURS = {*range(30, 50), *range(90, 108)}
"""Of text and ground, among the numbers of an escape code that ends in m."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A directory with a small table."""
    mixed().write_csv(tmp_path / "table.csv")
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    """Of an ordinary terminal, whatever that of the tests is."""
    unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    return {name: value for name, value in os.environ.items() if name not in unset} | {"TERM": "xterm-256color", **more}


def on_a_terminal(command: list[str], directory: Path, env: dict[str, str], columns: int = 80) -> str:
    """What a command writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(command, cwd=directory, env=env, stdin=its, stdout=its, stderr=its)
    os.close(its)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    text = b"".join(parts).decode()
    assert process.wait(timeout=60) == 0, text
    return text


def is_coloured(text: str) -> bool:
    """Whether there is an escape code of colour in a text."""
    codes = re.findall(r"\x1b\[([\d;]*)m", text)
    return any(int(number) in COLOURS for code in codes for number in code.split(";") if number)


@pytest.mark.slow
@pytest.mark.parametrize(("no_colour", "coloured"), [("1", False), ("", True)])
def test_colours_on_a_terminal_only_where_wanted(table: Path, no_colour: str, coloured: bool) -> None:
    """NO_COLOR leaves the bar and takes its colours; where it is empty they are there. (no-color.org)."""
    text = on_a_terminal(COMMAND, table, environment(NO_COLOR=no_colour))
    assert "networks, best loss" in text
    assert is_coloured(text) == coloured


@pytest.mark.slow
def test_a_pipe_sees_no_escape_code(table: Path) -> None:
    """What is piped is plain text, all of it, without NO_COLOR."""
    done = subprocess.run(COMMAND, cwd=table, env=environment(), capture_output=True, text=True, check=True)
    assert "Honest" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 160])
def test_the_time_left_is_seen(table: Path, columns: int) -> None:
    """From Python too the line on a terminal has the time left, whole, also on a narrow one."""
    code = f"import fitwell; fitwell.tune('table.csv', 'ill', **{ {**QUICK, 'epochs': 20}!r}, verbose=1)"
    text = on_a_terminal([sys.executable, "-c", code], table, environment(NO_COLOR="1"), columns)
    assert re.search(r"Training .*epoch 20/20, .* loss 0\.\d+ .*at most 0:00:0\d", text)
    assert "…" not in text
    assert ("held-out" in text) == (columns == 160)


def test_verbose_says_so_much(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """0 says nothing; 1 is a line for each report where there is no terminal; 2 has what was read and the plan, too."""
    monkeypatch.delenv("COLUMNS", raising=False)  # tests that run in parallel have it
    said = []
    for verbose in (0, 1, 2):
        tune(mixed(), "ill", **QUICK, verbose=verbose)
        said.append(capsys.readouterr().out)
    assert said[0] == ""
    assert re.match(r"epoch 5 of 6: .*\nepoch 6 of 6: 0 networks of 12 in training, best held-out loss 0\.\d+", said[1])
    assert re.match(r"Read +90 rows;.*\nTarget .*\nTraining +3 row sets x 4 strengths = 12 networks", said[2])
    assert re.sub(r"\d+ s left", "", said[2]).endswith(re.sub(r"\d+ s left", "", said[1]))


def test_a_diagnosis_is_watched_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`diagnose` takes `verbose` as `tune` does."""
    small: dict[str, Any] = {"epochs": 5, "strengths": 2, "cv": 3, "larger": False, "learning_curve": False}
    diagnose(mixed(), "ill", **small, verbose=1)
    assert "epoch 5 of 5: " in capsys.readouterr().out
    diagnose(mixed(), "ill", **small)
    assert capsys.readouterr().out == ""  # the break


@pytest.mark.slow
def test_arrays_are_said_by_their_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    """A search of a Keras model, or of two functions, has no columns to tell, and says what it has."""
    import keras

    x, y = np.zeros((30, 4, 2), "float32"), np.arange(30) % 2
    x += y[:, None, None]
    layers = [
        keras.Input((4, 2)),
        keras.layers.Flatten(),
        keras.layers.Dense(3, "relu"),
        keras.layers.Dense(2, "softmax"),
    ]
    model = keras.Sequential(layers, name="mine")
    model.compile("adam", "sparse_categorical_crossentropy")
    small: dict[str, Any] = {"epochs": 2, "strengths": 2, "cv": 3}
    tune(model, x, y, **small, verbose=2)
    said = capsys.readouterr().out
    assert "Read      30 rows; inputs of a row: 4 x 2\nModel     mine: 35 parameters, 2 kernels, 1 place" in said
    network = Network(lambda key: {"w": jnp.zeros((4, 2, 2))}, lambda p, x, drop: jnp.einsum("nij,ijk->nk", x, p["w"]))
    train(network, x, y, **small, verbose=2)
    assert capsys.readouterr().out.startswith("Read      30 rows; inputs of a row: 4 x 2\nTraining")


def test_verbose_and_a_listener_are_both_served(capsys: pytest.CaptureFixture[str]) -> None:
    """A listener beside `verbose` hears all that it hears alone, and the line is there, too."""
    heard: list[str] = []
    listener = Listener(
        on_read=lambda summary: heard.append("read"),
        on_plan=lambda plan: heard.append("plan"),
        on_progress=lambda progress: heard.append("progress"),
    )
    tune(mixed(), "ill", **QUICK, verbose=1, listener=listener)
    assert heard[:3] == ["read", "plan", "progress"]
    assert "in training, best held-out loss" in capsys.readouterr().out
    with watching(listener, 0) as alone:
        assert alone is listener  # the break: nothing is shown, and nothing stands between


def test_the_bar_is_gone_when_a_search_fails() -> None:
    """Whatever ends a search, the terminal has its cursor back."""
    text = io.StringIO()

    def fail(console: Console) -> None:
        with watched_on(console, words=False) as shown:
            shown.on_plan(QUIET)  # type: ignore[arg-type]  # nothing of it is said
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(Console(file=text, force_terminal=True, width=160))
    hidden, shown = text.getvalue().rfind("\x1b[?25l"), text.getvalue().rfind("\x1b[?25h")
    assert -1 < hidden < shown

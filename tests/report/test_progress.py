from __future__ import annotations

import io
import sys
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from fitwell.engine.plan import Progress
from fitwell.report.progress import Bar, RowsBar

STEP = Progress(epoch=25, epochs=150, running=40, networks=160, best_loss=0.0632, done=0.25)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_for_terminals(terminal: bool) -> None:
    """A terminal sees epochs, running networks and the best loss; a file or pipe sees nothing."""
    text = io.StringIO()
    bar = Bar(Console(file=text, force_terminal=terminal, width=160))
    bar.start()
    bar.show(STEP)
    bar._bar.refresh()
    bar.stop()
    wanted = ["epoch 25/150", "40/160 networks running", "best held-out loss 0.0632"]
    assert all((part in text.getvalue()) == terminal for part in wanted)


@pytest.mark.parametrize(("terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_the_bar_of_a_file_is_for_terminals(terminal: bool, quiet: bool) -> None:
    """A terminal sees the share that is done; a file or pipe, or who wants quiet, sees nothing."""
    text = io.StringIO()
    with RowsBar(Console(file=text, force_terminal=terminal, width=100), quiet=quiet) as bar:
        bar.show(0.25)
        bar._bar.refresh()
    assert all((part in text.getvalue()) == (terminal and not quiet) for part in ("Predicting", "25%"))


class Display:
    """What IPython's `display` returns for an output that can be drawn anew."""

    def __init__(self, drawn: list[str]) -> None:
        self.drawn = drawn

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        """Draw it anew."""
        assert raw
        self.drawn.append(data["text/plain"])


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook's cell shows, one after another; the page on watching was tried in a real one."""
    drawn: list[str] = []

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Display:
        assert raw
        assert display_id
        drawn.append(data["text/plain"])
        return Display(drawn)

    module: Any = ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return drawn


@pytest.mark.parametrize("stays", [True, False])
def test_a_notebook_sees_one_line(notebook: list[str], stays: bool) -> None:
    """One output is drawn anew at every report, without escape codes, and is left standing or is empty at the end."""
    bar = Bar(Console(force_jupyter=True, width=80), stays=stays)
    bar.start()
    bar.show(STEP)
    bar.stop()
    assert notebook[0].startswith("Compiling")
    for part in ("Training", "epoch 25/150", "best held-out loss 0.0632", "at most"):
        assert part in notebook[1]
    assert "\n" not in notebook[1]
    assert "\x1b" not in notebook[1]
    assert notebook[2:] == ([] if stays else [""])


@pytest.mark.parametrize("lines", [True, False])
def test_a_log_has_lines_where_they_are_wanted(lines: bool) -> None:
    """A file sees a whole line for each report, however narrow it is said to be, if lines are wanted."""
    text = io.StringIO()
    bar = Bar(Console(file=text, width=40), lines=lines)
    bar.start()
    bar.show(STEP)
    bar.show(STEP)
    bar.stop()
    line = "epoch 25 of 150: 40 networks of 160 in training, best held-out loss 0.0632"
    assert text.getvalue().count(line) == (2 if lines else 0)
    assert len(text.getvalue().splitlines()) == (2 if lines else 0)


@pytest.mark.parametrize(("width", "whole"), [(160, True), (80, False)])
def test_the_time_left_fits(width: int, whole: bool) -> None:
    """A narrow terminal goes without the bar and some words; nothing of what it shows is cut off."""
    text = io.StringIO()
    bar = Bar(Console(file=text, force_terminal=True, color_system=None, width=width))
    bar.start()
    bar.show(STEP)
    bar._bar.refresh()
    bar.stop()
    assert "…" not in text.getvalue()
    assert "at most -:--:--" in text.getvalue()
    assert ("━" in text.getvalue()) == ("held-out" in text.getvalue()) == whole

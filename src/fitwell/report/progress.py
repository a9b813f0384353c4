"""Progress bars: of a search (epochs, networks still running, best held-out loss so far, time left), of a file."""

from __future__ import annotations

import io
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from fitwell.engine.plan import Progress
from fitwell.errors import counted

WIDE = 132
"""Columns of a console that has room for the bar itself and for all words; a narrower one sees the line without it."""


class Bar:
    """A bar on a terminal, and in a notebook its line, drawn anew at every report.

    Parameters
    ----------
    console
        Where it is drawn.
    stays
        Whether its last state is left standing.
    lines
        Whether elsewhere (a file, a pipe) every report is a line; if not nothing is said there.
    """

    def __init__(self, console: Console, *, stays: bool = False, lines: bool = False) -> None:
        self._wide = console.is_jupyter or console.width >= WIDE
        self._bar = RichProgress(
            *_columns(self._wide),
            console=console,
            transient=not stays,
            # a log file would be full of redrawn lines; in a notebook rich itself draws only with ipywidgets
            disable=not console.is_terminal,
        )
        # the first progress is reported after the first epochs: until then it compiles
        self._task = self._bar.add_task("Compiling", total=1.0, state="")
        self._cell = NotebookCell() if console.is_jupyter else None
        self._lines = lines and not console.is_terminal and self._cell is None
        self._stays = stays

    def start(self) -> None:
        """Show the bar."""
        self._bar.start()
        self._draw()

    def show(self, progress: Progress) -> None:
        """Move the bar."""
        running, held_out = (" running", " held-out") if self._wide else ("", "")
        state = (
            f"epoch {progress.epoch}/{progress.epochs}, {progress.running}/{progress.networks} networks{running}, "
            f"best{held_out} loss {progress.best_loss:.4g}"
        )
        self._bar.update(self._task, description="Training", completed=progress.done, state=state)
        self._draw()
        if self._lines:
            self._bar.console.print(Text(self._line(progress)), soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away, unless it stays."""
        self._bar.stop()
        if self._cell and not self._stays:
            self._cell.draw("")

    def _draw(self) -> None:
        if self._cell:
            plain = Console(file=io.StringIO(), width=160, force_jupyter=False, color_system=None)
            with plain.capture() as text:
                plain.print(self._bar.get_renderable())
            self._cell.draw(text.get().rstrip())

    def _line(self, progress: Progress) -> str:
        left = self._bar.tasks[0].time_remaining
        return (
            f"epoch {progress.epoch} of {progress.epochs}: {counted(progress.running, 'network')} of "
            f"{progress.networks:,} in training, best held-out loss {progress.best_loss:.4g}"
        ) + ("" if left is None else f", at most {left:.0f} s left")


def _columns(wide: bool) -> list[ProgressColumn]:
    drawn = [BarColumn(bar_width=24)] if wide else []
    elapsed = [TimeElapsedColumn()] if wide else []
    # strengths leave early, so the time left is an upper bound
    left = [TextColumn("at most"), TimeRemainingColumn()]
    return [TextColumn("{task.description}"), *drawn, TextColumn("{task.fields[state]}"), *elapsed, *left]


class NotebookCell:
    """A place in the output of a notebook's cell that can be drawn anew."""

    def __init__(self) -> None:
        self._shown: Any = None

    def draw(self, text: str) -> None:
        """Put a text in the place of the last one."""
        # a notebook has it, and nothing else is needed, as ipywidgets would be
        from IPython.display import display  # pyright: ignore[reportMissingImports]

        data = {"text/plain": text}
        if self._shown is None:
            self._shown = display(data, raw=True, display_id=True)
        else:
            self._shown.update(data, raw=True)


class RowsBar:
    """The share of a file that is predicted, on the terminal that errors go to; elsewhere nothing is drawn."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        # standard output may be the predictions themselves
        console = console or Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("Predicting", total=1.0)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()

    def show(self, done: float) -> None:
        """Move the bar; backwards if the file is read once more."""
        self._bar.update(self._task, completed=done)

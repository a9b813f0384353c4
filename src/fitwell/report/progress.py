"""Progress bars: of a search (epochs, networks still running, best held-out loss so far, time left), of a file."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from fitwell.engine.plan import Progress


class Bar:
    """A bar on a terminal; elsewhere (a file, a pipe) nothing is drawn."""

    def __init__(self, console: Console) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            # strengths leave early, so the time left is an upper bound
            TextColumn("at most"),
            TimeRemainingColumn(),
            console=console,
            # the report below says all that the bar said
            transient=True,
            # a log file would be full of redrawn lines
            disable=not console.is_terminal,
        )
        # the first progress is reported after the first epochs: until then it compiles
        self._task = self._bar.add_task("Compiling", total=1.0, state="")

    def start(self) -> None:
        """Show the bar."""
        self._bar.start()

    def show(self, progress: Progress) -> None:
        """Move the bar."""
        state = (
            f"epoch {progress.epoch}/{progress.epochs}, {progress.running}/{progress.networks} networks running, "
            f"best held-out loss {progress.best_loss:.4g}"
        )
        self._bar.update(self._task, description="Training", completed=progress.done, state=state)

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()


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

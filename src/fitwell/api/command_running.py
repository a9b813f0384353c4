"""What runs around a command's own work: signals, warnings, and where it prints."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from fitwell.directories import remove_passing
from fitwell.errors import FitwellWarning, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from fitwell.engine.checkpoints import Checkpoints
    from fitwell.engine.ending import Ended
    from fitwell.engine.plan import Listener
    from fitwell.results.diagnosis import Diagnosis
    from fitwell.results.result import Result

_Found = TypeVar("_Found", "Result", "Diagnosis")

# the signal's number is added, as shells report it: 130 after Ctrl-C, 143 for a process that was told to end
INTERRUPT_EXIT = 128
INTERRUPTED = "fitwell: interrupted; nothing was written."
ENDING = "fitwell: ending with the best so far; press Ctrl-C again to stop at once."

BEGUN = time.perf_counter() - time.process_time()
"""When this process began, nearly: until here it has done nothing but import."""

LEAST_LEFT = 0.5
"""Seconds of a budget that must be left when a table is about to be read."""

# which signals came, and do networks train: the handler decides by both
signals: list[int] = []
training = threading.Event()
# is there something to be ended, and was that asked for
searching, enough = threading.Event(), threading.Event()
# where the search is written down that is in training, and how it is called
in_writing: list[tuple[Checkpoints, Path]] = []


def catch_signals() -> None:
    """Let Ctrl-C and a polite end of the process stop at once while networks train, else clean up first."""
    # Python's own handler of the first raises KeyboardInterrupt, which JAX may lose; of the second (batch systems,
    # `timeout`) it has none, and half of a file would stay beside the one it was to become
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End the search with the best so far; at the second time, or where there is none, stop.

    While networks train nothing is being written, and the process stops at once; else the writers clean up.
    An exception is no way out of training: raised inside one of JAX's callbacks it is lost, and raised while XLA's
    threads compile it can crash the interpreter on its way out.
    """
    del frame
    if number == signal.SIGINT and searching.is_set() and not enough.is_set():
        enough.set()
        # behind a progress bar, whose line is not at its end
        sys.stderr.write(f"\n{ENDING}\n" if sys.stderr.isatty() else f"{ENDING}\n")
        sys.stderr.flush()
        return
    signals.append(number)
    if not training.is_set():
        raise KeyboardInterrupt
    # the progress bar hides it, and nobody else will show it again
    show_cursor = "\x1b[?25h" if sys.stdout.isatty() else ""
    sys.stdout.write(show_cursor)
    sys.stdout.flush()
    sys.stderr.write(f"{last_words()}\n")
    sys.stderr.flush()
    remove_passing()
    os._exit(INTERRUPT_EXIT + number)


def last_words() -> str:
    """Say what an interrupted command leaves behind."""
    for checkpoints, out in in_writing:
        if checkpoints.has_written:
            return f"fitwell: interrupted; to go on: fitwell tune --resume {shlex.quote(str(out))}"
    return INTERRUPTED


@contextmanager
def told_to_end(listener: Listener) -> Iterator[Listener]:
    """Yield a listener that wants the end once Ctrl-C was pressed, while networks train."""
    from fitwell.engine.listening import told_both
    from fitwell.engine.plan import Listener

    training.set()
    try:
        # before the plan is known nothing is there that could be kept
        yield told_both(Listener(on_plan=lambda _: searching.set(), wants_end=enough.is_set), listener)
    finally:
        for event in (training, searching, enough):
            event.clear()


def left_of_budget(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose time budget is that of a whole process, less what has gone of it."""
    budget = options["time_budget"]
    if budget is None:
        return options
    gone = time.perf_counter() - BEGUN
    if budget - gone < LEAST_LEFT:
        raise InputError(
            f"'--budget' must leave half a second after starting, which took {gone:.1f} s. Got {budget:g} s."
        )
    return {**options, "time_budget": budget - gone}


def exit_if_interrupted(ended: Ended | None) -> None:
    """Exit as an interrupted process does, if a person cut the search short."""
    if ended is not None and ended.reason == "interrupted":
        raise typer.Exit(INTERRUPT_EXIT + signal.SIGINT)


def say_warnings(wanted: bool) -> None:
    """Say all warnings of ours, each time, or none of them."""
    warnings.simplefilter("always" if wanted else "ignore", FitwellWarning)


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """Print a warning of ours as a sentence; others as Python does, for they are about code."""
    ours = issubclass(category, FitwellWarning)
    text = f"fitwell: {message}" if ours else warnings.formatwarning(message, category, filename, lineno).rstrip()
    typer.echo(text, err=True)


def shell_command() -> str:
    """Return the command that runs, as a shell takes it."""
    return shlex.join(["fitwell", *sys.argv[1:]])


def by_command(found: _Found, shell: str | None = None) -> _Found:
    """The same with the command that asked for it, this one if no other, which the report shows."""
    return replace(found, record=replace(found.record, command=shell or shell_command()))


@contextmanager
def listening(output: str, reminder: str = "") -> Iterator[tuple[Console, Listener]]:
    """Yield where to print, and the listener that prints what was read, a reminder, the plan and a progress bar."""
    from fitwell.engine.plan import Listener
    from fitwell.report.watching import plain_console, watched_on

    console = plain_console()
    if output != "text":
        yield console, Listener()
        return
    with watched_on(console, reminder=reminder) as listener:
        yield console, listener


def print_parts(console: Console, parts: list[Any]) -> None:
    """Print the parts of a text one below the other."""
    for part in parts:
        console.print(part)

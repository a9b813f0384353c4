"""What a person sees while a search goes on: what was read, the plan, a progress line with the time left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fitwell.engine.listening import told_both
from fitwell.engine.plan import Listener, Plan

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def plain_console() -> Console:
    """Return a console on standard output that cuts no number off where nobody sees it."""
    from rich.console import Console

    # where nobody sees it in a terminal, nor has said how wide that is, a table is as wide as it needs
    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, soft_wrap=False, width=None if told else 120)


@contextmanager
def watching(listener: Listener, verbose: int) -> Iterator[Listener]:
    """Yield a listener that also shows where the search stands, if that is wanted.

    Parameters
    ----------
    verbose
        0 shows nothing more; 1 a progress line on a terminal and in a notebook, and a line for each report elsewhere;
        2 and more what was read and the plan, too.
    """
    if verbose == 0:
        # rich takes a third of a second to import
        yield listener
        return
    with watched_on(plain_console(), words=verbose > 1, stays=True, lines=True) as shown:
        yield told_both(shown, listener)


@contextmanager
def watched_on(
    console: Console, *, words: bool = True, reminder: str = "", stays: bool = False, lines: bool = False
) -> Iterator[Listener]:
    """Yield a listener that shows on a console how a search goes on.

    Parameters
    ----------
    words
        Whether to say what was read, with a reminder, and the plan.
    stays, lines
        See `fitwell.report.progress.Bar`.
    """
    from fitwell.report import text
    from fitwell.report.progress import Bar

    bar = Bar(console, stays=stays, lines=lines)

    def say(parts: list[RenderableType]) -> None:
        for part in parts:
            console.print(part)

    def on_read(summary: dict[str, Any]) -> None:
        if words:
            say([*text.read(summary), *([reminder] if reminder else [])])

    def on_plan(plan: Plan) -> None:
        if words:
            say(text.planned(plan))
        bar.start()

    try:
        yield Listener(on_read=on_read, on_plan=on_plan, on_progress=bar.show)
    finally:
        bar.stop()

from __future__ import annotations

import io

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

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import Console, RenderableType

from fitwell.report import text
from fitwell.results import Result


def printed(parts: list[RenderableType]) -> str:
    """What a wide console shows."""
    console = Console(width=200, highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def test_what_was_read(result: Result) -> None:
    """Rows, kinds and class balance are printed; of many columns set aside, ten and how many more."""
    shown = printed(text.read(result.summary))
    assert "Read      90 rows; columns: 2 numeric" in shown
    assert "classification, 2 classes: no 45 (50%), yes 45 (50%)" in shown
    many = {**result.summary, "set_aside": {f"column {i}": "only one value" for i in range(25)}}
    assert "and 15 more" in printed(text.read(many))


def test_the_plan_is_the_search(result: Result) -> None:
    """The product of row sets and strengths is printed as the number of networks."""
    assert "3 row sets x 4 strengths = 12 networks" in printed(text.planned(result.plan))


def test_marks_stand_where_they_belong(result: Result) -> None:
    """A strength that is several things at once carries all its marks."""
    choice = replace(result.choice, minimum=0, one_standard_error=0)
    shown = printed(text.found(replace(result, choice=choice)))
    assert "unregularized, minimum, one standard error" in shown


def test_divergence_is_said_once(result: Result) -> None:
    """Diverged networks are counted in one sentence, and not mentioned when there are none."""
    assert "diverged" not in printed(text.found(result))
    diverged = np.zeros_like(result.histories.diverged)
    diverged[:, 2] = True
    shown = printed(text.found(replace(result, histories=replace(result.histories, diverged=diverged))))
    assert shown.count("3 networks of 1 strength diverged") == 1

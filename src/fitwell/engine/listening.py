"""What is said while a search goes on, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fitwell.engine.plan import Plan


@dataclass(frozen=True)
class Progress:
    """Where a search stands.

    Attributes
    ----------
    epoch, epochs
        Epochs done, of the most there can be.
    running, networks
        Networks still in training, of all.
    best_loss
        The lowest mean held-out loss so far.
    done
        Share of the whole work done or saved, 0 to 1.
    """

    epoch: int
    epochs: int
    running: int
    networks: int
    best_loss: float
    done: float


def _say_nothing(said: Any) -> None:
    del said


@dataclass(frozen=True)
class Listener:
    """What is called while a search goes on; by default nothing.

    Attributes
    ----------
    on_read
        Given what was read, as plain types, before anything is trained.
    on_plan
        Given how the search is cut, before it is compiled.
    on_progress
        Given where the search stands, every few epochs.
    """

    on_read: Callable[[dict[str, Any]], None] = _say_nothing
    on_plan: Callable[[Plan], None] = _say_nothing
    on_progress: Callable[[Progress], None] = _say_nothing


QUIET = Listener()

"""Memory of the host that training may use."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fitwell.engine import memory
from fitwell.errors import TrainingError


@pytest.mark.parametrize(
    ("available", "group", "budget"),
    [
        (1000, 600, 300),
        (1000, 3000, 500),
        (1000, None, 500),
        (None, 600, 300),
        (None, None, memory.FALLBACK_MEMORY // 2),
    ],
)
def test_it_is_of_the_tightest_limit(
    monkeypatch: pytest.MonkeyPatch, available: int | None, group: int | None, budget: int
) -> None:
    """A container's limit counts like the machine's memory; where nothing is known a modest amount is taken."""
    monkeypatch.setattr(memory, "_available_memory", lambda: available)
    monkeypatch.setattr(memory, "_group_memory", lambda: group)
    assert memory.host_memory() == budget


def test_what_was_freed_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the C library's own function; where there is none, nothing happens."""
    asked: list[int] = []
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=asked.append))
    memory.give_back_freed()
    assert asked == [0]
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace())
    memory.give_back_freed()


def test_what_does_not_fit_is_said() -> None:
    """What it is, how much it needs, how much there is, and what to do."""
    memory.check_fits(100, 100, what="The table", remedy="drop columns")
    with pytest.raises(
        TrainingError, match="The table needs about 3 MiB, and the memory budget is 2 MiB: drop columns"
    ):
        memory.check_fits(3 * 2**20, 2 * 2**20, what="The table", remedy="drop columns")

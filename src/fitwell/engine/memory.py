"""How much of the host's memory training may use."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

from fitwell.errors import TrainingError

# where the system does not say (macOS, Windows): small enough for nearly all machines
FALLBACK_MEMORY = 4 * 2**30


def host_memory() -> int:
    """Return half of the host's memory that is free now, in bytes."""
    # a container may have less than the machine
    known = [amount for amount in (_available_memory(), _group_memory()) if amount is not None]
    return min(known, default=FALLBACK_MEMORY) // 2


def check_fits(needed: int, budget: int, *, what: str, remedy: str) -> None:
    """Raise a TrainingError if data need more bytes than the budget.

    Parameters
    ----------
    what, remedy
        Words of the sentence: what needs so much, and what to do.
    """
    if needed > budget:
        raise TrainingError(
            f"{what} needs about {needed / 2**20:,.0f} MiB, and the memory budget is {budget / 2**20:,.0f} MiB: "
            f"{remedy}."
        )


def give_back_freed() -> None:
    """Give the system back what was freed: glibc keeps it wherever something small lies above, be it a whole table."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _available_memory() -> int | None:
    """What Linux says can be had without swapping, caches counted."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _group_memory() -> int | None:
    """What is left of a container's limit (cgroup v2)."""
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max": no limit
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        return max(0, limit - used)
    return None

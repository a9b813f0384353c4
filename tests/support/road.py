"""The road of one call through fitwell: which modules it passes, and the calls between them.

``python tests/support/road.py`` prints the road of `tune(table)`. A call counts from the nearest function of fitwell on
the stack, so what JAX or NumPy call back is seen, too; the thread beside the training is not.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import CO_OPTIMIZED
from types import FrameType
from typing import Any


@dataclass
class Road:
    """What a call passed.

    Attributes
    ----------
    modules, functions
        Names; of functions as (module, qualified name).
    calls
        (calling module, called module) to how often, calls inside a module left out.
    depth
        The most functions of fitwell that stood on one another.
    """

    modules: set[str] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    depth: int = 0


def travel(call: Callable[[], Any]) -> Road:
    """Do a call and return its road."""
    road, stack = Road(), list[tuple[FrameType, str]]()

    def look(frame: FrameType, event: str, _: Any) -> None:
        module, code = frame.f_globals.get("__name__", ""), frame.f_code
        # bodies of modules and classes, and the methods that dataclasses write themselves, are no steps of a road
        if not module.startswith("fitwell") or not code.co_flags & CO_OPTIMIZED or code.co_filename == "<string>":
            return
        if event == "call":
            road.modules.add(module)
            road.functions.add((module, code.co_qualname))
            if stack and stack[-1][1] != module:
                road.calls[stack[-1][1], module] += 1
            stack.append((frame, module))
            road.depth = max(road.depth, len(stack))
        elif event == "return":
            while stack and stack.pop()[0] is not frame:  # a generator's frames may end out of order
                pass

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return road


def road_of_tune() -> Road:
    """Tune a small table twice, so that what is imported late is imported, and return the second road."""
    from example_tables import QUICK, mixed

    import fitwell

    table = mixed()
    fitwell.tune(table, "ill", **QUICK)
    return travel(lambda: fitwell.tune(table, "ill", **QUICK))


if __name__ == "__main__":
    found = road_of_tune()
    for module in sorted(found.modules):
        called = sorted(to.removeprefix("fitwell.") for start, to in found.calls if start == module)
        print(f"{module.removeprefix('fitwell.'):32}{', '.join(called)}")
    print(
        f"{len(found.modules)} modules, {len(found.functions)} functions, {len(found.calls)} calls between modules, "
        f"{found.depth} deep"
    )

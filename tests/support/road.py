"""The road of one call through fitwell: which modules it passes, and the calls between them.

``python tests/support/road.py`` prints the road of `tune(table)`. A call counts from the nearest function of fitwell on
the stack, so what JAX or NumPy call back is seen, too; the thread beside the training is not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import CO_OPTIMIZED, getattr_static
from types import FrameType
from typing import Any


@dataclass
class Road:
    """What a call passed.

    Attributes
    ----------
    modules, functions
        Their names.
    calls
        (calling module, called module), calls inside a module left out.
    steps
        (calling function, called function) of different modules.
    depth
        The most functions of fitwell that stood on one another.
    """

    modules: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    calls: set[tuple[str, str]] = field(default_factory=set)
    steps: set[tuple[str, str]] = field(default_factory=set)
    depth: int = 0


def travel(call: Callable[[], Any]) -> Road:
    """Do a call and return its road."""
    road, stack, importing = Road(), list[tuple[FrameType, str, str]](), list[FrameType]()

    def look(frame: FrameType, event: str, _: Any) -> None:
        module, code = frame.f_globals.get("__name__", ""), frame.f_code
        # a tree applies what it is given, as NumPy does: that is no step back up
        if not module.startswith("fitwell") or module == "fitwell.trees" or event not in ("call", "return"):
            return
        if code.co_name == "<module>":  # what a file does when it is imported late is no step of the road
            if event == "call":
                importing.append(frame)
            else:
                importing.pop()
            return
        # nor are bodies of classes, methods that dataclasses write themselves, and attributes that are computed
        if importing or not code.co_flags & CO_OPTIMIZED or code.co_filename == "<string>" or _is_attribute(frame):
            return
        if event == "call":
            road.modules.add(module)
            road.functions.add(f"{module}.{code.co_qualname}")
            name = f"{module}.{code.co_qualname}"
            if stack and stack[-1][1] != module:
                road.calls.add((stack[-1][1], module))
                road.steps.add((stack[-1][2], name))
            stack.append((frame, module, name))
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


def _is_attribute(frame: FrameType) -> bool:
    """Whether a function computes a property: to its reader it is an attribute like any other."""
    owner = type(frame.f_locals.get("self"))
    return isinstance(getattr_static(owner, frame.f_code.co_name, None), property)


def road_of_tune() -> Road:
    """Tune a small table twice, so that what is imported late is imported, and return the second road."""
    from example_tables import QUICK, mixed

    import fitwell

    table, tune = mixed(), fitwell.tune
    tune(table, "ill", **QUICK)
    return travel(lambda: tune(table, "ill", **QUICK))


if __name__ == "__main__":
    found = road_of_tune()
    for module in sorted(found.modules):
        called = sorted(to.removeprefix("fitwell.") for start, to in found.calls if start == module)
        print(f"{module.removeprefix('fitwell.'):32}{', '.join(called)}")
    print(f"{len(found.modules)} modules, {len(found.functions)} functions, {found.depth} deep")
    print(f"{len(found.calls)} modules call another, by {len(found.steps)} pairs of functions")

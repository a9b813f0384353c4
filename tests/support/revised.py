"""Results with some numbers changed, wherever these stand."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from fitwell.results.result import Result


def revised(result: Result, **changes: Any) -> Result:
    """Return a result in which each named field of its search, its answer or itself is another."""
    groups = {name: {field.name for field in fields(getattr(result, name))} for name in ("search", "answer")}
    whole: dict[str, Any] = {}
    for group, names in groups.items():
        mine = {name: changes.pop(name) for name in list(changes) if name in names}
        whole[group] = replace(getattr(result, group), **mine)
    return replace(result, **whole, **changes)

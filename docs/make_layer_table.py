"""Write docs/tfjs-layers.md: ``python docs/make_layer_table.py``. What is claimed is what the tests compare."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE / "tfjs-layers.md"
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

INTRODUCTION = """\
# Layers between Keras and TensorFlow.js

Written by `docs/make_layer_table.py` from the tests. Each variant is a model that is made on one side, taken to the
other, and compared in real TensorFlow.js: the outputs differ by at most 1e-5 of the largest. See
[From Node to fitwell and back](tfjs.md).
"""


def variants(cases: Iterable[str]) -> dict[str, list[str]]:
    """Sort cases ``Class: variant`` by their class."""
    found: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        name, _, variant = case.partition(": ")
        found[name].append(variant or "plain")
    return found


def claimed(classes: Iterable[str], cases: Iterable[str]) -> Iterator[str]:
    """Yield the rows of a table of claimed layers."""
    found = variants(cases)
    yield "| layer | compared |"
    yield "|---|---|"
    for name in sorted(classes):
        yield f"| `{name}` | {'; '.join(found[name])} |"


def refused(reasons: Mapping[str, str]) -> Iterator[str]:
    """Yield the rows of a table of refused layers."""
    yield "| not claimed | why, and what to do |"
    yield "|---|---|"
    for name in sorted(reasons):
        yield f"| {name} | {reasons[name]} |"


def page() -> str:
    """Return the whole page."""
    import tfjs_read
    import tfjs_written

    from fitwell.tfjs import reading, writing

    parts = [
        INTRODUCTION,
        "## From Keras to TensorFlow.js\n",
        *claimed(writing.LAYER_WRITERS, tfjs_written.CASES),
        "",
        *refused(writing.NOT_WRITTEN),
        "\n## From TensorFlow.js to Keras\n",
        *claimed(reading.LAYER_READERS, tfjs_read.CASES),
        "",
        *refused(reading.NOT_READ),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

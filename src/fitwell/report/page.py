"""A report as one HTML file that asks the network for nothing: words, tables, and charts that can be hovered.

Every text that comes from data is escaped where it is put into the page, in `text`, and nowhere else.
"""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from fitwell.report.charts import ChartSpec

SCRIPT = "vega.js.gz"
"""The charts' script, put beside this file when fitwell is built (`hatch_build.py`)."""

UNBUILT = (
    "The charts are missing, for this fitwell runs from sources that were not built: install it, or run "
    "hatch_build.py, and make the report anew with fitwell report."
)


def page(title: str, parts: Iterable[str], charts: Mapping[str, ChartSpec]) -> str:
    """Put parts and charts into one page.

    Parameters
    ----------
    parts
        HTML, escaped already.
    charts
        By name; the chart ``name`` is drawn in the part's figure of that name.
    """
    script = _script()
    body = "\n".join(parts) if script else f"<p>{text(UNBUILT)}</p>\n" + "\n".join(parts)
    files = resources.files("fitwell.report")
    # "</script" would end it and "<!--" hide it; JSON reads "\\u003c" as the same
    data = json.dumps(charts, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fitwell">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>
{(files / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{body}
</main>
<script type="application/json" id="charts">{data}</script>
<script>{script}</script>
<script>
{(files / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _script() -> str:
    """The charts' script; empty where fitwell was not built."""
    file = resources.files("fitwell.report") / SCRIPT
    return gzip.decompress(file.read_bytes()).decode() if file.is_file() else ""


def text(value: Any) -> str:
    """Escape what is to stand in the page as text."""
    return html.escape(str(value))


def section(title: str, *parts: str) -> str:
    """A part of the page below its heading."""
    return f"<section><h2>{text(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def figure(chart: str, caption: str) -> str:
    """The place of a chart, and what it shows."""
    return f'<figure><figcaption>{text(caption)}</figcaption><div class="chart" id="chart-{chart}"></div></figure>'


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    shown
        Text, or HTML that is escaped already, if `is_html`.
    value
        What it is sorted by; None is the text itself.
    """

    shown: str
    value: float | None = None
    is_html: bool = False
    wide: bool = False


def number_cell(value: float | None, form: str = ".4g") -> Cell:
    """A number; empty where there is none."""
    return Cell("") if value is None or value != value else Cell(f"{value:{form}}", float(value))


def table(
    headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, chosen: Sequence[int] = (), sortable: bool
) -> str:
    """A table, sorted by a click on its headings if `sortable`; `chosen` rows stand out."""
    rows = list(rows)
    # a column is of numbers if one of its cells has one
    numeric = [any(row[place].value is not None for row in rows) for place in range(len(headings))]
    named = [f"<button>{text(one)}</button>" if sortable and one else text(one) for one in headings]
    kinds = ["number" if is_number else "" for is_number in numeric]
    head = "".join(map(_element, ["th"] * len(named), named, kinds))
    body = "\n".join(
        _element("tr", "".join(map(_cell, row, numeric)), "chosen" if place in chosen else "")
        for place, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(cell: Cell, is_number: bool) -> str:
    inside = cell.shown if cell.is_html else text(cell.shown)
    kind = "number" if is_number else "wide" if cell.wide else ""
    return _element("td", inside, kind, "" if cell.value is None else repr(cell.value))


def _element(name: str, inside: str, kind: str = "", value: str = "") -> str:
    attributes = (f' class="{kind}"' if kind else "") + (f' data-value="{value}"' if value else "")
    return f"<{name}{attributes}>{inside}</{name}>"

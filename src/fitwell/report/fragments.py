"""What a notebook shows of a result: a small piece of HTML, without scripts, in the notebook's own colours and font."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fitwell.analysis.findings import Findings
from fitwell.analysis.found import Answer, Search
from fitwell.analysis.honest import Score
from fitwell.analysis.readings import reading_of
from fitwell.report.page import Cell, number_cell, table, text
from fitwell.report.words import compared, conclusions, reasons, size_of, verdict_word

# no colour of its own but a line's and half-transparent ones, so that it is readable in light and in dark
STYLE = """<style>
.fitwell-shown { max-width: 74em; border-left: 4px solid #1d6fb8; padding: 2px 14px; line-height: 1.5; }
.fitwell-shown p { margin: 4px 0; }
.fitwell-shown .soft { opacity: .72; font-size: .92em; }
.fitwell-shown .scroll { overflow-x: auto; }
.fitwell-shown table { border-collapse: collapse; margin: 8px 0; color: inherit; font-size: inherit; }
.fitwell-shown th, .fitwell-shown td { padding: 3px 12px 3px 0; text-align: left; border-bottom: 1px solid #8886; }
.fitwell-shown .number { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.fitwell-shown tr.chosen td { font-weight: 600; }
</style>"""
"""Of the fragment, and of nothing else in the notebook."""


def search_fragment(search: Search, answer: Answer, score: Score, data: Mapping[str, Any]) -> str:
    """Show the conclusions of a search and the networks that are compared.

    Parameters
    ----------
    data
        What was read, as in `run.json`.
    """
    rows = list(compared(search, answer))
    cells = [
        [
            Cell(row["network"]),
            *(number_cell(row[name]) for name in ("training", "held out")),
            *(number_cell(row[name], ".3g") for name in ("difference", "std. error")),
            number_cell(row["epoch"], "d"),
            Cell(row["regularization"], wide=True),
        ]
        for row in rows
    ]
    loss = reading_of(search.loss_name).name
    return _fragment(
        f"{_about(data)}{size_of(search)}; {loss}",
        [f"<p>{text(line)}</p>" for line in conclusions(search, answer, score)],
        [table(list(rows[0]), cells, chosen=[len(rows) - 1], sortable=False)],
    )


def diagnosis_fragment(found: Findings, data: Mapping[str, Any]) -> str:
    """Show a verdict and its reasons; `data` is what was read, as in `Diagnosis.to_json`."""
    said = [
        f"<p><strong>{text(verdict_word(found))}</strong></p>",
        *(f"<p>{text(line)}</p>" for line in reasons(found)),
    ]
    return _fragment(f"{_about(data)}{found.loss_name}", said)


def _about(data: Mapping[str, Any]) -> str:
    target, rows = data.get("target"), data.get("rows")
    named = [f"Predicting {target}"] if target else []
    return "".join(f"{part}; " for part in [*named, *([f"{rows:,} rows"] if rows else [])])


def _fragment(about: str, *parts: Iterable[str]) -> str:
    inside = "\n".join(line for part in parts for line in part)
    return f'{STYLE}\n<div class="fitwell-shown"><p class="soft">{text(about)}</p>\n{inside}\n</div>'

"""The report of a diagnosis: the verdict and its reasons, the curves it rests on, and what more rows would do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from fitwell.analysis.intervals import figures
from fitwell.report.charts import ChartSpec, chart_of_layers, learning_curves, tip, value_axis
from fitwell.report.page import Cell, figure, number_cell, page, section, table, text
from fitwell.report.search_page import HOW, record_of

CURVES_CAPTION = (
    "Means over the folds, with a band of one standard error; dashed on training rows, solid on held-out rows. It is "
    "judged at its last epoch."
)
ROWS_CAPTION = (
    "Held-out loss by the number of training rows, with 95% intervals; the line is a fitted power law, and the hollow "
    "point its forecast for twice the rows."
)
TESTS = {
    "search": "regularization or fewer epochs",
    "regularization": "regularization",
    "earlier": "fewer epochs",
    "beyond": "regularization, beyond fewer epochs",
    "growth": "larger, freer or longer trained networks",
}
"""Names of the evidence, in the order in which they are asked."""


def diagnosis_page(document: Mapping[str, Any]) -> str:
    """Return the report of a diagnosis as one HTML file.

    Parameters
    ----------
    document
        `fitwell.Diagnosis.to_json`.
    """
    return page(f"{_named(document)}: fitwell", [_verdict(document), *_sections(document)], _charts(document))


def _named(document: Mapping[str, Any]) -> str:
    target = document["data"].get("target")
    return f"Does it overfit? Predicting {target}" if target else "Does it overfit? A Keras model"


def _verdict(document: Mapping[str, Any]) -> str:
    word = document["verdict"]
    reasons = "".join(f"<p>{text(line)}</p>" for line in document["reasons"])
    gap, name = document["gap"], document["loss"]
    numbers = [
        (f"{name} on training rows", document["train_loss"], "of the network as given, at its last epoch"),
        (f"{name} on held-out rows", document["held_out_loss"], f"after {document['epochs']} epochs"),
        ("gap", gap["difference"], f"{document['level']:.0%} interval {_ends(gap)}; it decides nothing"),
    ]
    boxes = "".join(
        f'<div><span class="soft">{text(label)}</span><b>{figures(_known(value))}</b>'
        f'<span class="soft">{text(how)}</span></div>'
        for label, value, how in numbers
    )
    return f"""<header>
<h1>{text(_named(document))}</h1>
<p class="soft">{document["networks"]:,} networks, in {document["seconds"]:.1f} s</p>
<div class="verdict"><p><b>{text(word[0].upper() + word[1:])}.</b></p>{reasons}</div>
<div class="numbers">{boxes}</div>
</header>"""


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _ends(found: Mapping[str, Any]) -> str:
    return " to ".join(figures(_known(found[end])) for end in ("low", "high"))


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    yield section("How the network learns", f'<p class="soft mouse">{HOW}</p>', figure("curves", CURVES_CAPTION))
    yield section("What was tested", _tests(document))
    if document["pictures"]["measured"]:
        yield section("What more rows would do", figure("rows", ROWS_CAPTION))
    yield section("What was read, and how it was judged", *record_of(document))


def _tests(document: Mapping[str, Any]) -> str:
    headings = ["what was tried", "lowers the held-out loss by", "from", "to", "best of it"]
    cells = []
    for key, name in TESTS.items():
        found = document["evidence"].get(key)
        if found is None:
            continue
        reduction = found.get("held_out", found)
        shares = [_share(reduction, end) for end in ("difference", "low", "high")]
        best = f"{found['best']}, epoch {found['epoch']}" if "best" in found else ""
        cells.append([Cell(name, wide=True), *(number_cell(one, ".1%") for one in shares), Cell(best, wide=True)])
    note = (
        "Shares of the loss of the network as given, each with its corrected interval: no row set scores a choice that "
        "it had a part in. It helps surely where the whole interval lies above zero."
    )
    return f'<p class="soft">{note}</p>' + table(headings, cells, sortable=False)


def _share(reduction: Mapping[str, Any], end: str) -> float | None:
    """A share of the loss, of a test of logarithms or of differences; None where it is not known."""
    value = reduction["test"][end]
    if value is None:
        return None
    return -math.expm1(-value) if reduction["logarithmic"] else value


def _charts(document: Mapping[str, Any]) -> dict[str, ChartSpec]:
    pictures, name = document["pictures"], document["loss"]
    bands = pl.DataFrame(pictures["curves"], infer_schema_length=None)
    charts = {"curves": learning_curves(bands, name)}
    if pictures["measured"]:
        charts["rows"] = _rows_chart(pictures, name)
    return charts


def _rows_chart(pictures: Mapping[str, Any], name: str) -> ChartSpec:
    measured = pl.DataFrame(pictures["measured"], infer_schema_length=None)
    ends_of = [float(measured["rows"].min() or 1) / 1.15, 1.15 * pictures["forecast"][0]["rows"]]  # type: ignore[arg-type]
    x = value_axis("rows", "training rows", scale={"type": "log", "domain": ends_of, "nice": False})
    y = value_axis("loss", f"held-out {name}", scale={"zero": False})
    tips = [tip("rows", "training rows"), tip("loss", name), tip("low", "95% from"), tip("high", "to")]
    ends = {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}}
    colour = "var(--second)"
    layers = [
        {"mark": {"type": "rule", "color": colour, "opacity": 0.5}, "encoding": ends},
        {
            "mark": {"type": "point", "filled": True, "size": 90, "color": colour},
            "encoding": {"x": x, "y": y, "tooltip": tips},
        },
        {
            "data": {"values": pictures["law"]},
            "mark": {"type": "line", "color": "var(--soft)", "strokeDash": [4, 3]},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": pictures["forecast"]},
            "mark": {"type": "rule", "color": "var(--third)", "opacity": 0.6},
            "encoding": ends,
        },
        {
            "data": {"values": pictures["forecast"]},
            "mark": {"type": "point", "size": 110, "strokeWidth": 2, "color": "var(--third)"},
            "encoding": {"x": x, "y": y, "tooltip": tips},
        },
    ]
    return chart_of_layers(measured, layers)

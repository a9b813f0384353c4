"""The report of a search: its parts, in the order in which a person asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fitwell.analysis.inputs_used import CHANCE_OF_NEEDED, COUNTED_WEIGHT
from fitwell.analysis.intervals import figures
from fitwell.analysis.readings import Reading, reading_of
from fitwell.analysis.series import RunTables, path_points, spark_lines, weights_of, worst_rows
from fitwell.report.charts import MOST_CLASSES, charts_of
from fitwell.report.page import Cell, figure, number_cell, page, section, table, text
from fitwell.report.words import LEAVE_IT_ALONE, chosen_by, streamed_in

PATHS = (
    "Each point is one candidate, with one standard error over the folds. The other strengths differ from point to "
    "point, so that neighbours need not be equal. Strengths of zero stand at the left."
)
CURVES = (
    "Means over the folds, with a band of one standard error; dashed on training rows, solid on held-out rows. The dot "
    "is the best epoch."
)
IMPORTANCE = (
    "How much worse held-out rows are predicted once a column's values are dealt out anew, with its 95% interval over "
    "the folds. A column that others tell as well may matter little."
)
INPUTS = (
    "How heavily the networks weigh each column, by the strength that pulls whole columns to zero: the norm of its "
    "weights by that of the heaviest, a mean over the folds. The vertical line marks the strength that was chosen; "
    "those that left the search early are not shown. Dashed columns are not needed."
)
NEEDED_MEANS = (
    f"A column enters at the largest strength at which most folds' networks use it, that is, give it at least "
    f"{COUNTED_WEIGHT:.0%} of the heaviest column's weight. Chance is that of predicting held-out rows so much worse "
    f"once its values are dealt out anew, if it told nothing; below {CHANCE_OF_NEEDED:.1%} it is needed."
)
UNDECIDED = "These row sets do not let it be said whether the network overfits: it takes three folds that are apart."
HOW = "Drag to move a chart, shift and the wheel to zoom, point at anything for its numbers."

SCORE_NAMES = {
    "as_given": "as given",
    "unregularized": "unregularized",
    "minimum": "minimum",
    "one_standard_error": "one standard error",
    "ensemble": "mean of the best strengths",
}

SET_ASIDE = 50
"""Columns that are named with what is worth knowing of them; of more, how many there are."""


def search_page(run: RunTables) -> str:
    """Return the report of a search as one HTML file."""
    charts = charts_of(run)
    return page(f"{_title(run.document)}: fitwell", [_head(run), *_sections(run, list(charts))], charts)


def _sections(run: RunTables, charts: Sequence[str]) -> Iterator[str]:
    yield section("How the network learns", f'<p class="soft mouse">{HOW}</p>', figure("curves", CURVES))
    yield section("Which strength", *_paths(run, charts))
    yield section("How it fares on rows it has not seen", _scores(run), *_by_target(run), *_pictures(run))
    if run.document.get("importance"):
        yield section("Which columns matter", figure("importance", IMPORTANCE))
    if run.document.get("inputs"):
        drawn = [figure("inputs", INPUTS)] if "inputs" in charts else []
        yield section("Which columns the network uses", *drawn, _inputs(run))
    if run.held_out is not None:
        yield section("The rows that are predicted worst", _worst(run))
    yield section("All strengths", _strengths(run))
    yield section("What was read, and how it was searched", *record_of(run.document))


def _inputs(run: RunTables) -> str:
    rows = [
        [
            Cell(row["column"], wide=True),
            number_cell(row["enters"], ".3g"),
            number_cell(row["used_in"], ".0%"),
            number_cell(row["weight"], ".3f"),
            number_cell(row["chance"], ".2g"),
            Cell("yes" if row["needed"] else "no"),
        ]
        for row in run.document["inputs"]
    ]
    heads = ["column", "enters at", "used in", "weight", "chance", "needed"]
    return f'<p class="soft">{text(NEEDED_MEANS)}</p>{table(heads, rows, sortable=True)}'


def _title(document: Mapping[str, Any]) -> str:
    target = document["data"].get("target")
    return f"Predicting {target}" if target else "A Keras model"


def _head(run: RunTables) -> str:
    document, plan = run.document, run.document["plan"]
    lines = document["verdict"]["sentences"] or [UNDECIDED]
    if document["choice"]["leave_alone"]:
        lines = [*lines, LEAVE_IT_ALONE]
    # runs from before a search could be ended have none
    lines = [*document.get("cut_short", []), *lines, *chosen_by(document.get("scoring"))]
    chosen = document["choice"]["one_standard_error"]
    rows = f"{document['data']['rows']:,} rows, " if "rows" in document["data"] else ""
    said = "".join(f"<p>{text(line)}</p>" for line in lines)
    return f"""<header>
<h1>{text(_title(document))}</h1>
<p class="soft">{rows}{plan["row_sets"]} row sets x {plan["strengths"]} strengths = {plan["networks"]:,} networks,
in {document["seconds"]["total"]:.1f} s</p>
<div class="verdict">{said}
<p class="soft">Chosen by the one-standard-error rule: {text(chosen["regularization"])}, learning rate
{chosen["learning_rate"]:.3g}, epoch {chosen["epoch"]}.</p></div>
<div class="numbers">{"".join(_numbers(document))}</div>
</header>"""


def _numbers(document: Mapping[str, Any]) -> Iterator[str]:
    # of the score that was chosen by, if there is one
    score, reading = document["score"], reading_of(document["score"]["name"])
    interval = score["interval"]
    ends = " to ".join(figures(_read(reading, interval[end])) for end in ("low", "high"))
    found = [
        (
            f"{reading.name} on new rows",
            _read(reading, interval["estimate"]),
            f"{interval['level']:.0%} interval {ends}, corrected for having chosen",
        ),
        ("uncorrected", _read(reading, score["naive"]), "optimistic: the same rows chose the strength and score it"),
    ]
    found += [
        (one["name"], _read(reading, one["held_out_loss"]), one["regularization"] or "the simplest prediction there is")
        for one in document["baselines"]
        if one["loss"] == score["name"]  # another number must not stand beside it
    ]
    for name, value, how in found:
        yield (
            f'<div><span class="soft">{text(name)}</span><b>{figures(value)}</b>'
            f'<span class="soft">{text(how)}</span></div>'
        )


def _read(reading: Reading, loss: float | None) -> float:
    # JSON has no name for the loss of a network that diverged
    return float("nan") if loss is None else reading.value(loss)


def _paths(run: RunTables, charts: Sequence[str]) -> Iterator[str]:
    paths = "".join(figure(f"path-{place}", name) for place, name in enumerate(_spoken(run)))
    maps = [name for name in charts if name.startswith("map-")]
    both = "".join(figure(name, "Two strengths together; the ring is the minimum.") for name in maps)
    yield f'<p class="soft">{PATHS}</p><div class="side">{paths}{both}</div>'


def _spoken(run: RunTables) -> list[str]:
    return [name.replace("_", " ") for name in run.regularizers]


def _scores(run: RunTables) -> str:
    document = run.document
    rows: dict[str, Any] = {SCORE_NAMES.get(key) or key: scores for key, scores in document["scores"].items()}
    for one in document["baselines"]:
        label = f"{one['name']}, {one['regularization']}" if one["regularization"] else one["name"]
        rows[label] = one["scores"]
    headings = list(dict.fromkeys(heading for scores in rows.values() for heading in scores))
    cells = [[Cell(name), *(number_cell(scores.get(heading)) for heading in headings)] for name, scores in rows.items()]
    answer = list(document["scores"]).index("ensemble") if "ensemble" in document["scores"] else -1
    note = "Cross-validated, each network at its best epoch: optimistic, for the same rows chose epochs and strengths."
    return f'<p class="soft">{note}</p>' + table(["", *headings], cells, chosen=[answer], sortable=True)


def _by_target(run: RunTables) -> Iterator[str]:
    """A table of the scores of each of several targets."""
    found = run.document.get("by_target")
    if found:
        headings = [name for name in found[0] if name != "target"]
        cells = [[Cell(row["target"], wide=True), *(number_cell(row[name]) for name in headings)] for row in found]
        yield "<h3>Each target</h3>" + table(["", *headings], cells, sortable=True)


def _pictures(run: RunTables) -> Iterator[str]:
    if run.held_out is None:
        return
    captions = {
        "predicted": "Predicted and true values of held-out rows",
        "residuals": "What is left of them",
    }
    if run.classes:
        positive = run.classes[-1]
        said = f"Calibration: when it says 70% for {positive}, is it so in 70% of rows? With 95% intervals."
        captions = {
            "calibration": said,
            "roc": f"ROC curve, {positive} being positive",
            "precision-recall": f"Precision and recall, {positive} being positive",
        }
        captions = captions if len(run.classes) == 2 else {}
        if len(run.classes) <= MOST_CLASSES:
            by_weight = "" if weights_of(run) is None else ", by their weight"
            captions["confusion"] = f"Which classes held-out rows are taken for{by_weight}"
    yield f'<div class="side">{"".join(figure(name, caption) for name, caption in captions.items())}</div>'


def _worst(run: RunTables) -> str:
    worst = worst_rows(run)
    cells = [[_worst_cell(name, value) for name, value in row.items()] for row in worst.to_dicts()]
    note = f"By their {run.document['loss']}, predicted by networks that did not train on them; rows count from 1."
    headings = [run.document["data"]["key"] if name == "key" else name for name in worst.columns]
    return f'<p class="soft">{note}</p>' + table(headings, cells, sortable=True)


def _worst_cell(name: str, value: Any) -> Cell:
    if isinstance(value, int | float):
        return number_cell(value, ",d" if name == "row" else ".4g")
    return Cell("" if value is None else str(value), wide=True)


def _strengths(run: RunTables) -> str:
    reading, sparks = reading_of(run.document["loss"]), spark_lines(run)
    marks: dict[int, str] = dict(path_points(run).select("strength", "mark").iter_rows())
    scoring = run.document.get("scoring")
    headings = [
        *_spoken(run),
        "learning rate",
        *([scoring] if scoring else []),
        f"held-out {reading.name}",
        "std. error",
        "training",
        "epoch",
        "",
        "",
    ]
    cells, chosen = [], []
    for place, row in enumerate(run.strengths.to_dicts()):
        loss = row["held_out_loss"]
        mark = "diverged" if row["diverged"] else str(marks.get(row["strength"], ""))
        if row["cut_after"]:
            mark = f"cut after epoch {row['cut_after']}"
        if row["strength"] == run.document["chosen"]:
            chosen.append(place)
        cells.append(
            [
                *(
                    number_cell(row[name], ".3g") if row[name] is not None else Cell("by layer")
                    for name in run.regularizers
                ),
                number_cell(row["learning_rate"], ".3g"),
                *([number_cell(row["score"])] if scoring else []),
                number_cell(_read(reading, loss)),
                number_cell(reading.error(loss, row["standard_error"]) if loss is not None else None, ".3g"),
                number_cell(_read(reading, row["train_loss"])),
                number_cell(row["best_epoch"], "d"),
                Cell(_spark(sparks.get(row["strength"], [])), is_html=True),
                Cell(mark if mark and mark != "other" else "", wide=True),
            ]
        )
    return table(headings, cells, chosen=chosen, sortable=True)


def _spark(losses: list[float]) -> str:
    """A small picture of a held-out curve."""
    known = [loss for loss in losses if loss == loss and loss != float("inf")]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    points = " ".join(
        f"{90 * place / (len(known) - 1):.1f},{20 - 18 * (loss - low) / span:.1f}" for place, loss in enumerate(known)
    )
    return f'<svg class="spark" viewBox="0 0 90 22" aria-hidden="true"><polyline points="{points}"/></svg>'


def record_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Tables of what was read, and how it was searched, of a search or a diagnosis."""
    rows = [*_read_rows(document["data"]), *_how_rows(document)]
    yield table(["", ""], [[Cell(name), Cell(value, wide=True)] for name, value in rows], sortable=False)
    data = document["data"]
    said: dict[str, str] = {**data.get("set_aside", {}), **data.get("remarks", {})}
    if said:
        shown = list(said.items())[:SET_ASIDE]
        more = [("...", f"and {len(said) - SET_ASIDE} more")] if len(said) > SET_ASIDE else []
        cells = [[Cell(name, wide=True), Cell(reason, wide=True)] for name, reason in [*shown, *more]]
        yield "<h3>Columns set aside, or worth a word</h3>" + table(["column", "why"], cells, sortable=False)


def _read_rows(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "rows" in data:
        yield "rows", f"{data['rows']:,}"
    if "columns" in data:
        yield "columns", ", ".join(f"{count} {kind}" for kind, count in data["columns"].items())
        yield "inputs once encoded", str(data["inputs"])
    if data.get("rows_without_target"):
        yield "rows without a target", f"{data['rows_without_target']:,}, set aside"
    for name, about in list(data.get("by_target", {}).items())[:SET_ASIDE]:
        numbers = f"mean {about['mean']:.4g}, standard deviation {about['sd']:.4g}" if "mean" in about else ""
        yield name, numbers or ", ".join(f"{label} {count:,}" for label, count in about["classes"].items())
    if "classes" in data:
        yield "classes", ", ".join(f"{name} {count:,}" for name, count in data["classes"].items())


def _how_rows(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "plan" in document:
        plan = document["plan"]
        yield "networks", f"{plan['networks']:,}, {document['diverged_networks']} of them diverged"
        yield "epochs, batch", f"at most {plan['epochs']}, {plan['batch_size']} rows"
        if plan.get("windows"):  # runs of former versions have none
            yield "rows", streamed_in(plan["windows"], plan["window_rows"])
    yield "seed", str(document["seed"])
    if "versions" in document:
        yield "versions", ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    yield "fitwell", document["fitwell"]
    if document.get("command"):
        yield "command", document["command"]

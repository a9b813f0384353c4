"""A table's encodings as JSON and JavaScript, so that records become tensors by the same rules as in Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from fitwell.data.columns import Column, number_names
from fitwell.data.encoding import Encoding
from fitwell.data.notation import MISSING_MARKS
from fitwell.data.target import LabelType, TargetOutput, labels_of
from fitwell.data.target_units import VALUES, TargetUnits
from fitwell.data.values import EPOCH
from fitwell.errors import FileError, InputError

SCHEMA_FORMAT, FORMAT_OF_SEVERAL = 1, 2
"""Versions of `SCHEMA_FILE`, of one target and of several, which an older `encode.js` cannot read."""

SCHEMA_FILE = "schema.json"
SCRIPT, MODULE = "encode.js", "encode.mjs"
ASSETS = (SCRIPT, "predict.js", "index.html")
COMMONJS = {"type": "commonjs"}
"""`package.json` beside the scripts: below one that says "module", Node would take `.js` for ES modules."""

EXPORTS = {
    SCRIPT: "if (typeof module === 'object') module.exports = fitwell;",
    MODULE: "export const {encode, decode} = fitwell;",
}
"""The last line of each; all others are the same."""

SECONDS_PER_DAY = 86_400
EXACT = 2**53  # JavaScript's numbers hold whole numbers up to this


def schema(
    columns: Sequence[Column],
    encodings: Sequence[Encoding],
    *,
    target: str,
    task: str,
    classes: Sequence[str],
    label_type: LabelType,
    head: str,
    units: TargetUnits = VALUES,
    missing: Sequence[str] | None = MISSING_MARKS,
    inputs: Sequence[str] = (),
    outputs: Sequence[TargetOutput] = (),
) -> dict[str, Any]:
    """Describe how records become the model's inputs, and its outputs predictions, for `encode.js` and a form.

    Parameters
    ----------
    columns, encodings, target, task, classes, label_type, head, units, missing, outputs
        As in `fitwell.results.predictors.TablePredictor`.
    inputs
        The names of the model's inputs, one for each encoding, if they are to be told.

    Returns
    -------
    Plain JSON; floats survive it bit for bit. Columns that are set aside are not in it.

    Raises
    ------
    InputError
        The encodings are not of these columns.
    """
    used = [column for column in columns if column.kind != "set aside"]
    _check(used, encodings)
    if inputs and len(inputs) != len(encodings):
        raise InputError(f"'inputs' must name {len(encodings)} inputs, one for each encoding. Got {len(inputs)}.")
    names = [{"name": name} for name in inputs] or [{} for _ in encodings]
    return {
        "format": FORMAT_OF_SEVERAL if outputs else SCHEMA_FORMAT,
        "target": target,
        "task": task,
        "head": "values" if task == "regression" else head,
        "classes": list(classes),
        "labels": _labels(classes, label_type),
        **({"outputs": [_output(one) for one in outputs]} if outputs else {}),
        **({} if missing is None else {"missing": list(missing)}),
        **units.to_json(),
        "columns": _columns(used, encodings),
        "inputs": [{**name, **_input(encoding)} for name, encoding in zip(names, encodings, strict=True)],
    }


def write_table_files(directory: Path, document: Mapping[str, Any]) -> None:
    """Write a schema, the scripts that read it and the example page into an existing directory.

    Raises
    ------
    FileError
        The directory cannot be written.
    """
    texts = {name: (files("fitwell.tfjs") / "assets" / name).read_text(encoding="utf-8") for name in ASSETS}
    script = texts[SCRIPT]
    # one source for both, so that they cannot differ
    texts[MODULE] = script[: script.rindex(EXPORTS[SCRIPT])] + EXPORTS[MODULE] + "\n"
    texts[SCHEMA_FILE] = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    texts["package.json"] = json.dumps(COMMONJS) + "\n"
    try:
        for name, text in texts.items():
            # the same bytes on Windows
            (directory / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise FileError(f"'{directory}' cannot be written: {error.strerror or error}.") from error


def _check(used: Sequence[Column], encodings: Sequence[Encoding]) -> None:
    if not encodings:
        raise InputError("A schema needs at least one encoding. Got none.")
    numbers = sum(len(number_names(column)) for column in used)
    levels = tuple(len(column.levels) for column in used if column.kind == "categorical")
    for encoding in encodings:
        layout = encoding.layout
        if (layout.n_numbers, layout.level_counts) != (numbers, levels):
            raise InputError(
                f"The encodings must be of these columns, which have {numbers} numbers and categories with {levels} "
                f"levels. Got one of {layout.n_numbers} numbers and {layout.level_counts} levels."
            )


def _labels(classes: Sequence[str], label_type: LabelType) -> list[Any]:
    labels = labels_of(range(len(classes)), classes, label_type).tolist() if classes else []
    # as a number JavaScript would round it to another label
    return [str(label) if isinstance(label, int) and abs(label) > EXACT else label for label in labels]


def _output(one: TargetOutput) -> dict[str, Any]:
    """One of several targets."""
    labels = _labels(one.classes, one.label_type)
    return {"name": one.name, **({"labels": labels} if labels else {})}


def _input(encoding: Encoding) -> dict[str, Any]:
    arrays = {name: getattr(encoding, name).tolist() for name in ("fill", "center", "scale", "slots", "live")}
    return {"indicators": list(encoding.layout.indicators), **arrays}


def _columns(used: Sequence[Column], encodings: Sequence[Encoding]) -> list[dict[str, Any]]:
    described, number, code = [], 0, 0
    for column in used:
        about: dict[str, Any] = {"name": column.name, "kind": column.kind, "missing": column.has_missing}
        if column.kind == "categorical":
            about |= {"levels": list(column.levels), "typical": _typical_level(column, encodings, code)}
            # behind the levels come "missing" and "other"
            code += len(column.levels) + 2
        else:
            if column.kind == "numeric":
                about |= {"decimal": column.decimal, "sign": column.sign}
            if column.kind == "date":
                about |= {"format": column.date_format, "hasTime": column.has_time}
            about["typical"] = _typical_number(column, encodings, number)
            number += len(number_names(column))
        described.append(about)
    return described


def _typical_number(column: Column, encodings: Sequence[Encoding], number: int) -> float | bool | str:
    """The middle one of the medians of the row sets, as a record would have it."""
    # a record must look like one: a mean of medians may be a number that no row has
    medians = sorted(float(encoding.fill[number]) for encoding in encodings)
    median = medians[len(medians) // 2]
    if column.kind == "boolean":
        return median > 0.5
    return _date_text(median, column.has_time) if column.kind == "date" else median


def _date_text(days: float, has_time: bool) -> str:
    try:
        moment = EPOCH + timedelta(seconds=round(days * SECONDS_PER_DAY))
    except OverflowError:  # years that Python's dates do not have
        moment = datetime(2000, 1, 1)
    return moment.isoformat(timespec="seconds") if has_time else moment.date().isoformat()


def _typical_level(column: Column, encodings: Sequence[Encoding], code: int) -> str | None:
    """The first level that has an input of its own everywhere; how often each occurs is not known any more."""
    other = code + len(column.levels) + 1
    for place, level in enumerate(column.levels):
        if all(encoding.slots[code + place] != encoding.slots[other] for encoding in encodings):
            return level
    return column.levels[0] if column.levels else None

"""The files of a tuned table: what is in the schema, how scripts are loaded, and `predict.js` on the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed
from tfjs_node import MISSING, ROOT, available

from fitwell.data.columns import Column, describe_columns, extract
from fitwell.data.encoding import Encoding, fit_encoding, make_layout
from fitwell.errors import FileError, InputError
from fitwell.results.for_tfjs import schema_of
from fitwell.results.result import Result
from fitwell.tfjs.document import write_document
from fitwell.tfjs.schema import MODULE, SCHEMA_FILE, SCRIPT, schema, write_table_files
from fitwell.tfjs.writing import to_tfjs

RECORD = {"age": 41.5, "city": "Łódź", "smoker": True, "visit": "2023-01-05", "dose": "2.5", "ill": None}
ABOUT: dict[str, Any] = {"target": "y", "task": "classification", "head": "probabilities", "label_type": "str"}


def encoded(frame: pl.DataFrame) -> tuple[tuple[Column, ...], list[Encoding]]:
    """The columns of a table, and encodings of all rows and of the first half."""
    columns = describe_columns(frame)
    raw = extract(frame, columns)
    layout = make_layout(columns, raw)
    return columns, [fit_encoding(layout, raw, np.arange(rows)) for rows in (len(frame), len(frame) // 2)]


# ---- the schema ------------------------------------------------------------------------------------------------------


def test_numbers_survive_bit_for_bit(tmp_path: Path) -> None:
    """What is read from the file are the same floats, -0, the smallest and the largest among them."""
    columns, (encoding, _) = encoded(mixed())
    odd = [-0.0, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3]
    numbers = {name: np.resize(odd, len(encoding.fill)) for name in ("fill", "center", "scale")}
    document = schema(columns, [replace(encoding, **numbers)], classes=("no", "yes"), **ABOUT)
    write_table_files(tmp_path, document)
    stored = json.loads((tmp_path / SCHEMA_FILE).read_text(encoding="utf-8"))
    assert stored == document
    for name, expected in numbers.items():
        found = np.array(stored["inputs"][0][name])
        np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))


def test_a_form_finds_what_it_needs() -> None:
    """For each used column its kind, levels, formats and a typical value that a record may hold."""
    rows = 40
    frame = pl.DataFrame(
        {
            "age": [None, *np.arange(1.0, rows).tolist()],
            "city": ["a rare one", *(["Oslo"] * (rows - 21)), *(["Rome"] * 20)],
            "flag": [True] * (rows - 3) + [False] * 3,
            "day": [f"{1 + number % 28:02d}.03.2020" for number in range(rows)],
            "at": [datetime(2020, 1, 1, 12, 30) + timedelta(hours=3 * number) for number in range(rows)],
            "note": ["the same"] * rows,
        }
    )
    columns, encodings = encoded(frame)
    document = schema(columns, encodings, classes=("no", "yes"), inputs=("one", "two"), **ABOUT)
    described = {column.pop("name"): column for column in document["columns"]}
    assert described == {
        "age": {"kind": "numeric", "missing": True, "decimal": "", "sign": "", "typical": 20.0},
        "city": {"kind": "categorical", "missing": False, "levels": ["Oslo", "Rome", "a rare one"], "typical": "Oslo"},
        "flag": {"kind": "boolean", "missing": False, "typical": True},
        "day": {"kind": "date", "missing": False, "format": "%d.%m.%Y", "hasTime": False, "typical": "2020-03-10"},
        "at": {"kind": "date", "missing": False, "format": "iso", "hasTime": True, "typical": "2020-01-03T23:00:00"},
    }
    assert [entry["name"] for entry in document["inputs"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("classes", "label_type", "labels"),
    [
        (("no", "yes"), "str", ["no", "yes"]),
        (("0", "12345678901234567890"), "int", [0, "12345678901234567890"]),
        (("false", "true"), "bool", [False, True]),
        (("0.5", "1e+16"), "float", [0.5, 1e16]),
    ],
)
def test_labels_have_their_type(classes: tuple[str, ...], label_type: Any, labels: list[Any]) -> None:
    """As in the table; only whole numbers that JavaScript would round stay text."""
    columns, encodings = encoded(mixed())
    found = schema(columns, encodings, classes=classes, **{**ABOUT, "label_type": label_type})["labels"]
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Encodings of other columns, no encodings, too few names, and a directory that is not there."""
    columns, encodings = encoded(mixed())
    for used, kept, names, part in [
        (columns[:2], encodings, (), "must be of these columns"),
        (columns, [], (), "at least one encoding"),
        (columns, encodings, ("one",), "'inputs' must name 2 inputs"),
    ]:
        with pytest.raises(InputError, match=part):
            schema(used, kept, classes=("no", "yes"), inputs=names, **ABOUT)
    with pytest.raises(FileError, match="cannot be written"):
        write_table_files(tmp_path / "nowhere", {})


def test_the_module_is_the_script(tmp_path: Path) -> None:
    """The two differ in their last line alone."""
    write_table_files(tmp_path, {})
    script, module = ((tmp_path / name).read_text(encoding="utf-8").splitlines() for name in (SCRIPT, MODULE))
    assert script[:-1] == module[:-1]
    assert script[-1].startswith("if (typeof module")
    assert module[-1].startswith("export const")


# ---- the scripts, in Node --------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("node") is None, reason=MISSING)
@pytest.mark.parametrize("parent", ["", '{"type": "module"}', '{"type": "commonjs"}'])
def test_the_scripts_load_in_every_way(tmp_path: Path, parent: str) -> None:
    """By `require`, by `import`, and as a plain script, below any package.json."""
    columns, encodings = encoded(mixed().drop("ill"))
    if parent:
        (tmp_path / "package.json").write_text(parent, encoding="utf-8")
    (tmp_path / "tfjs").mkdir()
    write_table_files(tmp_path / "tfjs", schema(columns, encodings, classes=("no", "yes"), **ABOUT))
    use = f"console.log(JSON.stringify(encode(schema, {json.dumps(RECORD)}).map(input => [...input.values])));"
    common = "const fs = require('fs'); const schema = require('./tfjs/schema.json');"
    as_script = "require('vm').runInNewContext(fs.readFileSync('tfjs/encode.js', 'utf8') + '; fitwell')"
    (tmp_path / "used.mjs").write_text(
        "import fs from 'node:fs'; import {encode} from './tfjs/encode.mjs';"
        f"const schema = JSON.parse(fs.readFileSync('tfjs/schema.json')); {use}",
        encoding="utf-8",
    )
    ways = [
        ["-e", f"{common} const {{encode}} = require('./tfjs/encode.js'); {use}"],
        ["used.mjs"],
        ["-e", f"{common} const {{encode}} = {as_script}; {use}"],
    ]
    run = [subprocess.run(["node", *way], cwd=tmp_path, capture_output=True, text=True, check=True) for way in ways]
    raw = extract(pl.DataFrame([RECORD]), columns)
    expected = [encoding.transform(raw)[0].tolist() for encoding in encodings]
    assert all(json.loads(done.stdout) == expected for done in run)


@pytest.fixture(scope="module")
def exported(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a tuned table, below a package.json that says "module"."""
    if not available():
        pytest.skip(MISSING)
    place = tmp_path_factory.mktemp("exported")
    (place / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (place / "tfjs").mkdir()
    written = to_tfjs(result.predictor.model)
    write_document(place / "tfjs", written.graph, written.weights)
    write_table_files(place / "tfjs", schema_of(result.predictor))
    return place / "tfjs"


def predict_js(exported: Path, *arguments: str, given: str = "", modules: Path | None = None) -> Any:
    """Run `predict.js` where TensorFlow.js can be found."""
    environment = {**os.environ, "NODE_PATH": str(modules or ROOT / "node_modules")}
    command = ["node", str(exported / "predict.js"), *arguments]
    return subprocess.run(
        command, cwd=exported.parent, input=given, capture_output=True, text=True, env=environment, timeout=100
    )


def agrees(row: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether a prediction of JavaScript is that of Python."""
    shares = {name: expected[f"probability of {name}"] for name in ("no", "yes")}
    return row["prediction"] == expected["ill"] and row["probabilities"] == pytest.approx(shares, rel=1e-5)


def test_predict_js_predicts_a_record(result: Result, exported: Path) -> None:
    """A record gives one prediction, and nothing is printed beside it; another model gives another."""
    done = predict_js(exported, json.dumps(RECORD))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found, expected = json.loads(done.stdout), result.predictor.predict(pl.DataFrame([RECORD]))
    assert agrees(found, expected.row(0, named=True))
    assert not agrees(found, result.predictor.predict(pl.DataFrame([{**RECORD, "age": 20}])).row(0, named=True))


def test_predict_js_predicts_files_and_standard_input(result: Result, exported: Path, tmp_path: Path) -> None:
    """An array gives an array, in its order."""
    records = json.loads(mixed()[:40].drop("ill").write_json())
    expected = result.predictor.predict(mixed()[:40]).to_dicts()
    (tmp_path / "records.json").write_text(json.dumps(records), encoding="utf-8")
    for done in (
        predict_js(exported, str(tmp_path / "records.json")),
        predict_js(exported, "-", given=json.dumps(records)),
    ):
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert len(found) == len(expected)
        assert all(agrees(row, wanted) for row, wanted in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        (json.dumps({**RECORD, "age": "old"}), "column 'age': expected a number, got 'old'"),
        (json.dumps([RECORD, {}]), "record 2 lacks the column 'age'"),
        ('{"age": }', "the record is not JSON"),
        ("none.json", "there is no file 'none.json'"),
        ("", "usage: node predict.js"),
    ],
)
def test_predict_js_says_what_is_wrong(exported: Path, argument: str, part: str) -> None:
    """One line on standard error, and exit status 1."""
    done = predict_js(exported, *([argument] if argument else []))
    assert (done.returncode, done.stdout) == (1, "")
    assert part in done.stderr
    assert done.stderr.count("\n") == 1


def test_predict_js_without_tensorflow_js(exported: Path, tmp_path: Path) -> None:
    """It says what to install."""
    done = predict_js(exported, json.dumps(RECORD), modules=tmp_path)
    assert done.returncode == 1
    assert "npm install @tensorflow/tfjs" in done.stderr


def test_a_predictor_has_a_schema(result: Result) -> None:
    """One input for each fold's encoding, as in the run."""
    document = schema_of(result.predictor)
    assert len(document["inputs"]) == len(result.predictor.encodings)
    assert document["classes"] == document["labels"] == ["no", "yes"]

"""The example page in a real browser: a form that is filled in shows what Python predicts."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tfjs_node import MISSING, ROOT, available

from fitwell.errors import FitwellWarning
from fitwell.results.for_tfjs import schema_of
from fitwell.results.predictors import TablePredictor
from fitwell.results.result import Result
from fitwell.tfjs.document import write_document
from fitwell.tfjs.schema import SCHEMA_FILE, write_table_files
from fitwell.tfjs.writing import to_tfjs

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NO_BROWSER = (
    "Chromium is missing, so the example page was not opened: install it, for example by 'apt install chromium'."
)
TENSORFLOW = ROOT / "node_modules" / "@tensorflow" / "tfjs" / "dist" / "tf.min.js"

# Each step is the body of an async function of the page; what it returns is part of the answer
VISIT = """
import puppeteer from 'puppeteer-core';
const {browser, url, steps, keys, narrow, dark, screenshot} = JSON.parse(process.argv[2]);
const opened = await puppeteer.launch({executablePath: browser, args: ['--no-sandbox', '--disable-gpu']});
try {
  const page = await opened.newPage();
  const requests = [], errors = [];
  page.on('request', request => requests.push(request.url()));
  page.on('pageerror', error => errors.push(String(error)));
  await page.setViewport({width: narrow ? 360 : 900, height: 1000, isMobile: Boolean(narrow)});
  if (dark) await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: 'dark'}]);
  await page.goto(url);
  const at = id => `document.getElementById('${id}')`;
  await page.waitForFunction(`!${at('form')}.hidden || ${at('problem')}.textContent`);
  if (keys) await page.type(...keys);
  const answers = [];
  for (const step of steps) answers.push(await page.evaluate(`(async () => { ${step} })()`));
  if (screenshot) await page.screenshot({path: screenshot, fullPage: true});
  console.log(JSON.stringify({answers, requests, errors}));
} finally {
  await opened.close();
}
"""

FIELDS = """
    const inputs = [...document.querySelectorAll('input, select')];
    const named = name => [...document.querySelectorAll('label')].find(label => label.textContent === name).control;
    const submit = () => document.querySelector('button').click();
    const shown = () => ({
        problem: document.getElementById('problem').textContent,
        prediction: document.getElementById('result').hidden ? null : document.getElementById('prediction').textContent,
        classes: Object.fromEntries([...document.querySelectorAll('#classes li')].map(
            li => [...li.querySelectorAll('span')].map(span => span.textContent))),
        bars: [...document.querySelectorAll('.track div')].map(bar => bar.style.width),
    });
"""


def fill(values: dict[str, str], other: str = "") -> str:
    """A step that types values into the fields of columns (of a choice what is shown), predicts, and reads."""
    return (
        FIELDS
        + f"""
        for (const [name, value] of Object.entries({json.dumps(values)})) {{
            const field = named(name);
            const options = [...(field.options ?? [])];
            field.value = options.length ? options.find(option => option.textContent === value).value : value;
            field.dispatchEvent(new Event('change'));
            const more = field.nextElementSibling;
            if (more?.type === 'text' && !more.hidden) more.value = {json.dumps(other)};
        }}
        submit();
        return shown();
    """
    )


def visit(url: str, *steps: str, **options: Any) -> dict[str, Any]:
    """Open the page in a browser of its own."""
    given = json.dumps({"browser": BROWSER, "url": url, "steps": steps, **options})
    done = subprocess.run(
        ["node", "--input-type=module", "-", given],
        input=VISIT, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["errors"] == []
    return answer


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def write(predictor: TablePredictor, directory: Path, *, tensorflow: bool = True) -> Path:
    """Write all files of a table's model, and TensorFlow.js beside them."""
    directory.mkdir()
    written = to_tfjs(predictor.model)
    write_document(directory, written.graph, written.weights)
    write_table_files(directory, schema_of(predictor))
    if tensorflow:
        shutil.copy(TENSORFLOW, directory)
    return directory


@pytest.fixture(scope="module")
def place(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of pages; `page` is the tuned table's."""
    if not available() or not (ROOT / "node_modules" / "puppeteer-core").is_dir():
        pytest.skip(MISSING)
    if BROWSER is None:
        pytest.skip(NO_BROWSER)
    folder = tmp_path_factory.mktemp("pages")
    write(result.predictor, folder / "page")
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[str]:
    """The address of these pages."""
    handler = functools.partial(Quiet, directory=str(place))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


RECORDS = [
    {"age": 61.5, "city": "Łódź", "smoker": True, "visit": "2023-01-05", "dose": 2.5},
    {"age": None, "city": None, "smoker": None, "visit": None, "dose": None},
    {"age": 20, "city": "Atlantis", "smoker": False, "visit": "2022-03-04", "dose": -1e300},
]


def typed(record: dict[str, Any]) -> str:
    """The step that fills a record in."""
    texts = {name: "" if value is None else str(value) for name, value in record.items()}
    texts["smoker"] = {True: "true", False: "false", None: "(missing)"}[record["smoker"]]
    city = record["city"]
    texts["city"] = "(missing)" if city is None else city if city != "Atlantis" else "other …"
    return fill(texts, other=str(city))


def expected(predictor: TablePredictor, record: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """The label and the shares in per cent that Python predicts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Categories that training did not have", FitwellWarning)
        row = predictor.predict(pl.DataFrame([record])).row(0, named=True)
    return row["ill"], {name: 100 * row[f"probability of {name}"] for name in ("no", "yes")}


def agrees(shown: dict[str, Any], wanted: tuple[str, dict[str, float]]) -> bool:
    """Whether the page shows this, to the digit it shows."""
    shares = {name: float(text.removesuffix(" %")) for name, text in shown["classes"].items()}
    return shown["prediction"] == wanted[0] and shares == pytest.approx(wanted[1], abs=0.0501)


@pytest.mark.slow
def test_a_form_that_is_filled_in_shows_pythons_prediction(result: Result, place: Path, server: str) -> None:
    """Also of missing values and an unseen category; the page asks nobody but its own server."""
    answer = visit(f"{server}/page/", *map(typed, RECORDS))
    for record, shown in zip(RECORDS, answer["answers"], strict=True):
        assert agrees(shown, expected(result.predictor, record)), (record, shown)
        assert shown["problem"] == ""
        assert [float(bar.removesuffix("%")) for bar in shown["bars"]] == pytest.approx(
            sorted(expected(result.predictor, record)[1].values(), reverse=True), abs=0.01
        )
    assert len({shown["classes"]["yes"] for shown in answer["answers"]}) == len(RECORDS)
    assert all(url.startswith((server, "data:")) for url in answer["requests"])

    changed = json.loads((place / "page" / SCHEMA_FILE).read_text(encoding="utf-8"))
    for entry in changed["inputs"]:
        entry["center"][0] -= 30
    shutil.copytree(place / "page", place / "changed")
    (place / "changed" / SCHEMA_FILE).write_text(json.dumps(changed), encoding="utf-8")
    answer = visit(f"{server}/changed/", typed(RECORDS[0]))
    assert not agrees(answer["answers"][0], expected(result.predictor, RECORDS[0]))


def test_the_form_is_ready_and_accessible(result: Result, server: str) -> None:
    """Typical values give a prediction at once; every field has a label; nothing is wider than a phone."""
    look = (
        FIELDS
        + """
        submit();
        return {
            ...shown(),
            title: document.title,
            unlabelled: inputs.filter(input => !input.labels.length && !input.ariaLabel).length,
            types: inputs.filter(input => !input.hidden).map(input => input.type),
            values: inputs.filter(input => !input.hidden).map(input => input.value),
            wide: document.documentElement.scrollWidth > innerWidth,
            live: document.getElementById('result').closest('[aria-live]').ariaLive,
        };
    """
    )
    found = visit(f"{server}/page/", look, narrow=True)["answers"][0]
    assert found["title"] == "Predict ill"
    assert (found["unlabelled"], found["wide"], found["live"]) == (0, False, "polite")
    assert found["types"] == ["number", "select-one", "select-one", "date", "number"]
    assert all(found["values"])
    assert found["problem"] == ""
    columns = {column["name"]: column["typical"] for column in schema_of(result.predictor)["columns"]}
    assert agrees(found, expected(result.predictor, columns))


@pytest.mark.slow
def test_a_regression_shows_a_number(result: Result, place: Path, server: str) -> None:
    """Of a model with one output and one encoding, to six digits."""
    import keras

    encodings = result.predictor.encodings[:1]
    model = keras.Sequential([keras.Input((encodings[0].layout.width,)), keras.layers.Dense(1)])
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 1000, variable.shape) for variable in model.weights])
    about: dict[str, Any] = {"encodings": encodings, "network": model, "task": "regression", "classes": ()}
    predictor = replace(result.predictor, head="values", label_type="float", **about)
    write(predictor, place / "number")
    shown = visit(f"{server}/number/", typed(RECORDS[0]))["answers"][0]
    assert float(shown["prediction"]) == pytest.approx(predictor.predict(pl.DataFrame(RECORDS[:1]))["ill"][0], rel=1e-5)
    assert shown["classes"] == {}


def test_what_cannot_be_read_is_said(server: str) -> None:
    """A number that is none is named, and no prediction is shown."""
    shown = visit(f"{server}/page/", FIELDS + "submit(); return shown();", keys=["#column-0", "e-"])["answers"][0]
    assert shown["problem"] == "'age' must be a number, or empty if it is not known."
    assert shown["prediction"] is None


@pytest.mark.slow
def test_what_is_missing_is_said(result: Result, place: Path, server: str) -> None:
    """A file that is not there is named; a page that is opened as a file says to start a server."""
    write(result.predictor, place / "bare", tensorflow=False)
    read = FIELDS + "return shown();"
    without = visit(f"{server}/bare/", read)["answers"][0]
    assert "copy node_modules/@tensorflow/tfjs/dist/tf.min.js next to this page" in without["problem"]
    as_file = visit((place / "page" / "index.html").as_uri(), read)["answers"][0]
    assert "python -m http.server" in as_file["problem"]
    for name in (SCHEMA_FILE, "group1-shard1of1.bin"):
        shutil.copy(TENSORFLOW, place / "bare")
        (place / "bare" / name).rename(place / name)
        assert f"{name} is missing" in visit(f"{server}/bare/", read)["answers"][0]["problem"]
        (place / name).rename(place / "bare" / name)
    assert without["prediction"] is as_file["prediction"] is None

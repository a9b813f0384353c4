"""Draws docs/reports: three real reports as pages and as pictures. Run from the repository's root, with Chromium.

Tables come with scikit-learn: breast tumours (two classes), diabetes (numbers), and digits asked "is it an eight?" (one
row in ten is).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import fitwell

HERE = Path(__file__).parent / "reports"

PICTURE = """
import puppeteer from 'puppeteer-core';
const {browser, page: path, picture, height} = JSON.parse(process.argv[1]);
const opened = await puppeteer.launch({executablePath: browser, args: ['--no-sandbox', '--disable-gpu']});
const page = await opened.newPage();
await page.setViewport({width: 1100, height});
await page.goto('file://' + path);
await page.waitForFunction(() => document.body.dataset.drawn === 'yes');
await page.screenshot({path: picture});
await opened.close();
"""


def tables() -> dict[str, tuple[pl.DataFrame, str]]:
    """Each table with the column to predict."""
    tumours, diabetes, digits = (load(as_frame=True).frame for load in (load_breast_cancer, load_diabetes, load_digits))
    names = {0: "malignant", 1: "benign"}
    eight = digits.drop(columns="target").assign(eight=digits["target"].eq(8).map({True: "yes", False: "no"}))
    tumours = tumours.drop(columns="target").assign(diagnosis=tumours["target"].map(names))
    return {
        "tumours": (pl.from_pandas(tumours), "diagnosis"),
        "diabetes": (pl.from_pandas(diabetes), "target"),
        "eights": (pl.from_pandas(eight), "eight"),
    }


def main() -> None:
    """Search each table, and keep its report and a picture of it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("Chromium is missing: install it.")
    HERE.mkdir(exist_ok=True)
    for name, (table, target) in tables().items():
        with tempfile.TemporaryDirectory() as aside:
            run = fitwell.tune(table, target).save(Path(aside) / "run")
            shutil.copy(run / "report.html", HERE / f"{name}.html")
        given = {"browser": browser, "page": str((HERE / f"{name}.html").resolve())}
        given |= {"picture": str(HERE / f"{name}.png"), "height": 1500 if name == "tumours" else 900}
        command = ["node", "--input-type=module", "--eval", PICTURE, "--", json.dumps(given)]
        subprocess.run(command, check=True, cwd=HERE.parent.parent)


if __name__ == "__main__":
    main()

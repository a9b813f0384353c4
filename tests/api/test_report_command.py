"""`fitwell report`, and what `tune --out` and `diagnose --out` say of the page they write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from example_tables import QUICK_ARGUMENTS, mixed


def fitwell(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a directory."""
    command = [sys.executable, "-m", "fitwell", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a table and a run."""
    directory = tmp_path_factory.mktemp("report")
    mixed().write_csv(directory / "table.csv")
    done = fitwell(directory, "tune", "table.csv", "--target", "ill", "--out", "run", *QUICK_ARGUMENTS)
    assert "Open      run/report.html" in done.stdout
    return directory


@pytest.mark.slow
def test_a_report_is_made_anew(place: Path) -> None:
    """The same page, which says the command that asked for it."""
    page = place / "run" / "report.html"
    before = page.read_text()
    assert "fitwell tune table.csv --target ill --out run --strengths 4" in before
    assert json.loads((place / "run" / "run.json").read_text())["command"].startswith("fitwell tune table.csv")
    page.unlink()
    done = fitwell(place, "report", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert page.read_text() == before


@pytest.mark.slow
def test_of_a_diagnosis(place: Path) -> None:
    """`--out` keeps it; the directory is asked for before anything is trained."""
    asked = ["diagnose", "table.csv", "--target", "ill", "--out", "why", *QUICK_ARGUMENTS]
    done = fitwell(place, *asked)
    assert "Open      why/report.html" in done.stdout
    assert fitwell(place, "report", "why").returncode == 0
    again = fitwell(place, *asked)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert "Training" not in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nowhere", "is not a directory of `fitwell tune`"),
        ("damaged", "is damaged"),
        ("old", "is a run of fitwell 0.0.1, without a report: tune again"),
    ],
)
def test_what_is_no_run_is_a_sentence(place: Path, what: str, said: str) -> None:
    """No traceback, and nothing is written."""
    directory = place / what
    if what != "nowhere":
        directory.mkdir()
        (directory / "run.json").write_text("{" if what == "damaged" else '{"fitwell": "0.0.1"}')
        for name in ("strengths", "histories"):
            (directory / f"{name}.parquet").write_bytes((place / "run" / f"{name}.parquet").read_bytes())
    done = fitwell(place, "report", what)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (directory / "report.html").exists()

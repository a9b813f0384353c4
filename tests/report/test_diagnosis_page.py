"""The report of a diagnosis: what it says, that it is made anew from its file, and that it is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import vl_convert
from browser import needs_browser, visit
from example_tables import mixed

from fitwell.api.diagnose import diagnose
from fitwell.errors import FileError
from fitwell.report import diagnosis_page as pages
from fitwell.report.page import text
from fitwell.results.diagnosis import Diagnosis
from fitwell.results.storage import write_report


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    """A quick diagnosis with a learning curve."""
    return diagnose(mixed(160), "ill", strengths=3, epochs=8, hidden=(8,), cv=3, larger=False)


@pytest.fixture(scope="module")
def saved(found: Diagnosis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That, saved."""
    return found.save(tmp_path_factory.mktemp("diagnosis") / "why")


def test_the_page_says_the_verdict_and_its_reasons(found: Diagnosis, saved: Path) -> None:
    """All sentences, and the tests they rest on; made anew it is the same."""
    whole = (saved / "report.html").read_text()
    assert {path.name for path in saved.iterdir()} == {"diagnosis.json", "report.html"}
    for sentence in found.reasons:
        assert text(sentence) in whole
    assert f"{found.findings.evidence.search.held_out.share:.1%}" in whole
    (saved / "report.html").unlink()
    assert write_report(saved).read_text() == whole


def test_its_charts_are_sound(found: Diagnosis) -> None:
    """Curves, and the learning curve with its forecast; without one there is no place for it either."""
    document = json.loads(json.dumps(found.to_json()))
    assert list(pages._charts(document)) == ["curves", "rows"]
    for spec in pages._charts(document).values():
        assert vl_convert.vegalite_to_vega(spec)["marks"]
    bare = {**document, "pictures": {**document["pictures"], "measured": []}}
    assert "chart-rows" not in pages.diagnosis_page(bare)


def test_what_is_there_is_not_lost(found: Diagnosis, saved: Path) -> None:
    """A directory is replaced only if asked, and only if it is a diagnosis; a damaged file is a sentence."""
    with pytest.raises(FileError, match="--force"):
        found.save(saved)
    found.save(saved, force=True)
    other = saved.parent / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="holds other files"):
        found.save(other, force=True)
    damaged = saved.parent / "damaged"
    damaged.mkdir()
    (damaged / "diagnosis.json").write_text("{")
    with pytest.raises(FileError, match=r"damaged .* diagnose again"):
        write_report(damaged)


@pytest.mark.slow
@needs_browser
def test_in_a_browser(saved: Path) -> None:
    """No request and no complaint, and both charts are drawn."""
    step = "return [...document.querySelectorAll('.chart svg')].length"
    seen = visit(saved / "report.html", step)
    assert seen["said"] == []
    assert [url for url in seen["requests"] if not url.startswith(("file:", "data:"))] == []
    assert seen["answer"] == 2

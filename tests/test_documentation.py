from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from fitwell.api.tune_command import tune_command

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "docs/regularizers.md", "docs/keras.md", "docs/jax.md", "docs/diagnosis.md", "docs/tfjs.md"]
PAGES += ["docs/watching.md", "docs/scikit-learn.md", "docs/report.md", "docs/long-searches.md", "docs/clusters.md"]
PAGES += ["docs/large-data.md"]


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_the_documentation_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block runs as it is printed, one after another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MPLBACKEND", "agg")  # no window
    blocks = python_blocks(page)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_the_readme_shows_code_early() -> None:
    """A reader meets code before line 35."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines.index("```python") < 35


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of a page is a file of the project."""
    path = ROOT / page if (ROOT / page).exists() else ROOT / "docs" / page
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (path.parent / link).exists(), link


def test_every_option_of_the_command_is_documented() -> None:
    """The page on the command line names every option of `fitwell tune`."""
    options = {name.replace("_", "-") for name in inspect.signature(tune_command).parameters}
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    missing = [name for name in options - {"context", "data", "target", "as-json"} if f"--{name}" not in page]
    assert not missing

"""Exports: what `test_commands.py` does not see of them from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import fitwell
from fitwell.api.export import export
from fitwell.errors import FileError
from fitwell.results.result import Result


def test_export_from_python(result: Result, tmp_path: Path) -> None:
    """The same as the command; what is there stays, unless it is to be replaced."""
    run = result.save(tmp_path / "run")
    assert fitwell.export(run, "tfjs", tmp_path / "web") == ()
    assert (tmp_path / "web" / "model.json").read_bytes() == (run / "tfjs" / "model.json").read_bytes()
    with pytest.raises(FileError, match="exists already"):
        export(run, "tfjs", tmp_path / "web")
    export(run, "tfjs", tmp_path / "web", force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="other files"):
        export(run, "tfjs", tmp_path / "other", force=True)
    assert (tmp_path / "other" / "mine.txt").read_text() == "mine"

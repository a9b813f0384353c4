"""Exports: what `test_commands.py` does not see of them from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import fitwell
from fitwell import exporting
from fitwell.errors import FileError, InputError
from fitwell.exporting import add_tfjs, export
from fitwell.results import Result


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (InputError("a layer that is not there"), "a layer that is not there"),
        (KeyError("x"), "a fault of fitwell's (KeyError: 'x'); please report it"),
    ],
)
def test_no_run_is_lost_for_tensorflow_js(
    error: Exception, part: str, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written, or fails, is said, and leaves no directory; a full disk is an error as ever."""

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(exporting, "write_tfjs", failing)
    why = add_tfjs(result.predictor, tmp_path)
    assert why is not None
    assert part in why
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a model that cannot be written."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_tfjs", full)
    with pytest.raises(OSError, match="No space left"):
        add_tfjs(result.predictor, tmp_path)


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

"""A run for TensorFlow.js: what cannot be written costs no run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitwell.errors import InputError
from fitwell.results import for_tfjs
from fitwell.results.for_tfjs import add_tfjs
from fitwell.results.result import Result


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

    monkeypatch.setattr(for_tfjs, "write_tfjs", failing)
    why = add_tfjs(result.predictor, tmp_path)
    assert why is not None
    assert part in why
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a model that cannot be written."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(for_tfjs, "write_tfjs", full)
    with pytest.raises(OSError, match="No space left"):
        add_tfjs(result.predictor, tmp_path)

"""`fitwell cache`, without the command line around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fitwell.api.cache import clear_cache, describe_cache
from fitwell.engine.program_directory import CACHE_VARIABLE, open_directory
from fitwell.errors import FileError


def test_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory, the number of programs, their size and its bound; then none are left."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "programs"))
    directory = open_directory()
    assert directory is not None
    for key in ("one", "two"):
        directory.write(key, os.urandom(2**20))
    size = "Size       2.0 MiB, at most 1,024"
    assert describe_cache() == [f"Directory  {tmp_path / 'programs'}", "Programs   2", size]
    assert clear_cache() == ["Deleted 2 compiled programs."]
    assert describe_cache()[1] == "Programs   0"


def test_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, it says so, and there is nothing to delete."""
    monkeypatch.setenv(CACHE_VARIABLE, "off")
    (line,) = describe_cache()
    assert line.startswith("No compiled programs are kept: FITWELL_CACHE is off")
    (line,) = clear_cache()
    assert line.endswith("Nothing was deleted.")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no owners and modes of this kind")
def test_a_directory_of_others_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open to other users is neither counted nor deleted, and the sentence says why."""
    place = tmp_path / "programs"
    monkeypatch.setenv(CACHE_VARIABLE, str(place))
    directory = open_directory()
    assert directory is not None
    directory.write("one", b"program")
    place.chmod(0o777)
    for verb in (describe_cache, clear_cache):
        with pytest.raises(FileError, match="is open to other users"):
            verb()
    assert directory.size()[0] == 1


def test_what_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path below a file is an error of one sentence."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "programs"))
    with pytest.raises(FileError, match="cannot be read"):
        describe_cache()
    (tmp_path / "file").chmod(0o600)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    for verb in (describe_cache, clear_cache):
        with pytest.raises(FileError, match="is no directory"):
            verb()
    assert (tmp_path / "file").exists()

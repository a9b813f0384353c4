"""The directory of compiled programs: nobody else's, bounded, and never in a search's way."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from fitwell.engine import program_directory
from fitwell.engine.program_directory import (
    CACHE_VARIABLE,
    ProgramDirectory,
    open_directory,
    programs_path,
    why_unsafe,
)
from fitwell.errors import FitwellWarning

PROGRAM = bytes(range(256)) * 40

needs_owners = pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no owners and modes of this kind")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProgramDirectory:
    """An empty directory, made anew."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "a" / "programs"))
    found = open_directory()
    assert found is not None
    return found


def test_what_is_written_is_read(directory: ProgramDirectory) -> None:
    """A program comes back under its key, in this process and in another; under another key there is none."""
    directory.write("one", PROGRAM)
    assert directory.read("one") == PROGRAM
    assert directory.read("two") is None
    code = "from fitwell.engine.program_directory import open_directory; print(len(open_directory().read('one')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == len(PROGRAM)


@needs_owners
def test_only_its_owner_may_look_into_it(directory: ProgramDirectory) -> None:
    """The directory and its files are made for this user alone, whatever the umask."""
    directory.write("one", PROGRAM)
    (file,) = directory.path.iterdir()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["cut short", "changed", "empty", "renamed", "other"])
def test_a_damaged_file_is_no_file(directory: ProgramDirectory, damage: str) -> None:
    """What was cut short, changed or put under another name is not given back, and is deleted; a sound one stays."""
    directory.write("sound", PROGRAM)
    directory.write("one", PROGRAM)
    file = directory.path / "one.fitwell-program"
    content = file.read_bytes()
    if damage == "renamed":
        directory.write("two", PROGRAM + b"2")
        (directory.path / "two.fitwell-program").replace(file)
    else:
        changed = content[:50] + bytes([content[50] ^ 1]) + content[51:]
        file.write_bytes({"cut short": content[:-1], "changed": changed, "empty": b""}.get(damage, b"something else"))
    assert directory.read("one") is None
    assert not file.exists()
    assert directory.read("sound") == PROGRAM


@needs_owners
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_write_or_read_is_not_read(directory: ProgramDirectory, mode: int) -> None:
    """A file is its owner's alone, or is not loaded; with its own mode it is."""
    directory.write("one", PROGRAM)
    (directory.path / "one.fitwell-program").chmod(mode)
    assert directory.read("one") is None
    directory.write("one", PROGRAM)
    assert directory.read("one") == PROGRAM


@needs_owners
def test_a_link_is_not_followed(directory: ProgramDirectory) -> None:
    """A program is a file in the directory, and not what a link in it leads to."""
    directory.write("one", PROGRAM)
    file = directory.path / "one.fitwell-program"
    file.rename(directory.path / "elsewhere")
    file.symlink_to(directory.path / "elsewhere")
    assert directory.read("one") is None
    (directory.path / "elsewhere").rename(file)
    assert directory.read("one") == PROGRAM


def test_the_least_recently_used_go_first(directory: ProgramDirectory) -> None:
    """The size is bounded: what was read lately stays, what was not goes; without a bound all stay."""
    small = ProgramDirectory(directory.path, most_bytes=3500)
    noise = [os.urandom(1000) for _ in range(4)]
    for number in range(3):
        small.write(str(number), noise[number])
        os.utime(directory.path / f"{number}.fitwell-program", (number, number))
    assert small.read("0") == noise[0]  # of all times the latest from here on
    small.write("3", noise[3])
    assert [small.read(str(number)) is not None for number in range(4)] == [True, False, True, True]
    assert small.size()[0] == 3
    assert small.size()[1] <= 3500
    directory.write("1", noise[1])
    assert directory.size()[0] == 4


def test_what_is_larger_than_all_may_be_is_not_kept(directory: ProgramDirectory) -> None:
    """One huge program does not drive out all others."""
    small = ProgramDirectory(directory.path, most_bytes=3500)
    small.write("one", os.urandom(1000))
    small.write("huge", os.urandom(4000))
    assert small.read("one") is not None
    assert small.read("huge") is None


def test_what_a_killed_process_left_is_deleted(directory: ProgramDirectory) -> None:
    """A file that was never finished goes after an hour, and not while somebody may be writing it."""
    for name, age in ((".old.fitwell-program", 7200), (".new.fitwell-program", 0)):
        file = directory.path / name
        file.write_bytes(PROGRAM)
        os.utime(file, (file.stat().st_mtime - age,) * 2)
    directory.write("one", PROGRAM)
    assert sorted(file.name for file in directory.path.iterdir()) == [".new.fitwell-program", "one.fitwell-program"]


def test_clear(directory: ProgramDirectory) -> None:
    """All programs go, and nothing else."""
    for key in ("one", "two"):
        directory.write(key, PROGRAM)
    for name in ("notes.txt", "thesis.program"):
        (directory.path / name).write_text("mine")
    assert directory.size()[0] == 2
    assert directory.clear() == 2
    assert directory.size() == (0, 0)
    assert sorted(file.name for file in directory.path.iterdir()) == ["notes.txt", "thesis.program"]


def test_a_directory_that_vanishes_is_no_error(directory: ProgramDirectory) -> None:
    """Nothing is raised where nothing can be read, written or deleted: a full disk, or somebody's `rm`."""
    directory.path.rmdir()
    directory.write("one", PROGRAM)
    assert directory.read("one") is None
    assert directory.size() == (0, 0)
    assert directory.clear() == 0


@pytest.mark.parametrize("off", ["", "0", "off", "OFF", " "])
def test_none_is_kept_if_so_asked(monkeypatch: pytest.MonkeyPatch, off: str) -> None:
    """The variable switches it off."""
    monkeypatch.setenv(CACHE_VARIABLE, off)
    assert programs_path() is None
    assert open_directory() is None


def test_a_place_that_cannot_be_made_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home that cannot be written is no reason to say anything."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "programs"))
    assert open_directory() is None


@needs_owners
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_directory_that_is_open_to_others_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    """It is said once, in a sentence that names the directory and what to do; closed, it is used."""
    place = tmp_path / "programs"
    place.mkdir()
    place.chmod(mode)
    monkeypatch.setenv(CACHE_VARIABLE, str(place))
    with pytest.warns(FitwellWarning, match=r"not kept, since '.*programs' is open to other users: name .* 'off'\."):
        assert open_directory() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_directory() is None
    place.chmod(0o700)
    assert open_directory() == ProgramDirectory(place)


@needs_owners
def test_what_belongs_to_another_user_is_not_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns a file may have written it, and can open it to anybody."""
    tmp_path.chmod(0o700)
    assert why_unsafe(tmp_path.stat()) is None
    owner = os.getuid()
    monkeypatch.setattr(program_directory.os, "getuid", lambda: owner + 1)
    assert why_unsafe(tmp_path.stat()) == "belongs to another user"


@pytest.mark.parametrize(
    ("system", "environment", "expected"),
    [
        ("linux", {}, "home/.cache/fitwell/programs"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/fitwell/programs"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache/fitwell/programs"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "home/Library/Caches/fitwell/programs"),
        ("win32", {}, "home/AppData/Local/fitwell/programs"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fitwell/programs"),
        ("linux", {CACHE_VARIABLE: "/mine"}, "/mine"),
        ("linux", {CACHE_VARIABLE: "~/mine"}, "home/mine"),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, environment: dict[str, str], expected: str
) -> None:
    """Each system's place for what can be made anew, or the one that was named."""
    for name in (CACHE_VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert programs_path() == tmp_path / expected


def test_without_a_home_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user of a service may have no home."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (CACHE_VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert programs_path() is None

"""`fitwell tune --resume`: what a command leaves beside its output, so that it can go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fitwell._version import __version__
from fitwell.api.command_running import in_writing
from fitwell.engine.checkpoints import Checkpoints, read_note
from fitwell.errors import FileError, InputError
from fitwell.results.record import library_versions

UNFINISHED = ".unfinished"
"""Behind the name of the output, while it is not there yet."""


def checkpoints_of(command: Mapping[str, Any], *, resumed: bool) -> Checkpoints | None:
    """Return where a command's search is written down; None for a table that is no file.

    Raises
    ------
    FileError
        An interrupted search is there already, and nobody has said what shall become of it.
    """
    if not isinstance(command["data"], Path):
        return None
    out = Path(command["out"])
    paths = {name: command[name] and str(Path(command[name]).absolute()) for name in ("data", "out", "model")}
    note = {"command": {**command, **paths}, "versions": _versions()}
    checkpoints = Checkpoints(out.with_name(out.name + UNFINISHED), note)
    if not resumed and checkpoints.directory.is_dir() and any(checkpoints.directory.iterdir()):
        if not command["force"]:
            raise FileError(
                f"'{checkpoints.directory}' holds a search that was interrupted: go on with 'fitwell tune --resume "
                f"{out}', or use --force to begin anew."
            )
        checkpoints.clear()
    in_writing[:] = [(checkpoints, out)]
    return checkpoints


def begun_command(resume: Path) -> dict[str, Any]:
    """Return the arguments of `run_tune` for a search that was interrupted.

    Raises
    ------
    FileError
        There is none.
    InputError
        It was begun with another version of fitwell, or of what computes.
    """
    out = resume.with_name(resume.name.removesuffix(UNFINISHED))
    directory = out.with_name(out.name + UNFINISHED)
    if not directory.is_dir():
        raise FileError(
            f"There is no interrupted search '{directory}': `fitwell tune --out {out}` writes one, once it has trained "
            "for ten seconds, and takes it away at its end."
        )
    note = read_note(directory)
    here = _versions()
    others = [f"{name} {version}" for name, version in note["versions"].items() if here.get(name) != version]
    if others:
        raise InputError(
            f"The search in '{directory}' was begun with {', '.join(others)}, and would have other numbers here: "
            "install that, or delete the directory and begin anew."
        )
    command = note["command"]
    paths = {name: command[name] and Path(command[name]) for name in ("data", "out", "model")}
    return {**command, **paths}


def _versions() -> dict[str, str]:
    return {"fitwell": __version__, **library_versions()}

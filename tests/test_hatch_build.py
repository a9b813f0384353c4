"""What is compiled when fitwell is installed, and what happens where that cannot be."""

from __future__ import annotations

import gzip
import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def ready(hook: ModuleType, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundle the charts' script where it is asked for, and no more: it takes seconds."""
    if request.node.name != "test_the_charts_script":
        monkeypatch.setattr(hook, "bundle_charts", lambda file: (file.write_bytes(b"ready"), file)[1])


@pytest.mark.slow
def test_the_charts_script(hook: ModuleType, tmp_path: Path) -> None:
    """It is whole, small, and the same file each time; nothing of it asks the network by itself."""
    file = hook.bundle_charts(tmp_path / "vega.js.gz")
    first = file.read_bytes()
    assert len(first) < 400_000
    assert "window.vegaEmbed=" in gzip.decompress(first).decode()
    assert hook.bundle_charts(file).read_bytes() == first
    assert list(tmp_path.iterdir()) == [file]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The build hook, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(hook: ModuleType, root: Path) -> dict[str, Any]:
    """What the hook adds to a wheel."""
    place = root / hook.SOURCE
    place.parent.mkdir(parents=True)
    place.write_bytes((ROOT / hook.SOURCE).read_bytes())
    (root / hook.CHARTS).parent.mkdir(parents=True)
    data: dict[str, Any] = {"force_include": {}}
    hook.CompileDenseEpoch(str(root), {}, None, None, str(root), "wheel").initialize("standard", data)
    return data


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_wheel_of_this_machine(hook: ModuleType, tmp_path: Path) -> None:
    """With the library in it, and a tag that keeps it from other machines; warnings would be mistakes."""
    hook.OPTIONS += ["-Wall", "-Wextra", "-Werror"]
    data = built(hook, tmp_path)
    assert list(data["force_include"].values()) == ["fitwell/report/vega.js.gz", "fitwell/engine/dense_epoch.so"]
    assert all(Path(path).is_file() for path in data["force_include"])
    assert not data["pure_python"]
    assert data["tag"].startswith("py3-none-")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_compiler_of_several_words(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names one means all of it: a wrapper and what it wraps, an option."""
    monkeypatch.setenv("CC", "env cc -DNOTHING")
    assert "tag" in built(hook, tmp_path)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false", "env no-such-compiler"])
def test_without_a_compiler(
    hook: ModuleType, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wheel for every machine, a sentence that says why, and no library of an earlier time."""
    monkeypatch.setenv("CC", compiler)
    library = (tmp_path / hook.SOURCE).with_suffix(".so")
    assert list(built(hook, tmp_path)) == ["force_include"]  # no tag: it is for every machine
    assert "fitwell trains with NumPy alone" in capsys.readouterr().err
    library.write_text("of an earlier time")
    assert not hook.compile_library(tmp_path / hook.SOURCE, library)
    assert not library.exists()

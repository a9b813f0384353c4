from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from fitwell.directories import (
    RUN_FILE,
    check_directory,
    fresh_directory,
    passing_directory,
    remove_passing,
    write_aside,
)
from fitwell.errors import FileError

OURS = (RUN_FILE, "shard*.bin")


def make_run(directory: Path, text: str = "old") -> Path:
    directory.mkdir()
    (directory / RUN_FILE).write_text(text)
    return directory


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    """Everything written inside is there under the final name, parents included, and nothing else is left."""
    with fresh_directory(tmp_path / "a" / "run", force=False, mark=RUN_FILE, ours=OURS) as inside:
        (inside / RUN_FILE).write_text("new")
        assert not (tmp_path / "a" / "run").exists()
    assert (tmp_path / "a" / "run" / RUN_FILE).read_text() == "new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """When writing breaks off (Ctrl-C), no directory appears, half-written or hidden."""
    with (
        pytest.raises(KeyboardInterrupt),
        fresh_directory(tmp_path / "run", force=False, mark=RUN_FILE, ours=OURS) as inside,
    ):
        (inside / RUN_FILE).write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    """With `force`, an earlier run stays as it was until the new one is complete."""
    run = make_run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), fresh_directory(run, force=True, mark=RUN_FILE, ours=OURS) as inside:
        (inside / RUN_FILE).write_text("half")
        raise KeyboardInterrupt
    assert (run / RUN_FILE).read_text() == "old"


def test_force_replaces_an_earlier_run(tmp_path: Path) -> None:
    """With `force`, the new run takes the old one's place: no file of it is left, and all that is somebody's own."""
    run = make_run(tmp_path / "run")
    (run / "shard1of2.bin").write_text("stale")
    (run / "notes.txt").write_text("mine")
    (run / "pictures" / "deep").mkdir(parents=True)
    (run / "pictures" / "deep" / "cat.txt").write_text("meow")
    (run / "link").symlink_to("nowhere")
    with fresh_directory(run, force=True, mark=RUN_FILE, ours=OURS) as inside:
        (inside / RUN_FILE).write_text("new")
    assert sorted(path.name for path in run.iterdir()) == ["link", "notes.txt", "pictures", RUN_FILE]
    assert (run / RUN_FILE).read_text() == "new"
    assert ((run / "notes.txt").read_text(), (run / "pictures/deep/cat.txt").read_text()) == ("mine", "meow")
    assert (run / "link").readlink() == Path("nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("force", [False, True])
def test_other_peoples_files_are_never_replaced(tmp_path: Path, force: bool) -> None:
    """A directory with files but no run in it is refused, with or without `force`."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileError, match=r"--force|holds other files"):
        check_directory(tmp_path, force=force, mark=RUN_FILE)


@pytest.mark.parametrize(
    ("place", "sentence"),
    [("file", "is a file"), ("file/run", "cannot be made"), ("run", "--force")],
)
def test_places_that_cannot_be_used(tmp_path: Path, place: str, sentence: str) -> None:
    """A file, a place below a file and an existing run each get their sentence."""
    (tmp_path / "file").write_text("")
    make_run(tmp_path / "run")
    with pytest.raises(FileError, match=sentence):
        check_directory(tmp_path / place, force=False, mark=RUN_FILE)


@pytest.mark.parametrize(("inside", "place"), [("run", "."), ("run/sub", ".."), ("run/sub", "../../run")])
@pytest.mark.parametrize("force", [False, True])
def test_the_current_directory_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, place: str, force: bool
) -> None:
    """An earlier run that one stands in is refused at once, however it is written."""
    (make_run(tmp_path / "run") / "sub").mkdir()
    monkeypatch.chdir(tmp_path / inside)
    with pytest.raises(FileError, match=rf"'{place}' (is|holds) the current directory"):
        check_directory(Path(place), force=force, mark=RUN_FILE)


@pytest.mark.parametrize("place", ["link", "./other/../run", "run/."])
def test_other_ways_to_write_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Through a link or a roundabout path the run itself is replaced, and the link stays one."""
    run = make_run(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    with fresh_directory(Path(place), force=True, mark=RUN_FILE, ours=OURS) as inside:
        (inside / RUN_FILE).write_text("new")
    assert (run / RUN_FILE).read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "other", "run"]
    assert (tmp_path / "link").is_symlink()


def test_a_link_in_a_circle(tmp_path: Path) -> None:
    """A link to itself is no directory, and is said to be none."""
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(FileError, match="is a file"):
        check_directory(tmp_path / "link", force=True, mark=RUN_FILE)


@pytest.mark.parametrize("failures", [1, 2])
def test_an_earlier_run_outlives_a_failed_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """When the new run cannot take its name the earlier one is put back, and if that fails too it is named."""
    run = make_run(tmp_path / "run")
    rename, left = Path.rename, [failures]

    def refuse(self: Path, target: Path) -> Path:
        if target == run and left[0]:
            left[0] -= 1
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with (
        pytest.raises(FileError, match="Input/output error") as caught,
        fresh_directory(run, force=True, mark=RUN_FILE, ours=OURS) as inside,
    ):
        (inside / RUN_FILE).write_text("new")
    kept = run if failures == 1 else Path(str(caught.value).split("'")[-2])
    assert (kept / RUN_FILE).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_system_that_refuses() -> None:
    """A place where nothing can be made is refused in a sentence, also for an administrator."""
    with (
        pytest.raises(FileError, match="cannot be made"),
        fresh_directory(Path("/proc/fitwell/run"), force=False, mark=RUN_FILE, ours=OURS),
    ):
        pass


def test_a_file_is_replaced_at_the_end_only(tmp_path: Path) -> None:
    """A writer that fails leaves the old file whole and no temporary one; one that succeeds replaces it."""
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(aside: Path) -> None:
        aside.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match="No space left"):
        write_aside(path, fail)
    assert path.read_text() == "old"
    write_aside(path, lambda aside: aside.write_text("new"))
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_what_passes_is_gone_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends it, an interruption or a process that ends at once; and a place that cannot be written is said."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), passing_directory() as folder:
        (folder / "part").touch()
        raise KeyboardInterrupt
    with passing_directory() as folder:
        (folder / "part").touch()
        remove_passing()
        assert not folder.exists()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileError, match=r"cannot be written to .*TMPDIR"), passing_directory():
        pass

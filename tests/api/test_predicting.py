from __future__ import annotations

import errno
import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, mixed

from fitwell.api.predicting import predict_file
from fitwell.api.tune import tune
from fitwell.data import blocks, opened_blocks
from fitwell.errors import FileError, FitwellError
from fitwell.results import predictors

KEPT = ("row", "city")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a file."""
    folder = tmp_path_factory.mktemp("training")
    mixed().write_csv(folder / "table.csv")
    return tune(folder / "table.csv", "ill", **QUICK).save(folder / "run")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 16 rows, and a block holds one or two of them."""
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 200)
    monkeypatch.setattr(predictors, "PART_BYTES", 1)


def both(monkeypatch: pytest.MonkeyPatch, run: Path, data: Path, out: Path) -> tuple[bytes, bytes]:
    """What is written of a file read whole, and of one read in blocks."""
    found = []
    for large in (2**40, 0):
        monkeypatch.setattr(opened_blocks, "LARGE", large)
        predict_file(run, data, out, KEPT, force=True, quiet=False)
        found.append(out.read_bytes())
    return found[0], found[1]


WRITE: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "new.csv": lambda table, path: table.write_csv(path),
    "new.csv.gz": lambda table, path: path.write_bytes(gzip.compress(table.write_csv().encode())),
    "new.tsv": lambda table, path: table.write_csv(path, separator="\t", line_terminator="\r\n"),
    "new.txt": lambda table, path: table.write_csv(path, separator=";"),
    "new.parquet": lambda table, path: table.write_parquet(path),
    "new.arrow": lambda table, path: table.write_ipc(path),
    "new.jsonl": lambda table, path: table.write_ndjson(path),
}


def many(rows: int = 300) -> pl.DataFrame:
    """Rows with a text of several lines, and a number for each."""
    table = mixed(rows).with_columns(row=pl.int_range(rows), note=pl.lit('line\n"two", or three'))
    return table.drop("ill")


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("out", ["p.csv", "p.tsv", "p.parquet", "p.arrow", "p.jsonl"])
def test_a_large_file_is_predicted_byte_for_byte_as_a_small_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, out: str
) -> None:
    """Every format to every format; of Arrow files, the tables are equal."""
    WRITE[name](many(), tmp_path / name)
    called = []
    whole_call = predictors.TablePredictor.predict
    monkeypatch.setattr(
        predictors.TablePredictor, "predict", lambda *given, **named: (called.append(1), whole_call(*given, **named))[1]
    )
    whole, found = both(monkeypatch, run, tmp_path / name, tmp_path / out)
    # Arrow keeps a mask of missing values for each part that has any
    assert found == whole or (out == "p.arrow" and pl.read_ipc(found).equals(pl.read_ipc(whole)))
    # once: the second time in blocks
    assert called == [1]


@pytest.mark.usefixtures("small_blocks")
def test_rounding_would_be_seen(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The break: predictions that differ in the last place of a float32 are other bytes."""
    WRITE["new.csv"](many(), tmp_path / "new.csv")
    raw = predictors.TablePredictor.predict_raw
    whole, _ = both(monkeypatch, run, tmp_path / "new.csv", tmp_path / "p.csv")

    def other(*given: Any) -> np.ndarray:
        return np.nextafter(raw(*given), np.float32(1))

    monkeypatch.setattr(predictors.TablePredictor, "predict_raw", other)
    predict_file(run, tmp_path / "new.csv", tmp_path / "p.csv", KEPT, force=True, quiet=False)
    assert (tmp_path / "p.csv").read_bytes() != whole


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("out", ["p.csv", "p.parquet"])
@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda text: text + "1,2,3\n", "line 602 has 3 fields"),
        (lambda text: text.replace(",false,", ",perhaps,").replace(",perhaps,", ",false,", 150), "data row"),
    ],
)
def test_an_error_in_a_late_row_leaves_all_as_it_was(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str], part: str, out: str
) -> None:
    """The earlier file keeps its content, and nothing lies beside it."""
    monkeypatch.setattr(opened_blocks, "LARGE", 0)
    text = many().with_columns(note=pl.lit("a\nb")).write_csv()
    (tmp_path / "new.csv").write_text(change(text))
    (tmp_path / out).write_bytes(b"earlier")
    with pytest.raises(FitwellError, match=part):
        predict_file(run, tmp_path / "new.csv", tmp_path / out, (), force=True, quiet=True)
    assert (tmp_path / out).read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", out]


@pytest.mark.usefixtures("small_blocks")
def test_nothing_is_printed_before_an_error(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Printed predictions are those of the file, all of them or none."""
    monkeypatch.setattr(opened_blocks, "LARGE", 0)
    text = many().with_columns(note=pl.lit("a")).write_csv()
    (tmp_path / "new.csv").write_text(text)
    predict_file(run, tmp_path / "new.csv", tmp_path / "p.csv", (), force=True, quiet=True)
    predict_file(run, tmp_path / "new.csv", None, (), force=False, quiet=True)
    assert capsysbinary.readouterr().out == (tmp_path / "p.csv").read_bytes()
    (tmp_path / "new.csv").write_text(text + "1,2\n")
    with pytest.raises(FitwellError, match="line 302"):
        predict_file(run, tmp_path / "new.csv", None, (), force=False, quiet=True)
    assert capsysbinary.readouterr().out == b""


def test_what_cannot_be_printed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """No room for what is not printed yet, or none where it goes: a sentence each, but none for a reader that went."""
    many().write_csv(tmp_path / "new.csv")

    def fail(error: OSError) -> Callable[..., None]:
        def write(*given: object) -> None:
            del given
            raise error

        return write

    full = OSError(errno.ENOSPC, "No space left on device")
    for place, sentence in (
        ("append_csv", r"cannot be kept in '.*' \(No space left on device\).*: name a file by --out\."),
        ("_Echo.write", r"cannot be printed \(No space left on device\)\."),
    ):
        with monkeypatch.context() as broken, pytest.raises(FileError, match=sentence):
            broken.setattr(f"fitwell.api.predicting.{place}", fail(full))
            predict_file(run, tmp_path / "new.csv", None, (), force=False, quiet=True)
    with monkeypatch.context() as broken, pytest.raises(BrokenPipeError):
        broken.setattr("fitwell.api.predicting._Echo.write", fail(BrokenPipeError()))
        predict_file(run, tmp_path / "new.csv", None, (), force=False, quiet=True)
    assert capsysbinary.readouterr().out == b""


@pytest.mark.usefixtures("small_blocks")
def test_columns_beside_and_missing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns that the run does not know are named once; one that is missing is an error."""
    monkeypatch.setattr(opened_blocks, "LARGE", 0)
    many().write_csv(tmp_path / "new.csv")
    predict_file(run, tmp_path / "new.csv", tmp_path / "p.csv", ("row",), force=False, quiet=False)
    said = capsys.readouterr().err
    assert said.startswith("Ignored columns that the run did not train on: note\nSaved 300 predictions: ")
    many().drop("dose").write_csv(tmp_path / "new.csv")
    with pytest.raises(FitwellError, match="'dose'"):
        predict_file(run, tmp_path / "new.csv", tmp_path / "p.csv", (), force=True, quiet=False)


@pytest.mark.usefixtures("small_blocks")
def test_what_cannot_be_read_in_blocks_is_read_whole(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line end of old Macintosh files in a late text: the same predictions."""
    text = many().with_columns(note=pl.lit("a")).write_csv()
    (tmp_path / "new.csv").write_bytes(text.removesuffix("a\n").encode() + b'"a\rb"\n')
    whole, found = both(monkeypatch, run, tmp_path / "new.csv", tmp_path / "p.csv")
    assert found == whole


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its own peak")
def test_memory_does_not_grow_with_the_rows(run: Path, tmp_path: Path) -> None:
    """Four times as many rows take hardly more memory; read whole, they take much more."""
    table = mixed(40_000).write_csv()
    header, _, body = table.partition("\n")
    (tmp_path / "small.csv").write_text(f"{header}\n{body * 4}")
    (tmp_path / "large.csv").write_text(f"{header}\n{body * 16}")

    def peak(name: str, large: int) -> int:
        # what a parent knows of its child counts its own pages, too
        code = f"""
from pathlib import Path
from fitwell.api import predicting
from fitwell.data import opened_blocks
opened_blocks.LARGE = {large}
predicting.predict_file(Path({str(run)!r}), Path({name!r}), Path("p.csv"), (), force=True, quiet=True)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
        said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True, text=True)
        return int(said.stdout)

    small, large, at_once = peak("small.csv", 0), peak("large.csv", 0), peak("large.csv", 2**40)
    assert large < 1.25 * small
    # the break
    assert at_once > 1.5 * large

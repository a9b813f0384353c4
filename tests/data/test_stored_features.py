"""Features on disk: those of memory, in windows; a full disk is a sentence, and nothing is left of the files."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed

from fitwell.data import stored_features
from fitwell.data.columns import describe_columns, extract
from fitwell.data.stored_features import scratch_file, store
from fitwell.errors import FileError


def test_windows_are_the_rows_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row-major, rows after rows, whatever was let go meanwhile; a table of one kind only has no other array's file."""
    monkeypatch.setattr(stored_features, "ROWS_AT_ONCE", 7)
    for frame in (mixed(60), mixed(60).select("city"), mixed(60).select("dose")):
        columns = describe_columns(frame)
        whole, stored = extract(frame, columns), store(frame, columns)
        assert len(stored) == 60
        assert stored.nbytes == whole.nbytes
        for rows in (slice(0, 60), slice(13, 41), slice(50, 60)):
            window = stored.window(rows)
            for mine, its in ((window.numbers, whole.numbers), (window.codes, whole.codes)):
                assert mine.tobytes() == its[rows].tobytes()
                assert mine.flags.c_contiguous


def test_nothing_is_left_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no name from the beginning on, so that no kill leaves them; features stay readable meanwhile."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    frame = mixed(60)
    stored = store(frame, describe_columns(frame))
    assert list(tmp_path.iterdir()) == []
    assert np.isfinite(stored.numbers[:, -1]).all()


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is written and where no file can be made; nothing is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class Full:
        def write(self, data: Any) -> None:
            del data
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(FileError, match=r"No space left on device\): make room there, or .* TMPDIR"):
        stored_features.write_array(Full(), np.ones((2, 2)))  # type: ignore[arg-type]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileError, match=r"cannot be written to '.*gone'"), scratch_file():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_column_at_a_time_is_in_memory() -> None:
    """The next is asked for once the one before was written."""

    class Told:
        def __init__(self, frame: pl.DataFrame) -> None:
            self.frame, self.asked = frame, []

        def __getitem__(self, name: str) -> pl.Series:
            self.asked.append(name)
            return self.frame[name]

    frame = mixed(30)
    columns = [column for column in describe_columns(frame) if column.name != "ill"]
    told = Told(frame)
    store(told, columns)
    assert told.asked == [column.name for column in columns]

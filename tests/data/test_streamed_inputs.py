"""Inputs of a table on disk: written a window at a time they are those of `stack`, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from example_tables import mixed

from fitwell.data import streamed_inputs
from fitwell.data.columns import describe_columns
from fitwell.data.encoding import fit_encoding, make_layout, stack
from fitwell.data.stored_features import store
from fitwell.data.streamed_inputs import StreamedInputs


@pytest.fixture
def inputs() -> StreamedInputs:
    """A small table, for two row sets."""
    frame = mixed(60)
    columns = describe_columns(frame)
    raw = store(frame, columns)
    layout = make_layout(columns, raw)
    return StreamedInputs([fit_encoding(layout, raw, np.arange(first, 60)) for first in (0, 20)], raw)


def test_windows_are_encoded_as_the_table_is(inputs: StreamedInputs) -> None:
    """Any rows of a window, for each row set by its own encoding; another row set's differ."""
    stacked = stack(inputs.encodings, inputs.raw)
    assert inputs.shape == stacked.shape
    assert inputs.input_bytes * 60 == stacked[0].nbytes
    assert inputs.row_bytes * 60 == inputs.raw.nbytes
    assert inputs.nbytes == 0
    window, rows = inputs.window(slice(25, 50)), np.array([3, 0, 24])
    for r in range(2):
        found = np.empty((3, inputs.shape[2]), np.float32)
        inputs.write(r, window, rows, found)
        assert found.tobytes() == stacked[r][25 + rows].tobytes() != stacked[1 - r][25 + rows].tobytes()
    assert inputs.in_memory().stacked().tobytes() == stacked.tobytes()


def test_all_that_they_are_made_of_is_given(inputs: StreamedInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part at a time: both arrays, and what encodes."""
    monkeypatch.setattr(streamed_inputs, "ROWS_TOGETHER", 25)
    arrays = list(inputs.arrays())
    assert b"".join(one.tobytes() for one in arrays[0:6:2]) == inputs.raw.numbers.tobytes()
    assert b"".join(one.tobytes() for one in arrays[1:6:2]) == inputs.raw.codes.tobytes()
    assert len(arrays) == 6 + 2 * 5


def test_there_is_room_on_disk(inputs: StreamedInputs) -> None:
    """For zeros that can be written; for nothing there need be none."""
    room = inputs.room((3, 7))
    assert not room.any()
    room[1:, 2] += 5.0
    assert room.sum() == 10
    assert inputs.room((3, 0)).shape == (3, 0)

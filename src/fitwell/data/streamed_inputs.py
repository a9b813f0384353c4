"""The inputs of all row sets of a table on disk: a window of rows is read once, and encoded for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitwell.data.columns import RawFeatures
from fitwell.data.encoded_later import EncodedLater
from fitwell.data.encoding import Encoding
from fitwell.data.stored_features import StoredFeatures, scratch_zeros

ROWS_TOGETHER = 2**14
"""Of what inputs are made of, where all of it is gone through."""


class StreamedInputs:
    """What `fitwell.data.encoding.stack` makes of a table, in windows.

    Parameters
    ----------
    encodings
        One for each row set.
    raw
        The features of the n rows, on disk.

    Attributes
    ----------
    shape, dtype
        (R, n, d) and float32, of what could be asked for.
    nbytes
        Bytes that are kept in memory: none.
    free
        Bytes of memory that were free when somebody asked first; None until then. All windows of a search are cut by
        it, where no budget is given.
    """

    dtype = np.dtype(np.float32)
    nbytes = 0

    def __init__(self, encodings: Sequence[Encoding], raw: StoredFeatures) -> None:
        self.encodings, self.raw = tuple(encodings), raw
        self.free: int | None = None
        self.shape = (len(self.encodings), len(raw), self.encodings[0].layout.width)

    @property
    def row_bytes(self) -> int:
        """Of a row as it is read."""
        return self.raw.nbytes // len(self.raw)

    @property
    def input_bytes(self) -> int:
        """Of a row as a row set sees it."""
        return self.shape[2] * self.dtype.itemsize

    def window(self, rows: slice) -> RawFeatures:
        """Read consecutive rows."""
        return self.raw.window(rows)

    def write(self, r: int, window: RawFeatures, rows: Any, inputs: NDArray[np.float32]) -> None:
        """Write some rows of a window as a row set sees them."""
        self.encodings[r].write(window.take(rows), inputs)

    def in_memory(self) -> EncodedLater:
        """Return the inputs as those of a table that memory holds."""
        return EncodedLater(self.encodings, self.raw)

    def arrays(self) -> Iterator[NDArray[Any]]:
        """Give all that the inputs are made of, some rows at a time, to know them again."""
        for at in range(0, len(self.raw), ROWS_TOGETHER):
            window = self.window(slice(at, at + ROWS_TOGETHER))
            yield from (window.numbers, window.codes)
        for one in self.encodings:
            yield from (one.fill, one.center, one.scale, one.slots, one.live)

    def room(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return zeros that are on disk, and in memory as far as there is room."""
        return scratch_zeros(shape)

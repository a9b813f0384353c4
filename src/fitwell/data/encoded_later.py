"""The inputs of all row sets without an encoded copy of the table for each: encoded when it is a row set's turn.

The raw features are there once, and of encoded copies a few, which whoever trains borrows and gives back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitwell.data.columns import RawFeatures
from fitwell.data.encoding import Encoding, parts_of_rows, stack


class EncodedLater:
    """What `fitwell.data.encoding.stack` makes of a table, bit for bit, encoded when it is asked for.

    Parameters
    ----------
    encodings
        One for each row set.
    raw
        The features of the n rows.

    Attributes
    ----------
    shape, dtype
        (R, n, d) and float32, of what could be asked for.
    nbytes
        Bytes that are kept: those of the raw features.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, encodings: Sequence[Encoding], raw: RawFeatures) -> None:
        self._encodings, self._raw = tuple(encodings), raw
        self.shape = (len(self._encodings), len(raw), self._encodings[0].layout.width)
        self.nbytes = raw.nbytes

    def __len__(self) -> int:
        """R, the number of row sets."""
        return len(self._encodings)

    def __getitem__(self, r: int) -> NDArray[np.float32]:
        """Encode all rows for a row set: [n, d]."""
        return self._encodings[r].transform(self._raw)

    def rows(self, r: int, rows: Any) -> NDArray[np.float32]:
        """Encode some rows for a row set."""
        return self._encodings[r].transform(self._raw.take(rows))

    def write(self, r: int, rows: slice, inputs: NDArray[np.float32]) -> None:
        """Write some rows as a row set sees them into an array [n, d] of all."""
        self._encodings[r].write(self._raw.take(rows), inputs[rows])

    def stacked(self) -> NDArray[np.float32]:
        """Encode all rows for all row sets: [R, n, d]."""
        return stack(self._encodings, self._raw)

    @property
    def stacked_bytes(self) -> int:
        """Of an array for every row set."""
        return len(self) * self.copy_bytes

    @property
    def copy_bytes(self) -> int:
        """Of one encoded copy."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @cached_property
    def places(self) -> tuple[int, ...]:
        """For each row set the first of those that share its encoding, such as several networks on all rows."""
        first: dict[int, int] = {}
        return tuple(first.setdefault(id(encoding), r) for r, encoding in enumerate(self._encodings))

    @property
    def different(self) -> int:
        """Encodings that are not one object."""
        return len(set(self.places))


def at_once(inputs: Any) -> Any:
    """Return inputs as arrays, for who cannot wait for a row set's turn."""
    return inputs.stacked() if isinstance(inputs, EncodedLater) else inputs


class EncodedCopies:
    """A few encoded copies of a table, to be borrowed by threads that train.

    Who asks for a row set that is not there encodes it in the place of what was not asked for the longest; who asks
    for it meanwhile helps. Copies that are lent stay: if all are, one waits.

    Parameters
    ----------
    inputs
        What is encoded.
    most
        Copies that there are at any time.
    """

    def __init__(self, inputs: EncodedLater, most: int) -> None:
        self.most, self._inputs = most, inputs
        # what was asked for last stands last
        self._copies: dict[int, _Copy] = {}
        self._returned = threading.Condition()

    @property
    def count(self) -> int:
        """Copies that are in memory now."""
        return len(self._copies)

    @contextmanager
    def lent(self, r: int) -> Iterator[NDArray[np.float32]]:
        """Lend the inputs [n, d] of a row set, which must not be changed nor kept."""
        place = self._inputs.places[r]
        copy = self._borrowed(place)
        try:
            copy.encode()
            yield copy.array
        finally:
            with self._returned:
                copy.borrowers -= 1
                # half encoded, as when somebody interrupted it: never to be lent again
                if not copy.whole and self._copies.get(place) is copy:
                    del self._copies[place]
                self._returned.notify_all()

    def forget(self) -> None:
        """Let the copies go that nobody has."""
        with self._returned:
            self._copies = {place: copy for place, copy in self._copies.items() if copy.borrowers}

    def _borrowed(self, place: int) -> _Copy:
        with self._returned:
            self._returned.wait_for(lambda: place in self._copies or self._has_room())
            copy = self._copies.pop(place, None) or _Copy(self._inputs, place, self._room())
            self._copies[place] = copy
            copy.borrowers += 1
            return copy

    def _has_room(self) -> bool:
        return len(self._copies) < self.most or not all(copy.borrowers for copy in self._copies.values())

    def _room(self) -> NDArray[np.float32]:
        """Return an array to encode into: a new one, or that of a copy which is given up for it."""
        if len(self._copies) < self.most:
            return np.empty(self._inputs.shape[1:], self._inputs.dtype)
        longest_ago = next(place for place, copy in self._copies.items() if not copy.borrowers)
        return self._copies.pop(longest_ago).array


class _Copy:
    """The inputs of one row set, which several threads encode together."""

    def __init__(self, inputs: EncodedLater, r: int, array: NDArray[np.float32]) -> None:
        self.array, self.borrowers = array, 0
        self._inputs, self._r = inputs, r
        self._parts = deque(parts_of_rows(*array.shape))
        self._left, self._lock, self._done = len(self._parts), threading.Lock(), threading.Event()
        self._error: BaseException | None = None

    @property
    def whole(self) -> bool:
        """Whether all is encoded."""
        return self._left == 0

    def encode(self) -> None:
        """Encode what nobody else encodes, and wait for the others.

        Raises
        ------
        RuntimeError
            Another thread could not encode its part; the cause is why.
        """
        try:
            while self._parts:
                self._encode_next()
        except BaseException as error:
            self._error = error
            self._done.set()  # nobody must wait for what will not come
            raise
        self._done.wait()
        if not self.whole:
            raise RuntimeError("Encoding the table was stopped in another thread.") from self._error

    def _encode_next(self) -> None:
        try:
            rows = self._parts.popleft()
        except IndexError:  # another thread was faster
            return
        self._inputs.write(self._r, rows, self.array)
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._done.set()

"""Inputs that are encoded when it is a row set's turn: the numbers of those encoded at once, and a few copies only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fitwell.data import encoding
from fitwell.data.columns import RawFeatures
from fitwell.data.encoded_later import EncodedCopies, EncodedLater, at_once
from fitwell.data.encoding import Encoding, Layout, fit_encoding, stack

LAYOUT = Layout(("a", "b", "a is missing", "c = x", "c = y", "c = (missing)", "c = (other)"), 2, (0,), (2,), (True,))
N, ROW_SETS = 50, 6


@pytest.fixture
def raw(seed: int) -> RawFeatures:
    """Numbers, some of them missing, and categories."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(N, 2))
    numbers[random.random(N) < 0.2, 0] = np.nan
    return RawFeatures(numbers, random.integers(0, 4, size=(N, 1)).astype(np.int32))


@pytest.fixture
def encodings(raw: RawFeatures) -> tuple[Encoding, ...]:
    """Each row set's own; the last two share one."""
    fitted = [fit_encoding(LAYOUT, raw, np.arange(5 * r, N)) for r in range(ROW_SETS - 1)]
    return (*fitted, fitted[-1])


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows at a time."""
    monkeypatch.setattr(encoding, "ENCODED_INPUTS", 3 * LAYOUT.width)


def test_the_numbers_are_those_encoded_at_once(raw: RawFeatures, encodings: tuple[Encoding, ...]) -> None:
    """Bit for bit: of all rows, of some, of all row sets, and written piece by piece; another row set's differ."""
    later, stacked = EncodedLater(encodings, raw), stack(encodings, raw)
    for r in range(ROW_SETS):
        assert later[r].tobytes() == stacked[r].tobytes()
        assert later.rows(r, [7, 3, 3]).tobytes() == stacked[r][[7, 3, 3]].tobytes()
        with EncodedCopies(later, 1).lent(r) as inputs:
            assert inputs.tobytes() == stacked[r].tobytes()
    assert later[0].tobytes() != stacked[1].tobytes()
    assert at_once(later).tobytes() == stacked.tobytes() == at_once(stacked).tobytes()
    assert (later.shape, later.dtype, len(later)) == (stacked.shape, stacked.dtype, ROW_SETS)
    assert (later.stacked_bytes, later.copy_bytes) == (stacked.nbytes, stacked[0].nbytes)
    assert later.nbytes == raw.nbytes == raw.numbers.nbytes + raw.codes.nbytes


def at_work(copies: EncodedCopies, look: Callable[[int, np.ndarray], None], threads: int = 8) -> None:
    """Let threads borrow every row set again and again, each in an order of its own."""

    def one(number: int) -> None:
        for r in np.random.default_rng(number).integers(0, ROW_SETS, size=60):
            with copies.lent(int(r)) as inputs:
                look(int(r), inputs)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(threads)))


@pytest.mark.parametrize("most", [1, 3])
def test_there_are_never_more_copies_than_allowed(raw: RawFeatures, encodings: tuple[Encoding, ...], most: int) -> None:
    """However many threads borrow, and what they have does not change meanwhile; the break: more are allowed."""
    stacked, arrays, wrong = stack(encodings, raw), {}, []

    def look(r: int, inputs: np.ndarray) -> None:
        arrays[id(inputs)] = inputs
        if inputs.tobytes() != stacked[r].tobytes():
            wrong.append(r)

    for allowed in (most, ROW_SETS):
        arrays.clear()
        copies = EncodedCopies(EncodedLater(encodings, raw), allowed)
        at_work(copies, look)
        assert wrong == []
        assert len(arrays) == copies.count == min(allowed, ROW_SETS - 1)  # two row sets share one
    assert len(arrays) > most


def test_what_is_there_is_not_encoded_again(
    raw: RawFeatures, encodings: tuple[Encoding, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for last stays, by whatever row set that shares its encoding; `forget` lets all go."""
    later = EncodedLater(encodings, raw)
    write, written = later.write, []

    def noted(r: int, rows: slice, inputs: np.ndarray) -> None:
        written.append((r, rows.start))
        write(r, rows, inputs)

    monkeypatch.setattr(later, "write", noted)
    copies = EncodedCopies(later, 2)

    def encoded(*row_sets: int) -> list[int]:
        written.clear()
        for r in row_sets:
            with copies.lent(r):
                pass
        return [r for r, start in written if start == 0]

    assert encoded(0, 1, 0, 2) == [0, 1, 2]
    assert encoded(0, 2, 1) == [1]  # which is not there, for 0 was asked for later
    assert encoded(4, 5, 5) == [4]  # one encoding
    assert encoded(3, 2, 1) == [3, 2, 1]
    copies.forget()
    assert copies.count == 0
    assert encoded(1) == [1]


def test_who_wants_the_same_helps(
    raw: RawFeatures, encodings: tuple[Encoding, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads encode one copy, each part once, and both get it when it is whole."""
    later, both, who = EncodedLater(encodings, raw), threading.Barrier(2, timeout=10), {}
    write = later.write

    def together(r: int, rows: slice, inputs: np.ndarray) -> None:
        if rows.start < 6:  # the first two parts: neither thread goes on before the other has one
            both.wait()
        who.setdefault(rows.start, []).append(threading.get_ident())
        write(r, rows, inputs)

    monkeypatch.setattr(later, "write", together)
    copies = EncodedCopies(later, 1)

    def borrow(_: int) -> bytes:
        with copies.lent(2) as inputs:
            return inputs.tobytes()

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(borrow, range(2))) == {later[2].tobytes()}
    assert [len(threads) for threads in who.values()] == [1] * len(who)
    assert len({threads[0] for threads in who.values()}) == 2


def test_what_is_lent_stays(raw: RawFeatures, encodings: tuple[Encoding, ...]) -> None:
    """With all copies lent, who wants another waits until one is given back."""
    later = EncodedLater(encodings, raw)
    copies, got = EncodedCopies(later, 1), threading.Event()

    def borrow() -> None:
        with copies.lent(1):
            got.set()

    with copies.lent(0) as inputs:
        other = threading.Thread(target=borrow)
        other.start()
        assert not got.wait(0.2)
        assert inputs.tobytes() == later[0].tobytes()
    assert got.wait(10)
    other.join()


def test_a_half_encoded_copy_is_never_lent(
    raw: RawFeatures, encodings: tuple[Encoding, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was waiting for it hears why it does not come, and the next one gets a whole one."""
    later, begun, others, failing = EncodedLater(encodings, raw), *(threading.Event() for _ in range(3))
    write = later.write

    def broken(r: int, rows: slice, inputs: np.ndarray) -> None:
        if rows.start == 0:
            begun.set()
            assert failing.wait(10)
            raise MemoryError("no room")
        others.set()
        write(r, rows, inputs)

    monkeypatch.setattr(later, "write", broken)
    copies = EncodedCopies(later, 2)

    def borrow(_: int) -> None:
        with copies.lent(0):
            pass

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(borrow, 0)
        assert begun.wait(10)
        second = pool.submit(borrow, 0)
        assert others.wait(10)  # by the second thread, which has the rest to itself
        failing.set()
        with pytest.raises(MemoryError, match="no room"):
            first.result()
        with pytest.raises(RuntimeError, match="stopped in another thread") as raised:
            second.result()
    assert isinstance(raised.value.__cause__, MemoryError)
    monkeypatch.setattr(later, "write", write)
    with copies.lent(0) as inputs:
        assert inputs.tobytes() == later[0].tobytes()

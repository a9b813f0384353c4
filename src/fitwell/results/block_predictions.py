"""Predictions of a file of any size, a block of rows at a time: the same, bit for bit, as of the file read whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import polars as pl

from fitwell.data.blocks import Blocks, ReadWholeError, RowBlock
from fitwell.data.columns import extract, unseen_levels
from fitwell.data.delimited import TextTable
from fitwell.data.notation import DecimalVotes, decide_notation
from fitwell.data.numbers import POINT
from fitwell.data.table_files import as_it_stands, marked
from fitwell.data.values import Unread
from fitwell.results.predictors import TablePredictor, warn_of_unseen

Used = TypeVar("Used")


class _OtherDecimalError(Exception):
    """The whole file shows another decimal mark than its beginning did."""

    def __init__(self, decimal: str) -> None:
        super().__init__(decimal)
        self.decimal = decimal


def predict_blocks(
    predictor: TablePredictor,
    blocks: Blocks,
    keep: Sequence[str],
    use: Callable[[Iterator[pl.DataFrame]], Used],
    *,
    on_progress: Callable[[float], object] = lambda done: None,
) -> Used | None:
    """Hand the predictions of a file to `use`, block after block.

    Parameters
    ----------
    keep
        As in `TablePredictor.predict`.
    use
        Takes them all. An error on the way may come with the last rows, so what it does must be undone then; and it is
        called a second time, from the first row on, if the end of the file shows that its numbers have decimal commas.
    on_progress
        Is told the share of the file that is done.

    Returns
    -------
    What `use` returns; None if the file has to be read whole.
    """
    decimal = None
    while True:
        try:
            return use(_predictions(predictor, blocks, keep, decimal, on_progress))
        except _OtherDecimalError as other:
            decimal = other.decimal
        except ReadWholeError:
            return None


def _predictions(
    predictor: TablePredictor,
    blocks: Blocks,
    keep: Sequence[str],
    decimal: str | None,
    on_progress: Callable[[float], object],
) -> Iterator[pl.DataFrame]:
    """What is known at the end only (the decimal mark, how many values cannot be read) is asked and said there."""
    kept = predictor.kept(blocks.names, keep)
    reading = _Reading(predictor, decimal)
    for block in blocks:
        numbers = reading.predict(block)
        yield predictor.beside(as_it_stands(block.table).select(kept), numbers)
        on_progress(block.done)
    reading.finish()


class _Reading:
    """A file on its way through a predictor, and what its blocks have shown so far."""

    def __init__(self, predictor: TablePredictor, decimal: str | None) -> None:
        self.predictor = predictor
        self.decimal = decimal
        self.separator: str | None = None
        self.votes = DecimalVotes() if decimal is None and not predictor.knows_decimal else None
        self.unread: Unread = {}
        self.unseen: Counter[str] = Counter()
        self.rows = 0

    def predict(self, block: RowBlock) -> np.ndarray:
        """Numbers of a block, as `TablePredictor.predict_numbers` gives them."""
        frame = marked(block.table, self.predictor.missing)
        if isinstance(block.table, TextTable):
            self._look(frame, block.table.separator)
        columns, numbers = self.predictor.columns, np.arange(self.rows, self.rows + len(frame))
        raw = extract(frame, columns, rows=numbers, decimal=self.decimal or POINT, unread=self.unread)
        self.rows += len(frame)
        self.unseen.update(unseen_levels(raw, columns))
        return self.predictor.predict_raw(raw)

    def _look(self, frame: pl.DataFrame, separator: str) -> None:
        self.separator = separator
        if self.votes is None:
            return
        if self.decimal is None:
            # most likely, and checked at the end
            self.decimal = decide_notation(frame, (), separator).decimal or POINT
        self.votes.look(frame)

    def finish(self) -> None:
        """Say what a whole table would have said of many values, in that order; what one value says has been said."""
        if self.votes is not None and self.rows and self.decimal is not None:
            found = self.votes.decide(self.separator)
            if found is None:
                raise ReadWholeError
            if found != self.decimal:
                raise _OtherDecimalError(found)
        for failures in self.unread.values():
            failures.say()
        warn_of_unseen({name: self.unseen[name] for name in self._by_column()}, self.rows)

    def _by_column(self) -> list[str]:
        return [column.name for column in self.predictor.columns if self.unseen[column.name]]

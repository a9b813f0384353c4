"""JSON lines a block of rows at a time, with the types that all lines show."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fitwell.data.blocks import ReadWholeError, RowBlock, content_of, is_plain, rows_of_block
from fitwell.data.row_names import fill_names
from fitwell.data.table_files import is_record, tidy

GLANCE_BYTES = 2**22
"""Of the lines whose types are looked at together."""


@dataclass(frozen=True)
class LineBlocks:
    """A file of one JSON record a line, perhaps zipped.

    Attributes
    ----------
    path
        The file.
    schema
        The columns of all its lines.
    multiple
        The rows of a block are a multiple of it.
    """

    path: Path
    schema: pl.Schema
    multiple: int

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return fill_names(self.schema.names())

    def __iter__(self) -> Iterator[RowBlock]:
        """Read block after block."""
        size, rows = self.path.stat().st_size, rows_of_block(len(self.schema), self.multiple)
        with content_of(self.path) as (raw, file):
            lines: list[bytes] = []
            for line in file:
                if line.strip():
                    lines.append(line)
                if len(lines) == rows:
                    yield RowBlock(self._table(lines), min(raw.tell() / size, 1.0))
                    lines = []
            if lines:
                yield RowBlock(self._table(lines), 1.0)

    def _table(self, lines: list[bytes]) -> pl.DataFrame:
        try:
            frame = pl.read_ndjson(io.BytesIO(b"".join(lines)), schema=self.schema)
        except pl.exceptions.PolarsError as error:
            raise ReadWholeError from error
        return tidy(frame, f"The file {self.path}")


def open_lines(path: Path, multiple: int) -> LineBlocks | None:
    """Open a file of JSON lines; None if only all lines together show the types, or a line is no record."""
    found: dict[str, pl.DataType] = {}
    with content_of(path) as (_, file):
        while lines := file.readlines(GLANCE_BYTES):
            for name, dtype in _schema(lines).items():
                found[name] = _joined(found.get(name, dtype), dtype)
    schema = pl.Schema(found)
    return LineBlocks(path, schema, multiple) if found and is_plain(schema) else None


def _schema(lines: list[bytes]) -> pl.Schema:
    present = [line for line in lines if line.strip()]
    try:
        if not all(is_record(line.decode()) for line in present):
            raise ReadWholeError
        content = io.BytesIO(b"".join(present))
        return pl.scan_ndjson(content, infer_schema_length=None).collect_schema() if present else pl.Schema()
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise ReadWholeError from error


def _joined(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    """The type of both; polars joins more of them, by rules of its own."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if {one, other} == {pl.Int64(), pl.Float64()}:
        return pl.Float64()
    raise ReadWholeError

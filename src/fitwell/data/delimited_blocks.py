"""Delimited text a block of rows at a time, by the rules of `delimited`.

Python's reader of records says where a block may end. Polars must find the same records in it: where quotes, blank
lines or line ends are such that it may not, the file is read whole.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import polars as pl

from fitwell.data.blocks import ReadWholeError, RowBlock, content_of, rows_of_block
from fitwell.data.delimited import (
    TextTable,
    checked_records,
    decode,
    encoding_message,
    parse_body,
    read_header,
    records,
    sniff_separator,
    stripped,
)
from fitwell.data.preamble import COMMENT, comments_emptied, first_row, told_separator, without_comments
from fitwell.errors import FileError, InputError

HEAD = 1 << 20  # bytes, in which the preamble and the header must end
PREAMBLE = 1000  # lines, as `first_row` looks at


@dataclass(frozen=True)
class DelimitedBlocks:
    """A delimited file, perhaps zipped.

    Attributes
    ----------
    path
        The file.
    separator
        What stands between its fields.
    names
        Of the columns.
    skipped
        Lines of the file above the header.
    above
        Those of them that count in messages.
    multiple
        The rows of a block are a multiple of it.
    """

    path: Path
    separator: str
    names: list[str]
    skipped: int
    above: int
    multiple: int

    def __iter__(self) -> Iterator[RowBlock]:
        """Read block after block."""
        size, rows = self.path.stat().st_size, rows_of_block(len(self.names), self.multiple)
        with content_of(self.path) as (raw, file):
            taken = _Taken(self._lines(file))
            reader = records(taken, self.separator)
            width, _ = len(next(reader)), taken.take()
            gathered = _Gathered(self)
            for is_data in checked_records(reader, width, str(self.path), self.above):
                gathered.add(taken.take(), is_data)
                if gathered.data == rows:
                    yield RowBlock(gathered.table(), min(raw.tell() / size, 1.0))
            if gathered.texts and (last := gathered.table()).frame.height:
                yield RowBlock(last, 1.0)
        if not gathered.found:
            raise ReadWholeError

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        """The lines from the header on, comments empty; one that ends the file without a line's end is no line."""
        return filter(None, comments_emptied(self._decoded(file), self.separator))

    def _decoded(self, file: BinaryIO) -> Iterator[str]:
        for number, content in enumerate(file, start=1):
            if number <= self.skipped:
                continue
            content = content.removeprefix(codecs.BOM_UTF8) if number == 1 else content
            try:
                line = content.decode("utf-8")
            except UnicodeDecodeError as error:
                place = error.start + 1
                raise FileError(encoding_message(number, place, content[error.start], str(self.path))) from None
            # alone it ends a line for Python, and for polars it does not
            if "\r" in line.removesuffix("\r\n"):
                raise ReadWholeError
            yield line


class _Taken:
    """Lines, and those of them that one record took."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.kept: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.kept.append(line)
        return line

    def take(self) -> str:
        """The text of the record that was read last."""
        kept, self.kept = self.kept, []
        return kept[0] if len(kept) == 1 else "".join(kept)


@dataclass
class _Gathered:
    """Records that become a block; beside them what the blocks before have shown."""

    file: DelimitedBlocks
    texts: list[str] = field(default_factory=list)
    are_data: list[bool] = field(default_factory=list)
    data: int = 0
    found: int = 0
    # whether polars left blank lines out: that decides for the file as a whole
    leaves_out: bool | None = None

    def add(self, text: str, is_data: bool) -> None:
        # a quote in the middle of a text means something else to polars
        if '"' in text and text.count('"') % 2:
            raise ReadWholeError
        self.texts.append(text)
        self.are_data.append(is_data)
        self.data += is_data

    def table(self) -> TextTable:
        """Parse them, and forget them."""
        try:
            frame = parse_body("".join(self.texts), self.file.separator, self.file.names, str(self.file.path))
        except InputError as error:
            # what polars says of a part may not be what it says of the whole
            raise ReadWholeError from error
        if len(frame) != len(self.are_data) or self.data < len(self.are_data):
            frame = self._without_blanks(frame)
        self.found += self.data
        self.texts, self.are_data, self.data = [], [], 0
        return TextTable(stripped(frame), self.file.separator)

    def _without_blanks(self, frame: pl.DataFrame) -> pl.DataFrame:
        left_out = len(frame) == self.data
        same = self.leaves_out in (None, left_out)
        if not same or (not left_out and len(frame) != len(self.are_data)) or self.data == len(self.are_data):
            raise ReadWholeError
        self.leaves_out = left_out
        return frame if left_out else frame.filter(pl.Series(self.are_data, dtype=pl.Boolean))


def open_delimited(path: Path, separator: str | None, multiple: int) -> DelimitedBlocks | None:
    """Open a delimited file; None if its beginning is none that can be read without its end.

    Without a `separator` the first line decides.
    """
    with content_of(path) as (_, file):
        head = file.read(HEAD)
    # whole lines, which no character spans
    head = head[: head.rfind(b"\n") + 1]
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    # a document of JSON is known by its end
    if not begins or begins[:1] in (b"{", b"["):
        return None
    text = decode(head, str(path))
    blank = head.removeprefix(b"\xef\xbb\xbf").partition(text[:1].encode())[0]
    if b"\r" in blank.replace(b"\r\n", b""):
        return None
    told, text = told_separator(text)
    return _opened_below(path, text, blank.count(b"\n"), told, separator, multiple)


def _opened_below(
    path: Path, text: str, blank: int, told: str | None, separator: str | None, multiple: int
) -> DelimitedBlocks | None:
    """Read comments and header; `text` begins below blank lines and the line that tells the separator."""
    if not _shows_header(text):
        return None
    separator = told or separator or sniff_separator(first_row(text))
    above = 0 if told is None else 1
    if text.startswith(COMMENT):
        text, comments = without_comments(text, separator, str(path))
        above += comments
    names, body = read_header(text, separator, str(path))
    return DelimitedBlocks(path, separator, names, blank + above, above, multiple) if body else None


def _shows_header(text: str) -> bool:
    """Whether it begins with a header, or with comments and then one."""
    lines = text.split("\n", PREAMBLE)[:PREAMBLE]
    return bool(lines[0].strip()) and any(line.strip() and not line.startswith(COMMENT) for line in lines)

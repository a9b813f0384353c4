"""What stands in a delimited file beside its table: Excel's `sep=;` and lines of comment that begin with `#`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

from fitwell.errors import InputError

SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?', re.IGNORECASE)
"""Excel's first line, which says what separates the fields."""

COMMENT = "#"


def told_separator(text: str) -> tuple[str | None, str]:
    """Return the separator that the first line names, if it does, and the text below it."""
    first, _, rest = text.partition("\n")
    found = SEPARATOR_LINE.fullmatch(first)
    return (found[1], rest) if found else (None, text)


def first_row(text: str) -> str:
    """Return the first line that is no comment, which shows the separator; the first of all if there is none."""
    lines = text.split("\n", 1000)
    return next((line for line in lines[:1000] if line.strip() and not line.startswith(COMMENT)), lines[0])


def without_comments(text: str, separator: str, name: str) -> tuple[str, int]:
    """Return the text from its header on, its comments empty lines, and how many lines stood above.

    A line is a comment if it begins with `#` and has not as many fields as the header: `#1 fan,3` may be a row. Just
    above the first row it may be the header itself, as in `#chrom,start,end`.
    """
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(COMMENT)), len(lines))
    if start == len(lines) and lines[0].startswith(COMMENT):
        raise InputError(f"The file {name} holds only comments, lines that begin with #: a header line was expected.")
    if start and _is_header(lines[start - 1], lines[start], separator):
        start -= 1
    return "\n".join(comments_emptied(lines[start:], separator)), start


def comments_emptied(lines: Iterable[str], separator: str) -> Iterator[str]:
    """The lines from the header on, nothing in place of each comment but the end of the line, if it is there."""
    width, quoted = None, False
    for line in lines:
        if width is None:
            width = _width(line, separator)
            yield line
        elif not quoted and line.startswith(COMMENT) and width > 1 and _width(line, separator) != width:
            yield "\n" if line.endswith("\n") else ""
        else:
            quoted ^= bool(line.count('"') % 2)  # a text that goes on in the next line
            yield line


def _is_header(comment: str, row: str, separator: str) -> bool:
    width = _width(row, separator)
    if not comment.startswith(COMMENT) or width < 2 or _width(comment, separator) != width:
        return False
    # NumPy writes "# a,b,c" above numbers; a sentence may have as many commas as the header below it
    return not comment[1:2].isspace() or all(map(_is_numeric, row.split(separator)))


def _width(line: str, separator: str) -> int:
    # a carriage return in the line is an error to the reader
    return len(next(csv.reader([line.replace("\r", "")], delimiter=separator), []))


def _is_numeric(field: str) -> bool:
    return bool(re.fullmatch(r'\s*"?[+-]?[\d.,]+([eE][+-]?\d+)?"?\s*', field))

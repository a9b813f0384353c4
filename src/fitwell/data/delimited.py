"""Delimited text (CSV, TSV, semicolons) to a frame: the checks that polars leaves out, then polars itself.

Polars renames duplicate columns, fills short rows and guesses day/month order without a word, so header, row
lengths and dates are handled here, where a mistake can be named.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fitwell.data.notation import MISSING_MARKS, Notation, decide_notation, without_marks
from fitwell.data.numbers import COMMA
from fitwell.data.preamble import COMMENT, first_row, told_separator, without_comments
from fitwell.data.row_names import fill_names
from fitwell.data.values import ISO, has_time_of_day, is_iso, parse_dates
from fitwell.errors import FileError, InputError, counted

SEPARATORS = ",;\t"
BINARY_SAMPLE = 65536  # bytes searched for a NUL, which no text file holds
SPACES_ONLY = re.compile(r"^ +(?=\r?$)", re.MULTILINE)  # a line that is blank, but not to polars
HEADER_SAMPLE = 1 << 20  # characters, in which the header must end
MAX_FIELD = 1 << 24  # characters in one field; Python's own limit, 131072, refuses long texts
BOOLEANS = ["true", "false"]
FIRST_VALUES = 16  # values


@dataclass(frozen=True, eq=False)
class TextTable:
    """A delimited file before its values are read: what `2.155` is depends on the other columns, or on training.

    Attributes
    ----------
    frame : text without spaces around it, null where empty
    separator : str
    """

    frame: pl.DataFrame
    separator: str

    def typed(self, notation: Notation | None = None) -> pl.DataFrame:
        """The columns with the types that all their values show; text that has to be interpreted stays text."""
        notation = notation or decide_notation(without_marks(self.frame, MISSING_MARKS), MISSING_MARKS, self.separator)
        clean = without_marks(self.frame, notation.missing)
        # once more, for marks that are numbers
        return without_marks(
            pl.DataFrame([_typed(column, notation) for column in clean.iter_columns()]), notation.missing
        )


def read_delimited(content: bytes, name: str, *, separator: str | None = None) -> TextTable:
    """Read delimited text with a header line.

    `name` is the file's name for messages; without a `separator` the first line decides.
    """
    text = decode(content, name)
    told, text = told_separator(text)
    separator = told or separator or sniff_separator(first_row(text))
    above = 0 if told is None else 1
    if text.startswith(COMMENT) or f"\n{COMMENT}" in text:
        text, comments = without_comments(text, separator, name)
        above += comments
    names, body = read_header(text, separator, name)
    is_data = check_records(text, separator, name, above)
    if not any(is_data):
        raise InputError(f"The file {name} has a header but no rows: it needs a line per row below the header.")
    frame = parse_body(body, separator, names, name)
    if len(frame) == len(is_data):
        frame = frame.filter(pl.Series(is_data, dtype=pl.Boolean))
    return TextTable(stripped(frame), separator)


def decode(content: bytes, name: str) -> str:
    """Text of a UTF-8 file (with or without byte order mark), its lines ending in a newline."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FileError(f"The file {name} is UTF-16, not UTF-8: convert it, e.g. `iconv -f utf-16 -t utf-8`.")
    if b"\0" in content[:BINARY_SAMPLE]:
        raise FileError(f"The file {name} is not a table: it holds binary data where CSV text was expected.")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(_place_of_byte(content, error.start, name)) from None
    if "\n" not in text:  # line ends of old Macintosh files
        text = text.replace("\r", "\n")
    if not text.strip():
        raise FileError(f"The file {name} is empty: a header line and a line per row were expected.")
    _refuse_json(text, name)
    return text.lstrip("\r\n")


def _place_of_byte(content: bytes, start: int, name: str) -> str:
    line = content.count(b"\n", 0, start) + 1
    byte = start - content.rfind(b"\n", 0, start)
    return encoding_message(line, byte, content[start], name)


def encoding_message(line: int, byte: int, found: int, name: str) -> str:
    """The sentence for a file that is not UTF-8: its first wrong byte, counted from 1 in its line."""
    return (
        f"The file {name} is not UTF-8 text: line {line}, byte {byte} is 0x{found:02x}. "
        f"Convert it, e.g. `iconv -f latin1 -t utf-8 {name} > converted.csv`."
    )


def _refuse_json(text: str, name: str) -> None:
    if (text.lstrip()[0], text.rstrip()[-1]) in (("{", "}"), ("[", "]")):
        raise FileError(
            f"The file {name} is a JSON document, not a delimited table: write one record per line and give "
            f"it the suffix .jsonl."
        )


def sniff_separator(text: str) -> str:
    """The separator that cuts the header line into most fields; a comma if none does."""
    head = text[:HEADER_SAMPLE]
    return max(SEPARATORS, key=lambda separator: len(next(records(io.StringIO(head, newline=""), separator), [])))


def records(lines: Iterable[str], separator: str) -> Any:
    """Python's reader of records; it takes no more lines than they have."""
    csv.field_size_limit(MAX_FIELD)
    return csv.reader(lines, delimiter=separator)


def read_header(text: str, separator: str, name: str) -> tuple[list[str], str]:
    """The column names and the text below the header."""
    stream = io.StringIO(text, newline="")
    names = [field.strip() for field in next(csv.reader(stream, delimiter=separator))]
    if all(map(_is_number, names)) and any("." in field for field in names):
        raise InputError(
            f"The file {name} seems to have no header, for its first line holds only numbers: "
            f"add a line of column names."
        )
    names = fill_names(names)
    refuse_duplicates(names, f"The file {name}")
    return names, text[stream.tell() :]


def refuse_duplicates(names: Sequence[str], holder: str) -> None:
    """Raise if a column name occurs twice; `holder` begins the message ("The table")."""
    duplicates = [repr(name) for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise InputError(f"{holder} has more than one column named {', '.join(duplicates)}: rename all but one.")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def check_records(text: str, separator: str, name: str, above: int = 0) -> list[bool]:
    """Whether each line below the header holds data (False: blank); `above` lines stood above the header.

    Raises where a row has more or fewer fields than the header.
    """
    reader = records(io.StringIO(text, newline=""), separator)
    return list(checked_records(reader, len(next(reader)), name, above))


def checked_records(reader: Any, width: int, name: str, above: int = 0) -> Iterator[bool]:
    """The same, one record after the other, of a reader that has read the header."""
    try:
        for fields in reader:
            blank = not fields or (len(fields) == 1 < width and not fields[0].strip())
            if len(fields) != width and not blank:
                raise InputError(_ragged_message(name, reader.line_num + above, len(fields), width))
            yield not blank
    except csv.Error as error:
        raise InputError(f"The file {name} cannot be read at line {reader.line_num + above}: {error}.") from None


def _ragged_message(name: str, line: int, found: int, width: int) -> str:
    return (
        f"The file {name} is ragged: line {line} has {counted(found, 'field')}, the header has {width}. "
        f"Check that line for a missing separator or an unquoted one."
    )


def parse_body(body: str, separator: str, names: list[str], name: str) -> pl.DataFrame:
    """All values as text, by polars, which may leave blank lines out."""
    if body.startswith(" ") or "\n " in body:
        body = SPACES_ONLY.sub("", body)
    # Names of our own, for polars changes the ones that it does not like.
    places = [f"c{index}" for index in range(len(names))]
    try:
        frame = pl.read_csv(
            f"{separator.join(places)}\n{body}".encode(),
            separator=separator,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n\n")[0].replace("\n", " ")
        raise InputError(f"The file {name} cannot be read; check its quotes: {reason[:200]}.") from None
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def stripped(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts without spaces around them, null where nothing is left."""
    return pl.DataFrame([_stripped(column) for column in frame.iter_columns()])


def _stripped(column: pl.Series) -> pl.Series:
    text = column.cast(pl.String).str.strip_chars()
    return text.set((text == "").fill_null(False), None)


def _typed(text: pl.Series, notation: Notation) -> pl.Series:
    """Text as booleans, whole numbers, numbers with a decimal point or ISO dates, if all its values are that."""
    present = text.drop_nulls()
    if present.is_empty():
        return text
    if present[0].lower() in BOOLEANS and present.str.to_lowercase().is_in(BOOLEANS).all():
        return text.str.to_lowercase() == "true"
    numeric = (pl.Int64, pl.Int128, pl.Float64) if notation.decimal != COMMA else (pl.Int64, pl.Int128)
    if notation.is_guess and present.str.contains(",", literal=True).any():
        numeric = ()
    # a few values rule out most columns, and cost little
    for dtype in numeric if present.head(FIRST_VALUES).cast(pl.Float64, strict=False).null_count() == 0 else ():
        numbers = text.cast(dtype, strict=False)
        if numbers.null_count() == text.null_count():
            return numbers
    if not is_iso(text):
        return text
    dates = parse_dates(text, ISO)
    return dates if has_time_of_day(dates) else dates.cast(pl.Date)

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fitwell.data.delimited import TextTable
from fitwell.data.table_files import read_file
from fitwell.errors import FileError
from fitwell.report.files import WRITERS, check_table_file, write_tables

TABLE = pl.DataFrame({"diagnosis": ["benign", "malignant"], "probability of benign": [0.75, 0.25]})


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_reads_back(tmp_path: Path, suffix: str) -> None:
    """What is written in the format of an ending is what our own reader reads."""
    path = tmp_path / f"table{suffix}"
    write_tables(iter([TABLE]), path, force=False)
    read = read_file(path)
    assert (read.typed() if isinstance(read, TextTable) else read).equals(TABLE)


def test_a_format_nobody_knows(tmp_path: Path) -> None:
    """An ending without a format is refused, and the known ones are named."""
    with pytest.raises(FileError, match=r"must end in one of \.csv"):
        check_table_file(tmp_path / "table.xlsx", force=False)

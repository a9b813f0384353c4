"""Files whose table does not begin in the first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitwell.data.delimited import read_delimited
from fitwell.data.table_files import as_frame
from fitwell.errors import InputError

ROWS = [{"id": 1, "x": 25, "y": "a"}, {"id": 2, "x": 5, "y": "b"}]
FILES = {
    "Excel": "sep=;\r\nid;x;y\r\n1;25;a\r\n2;5;b\r\n",
    "Excel, quoted": '"sep=;"\nid;x;y\n1;25;a\n2;5;b\n',
    "another separator": "SEP=|\nid|x|y\n1|25|a\n2|5|b\n",
    "comments": "# made in May; by me, with care\n#\n# units: m, s\nid,x,y\n1,25,a\n2,5,b\n",
    "comments with as many commas": "# one, two, three\nid,x,y\n1,25,a\n2,5,b\n",
    "comments between rows": "id,x,y\n1,25,a\n# a pause\n2,5,b\n# end of file\n",
    "both": "sep=;\n# first; second\nid;x;y\n1;25;a\n#\n2;5;b\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_what_stands_beside_the_table(text: str, tmp_path: Path) -> None:
    """Excel's separator line and lines of comment are no rows, and the table is read as if they were not there."""
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert as_frame(path).to_dicts() == ROWS


def test_a_header_behind_a_number_sign(tmp_path: Path) -> None:
    """`#chrom` just above the rows is a column, as is NumPy's header; `#1` in a row and in a text is what it says."""
    path = tmp_path / "t.csv"
    for text, columns in (("#chrom,start\nx,1\n", ["#chrom", "start"]), ("# a,b\n1.5,2\n3.5,4\n", ["# a", "b"])):
        path.write_text(text)
        assert as_frame(path).columns == columns
    path.write_text('rank,note\n#1,good\n2,"first\n# second"\n')
    assert as_frame(path).rows() == [("#1", "good"), ("2", "first\n# second")]


def test_lines_are_numbered_as_in_the_file() -> None:
    """A ragged row is named by its line in the file, whatever stood above the header; only comments are no table."""
    with pytest.raises(InputError, match="line 6 has 1 field, the header has 2"):
        read_delimited(b"sep=,\n# note\nx,y\n1,2\n3,4\n5\n", "t.csv")
    with pytest.raises(InputError, match=r"t\.csv holds only comments"):
        read_delimited(b"# nothing\n# here\n", "t.csv")

"""Tables as polars frames: from files, data frames of any library, and arrays."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fitwell.data.table_files import as_frame, as_series, read_file, to_polars
from fitwell.errors import FileError, FitwellError, InputError, InputTypeError

FRAME = pl.DataFrame({"a": [1, 2], "b": ["x", None]})


def write(path: Path) -> Path:
    """Write `FRAME` in the format of the path's suffix."""
    suffix = path.suffixes[0]
    if path.suffix == ".gz":
        plain = write(path.with_suffix(""))
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif suffix == ".parquet":
        FRAME.write_parquet(path)
    elif suffix in (".arrow", ".feather"):
        FRAME.write_ipc(path)
    elif suffix == ".ipc":
        FRAME.write_ipc_stream(path)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        FRAME.write_ndjson(path)
    else:
        FRAME.write_csv(path, separator="\t" if suffix in (".tsv", ".tab") else ",")
    return path


SUFFIXES = ".csv .tsv .tab .CSV .data .csv.gz .tsv.gz .parquet .arrow .feather .ipc .jsonl .ndjson .json .jsonl.gz"


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_every_format_reads_the_same(tmp_path: Path, suffix: str) -> None:
    """One table reads the same from every format, by a path or its text."""
    path = write(tmp_path / f"table{suffix}")
    assert as_frame(path).equals(FRAME)
    assert as_frame(str(path)).equals(FRAME)


def test_nan_in_a_file_is_missing(tmp_path: Path) -> None:
    """NaN is null, so that missing has one form."""
    pl.DataFrame({"a": [1.0, float("nan")]}).write_parquet(tmp_path / "t.parquet")
    assert read_file(tmp_path / "t.parquet")["a"].to_list() == [1.0, None]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv.gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_get_a_sentence(tmp_path: Path, suffix: str, share: float) -> None:
    """A file that was not copied whole is refused by its name, wherever it ends."""
    path = write(tmp_path / f"table{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileError, match=r"table.*copied whole"):
        read_file(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.parquet", b"", "is empty"),
        ("t.xlsx", b"PK", "save it as CSV"),
        ("t.jsonl", b'[{"a": 1},\n{"a": 2}]', "one JSON record per line.*line 1"),
        ("t.jsonl", b'{"a": 1}\n\n{"a":', "line 3"),
        ("t.jsonl", b'{"a": "\xe9"}', "not UTF-8 text: line 1, byte 8"),
        ("t.csv.gz", b"a,b\n1,2\n", "not a complete gzip file"),
    ],
    ids=str,
)
def test_bad_files_get_a_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Each bad file is refused in one sentence that names it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=message) as caught:
        read_file(tmp_path / name)
    assert name in str(caught.value)


def test_missing_files_and_directories_get_a_sentence(tmp_path: Path) -> None:
    """A path that is no file says so, and the error is an OSError too."""
    with pytest.raises(FileError, match="There is no file"):
        as_frame(tmp_path / "absent.csv")
    with pytest.raises(OSError, match="is a directory"):
        as_frame(tmp_path)


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    """A table without rows is refused with the file's name, in binary formats too."""
    FRAME.clear().write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet has no rows"):
        read_file(tmp_path / "t.parquet")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_never_crash(tmp_path: Path, seed: int) -> None:
    """Whatever bytes a Parquet file was damaged by: it reads, or it is one of our errors."""
    path = write(tmp_path / "t.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) * seed // 20] ^= 0xFF
    path.write_bytes(content)
    try:
        frame = read_file(path)
    except FitwellError:
        return
    assert isinstance(frame, pl.DataFrame)


ROWS = [(1, "x"), (None, "y"), (3, None)]


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"a": [1, None, 3], "b": ["x", "y", None]}),
        pl.LazyFrame({"a": [1, None, 3], "b": ["x", "y", None]}),
        pa.table({"a": [1, None, 3], "b": ["x", "y", None]}),
        {"a": [1, None, 3], "b": np.array(["x", "y", None], object)},
        {"a": [1, float("nan"), 3], "b": ("x", "y", None)},
        [{"a": 1, "b": "x"}, {"b": "y"}, {"a": 3, "b": None}],
        np.array([[1, "x"], [None, "y"], [3, None]], object),
    ],
    ids=["polars", "lazy", "pyarrow", "dict", "nan", "records", "array"],
)
def test_tables_of_every_kind_hold_the_same_rows(table: Any) -> None:
    """One table, in every form it can arrive in."""
    assert to_polars(table).rows() == ROWS


def test_arrays_have_numbered_columns() -> None:
    """The columns of an array are x0, x1, ..., and NaN is missing."""
    frame = to_polars(np.array([[1.0, np.nan], [2.0, 3.0]]))
    assert frame.to_dict(as_series=False) == {"x0": [1.0, 2.0], "x1": [None, 3.0]}


def test_mixed_values_become_text() -> None:
    """Numbers among words are text, not an error."""
    assert to_polars({"a": [1, "x", None]})["a"].to_list() == ["1", "x", None]


def test_one_record_is_one_row() -> None:
    """A dict of single values is a table of one row."""
    assert to_polars({"a": 1, "b": "text"}).rows() == [(1, "text")]


def test_unnamed_columns_get_names() -> None:
    """An empty name becomes the column's place; a first one is an index, as pandas calls it."""
    assert to_polars(pl.DataFrame({"a": [1], " ": [2]})).columns == ["a", "column_2"]
    assert to_polars(pl.DataFrame({"": [1], "a": [2]})).columns == ["Unnamed: 0", "a"]


def test_pyarrow_dictionaries_stay_categories() -> None:
    """Categories that are numbers stay categories."""
    table = pa.table({"c": pa.array([10, 20, None]).dictionary_encode()})
    column = to_polars(table)["c"]
    assert column.dtype == pl.Categorical
    assert column.to_list() == ["10", "20", None]


def test_pandas_columns_come_through() -> None:
    """Object columns of mixed values, nullable types, categories, dates and odd labels of pandas are read."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(
        {
            0: pd.array([1, None], dtype="Int64"),
            "mixed": [1, "x"],
            "flag": [True, None],
            "number": pd.Categorical([5, 6]),
            "when": pd.to_datetime(["2020-01-01", None]),
            "float": [0.5, np.nan],
        }
    )
    frame = to_polars(table)
    assert frame.columns == ["0", "mixed", "flag", "number", "when", "float"]
    assert frame["mixed"].to_list() == ["1", "x"]
    assert frame["number"].dtype == pl.Categorical
    assert frame.row(1)[2:] == (None, "6", None, None)


def test_duplicate_pandas_columns_are_refused() -> None:
    """Two columns of one name are refused by that name."""
    pd = pytest.importorskip("pandas")
    with pytest.raises(InputError, match="more than one column named 'a'"):
        to_polars(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (3, InputTypeError, "must be a file path, a dataframe.*Got int"),
        (None, InputTypeError, "Got NoneType"),
        (np.zeros(3), InputTypeError, r"2-D array.*shape \(3,\)"),
        ([1, 2], InputTypeError, "a dict per row. Got int at index 0"),
        ([], InputError, "no rows"),
        ({}, InputError, "no columns"),
        ({"a": []}, InputError, "no rows"),
        (pl.DataFrame({"a": [1]}).filter(pl.col("a") > 1), InputError, "no rows"),
        ({"a": [1, 2], "b": [1]}, InputError, "equally long; 'a' has 2, 'b' has 1"),
        (pa.table([[1], [2]], names=["a", "a"]), InputError, "more than one column named 'a'"),
        (pl.DataFrame({"a": [1], " a": [2]}), InputError, "more than one column named 'a'"),
    ],
    ids=str,
)
def test_bad_tables_get_a_sentence(table: Any, error: type[Exception], message: str) -> None:
    """What is no table, or an unusable one, is refused in one sentence."""
    with pytest.raises(error, match=message):
        to_polars(table)


def test_one_column_of_any_kind() -> None:
    """A series, an array and a list are one column; a number is none."""
    for values in (pl.Series([1, 2]), np.array([1, 2]), [1, 2], pa.chunked_array([[1, 2]])):
        assert as_series("g", values).to_list() == [1, 2]
    with pytest.raises(InputTypeError, match="g column must be"):
        as_series("g", 3)

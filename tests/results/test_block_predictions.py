from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, mixed

from fitwell.api.tune import tune
from fitwell.data import blocks, opened_blocks
from fitwell.data.opened_blocks import open_blocks
from fitwell.errors import FitwellError, InputError
from fitwell.results import predictors
from fitwell.results.block_predictions import predict_blocks
from fitwell.results.predictors import TablePredictor


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 16 rows, and a block holds one or two of them."""
    monkeypatch.setattr(opened_blocks, "LARGE", 0)
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 200)
    monkeypatch.setattr(predictors, "PART_BYTES", 1)


def said(call: Callable[[], object]) -> tuple[object, list[str]]:
    """What a call returns, or the sentence of its error, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = call()
        except FitwellError as error:
            found = str(error)
    return found, [str(one.message) for one in caught]


def in_blocks(predictor: TablePredictor, path: Path, keep: Sequence[str] = ()) -> pl.DataFrame | None:
    """Predictions of a file in blocks; None if it has to be read whole."""
    file = open_blocks(path, predictor.rows_at_once)
    if file is None:
        return None
    tables = predict_blocks(predictor, file, keep, list)
    assert tables is None or len(tables) > 2
    return None if tables is None else pl.concat(tables)


def assert_same(predictor: TablePredictor, path: Path, keep: Sequence[str] = ()) -> object:
    """What is predicted and said in blocks is what is predicted and said of the whole, to the last bit."""
    whole, whole_said = said(lambda: predictor.predict(path, keep=keep))
    found, found_said = said(lambda: in_blocks(predictor, path, keep))
    assert found_said == whole_said
    if isinstance(whole, pl.DataFrame):
        assert isinstance(found, pl.DataFrame)
        assert found.equals(whole)
        assert found.schema == whole.schema
    else:
        assert found == whole
    return whole


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", ".jsonl"])
def test_blocks_predict_what_the_whole_does(result, tmp_path: Path, suffix: str) -> None:
    """In every format, with columns that are kept; parts that begin elsewhere would round otherwise, or be others."""
    path = tmp_path / f"new{suffix}"
    table = mixed(rows=300, seed=5).with_columns(row=pl.int_range(300))
    write = {".csv": "write_csv", ".parquet": "write_parquet", ".arrow": "write_ipc", ".jsonl": "write_ndjson"}[suffix]
    getattr(table, write)(path)
    whole = assert_same(result.predictor, path, ["row", "city"])
    assert isinstance(whole, pl.DataFrame)
    others = in_blocks(result.predictor, path, ["row"])
    assert others is not None
    assert others["row"].cast(pl.Int64).to_list() == list(range(300))
    # the break: a block that is lost, or comes twice
    assert not whole.drop("row", "city").slice(16).equals(others.drop("row").head(-16))


def test_a_part_is_predicted_alike_at_any_size(result, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut into other parts, classes are the same and probabilities agree to rounding."""
    small = result.predictor.predict_numbers(mixed(rows=300))
    monkeypatch.setattr(predictors, "PART_BYTES", 2**24)
    large = result.predictor.predict_numbers(mixed(rows=300))
    assert (small.argmax(axis=1) == large.argmax(axis=1)).all()
    np.testing.assert_allclose(small, large, rtol=1e-5)


@pytest.fixture(scope="module")
def of_file(tmp_path_factory: pytest.TempPathFactory) -> TablePredictor:
    """Trained on a file, which shows how numbers are written."""
    path = tmp_path_factory.mktemp("training") / "table.csv"
    mixed().write_csv(path)
    return tune(path, "ill", **QUICK).predictor


def late(column: str, text: str | None, rows: int = 1) -> pl.DataFrame:
    """A table with other texts in the last rows of a column."""
    table = mixed(rows=300)
    texts = table[column].cast(pl.String).to_list()
    return table.with_columns(pl.Series(column, [*texts[:-rows], *[text] * rows]))


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (late("dose", "much"), "data row 300 holds 'much': it is read as missing"),
        (late("dose", "much", 10), "data row 291 holds 'much': this and 9 more"),
        (late("dose", "much", 40), "data row 261 holds the text 'much'"),
        (late("visit", "soon", 40), "data row 261 holds 'soon'"),
        (late("visit", "soon"), "data row 300 holds 'soon'"),
        (late("dose", "inf"), "infinite value in data row 300"),
        (late("smoker", "perhaps"), "data row 300 holds 'perhaps'"),
        (late("city", "Ys", 3), "'city' in 3 of 300 rows"),
        (mixed(rows=300).drop("age"), "'age'"),
    ],
)
def test_what_is_wrong_is_said_as_of_the_whole(
    of_file: TablePredictor, tmp_path: Path, table: pl.DataFrame, part: str
) -> None:
    """Warnings count all rows, errors name the row of the file, and few failures are told from many at the end."""
    path = tmp_path / "new.csv"
    table.write_csv(path)
    assert of_file.knows_decimal
    found, sentences = said(lambda: in_blocks(of_file, path))
    assert part in " ".join([*sentences, str(found)])
    assert_same(of_file, path)


@pytest.fixture(scope="module")
def of_whole_numbers() -> TablePredictor:
    """Trained where no value shows the decimal mark."""
    random = np.random.default_rng(0)
    table = pl.DataFrame({"a": random.integers(0, 50, 60), "b": random.integers(0, 9, 60)})
    return tune(table.with_columns(y=pl.col("a") + pl.col("b")), "y", task="regression", **QUICK).predictor


@pytest.mark.parametrize(
    ("values", "separator"),
    [
        (["1,5"] * 300, ";"),
        (["1.5"] * 300, ";"),
        # the beginning leaves it open, and the end does not
        (["1,500"] * 200 + ["2,5"] * 100, ";"),
        (["1.500"] * 200 + ["2,5"] * 100, ";"),
        (["7"] * 200 + ["2,5"] * 100, "\t"),
        (["1.500"] * 200 + ["2.5"] * 100, "\t"),
        (["7"] * 300, ","),
    ],
)
def test_the_decimal_mark_is_that_of_all_rows(
    of_whole_numbers: TablePredictor, tmp_path: Path, values: list[str], separator: str
) -> None:
    """Where training has not shown it, the whole file does, whatever its first block seems to say."""
    path = tmp_path / "new.csv"
    pl.DataFrame({"a": values, "b": values[::-1]}).write_csv(path, separator=separator)
    whole = of_whole_numbers.predict(path)
    found = in_blocks(of_whole_numbers, path)
    # None: such a file is read whole
    assert found is None or found.equals(whole)
    mixed_up = ("1,500" in values and "2,5" in values) or ("1.500" in values and "2,5" in values)
    assert found is not None or mixed_up


def test_another_mark_at_the_end_is_read_again(of_whole_numbers: TablePredictor, tmp_path: Path) -> None:
    """What was made of the first reading is made anew."""
    path = tmp_path / "new.csv"
    pl.DataFrame({"a": ["7"] * 200 + ["2,5"] * 100, "b": ["3"] * 300}).write_csv(path, separator=";")
    file, calls = open_blocks(path, of_whole_numbers.rows_at_once), []
    assert file is not None
    found = predict_blocks(of_whole_numbers, file, (), lambda tables: (calls.append(1), list(tables))[1])
    assert found is not None
    assert len(calls) == 2
    assert pl.concat(found).equals(of_whole_numbers.predict(path))


def test_a_column_that_cannot_be_kept(result, tmp_path: Path) -> None:
    """It is refused before anything is read."""
    path = tmp_path / "new.csv"
    mixed(rows=300).write_csv(path)
    with pytest.raises(InputError, match="There is no column 'id' to keep"):
        in_blocks(result.predictor, path, ["id"])

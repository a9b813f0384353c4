from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from example_tables import mixed
from sklearn import metrics

from fitwell.data.columns import Column, extract
from fitwell.data.row_sets import RowSets, on_all_rows
from fitwell.data.table_files import as_frame
from fitwell.errors import FitwellWarning, InputError, InputTypeError
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.tables import read_table


def test_a_table_is_understood() -> None:
    """Kinds, classes, rows without a target and the encoded width are what the table holds."""
    frame = mixed(60).with_columns(pl.Series("ill", [None, *mixed(60)["ill"].to_list()[1:]]))
    problem = read_table(frame, "ill", cv=3)
    summary = problem.summary()
    assert summary["rows"] == 60
    assert summary["rows_without_target"] == 1
    assert summary["columns"] == {"numeric": 2, "categorical": 1, "boolean": 1, "date": 1}
    assert sum(summary["classes"].values()) == 59
    assert problem.dataset().inputs.shape == (3, 59, summary["inputs"])
    assert problem.outputs == 2


def test_each_row_set_has_its_own_encoding() -> None:
    """Changing the rows that a row set holds out changes other row sets' inputs only."""
    frame = mixed(60)
    problem = read_table(frame, "ill", cv=3)
    held_out = problem.row_sets.held_out[0]
    doses = frame["dose"].to_numpy().copy()
    doses[held_out] *= 100
    changed = read_table(frame.with_columns(pl.Series("dose", doses)), "ill", cv=3)
    train = problem.row_sets.train[0]
    before, after = problem.dataset().inputs, changed.dataset().inputs
    np.testing.assert_array_equal(before[0][train], after[0][train])
    assert not np.array_equal(before[1][train], after[1][train])


def test_regression_targets_are_standardised_inside_the_row_set() -> None:
    """On its own training rows every row set's target has mean 0 and standard deviation 1; shift and scale undo it."""
    problem = read_table(mixed(60), "dose", cv=3)
    dataset = problem.dataset()
    for r, train in enumerate(problem.row_sets.train):
        assert abs(dataset.targets[r][train].mean()) < 1e-6
        assert abs(dataset.targets[r][train].std() - 1) < 1e-6
        back = dataset.shift[r] + dataset.scale[r] * dataset.targets[r]
        np.testing.assert_allclose(back, problem.target.values, rtol=1e-5)


WEIGHTS = np.random.default_rng(5).gamma(1.0, size=60)


@pytest.mark.parametrize("how", ["column", "array", "series", "frame"])
def test_weights_are_a_column_that_is_no_input(how: str) -> None:
    """Or an array beside the table: inputs are as without them, and losses are weighted by them."""
    frame, plain = mixed(60), read_table(mixed(60), "ill", cv=3)
    given = {
        "column": (frame.with_columns(pl.Series("worth", WEIGHTS)), "worth"),
        "array": (frame, WEIGHTS),
        "series": (frame, pd.Series(WEIGHTS)),
        "frame": (frame, WEIGHTS[:, None]),
    }
    table, weights = given[how]
    found = read_table(table, "ill", cv=3, sample_weight=weights)
    dataset, unweighted = found.dataset(), plain.dataset()
    np.testing.assert_array_equal(dataset.inputs, unweighted.inputs)
    np.testing.assert_allclose(dataset.weight, WEIGHTS / WEIGHTS.mean(), rtol=1e-6)
    for r, train in enumerate(found.row_sets.train):
        np.testing.assert_allclose(dataset.train_weight[r], WEIGHTS / WEIGHTS[train].mean(), rtol=1e-6)
    assert (unweighted.weight, unweighted.train_weight) == (None, None)
    assert found.summary()["sample_weight"] == ("worth" if how == "column" else "sample_weight")
    assert "worth" in {column.name for column in read_table(given["column"][0], "ill", cv=3).columns}


@pytest.mark.parametrize("kind", ["text", "numbers", "dates", "groups"])
def test_rows_are_called_by_a_column_that_is_no_input(kind: str) -> None:
    """As text, of the rows that have a target; inputs are bit for bit those without the column. It may be the group."""
    values = {
        "text": [f"patient {i}" for i in range(60)],
        "numbers": [1000 + i for i in range(60)],
        "dates": pd.date_range("2024-01-01", periods=60).date.tolist(),
        "groups": [i // 3 for i in range(60)],
    }[kind]
    plain = mixed(60).with_columns(pl.Series("ill", [None, *mixed(60)["ill"].to_list()[1:]]))
    table = plain.with_columns(pl.Series("who", values))
    options = {"groups": "who"} if kind == "groups" else {}
    found = read_table(table, "ill", cv=3, key="who", **options)
    assert found.keys is not None
    assert found.keys.to_list() == [str(value) for value in values[1:]]
    assert found.summary()["key"] == "who"
    without = read_table(table, "ill", cv=3, drop=() if options else "who", **options)
    np.testing.assert_array_equal(found.dataset().inputs, without.dataset().inputs)
    assert without.keys is None
    assert "key" not in without.summary()
    if not options:  # the break: an input, where it is not said to be a name
        assert "who" in {column.name for column in read_table(table, "ill", cv=3).columns if column.kind}


def test_a_wrong_key_is_refused() -> None:
    """A column that is not there, with one that is; and the target."""
    with pytest.raises(InputError, match=r"There is no column 'smoke' for 'key'.*'smoker'"):
        read_table(mixed(60), "ill", cv=3, key="smoke")
    with pytest.raises(InputError, match="cannot be both the target and the 'key'"):
        read_table(mixed(60), "ill", cv=3, key="ill")


def test_weights_of_rows_without_a_target() -> None:
    """They are left out with these, whatever they are; of the others a wrong one is named by its row in the table."""
    frame = mixed(60).with_columns(pl.Series("ill", [None, None, *mixed(60)["ill"].to_list()[2:]]))
    weights = WEIGHTS.copy()
    weights[0] = np.nan
    found = read_table(frame, "ill", cv=3, sample_weight=weights)
    np.testing.assert_allclose(found.weight, WEIGHTS[2:] / WEIGHTS[2:].mean())
    weights[7] = np.nan
    with pytest.raises(InputError, match="data row 8 has none"):
        read_table(frame, "ill", cv=3, sample_weight=weights)


def test_weighted_targets_are_standardised_by_weight() -> None:
    """On its own training rows every row set's target has the weighted mean 0 and standard deviation 1."""
    weights = np.where(np.arange(60) % 4 == 0, 0, WEIGHTS)
    found = read_table(mixed(60), "dose", cv=3, sample_weight=weights)
    dataset = found.dataset()
    for r, train in enumerate(found.row_sets.train):
        mine, values = weights[train], dataset.targets[r][train].astype(float)
        assert abs(np.average(values, weights=mine)) < 1e-6
        assert abs(np.average(values**2, weights=mine) - 1) < 1e-6
        assert abs(values.mean()) > 1e-3  # so that without weights it would be seen
        back = dataset.shift[r] + dataset.scale[r] * dataset.targets[r]
        np.testing.assert_allclose(back, found.target.values, rtol=1e-5)


@pytest.mark.parametrize("target", ["ill", "dose"])
def test_the_constant_loss_is_weighted(target: str) -> None:
    """It is that of weighted shares of the classes, or of the weighted mean; a shuffled target keeps its weights."""
    problem = DenseOnTable(read_table(mixed(60), target, cv=3, sample_weight=WEIGHTS), (4,))
    values = problem.table.target.values
    if target == "ill":
        shares = [WEIGHTS[values == c].sum() / WEIGHTS.sum() for c in (0, 1)]
        expected = metrics.log_loss(values, np.tile(shares, (60, 1)), sample_weight=WEIGHTS)
    else:
        mean = np.full(60, np.average(values, weights=WEIGHTS))
        expected = metrics.mean_squared_error(values, mean, sample_weight=WEIGHTS)
    assert problem.constant_loss == pytest.approx(expected, rel=1e-12)
    assert problem.shuffled(0).constant_loss == pytest.approx(expected, rel=1e-12)
    plain = DenseOnTable(read_table(mixed(60), target, cv=3), (4,))
    assert abs(plain.constant_loss - expected) > 1e-4
    np.testing.assert_array_equal(problem.shuffled(0).table.target.values, plain.shuffled(0).table.target.values)


def test_row_sets_are_checked_for_weight() -> None:
    """Folds, and other row sets later on (fewer rows of a learning curve), that would train or measure on nothing."""
    weights = np.zeros(60)
    weights[[1, 2]] = 1
    halves = [(np.arange(20, 60), np.arange(20)), (np.arange(20), np.arange(20, 60))]
    with pytest.raises(InputError, match="would train on nothing, for all its training rows weigh 0"):
        read_table(mixed(60), "dose", cv=halves, sample_weight=weights)
    with pytest.raises(InputError, match="would be measured on nothing, for all rows that it holds out weigh 0"):
        read_table(mixed(60), "dose", cv=[(np.arange(20), np.arange(20, 60))], sample_weight=weights)
    found = read_table(mixed(60), "dose", cv=halves[::-1], sample_weight=np.where(np.arange(60) == 30, 1, weights))
    with pytest.raises(InputError, match="would train on nothing"):
        found.on(RowSets((np.arange(3, 9, dtype=np.int32),), (np.arange(20, 60, dtype=np.int32),), 60))
    assert found.on(on_all_rows(60, 1)).row_sets.count == 1


def test_a_refit_uses_every_row() -> None:
    """On row sets that train on all rows there is one encoding, however many networks take it."""
    whole = read_table(mixed(60), "ill", cv=3).on(on_all_rows(60, 2))
    assert [len(rows) for rows in whole.row_sets.train] == [60, 60]
    assert whole.encodings[0] is whole.encodings[1]
    assert whole.dataset().inputs.shape[:2] == (2, 60)


def test_groups_and_time_are_no_features() -> None:
    """The columns that make the row sets are not learned from."""
    filled = mixed(60).with_columns(pl.col("city").fill_null("elsewhere"))
    by_group = read_table(filled, "ill", cv=3, groups="city")
    by_time = read_table(mixed(60), "ill", cv=3, time="visit")
    assert "city" not in [column.name for column in by_group.columns]
    assert "visit" not in [column.name for column in by_time.columns]


def test_arrays_are_tables_too() -> None:
    """An array with a target array beside it gives the same problem as the named columns."""
    frame = mixed(60).select("dose", "smoker", "ill")
    named = read_table(frame, "ill", cv=3).dataset()
    array = frame.select("dose", pl.col("smoker").cast(pl.Float64)).to_numpy()
    plain = read_table(array, frame["ill"].to_numpy(), cv=3).dataset()
    np.testing.assert_array_equal(named.inputs, plain.inputs)
    np.testing.assert_array_equal(named.targets, plain.targets)


COLUMN = mixed(60).select("ill")
ONE_COLUMN = {
    "array": COLUMN.to_numpy(),
    "polars": COLUMN,
    "pandas": pd.DataFrame({"ill": COLUMN["ill"].to_list()}),
    "arrow": COLUMN.to_arrow(),
}


@pytest.mark.parametrize("target", ONE_COLUMN.values(), ids=ONE_COLUMN)
def test_a_target_of_one_column(target: object) -> None:
    """A frame of one column or an array [n, 1] is the target that its values are."""
    frame = mixed(60)
    problem = read_table(frame.drop("ill"), target, cv=3)
    expected = read_table(frame, "ill", cv=3).target
    assert problem.target.classes == expected.classes
    np.testing.assert_array_equal(problem.target.values, expected.values)


def unlabelled(bad: dict[int, dict[str, object]]) -> pl.DataFrame:
    """40 rows, the first 10 and every third without a target, with some values (by row, from 0) exchanged."""
    records = [
        {"x": 0.1 * i, "text": f"{i}.5", "g": f"group {i % 6}", "t": float(i), "y": 0.3 * i + i % 4 if i % 3 else None}
        for i in range(40)
    ]
    for i, record in enumerate(records):
        record.update({"y": None} if i < 10 else {})
        record.update(bad.get(i, {}))
    return pl.DataFrame(records, infer_schema_length=None, strict=False)


BAD_ROWS = {
    "number": ({30: {"y": 1.5, "x": float("inf")}}, {}, "Column 'x' holds an infinite value in data row 31:"),
    "text": ({31: {"text": "inf"}}, {}, "Column 'text' holds an infinite value in data row 32:"),
    "group": ({31: {"g": None}, 34: {"g": None}}, {"groups": "g"}, "has 2 missing values, first in data row 32:"),
    "no time": ({10: {"t": None}}, {"time": "t"}, "has 1 missing value, first in data row 11:"),
    "infinite time": ({31: {"t": float("inf")}}, {"time": "t"}, "infinite value in data row 32:"),
}


@pytest.mark.parametrize(("bad", "options", "sentence"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_rows_are_numbered_as_in_the_table(bad: dict, options: dict, sentence: str) -> None:
    """Rows without a target are not trained on, but they count where a message names a row."""
    with pytest.raises(InputError, match=sentence):
        read_table(unlabelled(bad), "y", cv=3, **options)


@pytest.mark.parametrize("options", [{}, {"groups": "g"}, {"time": "t"}], ids=str)
def test_rows_without_a_target_may_hold_anything(options: dict) -> None:
    """What rows without a target hold changes nothing and is no error."""
    bad = {"x": float("inf"), "text": "inf", "g": None, "t": None}
    clean = read_table(unlabelled({}), "y", cv=3, **options)
    dirty = read_table(unlabelled({0: bad, 5: bad, 30: bad}), "y", cv=3, **options)
    assert clean.columns == dirty.columns
    np.testing.assert_array_equal(clean.dataset().inputs, dirty.dataset().inputs)


@pytest.mark.parametrize("argument", ["groups", "time"])
def test_groups_and_time_are_names(argument: str) -> None:
    """Values where the name of a column is expected are an error of type."""
    options: dict[str, Any] = {argument: np.arange(60)}
    with pytest.raises(InputTypeError, match=rf"'{argument}' must be the name of a column\. Got ndarray\."):
        read_table(mixed(60), "ill", **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": None}, "A target is needed"),
        ({"target": np.zeros(7)}, "one value for each of the 60 rows. Got 7 values"),
        ({"target": 3}, "Got int"),
        ({"target": np.array(3)}, "Got ndarray"),
        ({"target": np.zeros((60, 2))}, "'target_1' has the same value, '0', in every row"),
        ({"target": np.zeros((60, 1, 1))}, r"must be one column. Got ndarray of shape \(60, 1, 1\)"),
        ({"target": mixed(60)}, "The target 'visit_' must hold classes or numbers. It holds dates"),
        ({"target": "ill", "groups": "town"}, "no column 'town' for 'groups'. The columns are 'age'"),
        ({"target": "ill", "groups": "City"}, "no column 'City' for 'groups'. Did you mean 'city'"),
        ({"target": "ill", "time": "ill"}, "cannot be both"),
        ({"target": "ill", "sample_weight": "weight"}, "no column 'weight' for 'sample_weight'"),
        ({"target": "ill", "sample_weight": "ill"}, "cannot be both the target and the 'sample_weight'"),
        ({"target": "ill", "sample_weight": "visit"}, "'visit' must hold numbers"),
        ({"target": "ill", "sample_weight": "age"}, "must be a number in every row"),
        ({"target": "ill", "sample_weight": np.ones(7)}, "'sample_weight' must have one value for each of the 60 rows"),
        ({"target": "ill", "sample_weight": 2.0}, "'sample_weight' must have one value.*Got float"),
        ({"target": "ill", "sample_weight": np.ones((60, 2))}, "'sample_weight' must be one column"),
        ({"target": "ill", "sample_weight": "dose", "drop": "dose"}, "is the sample_weight and cannot be left out"),
        ({"target": "dose", "class_weight": "balanced"}, "'class_weight' needs classes"),
        ({"target": "ill", "class_weight": {"maybe": 2}}, "has the classes 'no', 'yes'"),
    ],
)
def test_wrong_arguments(options: dict, sentence: str) -> None:
    """Each wrong argument gets its sentence."""
    with pytest.raises(InputError, match=sentence):
        read_table(mixed(60), **options)


def test_nothing_to_learn_from() -> None:
    """A table whose columns are all set aside is refused, with the reasons."""
    frame = pl.DataFrame({"constant": [1.0] * 20, "y": ["a", "b"] * 10})
    with pytest.raises(InputError, match=r"No column is left to learn from.*'constant'"):
        read_table(frame, "y", cv=3)


def test_the_target_among_the_features_teaches_nothing() -> None:
    """`tune(df, df["y"])` with y still in df has the inputs of the table without it."""
    frame = mixed(60)
    problem = read_table(frame, frame["ill"], cv=3)
    assert problem.summary()["set_aside"] == {"ill": "it is the target once more"}
    np.testing.assert_array_equal(problem.dataset().inputs, read_table(frame, "ill", cv=3).dataset().inputs)
    numbers = read_table(frame, frame["dose"].cast(pl.Float32), cv=3)
    assert numbers.summary()["set_aside"] == {"dose": "it is the target once more"}


def test_the_target_in_other_words_is_a_warning() -> None:
    """A column that determines the target is named in a warning and stays."""
    frame = mixed(60).with_columns(well=pl.col("ill") == "no")
    with pytest.warns(FitwellWarning, match=r"The target 'ill' is determined one to one by 'well': .* drop=\['well'\]"):
        problem = read_table(frame, "ill", cv=3)
    assert problem.summary()["remarks"] == {"well": "it determines the target one to one"}
    assert read_table(frame, "ill", cv=3, drop=["well"]).summary()["remarks"] == {}


def test_columns_are_left_out() -> None:
    """What is left out is not looked at, is known by name, and changes nothing else."""
    frame = mixed(60)
    worse = frame.with_columns(pl.Series("dose", [float("inf"), *frame["dose"][1:]]))
    problem = read_table(worse, "ill", cv=3, drop="dose")
    assert problem.summary()["set_aside"] == {"dose": "left out, as you asked"}
    np.testing.assert_array_equal(
        problem.dataset().inputs, read_table(frame.drop("dose"), "ill", cv=3).dataset().inputs
    )
    with pytest.raises(InputError, match="infinite"):
        read_table(worse, "ill", cv=3)


def seconds(work: Callable[[], Any]) -> float:
    """The least time of this thread's own that the work takes."""
    times = []
    for _ in range(3):
        start = thread_time()
        work()
        times.append(thread_time() - start)
    return min(times)


def test_wide_tables_are_read_in_linear_time() -> None:
    """Eight times the columns take about eight times as long, at the door and for one new row, not sixty-four times."""

    def door(width: int) -> float:
        table = pl.DataFrame({f"gene {i}": [0.5] for i in range(width)})
        return seconds(lambda: as_frame(table))

    def one_row(width: int) -> float:
        table = pl.DataFrame({f"gene {i}": [0.5] for i in range(width)})
        columns = [Column(name, "numeric") for name in table.columns]
        return seconds(lambda: extract(table, columns))

    assert door(4000) < 24 * door(500)
    assert one_row(4000) < 24 * one_row(500)

    def quadratic(width: int) -> float:  # the break: a frame that is asked for its names by each column
        table = pl.DataFrame({f"gene {i}": [0.5] for i in range(width)})
        return seconds(lambda: [name in table.columns for name in list(table.columns)])

    assert quadratic(1600) > 24 * quadratic(200)


def test_the_marks_of_missing_values_are_those_of_training(tmp_path: Path) -> None:
    """A frame and a CSV file of the same rows are one table, with the usual marks and with named ones."""
    frame = pl.DataFrame(
        {"a": ["NA", "x", "None", "y"] * 10, "b": [float(row % 7) for row in range(40)], "y": ["p", "q"] * 20}
    )
    frame.write_csv(tmp_path / "t.csv")
    for missing in (None, ["y"]):
        one, two = (read_table(table, "y", cv=2, missing=missing) for table in (frame, tmp_path / "t.csv"))
        np.testing.assert_array_equal(one.raw.codes, two.raw.codes)
        assert (
            one.columns[0].levels == two.columns[0].levels == (("x", "y") if missing is None else ("NA", "None", "x"))
        )
        assert one.missing == two.missing


def test_a_typo_among_numbers_is_missing_and_said() -> None:
    """One of 200 values is said by column, row and text; as the target it is refused with the same facts."""
    prices = [f"${1000 + 3 * row:,}.50" for row in range(200)]
    prices[16] = "12oo"
    frame = pl.DataFrame({"price": prices, "b": [float(row % 7) for row in range(200)], "y": ["p", "q"] * 100})
    with pytest.warns(
        FitwellWarning, match=r"'price' holds numbers in 199 of 200 values, but data row 17 holds '12oo'"
    ):
        read = read_table(frame, "y", cv=2)
    assert read.columns[0].kind == "numeric"
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(read.raw.numbers[:, 0])), [16])
    assert read.raw.numbers[1, 0] == 1003.5
    with pytest.raises(InputError, match=r"'price' holds them in 199 of 200 values, but '12oo' in data row 17"):
        read_table(frame, "price", cv=2)


def test_a_day_that_is_none_is_missing_and_said() -> None:
    """30 February among good days is missing, by column, row and text."""
    days = [f"2020-{1 + row % 12:02d}-{1 + row % 27:02d}" for row in range(100)]
    days[7] = "2020-02-30"
    frame = pl.DataFrame({"day": days, "b": [float(row % 7) for row in range(100)], "y": ["p", "q"] * 50})
    with pytest.warns(FitwellWarning, match="'day' holds dates in 99 of 100 values, but data row 8 holds '2020-02-30'"):
        read = read_table(frame, "y", cv=2)
    assert read.columns[0].kind == "date"
    assert np.flatnonzero(np.isnan(read.raw.numbers[:, 0])).tolist() == [7]


PAIR = pl.DataFrame(
    {"x": np.arange(40.0), "y": np.arange(40) % 7, "a": np.sin(np.arange(40)), "b": np.cos(np.arange(40))}
)
BESIDE = {
    "array": (PAIR.select("a", "b").to_numpy(), ("target_1", "target_2")),
    "polars": (PAIR.select("a", "b"), ("a", "b")),
    "pandas": (pd.DataFrame({name: PAIR[name].to_list() for name in ("a", "b")}), ("a", "b")),
    "arrow": (PAIR.select("a", "b").to_arrow(), ("a", "b")),
}


@pytest.mark.parametrize(("beside", "names"), BESIDE.values(), ids=BESIDE)
def test_several_targets_beside_the_table(beside: Any, names: tuple[str, ...]) -> None:
    """They are what the named columns are; where a column of the table is called so, too, it stays an input."""
    named = read_table(PAIR, ["a", "b"], cv=3)
    for inputs in (PAIR.select("x", "y"), PAIR.select("x", pl.col("y").alias(names[1]))):
        found = read_table(inputs, beside, cv=3)
        np.testing.assert_array_equal(found.dataset().targets, named.dataset().targets)
        np.testing.assert_array_equal(found.dataset().inputs, named.dataset().inputs)
        assert found.target.names == (names[0], names[1] + "_" * (names[1] in inputs.columns))


def test_a_list_of_labels_is_no_list_of_columns() -> None:
    """A label for each row, of which one is a column's name, stays a target."""
    labels = ["a", "other"] * 20
    assert read_table(PAIR, labels, cv=3).target.classes == ("a", "other")


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        (["a", "c"], {}, "no column named 'c' to predict"),
        (["a", "a"], {}, "A column can be predicted once"),
        (["a", "b"], {"drop": "b"}, "The column 'b' is the target 'b' and cannot be left out"),
        (["a", "b"], {"groups": "b"}, "'b' cannot be both the target and the 'groups'"),
        (["a", "b"], {"class_weight": "balanced"}, "'class_weight' needs classes"),
        (np.ones((39, 2)), {}, "one value for each of the 40 rows"),
    ],
)
def test_wrong_targets(target: Any, options: dict[str, Any], sentence: str) -> None:
    """A sentence for each."""
    with pytest.raises(InputError, match=sentence):
        read_table(PAIR, target, cv=3, **options)


def test_labels_have_no_weights_of_classes() -> None:
    """Which class would it be of."""
    labels = np.random.default_rng(0).integers(0, 2, (40, 2))
    with pytest.raises(InputError, match="there are 2 with labels: leave it out, or give a 'sample_weight'"):
        read_table(PAIR, labels, cv=3, class_weight="balanced")

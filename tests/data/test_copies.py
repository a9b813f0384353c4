"""Columns in which the target stands once more: which are found, and which only look like it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fitwell.data.columns import describe_columns, extract
from fitwell.data.copies import COPY, ONE_TO_ONE, mark_copies
from fitwell.data.target import read_target, read_targets

RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.integers(0, 3, 60)
FLAGS = RANDOM.integers(0, 2, 60)
NUMBERS = RANDOM.normal(50, 20, 60).round(2)


def reason(column: Any, target: Any, task: str | None = None) -> str:
    """What is said of a column beside a target (and beside another column)."""
    frame = pl.DataFrame({"other": np.linspace(0.5, 1, len(target)), "c": column, "y": target}, strict=False)
    read, rows = read_target(frame, "y", task)
    frame = frame[rows.tolist()]
    columns = describe_columns(frame, without=["y"])
    marked = mark_copies(columns, extract(frame, columns), read)
    assert marked[0] == columns[0]
    assert (marked[1].kind == "set aside") == (marked[1].reason == COPY)
    return marked[1].reason


def words(values: Any, *names: str) -> list[str]:
    """The names that stand for 0, 1, ..."""
    return [names[value] for value in values]


@pytest.mark.parametrize(
    ("column", "target"),
    [
        (CLASSES, CLASSES),
        (CLASSES.astype(str), CLASSES),
        (CLASSES.astype(float), words(CLASSES, "0", "1", "2")),
        (words(FLAGS, "yes", "no"), words(FLAGS, "yes", "no")),
        (words(FLAGS, "Yes", "No"), words(FLAGS, " yes", "no")),
        (FLAGS.astype(bool), FLAGS),
        (FLAGS, words(FLAGS, "FALSE", "True")),
        ([None, *words(FLAGS, "yes", "no")[1:]], words(FLAGS, "yes", "no")),
        (NUMBERS, NUMBERS),
        (NUMBERS.astype(np.float32), NUMBERS),
        (NUMBERS.astype(str), NUMBERS),
        ([None, *NUMBERS[1:]], NUMBERS),
        (NUMBERS, [*NUMBERS[:-1], None]),
    ],
)
def test_the_target_in_any_spelling_is_set_aside(column: Any, target: Any) -> None:
    """A column that equals the target is no feature, whatever its type, its spelling and its gaps."""
    assert reason(column, target) == COPY


@pytest.mark.parametrize(
    ("column", "target"),
    [
        (words(CLASSES, "low", "middle", "high"), CLASSES),
        (2 - CLASSES, CLASSES),
        (words(FLAGS, "dead", "alive"), FLAGS),
        ([None if flag else "left" for flag in FLAGS], FLAGS),
        (NUMBERS * 1.8 + 32, NUMBERS),
        ((NUMBERS * 1.8 + 32).round(1), NUMBERS),
        (-NUMBERS, NUMBERS),
        (NUMBERS * 1e300, NUMBERS),
        (np.log(NUMBERS), NUMBERS),
    ],
)
def test_the_target_in_other_words_is_said(column: Any, target: Any) -> None:
    """A column whose values go with those of the target one to one says so, and stays a feature."""
    assert reason(column, target) == ONE_TO_ONE


def test_few_values_of_a_number_in_words() -> None:
    """Regression on marks: their names determine them."""
    assert reason(words(CLASSES, "low", "middle", "high"), CLASSES, "regression") == ONE_TO_ONE


@pytest.mark.parametrize(
    ("column", "target"),
    [
        # one row differs
        ([*CLASSES[:-1], (CLASSES[-1] + 1) % 3], CLASSES),
        (words([*FLAGS[:-1], 1 - FLAGS[-1]], "yes", "no"), FLAGS),
        ([*NUMBERS[:-1], 0.0], NUMBERS),
        # finer and coarser than the target
        (CLASSES > 0, CLASSES),
        (CLASSES, CLASSES > 0),
        (NUMBERS > 50, NUMBERS),
        # a good feature
        (NUMBERS + RANDOM.normal(0, 1, 60).round(2), NUMBERS),
        # mostly gaps
        ([None] * 40 + CLASSES[40:].tolist(), CLASSES),
    ],
)
def test_a_good_feature_is_no_copy(column: Any, target: Any) -> None:
    """What tells much about the target, but not all of it, is left alone."""
    assert reason(column, target) == ""


def test_few_rows_agree_by_accident() -> None:
    """Among many columns of few rows some agree with the target by accident: nothing is said of those."""
    assert reason([0, 0, 1, 1, 0, 1], [0, 0, 1, 1, 0, 1]) == ""
    assert reason([0, 0, 1, 1, 0, 1] * 4, [0, 0, 1, 1, 0, 1] * 4) == COPY


def test_the_rows_beyond_the_first_glance_count() -> None:
    """In long tables a difference in one row is seen as well."""
    target = RANDOM.normal(size=5000)
    for place in (7, 2501, 4999):
        other = np.exp(target)
        assert reason(other, target) == ONE_TO_ONE
        other[place] = 2.0
        assert reason(other, target) == ""
        flags = (target > 0).tolist()
        named = ["a" if flag else "b" for flag in flags]
        assert reason(named, flags) == ONE_TO_ONE
        named[place] = "b" if named[place] == "a" else "a"
        assert reason(named, flags) == ""


def test_a_remark_is_kept() -> None:
    """What was worth knowing of a column before still is."""
    assert reason([f"{-number:.2f}" for number in NUMBERS], NUMBERS) == f"numbers written as text; {ONE_TO_ONE}"


def test_a_copy_of_any_of_several_targets() -> None:
    """It is set aside whichever it copies, and what determines one says so; what tells neither is kept."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 50))
    frame = pl.DataFrame({"a": a, "b": b, "once more": b, "in other units": 2 * a + 1, "x": random.normal(size=50)})
    target, _ = read_targets(frame, ["a", "b"])
    columns = describe_columns(frame, without={"a", "b"})
    found = {one.name: one for one in mark_copies(columns, extract(frame, columns), target)}
    assert found["once more"].kind == "set aside"
    assert found["in other units"].reason == ONE_TO_ONE
    assert found["x"].reason == ""

"""Which columns networks use: read off norms that are written out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl

from fitwell.analysis.inputs_used import (
    CHANCE_OF_NEEDED,
    COUNTED_WEIGHT,
    inputs_used_of,
    used_and_weights,
    with_chances,
)

NAMES = ("late", "early", "never")
# of three strengths, in two row sets
NORMS = np.array(
    [
        [[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]],
        [[0.1, 1.0, 0.0], [0.3, 1.0, 0.0]],
        [[0.0, 0.5, 0.0], [0.01, 0.5, 0.0]],
    ]
)
VALUES = np.array([0.0, 0.1, 0.3])


def test_a_column_enters_where_most_networks_use_it() -> None:
    """By a fifth of the heaviest in half of the row sets; the first to enter come first, those that never do last."""
    found = inputs_used_of(NAMES, NORMS, VALUES, [0, 1, 2], 1).columns
    assert found["column"].to_list() == ["early", "late", "never"]
    assert found["enters"].to_list() == [0.3, 0.1, None]
    assert found["used_in"].to_list() == [1.0, 0.5, 0.0]
    np.testing.assert_allclose(found["weight"], [1.0, 0.2, 0.0])
    # a strength that has not learned says nothing, and the order of the numbers is none of the strengths
    fewer = inputs_used_of(NAMES, NORMS[::-1], VALUES[::-1], [1, 2], 1).columns
    assert fewer["enters"].to_list() == [0.1, 0.1, None]


def test_paths_are_in_the_order_of_strengths() -> None:
    """A row for every column at every strength that learned; none where none did."""
    found = inputs_used_of(NAMES, NORMS[[2, 0, 1]], VALUES[[2, 0, 1]], [0, 1, 2], 0).paths
    assert found["value"].to_list() == [0.0] * 3 + [0.1] * 3 + [0.3] * 3
    assert found["strength"].to_list() == [1] * 3 + [2] * 3 + [0] * 3
    late = found.filter(pl.col("column") == "late")
    np.testing.assert_allclose(late["weight"], [0.5, 0.2, 0.01])
    nothing = inputs_used_of(NAMES, NORMS, VALUES, [], 0)
    assert nothing.paths.height == 0
    assert nothing.paths.schema == found.schema
    assert nothing.columns["enters"].null_count() == 3


def test_networks_that_use_nothing() -> None:
    """No column is the heaviest, and none counts."""
    used, weights = used_and_weights(np.zeros((2, 3)))
    assert used.tolist() == weights.tolist() == [0, 0, 0]
    used, _ = used_and_weights(np.array([[1.0, COUNTED_WEIGHT, 0.99 * COUNTED_WEIGHT]]))
    assert used.tolist() == [1, 1, 0]


def test_needed_is_by_chance_alone() -> None:
    """Below the bar, whatever the weight; a column of which nothing is known is not said to be needed."""
    columns = pl.DataFrame({"column": ["a", "b", "c"], "weight": [0.0, 1.0, 1.0]})
    chances = pl.DataFrame(
        {"column": ["b", "a"], "chance": [CHANCE_OF_NEEDED, 0.9 * CHANCE_OF_NEEDED], "increase": [1.0, 1.0]}
    )
    found = with_chances(columns, chances)
    assert found["needed"].to_list() == [True, False, None]
    assert found.columns == ["column", "weight", "chance", "needed"]

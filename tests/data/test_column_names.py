"""Names of columns: which are meant, and what is said of those that are not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitwell.data.column_names import column_hint, names_to_drop
from fitwell.errors import InputError, InputTypeError

COLUMNS = ("age", "City", "y")
NEEDED = {"target": "y", "groups": None}


@pytest.mark.parametrize(
    ("drop", "names"),
    [
        ("age", {"age"}),
        (["age", "City"], {"age", "City"}),
        (np.array(["age"]), {"age"}),
        ((), set()),
        (None, set()),
    ],
)
def test_names_are_found(drop: Any, names: set[str]) -> None:
    """One name, several, and none are the columns they name."""
    assert names_to_drop(drop, COLUMNS, NEEDED) == names


@pytest.mark.parametrize(
    ("drop", "error", "sentence"),
    [
        (["agee"], InputError, r"no column 'agee' to leave out \('drop'\)\. Did you mean 'age'"),
        ("y", InputError, r"'y' is the target and cannot be left out"),
        (3, InputTypeError, "must be names of columns.*Got 3"),
        (["age", 1], InputTypeError, "must be names of columns.*Got 1 among them"),
    ],
)
def test_wrong_names_get_a_sentence(drop: Any, error: type[Exception], sentence: str) -> None:
    """What is not there, or needed, or no name, is refused by its name."""
    with pytest.raises(error, match=sentence):
        names_to_drop(drop, COLUMNS, NEEDED)


def test_the_nearest_name_is_shown() -> None:
    """A misspelt name gets the nearest, capitals aside; one like none the first columns."""
    assert column_hint("ages", COLUMNS) == "Did you mean 'age'?"
    assert column_hint("AGE ", COLUMNS) == "Did you mean 'age'?"
    assert column_hint("xyz", COLUMNS) == "The columns are 'age', 'City', 'y'."
    assert column_hint("xyz", [f"c{i}" for i in range(99)]).endswith("'c9', ....")

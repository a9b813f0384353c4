"""Settings and data of a search: what is refused, and how large the data are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fitwell.data.row_sets import RowSets
from fitwell.engine.job import Dataset, Settings, paced
from fitwell.engine.stopping import Stopping
from fitwell.errors import InputError


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"epochs": 0}, "'epochs' must be at least 1. Got 0."),
        ({"call_epochs": 0}, "'call_epochs' must be at least 1. Got 0."),
        ({"batch_size": 0}, "'batch_size' must be at least 1. Got 0."),
        ({"seed": -1}, "'seed' must lie in [0, 4294967296). Got -1."),
        ({"seed": 2**32}, "'seed' must lie in [0, 4294967296). Got 4294967296."),
    ],
    ids=str,
)
def test_bad_settings_are_refused(wrong: dict[str, int], sentence: str) -> None:
    """Settings that cannot be are refused in a sentence, before anything is compiled."""
    with pytest.raises(InputError) as caught:
        Settings(**wrong)
    assert str(caught.value) == sentence


def test_the_size_of_the_data(problem: Callable[..., Any], seed: int) -> None:
    """Row sets with data of their own count every copy; rows are those of the table either way."""
    own, shared = problem(seed).dataset, problem(seed, own=False).dataset
    assert own.bytes == 3 * shared.bytes
    assert own.rows == shared.rows == 41
    tree = Dataset({"a": np.zeros((5, 2)), "b": np.zeros((5, 3))}, np.zeros(5), False, np.zeros(1), np.ones(1))
    assert tree.bytes == 8 * (5 * 2 + 5 * 3 + 5)


def test_decisions_keep_pace_with_the_steps_of_an_epoch() -> None:
    """By the largest row set and its batches; where there are no rungs nothing changes."""
    rows = np.arange(4096, dtype=np.int32)
    sets = RowSets((rows[:100], rows[:4000]), (rows[4000:],) * 2, 4096)
    slow, quick = Settings(batch_size=500), Settings(batch_size=100)
    assert paced(slow, sets) == slow
    found = paced(quick, sets)
    assert found.stopping == Stopping(rungs=(4, 8, 12, 18, 24))
    assert found.call_epochs == 2
    assert found.epochs == quick.epochs
    for stopping in (None, Stopping(rungs=())):
        settings = Settings(batch_size=100, stopping=stopping)
        assert paced(settings, sets) == settings

"""The options of a search: what is said once, and who leaves when."""

from __future__ import annotations

import numpy as np
import pytest

from fitwell.engine.stopping import Stopping
from fitwell.errors import InputError, InputTypeError
from fitwell.problems.options import Options, hidden_units, regularizer_list
from fitwell.regularization.table import BUILT_IN


def test_the_network_as_given_trains_to_the_end() -> None:
    """Only the rules of stopping change when a diagnosis asks for all epochs."""
    assert Options(patience=7).stopping == Stopping(patience=7)
    assert Options(patience=7, to_the_end=True).stopping == Stopping(patience=7, to_the_end=True)
    assert Options(patience=7, to_the_end=True).settings().stopping == Stopping(patience=7, to_the_end=True)


def test_nobody_is_cut_without_pruning() -> None:
    """Then strengths leave when they stop improving, and for no other reason."""
    assert Options(pruning="none", patience=7).stopping == Stopping(patience=7, rungs=())
    with pytest.raises(InputError, match="'pruning' must be 'early' or 'none'"):
        Options(pruning="soon")


def test_one_regularizer_need_not_stand_in_a_list() -> None:
    """A single name and a list of it are the same."""
    l2 = BUILT_IN["l2"]
    assert regularizer_list("l2") == regularizer_list(["l2"]) == regularizer_list(l2) == regularizer_list([l2]) == (l2,)


@pytest.mark.parametrize("hidden", [0, -3, 1.5, "8", [8, 0], [8, None]])
def test_hidden_layers_that_are_none(hidden: object) -> None:
    """Units must be whole numbers of at least 1."""
    with pytest.raises(InputError, match="'hidden' must be whole numbers of at least 1"):
        hidden_units(hidden)  # type: ignore[arg-type]
    assert hidden_units(8) == (8,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refit": "both"}, "'refit' must be 'ensemble' or 'single'. Got 'both'"),
        ({"refit": None}, "'refit' must be 'ensemble' or 'single'. Got None"),
        ({"regularizers": ()}, "'regularizers' must name at least one of"),
        ({"batch_size": 0}, "'batch_size' must be a whole number of at least 1. Got 0"),
        ({"schedule": "falling"}, "'schedule' must be 'constant', 'cosine' or 'cooldown'. Got 'falling'"),
        ({"schedule": None}, "'schedule' must be 'constant', 'cosine' or 'cooldown'. Got None"),
        ({"seed": -1}, "'seed' must be a whole number of at least 0. Got -1"),
    ],
)
def test_options_that_are_refused(options: dict[str, object], message: str) -> None:
    """What cannot be is refused by name, before anything is read."""
    with pytest.raises(InputError, match=message):
        Options(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, "strong", [1, 2], True, -1, float("nan"), 10**400, 2j, {"hidden_1": None}])
def test_strengths_that_are_no_numbers(wrong: object) -> None:
    """A setting with what is no strength is refused before anything is read, by every kind of problem alike."""
    with pytest.raises(InputError, match="The 'l2' strength must be finite and at least 0"):
        Options(strengths=[{"l2": 0.1}, {"l2": wrong}])  # type: ignore[dict-item]
    Options(strengths=[{"l2": np.float32(0.1)}, {"l2": {"hidden_1": 1}}])  # type: ignore[dict-item]


@pytest.mark.parametrize("wrong", ["fast", True, [0.1], 0, -1, float("inf")])
def test_learning_rates_that_are_none(wrong: object) -> None:
    """A learning rate is a finite number above 0, whether strengths are drawn or given."""
    for strengths in (8, [{"l2": 0.1}]):
        with pytest.raises(InputError, match="'learning_rate' must be a finite number above 0"):
            Options(strengths=strengths, learning_rate=wrong)  # type: ignore[arg-type]
    Options(learning_rate=np.float32(0.1))  # type: ignore[arg-type]


def test_regularizers_are_names() -> None:
    """Nothing, in place of names, is an error of type."""
    with pytest.raises(InputTypeError, match="'regularizers' must be names"):
        regularizer_list(None)  # type: ignore[arg-type]

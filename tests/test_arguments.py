"""Whole numbers as people pass them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from example_tables import QUICK, mixed

from fitwell.api.diagnose import diagnose
from fitwell.api.tune import tune
from fitwell.arguments import is_whole, seconds_in, whole_number
from fitwell.data.row_sets import folds
from fitwell.errors import FitwellError, InputError
from fitwell.problems.options import WHOLE, Options, hidden_units, make_options
from fitwell.regularization.grids import sobol
from fitwell.results.result import Result

KINDS = (int, np.int64, np.int32)
ARGUMENTS = {
    "strengths": 4, "cv": 3, "repeats": 1, "hidden": 8, "epochs": 4, "batch_size": 16, "patience": 3, "refit_seeds": 2,
    "seed": 5, "memory": 2**31 - 1, "devices": 2, "verbose": 1,
}  # fmt: skip
"""Every argument of `tune` that is a whole number."""


@pytest.mark.parametrize("kind", [*KINDS, np.uint8])
def test_whole_numbers_of_every_kind(kind: type) -> None:
    """A whole number of NumPy is one, and becomes Python's own."""
    assert is_whole(kind(3))
    assert type(whole_number("epochs", kind(3))) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, np.float64(3), "3", None, [3]])
def test_what_is_no_whole_number(value: Any) -> None:
    """Truth values, floats and text are none, and are refused by the argument's name."""
    assert not is_whole(value)
    with pytest.raises(InputError, match=r"'epochs' must be a whole number of at least 1\. Got "):
        whole_number("epochs", value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(90, 90), (np.float32(0.5), 0.5), ("90s", 90), (" 2 M ", 120), ("1h30min", 5400), ("1h 1m 1s", 3661)],
)
def test_durations(value: Any, seconds: float) -> None:
    """Numbers are seconds, and texts may say hours, minutes and seconds."""
    assert seconds_in("time_budget", value) == seconds


@pytest.mark.parametrize("value", [0, -1, "", "90", "0s", "5 days", "1h and 2m", "-5s", np.inf, True, None, [90]])
def test_what_is_no_duration(value: Any) -> None:
    """A text without a unit might mean anything, and no time is no budget."""
    with pytest.raises(
        InputError, match=r"'time_budget' must be a time above 0, such as '90s', '5m' or '1h 30m'\. Got"
    ):
        seconds_in("time_budget", value)


def test_the_least_number() -> None:
    """One less than the least is refused, the least is not."""
    assert whole_number("seed", np.int32(0), least=0) == 0
    with pytest.raises(InputError, match=r"'seed' must be a whole number of at least 0\. Got -1\."):
        whole_number("seed", -1, least=0)


def comparable(result: Result) -> dict[str, Any]:
    """What was found, without the time it took."""
    document = json.loads(json.dumps(result.to_json()))  # NumPy's numbers cannot be written
    del document["seconds"], document["plan"]["seconds"], document["plan"]["epoch_seconds"]
    for one in document["baselines"]:
        del one["seconds"]
    return document


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """The search with Python's numbers."""
    return comparable(tune(mixed(), "ill", refit="single", **ARGUMENTS))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_every_argument_means_the_same(kind: type, plain: dict[str, Any]) -> None:
    """All whole-number arguments of `tune` given as NumPy's integers find the same numbers, and JSON can write them."""
    given = {name: kind(value) for name, value in ARGUMENTS.items()}
    assert comparable(tune(mixed(), "ill", refit="single", **given)) == plain


@pytest.mark.parametrize("kind", KINDS)
def test_a_diagnosis_counts_alike(kind: type) -> None:
    """`diagnose` fixes the rate and draws the folds twice for a number of NumPy, as for one of Python."""
    small = {"epochs": 2, "larger": False, "learning_curve": False}
    found = diagnose(mixed(), "ill", strengths=kind(3), cv=kind(3), **small)
    assert found.histories.held_out_loss.shape[:2] == (6, 3)
    assert set(found.candidates.learning_rate) == {1e-3}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("truth", [True, np.True_])
def test_truth_values_count_nothing(name: str, truth: Any) -> None:
    """True is refused wherever a whole number is wanted, by the argument's name."""
    with pytest.raises(FitwellError, match=f"'{name}' must be"):
        tune(mixed(), "ill", **{**QUICK, name: truth})


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_has_a_least_number(name: str) -> None:
    """A number that is too small is refused by the argument's name."""
    with pytest.raises(InputError, match=f"'{name}' must be"):
        tune(mixed(), "ill", **{**QUICK, name: np.int64(-1)})


def test_options_as_they_are_kept() -> None:
    """Options keep Python's own numbers, for a product of small NumPy ones overflows."""
    options = make_options(**{name: np.int32(ARGUMENTS[name]) for name in WHOLE})
    assert {type(getattr(options, name)) for name in WHOLE} == {int}
    assert type(Options(epochs=np.int32(3)).epochs) is not int  # the break  # type: ignore[arg-type]
    assert make_options(memory=8e9).memory == 8_000_000_000
    assert make_options(memory=None, batch_size=None).memory is None


@pytest.mark.parametrize("kind", KINDS)
def test_folds_and_grids_count_alike(kind: type) -> None:
    """Folds, repeats, units and candidates are as many as asked for, in any kind."""
    rows = folds(np.arange(12) % 2, "classification", cv=kind(3), repeats=kind(2))
    assert (rows.count, rows.folds_per_repeat) == (6, 3)
    assert hidden_units([kind(8), kind(4)]) == (8, 4)
    assert [sobol(kind(count), ["l2"]).count for count in (1, 2, 3, 8)] == [1, 2, 3, 8]

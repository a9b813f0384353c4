"""Strengths: what is allowed, and how candidates are made of settings."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.errors import FitwellError, InputError
from fitwell.regularization.by_layer import Depth, Layers
from fitwell.regularization.regularizer import resolve
from fitwell.regularization.strengths import (
    DEFAULT_LEARNING_RATE,
    Candidates,
    Regularization,
    check_learning_rates,
    from_settings,
)
from fitwell.regularization.table import BUILT_IN

PENALTIES = st.sampled_from([0.0, 1e-5, 0.1, 3.0])
RATES = st.sampled_from([0.0, 0.2, 0.999])
SETTINGS = st.builds(Regularization, l1=PENALTIES, l2=PENALTIES, dropout=RATES, weight_dropout=RATES)


def test_every_regularizer_is_in_it() -> None:
    """`Regularization` has one number for each row of the table, in its order, and all are off by default."""
    assert list(Regularization()) == list(BUILT_IN)
    assert dict(Regularization()) == dict.fromkeys(BUILT_IN, 0.0)
    assert str(Regularization()) == "none"


def test_it_reads_by_key_and_by_attribute() -> None:
    """Both give the strength; what is no regularizer is missing in either way."""
    setting = Regularization(l2=0.1)
    assert (setting.l2, setting["l2"], setting.l1) == (0.1, 0.1, 0.0)
    with pytest.raises(AttributeError, match="There is no regularizer 'l3'"):
        setting.l3  # noqa: B018
    assert "l3" not in setting
    assert repr(setting) == "Regularization(l2=0.1)"


def test_it_can_be_copied_and_pickled() -> None:
    """A copy, and what comes back from a pickle, is the same setting."""
    setting = Regularization(l2={"output": 0.1}, dropout=0.2)
    assert copy.deepcopy(setting) == pickle.loads(pickle.dumps(setting)) == setting
    assert copy.copy(setting) != Regularization(dropout=0.2)


def test_it_reads_as_a_sentence() -> None:
    """What is on is named with its number, what is off is not."""
    assert str(Regularization(l2=0.012345, dropout=0.5)) == "l2 = 0.0123, dropout = 0.5"


def test_it_cannot_be_changed() -> None:
    """A setting is a value: frozen, equal and hashable by its numbers."""
    with pytest.raises(AttributeError):
        Regularization().l1 = 1.0  # type: ignore[misc]
    assert len({Regularization(l1=0.1), Regularization(l1=0.1), Regularization(l2=0.1)}) == 2


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("dropout", [0.1, 0.2, 0.3, 1.2], "The 'dropout' strength must lie in [0, 1). Got 1.2 at index 3."),
        ("dropout", [1.0], "The 'dropout' strength must lie in [0, 1). Got 1.0 at index 0."),
        ("weight_dropout", [-0.1], "The 'weight_dropout' strength must lie in [0, 1). Got -0.1 at index 0."),
        ("l2", [0, -1e-9], "The 'l2' strength must be finite and at least 0. Got -1e-09 at index 1."),
        ("l1", [np.inf], "The 'l1' strength must be finite and at least 0. Got inf at index 0."),
        ("l1", [float("nan")], "The 'l1' strength must be finite and at least 0. Got nan at index 0."),
        ("L1", [0.0], f"There is no regularizer 'L1'. Choose from {', '.join(BUILT_IN)}."),
    ],
)
def test_bad_strengths_are_refused(name: str, values: list[float], sentence: str) -> None:
    """The sentence names the strength, what it must be, what came and where."""
    with pytest.raises(InputError) as caught:
        resolve(name, BUILT_IN).check(values)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("inf"), float("nan")])
def test_bad_learning_rates_are_refused(rate: float) -> None:
    """A learning rate is finite and above zero."""
    with pytest.raises(InputError, match=r"must be finite and above 0\. Got .* at index 1"):
        check_learning_rates([1e-3, rate])


def test_refusals_are_value_errors() -> None:
    """All doors refuse alike: by an error of fitwell that is a ValueError too."""
    with pytest.raises(ValueError, match="at least 0") as caught:
        Regularization(l2=-1)
    assert isinstance(caught.value, FitwellError)
    with pytest.raises(InputError, match="'dropout' strength"):
        from_settings([{"dropout": 1.0}])
    with pytest.raises(InputError, match="no regularizer 'drop'"):
        from_settings([{"drop": 0.5}])
    with pytest.raises(InputError, match="'l2' strength"):
        Candidates({"l2": np.array([0.0, -1.0])}, np.ones(2))
    with pytest.raises(InputError, match="learning rate"):
        Candidates({}, np.zeros(2))


def test_lengths_must_agree() -> None:
    """Each regularizer has one strength for each learning rate."""
    with pytest.raises(InputError, match=r"2 strengths of 'l2' were expected.*Got 3"):
        Candidates({"l2": np.zeros(3)}, np.ones(2))


@given(st.lists(SETTINGS, max_size=6))
def test_candidates_of_settings(settings: list[Regularization]) -> None:
    """All-zero comes first and only once, the others in the order given, and each is got back as it was."""
    candidates = from_settings(settings)
    found = [candidates.regularization(index) for index in range(candidates.count)]
    assert found == [Regularization(), *(row for row in settings if row != Regularization())]
    assert all((values > 0).any() for values in candidates.strengths.values())
    assert candidates.learning_rate.tolist() == [DEFAULT_LEARNING_RATE] * candidates.count


def test_a_setting_may_be_a_mapping() -> None:
    """A mapping of some names is a setting with the others off; a learning rate holds for all."""
    candidates = from_settings([{"l2": 0.01}, Regularization(l2=0.1, dropout=0.5)], 0.02)
    assert {name: values.tolist() for name, values in candidates.strengths.items()} == {
        "l2": [0, 0.01, 0.1],
        "dropout": [0, 0, 0.5],
    }
    assert candidates.learning_rate.tolist() == [0.02] * 3


@given(st.lists(st.integers(0, 4), max_size=8))
def test_take_picks_in_order(indices: list[int]) -> None:
    """`take` gives the candidates at the indices, in that order, repeats and none included."""
    candidates = Candidates({"l1": np.arange(5) / 10, "dropout": np.arange(5) / 5}, 1e-3 * np.arange(1, 6))
    taken = candidates.take(indices)
    assert taken.count == len(indices)
    for place, index in enumerate(indices):
        assert taken.regularization(place) == candidates.regularization(index)
        assert taken.learning_rate[place] == candidates.learning_rate[index]


LAYERS = Layers(("hidden_1", "hidden_2", "output"), ("hidden_1", "hidden_2"))


def test_strengths_by_layer_become_rows() -> None:
    """A mapping or a shape makes that regularizer [G, L]; the others stay numbers [G]."""
    settings = [{"l2": {"output": 0.3}, "dropout": 0.5}, {"l2": Depth(0.1, "rising")}, {"l2": 0.2}]
    candidates = from_settings(settings, layers=LAYERS)
    expected = [[0, 0, 0], [0, 0, 0.3], [0.025, 0.1, 0.4], [0.2, 0.2, 0.2]]
    np.testing.assert_allclose(candidates.strengths["l2"], expected, rtol=1e-12)
    assert candidates.strengths["dropout"].tolist() == [0, 0.5, 0, 0]
    np.testing.assert_array_equal(candidates.numbers["l2"], [0, np.nan, np.nan, 0.2])
    assert candidates.numbers["dropout"].tolist() == [0, 0.5, 0, 0]


def test_a_candidate_reads_as_it_was_given() -> None:
    """Strengths that differ come back as a mapping of all places, equal ones as a number."""
    candidates = from_settings([{"l2": {"output": 0.3}, "dropout": {"hidden_1": 0.5, "hidden_2": 0.5}}], layers=LAYERS)
    found = candidates.regularization(1)
    assert found == Regularization(l2={"hidden_1": 0.0, "hidden_2": 0.0, "output": 0.3}, dropout=0.5)
    assert str(found) == "l2 = 0.3 (output), dropout = 0.5"
    several = {"l2": {"hidden_1": 0.1, "hidden_2": 0.1}, "dropout": {"hidden_1": 0.5, "hidden_2": 0.25}}
    expected = "l2 = 0.1 (hidden_1, hidden_2), dropout = {hidden_1: 0.5, hidden_2: 0.25}"
    assert str(from_settings([several], layers=LAYERS).regularization(1)) == expected
    assert [found.at("l2", place) for place in ("hidden_1", "output", "elsewhere")] == [0.0, 0.3, 0.0]
    assert found.at("dropout", "hidden_2") == 0.5
    again = from_settings([found], layers=LAYERS)
    assert again.strengths["l2"].tobytes() == candidates.strengths["l2"].tobytes()


def test_taking_keeps_layers() -> None:
    """`take` keeps strengths by layer, the layers and the mark of the network's own, and forgets which was given."""
    candidates = from_settings([{"l2": {"output": 0.3}}, {"l2": {"hidden_1": 0.1}}], layers=LAYERS)
    marked = replace(candidates, own=np.array([0.0, 1.0, 0.0]), given=1)
    taken = marked.take([2, 1])
    assert taken.regularization(0) == candidates.regularization(2)
    assert taken.own is not None
    assert taken.own.tolist() == [0.0, 1.0]
    assert taken.given == 0


def test_what_is_no_strength_is_named() -> None:
    """What only the network as given has, what a share of it is, and what all have: "none" is for none."""
    candidates = from_settings([{"l2": 0.1}, {"l2": 0.3}])
    assert str(candidates.regularization(0)) == "none"
    own = np.array([0.0, 1.0, 0.3])
    named = replace(candidates, own=own, own_names=("a = 1 (x)", "b (y)"), given=1)
    texts = [str(named.regularization(g)) for g in range(3)]
    assert texts == ["none", "l2 = 0.1, a = 1 (x), b (y)", "l2 = 0.3, 0.3 of (a = 1 (x), b (y))"]
    all_have = replace(named, always=("noise = 2 (z)",)).take([0, 1])
    texts = [str(all_have.regularization(g)) for g in range(2)]
    assert texts == ["noise = 2 (z)", "l2 = 0.1, a = 1 (x), b (y), noise = 2 (z)"]
    assert named.regularization(1) == candidates.regularization(1)
    copied = pickle.loads(pickle.dumps(named.regularization(1)))
    assert str(copied) == str(named.regularization(1))


@pytest.mark.parametrize(
    ("settings", "layers", "sentence"),
    [
        ([{"l2": {"output": 0.3}}], None, "is given by layer, and here it must be one number for all layers"),
        ([{"l2": Depth(0.3)}], None, "is given by layer"),
        ([{"l2": {"outputs": 0.3}}], LAYERS, "Did you mean 'output'?"),
        ([{"dropout": {"hidden_1": 1.0}}], LAYERS, r"must lie in \[0, 1\). Got 1.0"),
        ([{"dropout": Depth(1.0)}], LAYERS, r"must lie in \[0, 1\). Got 1.0"),
        ([{"l2": Depth(-0.1)}], LAYERS, "finite and at least 0. Got -0.1"),
        ([{"dropout": 0.3}], Layers(("a",), ()), "'dropout' acts on no layer of this network: leave it out"),
        ([{"dropout": Depth(0.3)}], Layers(("a",), ()), "'dropout' acts on no layer"),
    ],
)
def test_bad_strengths_by_layer(settings: list, layers: Layers | None, sentence: str) -> None:
    """What no layer takes is refused before anything trains."""
    with pytest.raises(InputError, match=sentence):
        from_settings(settings, layers=layers)


def test_a_shape_has_no_number_at_a_place() -> None:
    """A `Depth` must be spread over the layers first; it reads as a sentence all the same."""
    setting = Regularization(l2=Depth(0.1, "rising"))
    assert str(setting) == "l2 = 0.1 (rising over depth)"
    with pytest.raises(InputError, match="has no number for 'output' alone"):
        setting.at("l2", "output")

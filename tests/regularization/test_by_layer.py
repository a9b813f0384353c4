"""Strengths by layer: shapes over depth, and the places of a network by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.errors import InputError
from fitwell.regularization.by_layer import HIGHEST_RATE, SHAPES, STEEPNESS, Depth, Layers, layer_of, over_depth
from fitwell.regularization.table import BUILT_IN

NAMES = st.sampled_from(list(BUILT_IN))
RATES = ("dropout", "weight_dropout")
LAYERS = Layers(("hidden_1", "hidden_2", "output"), ("hidden_1", "hidden_2"))
RECURRENT = Layers(("lstm:kernel", "lstm:recurrent_kernel", "dense", "lstm:kernel"), ("lstm", "spatial"))


@pytest.mark.parametrize(
    ("name", "depth", "expected"),
    [
        ("l2", Depth(0.1, "constant"), [0.1, 0.1, 0.1]),
        ("l2", Depth(0.1, "funnel"), [0.4, 0.1, 0.025]),
        ("l2", Depth(0.1, "rising"), [0.025, 0.1, 0.4]),
        ("l2", Depth(0.1, 0.5), [0.05, 0.1, 0.2]),
        ("l1", Depth(1.0, "rising"), [0.25, 1.0, 4.0]),  # a penalty has no upper end
        ("dropout", Depth(0.5, "rising"), [0.125, 0.5, HIGHEST_RATE]),
        ("dropout", Depth(0.5, "funnel"), [HIGHEST_RATE, 0.5, 0.125]),
        ("weight_dropout", Depth(0.95, "constant"), [0.95, 0.95, 0.95]),  # who asks for it gets it
        ("weight_dropout", Depth(0.95, "rising"), [0.2375, 0.95, 0.95]),  # and it never falls where it should rise
        ("dropout", Depth(0.0, "rising"), [0.0, 0.0, 0.0]),
    ],
)
def test_shapes(name: str, depth: Depth, expected: list[float]) -> None:
    """The middle has the scale, the ends four times it and a quarter, and rates are cut before 1."""
    np.testing.assert_allclose(depth.values(BUILT_IN[name], 3), expected, rtol=1e-12)


@given(NAMES, st.floats(0, 0.99), st.floats(-1, 1), st.integers(1, 9))
def test_shapes_by_their_promise(name: str, scale: float, shape: float, count: int) -> None:
    """Strengths rise or fall steadily, lie in range, mirror when the sign changes; a single layer has the scale."""
    values = Depth(scale, shape).values(BUILT_IN[name], count)
    assert values.shape == (count,)
    assert (np.sign(shape) * np.diff(values) >= -1e-12).all()
    assert ((values >= 0) & (values < BUILT_IN[name].below)).all()
    np.testing.assert_allclose(values[::-1], Depth(scale, -shape).values(BUILT_IN[name], count), rtol=1e-9, atol=1e-300)
    if count == 1:
        assert values[0] == pytest.approx(scale)
    if scale == 0:
        assert not values.any()


def test_funnel_and_rising_are_not_the_same() -> None:
    """The break beside the mirror: unmirrored, the two differ, and one falls where the other rises."""
    funnel, rising = Depth(0.1, "funnel").values(BUILT_IN["l2"], 4), Depth(0.1, "rising").values(BUILT_IN["l2"], 4)
    assert not np.allclose(funnel, rising)
    assert funnel[0] / funnel[-1] == pytest.approx(STEEPNESS**2)
    assert rising[-1] / rising[0] == pytest.approx(STEEPNESS**2)


def test_many_at_once_are_one_by_one() -> None:
    """Arrays of scales and shapes [G] give [G, L], each row that of its own `Depth`."""
    scales, shapes = np.array([0.0, 0.1, 0.7]), np.array([1.0, -0.3, 0.8])
    together = over_depth(BUILT_IN["dropout"], scales, shapes, 4)
    alone = [Depth(scale, shape).values(BUILT_IN["dropout"], 4) for scale, shape in zip(scales, shapes, strict=True)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("name", SHAPES)
def test_names_of_shapes_are_numbers(name: str) -> None:
    """A name is nothing but its number."""
    np.testing.assert_array_equal(
        Depth(0.2, name).values(BUILT_IN["l2"], 5), Depth(0.2, SHAPES[name]).values(BUILT_IN["l2"], 5)
    )


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ("funnell", "must be 'funnel', 'constant', 'rising' or a number. Got 'funnell'."),
        (1.5, r"must lie in \[-1, 1\]. Got 1.5."),
        (float("nan"), r"must lie in \[-1, 1\]. Got nan."),
    ],
)
def test_bad_shapes(shape: float | str, sentence: str) -> None:
    """A shape that is no name and not in range is refused with what came."""
    with pytest.raises(InputError, match=sentence):
        Depth(0.1, shape)


@pytest.mark.parametrize(
    ("layers", "name", "value", "expected"),
    [
        (LAYERS, "l2", 0.1, [0.1, 0.1, 0.1]),
        (LAYERS, "dropout", 0.1, [0.1, 0.1]),
        (LAYERS, "l2", {"output": 0.3, "hidden_1": 0.1}, [0.1, 0.0, 0.3]),
        (LAYERS, "l2", {}, [0.0, 0.0, 0.0]),
        (LAYERS, "dropout", Depth(0.2, "rising"), [0.05, 0.8]),
        (RECURRENT, "l1", {"lstm": 0.1}, [0.1, 0.1, 0.0, 0.1]),  # a layer's name is all its kernels
        (RECURRENT, "l1", {"lstm:recurrent_kernel": 0.2}, [0.0, 0.2, 0.0, 0.0]),
        (RECURRENT, "l1", {"lstm": 0.1, "lstm:kernel": 0.3}, [0.3, 0.1, 0.0, 0.3]),  # the nearer name wins
        (RECURRENT, "l1", Depth(0.1, "rising"), [0.025, 0.1, 0.4, 0.025]),
    ],
)
def test_spread(layers: Layers, name: str, value: object, expected: list[float]) -> None:
    """A number goes to all places, a mapping to those named and 0 to the others, a shape over the places' order."""
    np.testing.assert_allclose(layers.spread(BUILT_IN[name], value), expected, rtol=1e-12)  # type: ignore[arg-type]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.floats(0, 0.5), st.floats(-1, 1))
def test_places_of_one_name_have_one_strength(places: list[str], scale: float, shape: float) -> None:
    """Wherever a name comes again, its strength does too: those of the distinct names in the order they come."""
    layers = Layers(tuple(places), ())
    values = layers.spread(BUILT_IN["l2"], Depth(scale, shape))
    distinct = list(dict.fromkeys(places))
    expected = dict(zip(distinct, Depth(scale, shape).values(BUILT_IN["l2"], len(distinct)), strict=True))
    assert values.tolist() == [expected[place] for place in places]


@pytest.mark.parametrize(
    ("layers", "name", "key", "end"),
    [
        (LAYERS, "l2", "hiden_1", "Did you mean 'hidden_1'?"),
        (LAYERS, "l2", "zzz", "It acts on: hidden_1, hidden_2, output."),
        (LAYERS, "dropout", "output", "It acts on: hidden_1, hidden_2."),
        (RECURRENT, "l1", "lstm:kernels", "Did you mean 'lstm:kernel'?"),
        (RECURRENT, "l1", "output", "It acts on: lstm:kernel, lstm:recurrent_kernel, dense, lstm."),
        (Layers(("a",), ()), "dropout", "a", "It acts on: no layer."),
    ],
)
def test_unknown_names(layers: Layers, name: str, key: str, end: str) -> None:
    """A name that is no place gets the sentence, with the nearest name or all of them."""
    with pytest.raises(InputError) as caught:
        layers.spread(BUILT_IN[name], {key: 0.1})
    said = str(caught.value)
    assert said.startswith(f"The regularizer '{name}' does not act on a layer '{key}'. ")
    assert said.endswith(end)


def test_layer_of_a_place() -> None:
    """The layer is what stands before the colon."""
    assert layer_of("lstm:recurrent_kernel") == "lstm"
    assert layer_of("dense") == "dense"

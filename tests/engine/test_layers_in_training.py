"""Strengths by layer in training: equal ones are one number, and each acts on its own layer only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fitwell.engine.job import Settings
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.regularization.strengths import Candidates, Regularization, from_settings
from fitwell.regularization.table import BUILT_IN

pytestmark = pytest.mark.slow

HIDDEN = (6, 5)
SETTINGS = Settings(epochs=3, batch_size=8, stopping=None)
PLACES = ("hidden_1", "hidden_2", "output")
NUMBERS = {
    "l1": np.array([0.0, 0.02, 0.0]),
    "l2": np.array([0.0, 0.1, 0.01]),
    "dropout": np.array([0.0, 0.3, 0.5]),
    "weight_dropout": np.array([0.0, 0.2, 0.0]),
}


def trained(case: Any, candidates: Candidates) -> Trained:
    return train_all(case.network, case.dataset, case.row_sets, candidates, loss=case.loss, settings=SETTINGS)


def by_layer(strengths: dict[str, np.ndarray], case: Any) -> dict[str, np.ndarray]:
    """Numbers [G] repeated to [G, L]."""
    return {
        name: np.repeat(v[:, None], len(case.network.layers.of(BUILT_IN[name])), axis=1)
        for name, v in strengths.items()
    }


@pytest.fixture(scope="module")
def case(problem: Callable[..., Any], seed: int) -> Any:
    return problem(seed, hidden=HIDDEN)


def test_equal_layers_train_like_one_number(case: Any) -> None:
    """All four regularizers at once: strengths [G, L] that are the same in all layers give the curves of [G]."""
    rates = np.full(3, 0.01)
    numbers = trained(case, Candidates(NUMBERS, rates))
    rows = by_layer(NUMBERS, case)
    layers = trained(case, Candidates(rows, rates, case.network.layers))
    for name in ("train_loss", "held_out_loss"):
        found, expected = getattr(layers.histories, name), getattr(numbers.histories, name)
        np.testing.assert_allclose(found, expected, rtol=2e-5)
    changed = {**rows, "dropout": rows["dropout"] * [1.0, 0.9]}
    other = trained(case, Candidates(changed, rates, case.network.layers))  # the break: a tenth less in one layer
    held_out = numbers.histories.held_out_loss
    np.testing.assert_allclose(other.histories.held_out_loss[:, 0], held_out[:, 0], rtol=2e-5)
    assert np.abs(other.histories.held_out_loss - held_out)[:, 1:].max() > 1e-4


@pytest.fixture(scope="module")
def alone(case: Any) -> tuple[Candidates, Trained]:
    """Each penalty and rate in one layer alone, and L1 in two places by one name each."""
    settings: list[Any] = [{"l1": {place: 3.0}} for place in PLACES]
    settings += [{"l2": {place: 3.0}} for place in PLACES]
    settings += [{"dropout": {place: 0.5}} for place in PLACES[:2]]
    candidates = from_settings(settings, 0.05, case.network.layers)
    return candidates, trained(case, candidates)


def kernels(run: Trained, g: int) -> list[np.ndarray]:
    return [np.asarray(layer["kernel"]) for layer in run.variables(g).trainable]


@pytest.mark.parametrize("place", range(3))
def test_l1_zeroes_its_own_layer(alone: tuple[Candidates, Trained], place: int) -> None:
    """A large L1 in one layer shrinks that kernel to exact zeros, and leaves no zero in the others."""
    run = alone[1]
    shares = [float((kernel == 0).mean()) for kernel in kernels(run, 1 + place)]
    assert shares[place] > 0.5
    assert [share for i, share in enumerate(shares) if i != place] == [0.0, 0.0]


@pytest.mark.parametrize("place", range(3))
def test_l2_shrinks_its_own_layer(alone: tuple[Candidates, Trained], place: int) -> None:
    """A large L2 in one layer makes that kernel much smaller than any other strength does."""
    run = alone[1]
    norms = [np.linalg.norm(kernels(run, 4 + other)[place]) for other in range(3)]
    assert norms[place] < 0.8 * min(norm for i, norm in enumerate(norms) if i != place)


def test_swapped_layers_differ(alone: tuple[Candidates, Trained]) -> None:
    """The break: the same strength in another layer is another training, for each regularizer."""
    losses = alone[1].histories.held_out_loss[:, :, 0].mean(axis=0)
    assert len(set(losses.tolist())) == len(losses)
    assert alone[0].regularization(8) == Regularization(dropout={"hidden_1": 0.0, "hidden_2": 0.5})


def test_the_last_layers_dropout_is_of_that_layer(problem: Callable[..., Any], seed: int) -> None:
    """With one hidden layer, dropout in that layer by name is dropout by number."""
    case = problem(seed, hidden=(6,))
    named = from_settings(
        [{"dropout": {"hidden_1": 0.4}, "l2": {"output": 0.1, "hidden_1": 0.1}}], 0.01, case.network.layers
    )
    plain = from_settings([{"dropout": 0.4, "l2": 0.1}], 0.01)
    first, second = trained(case, named), trained(case, plain)
    np.testing.assert_allclose(first.histories.held_out_loss, second.histories.held_out_loss, rtol=2e-5)

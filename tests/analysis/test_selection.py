"""Selection: the minimum and the one-standard-error rule, by hand-written curves and by properties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import sem

from fitwell.analysis.selection import amount, choose, one_standard_error, paired_standard_error, standard_error
from fitwell.engine.histories import Histories
from fitwell.regularization.strengths import Candidates

L2 = np.array([0.0, 1e-4, 1e-3, 1e-2, 1e-1])
LOSSES = st.integers(1, 5).flatmap(lambda r: arrays(float, (r, 6), elements=st.floats(0, 10)))
STRENGTHS = st.fixed_dictionaries(
    {
        "l2": arrays(float, 6, elements=st.sampled_from([0.0, 1e-4, 1e-2, 0.1])),
        "dropout": arrays(float, 6, elements=st.sampled_from([0.0, 0.2, 0.5])),
    }
)


def losses(means: list[float], noise: list[float]) -> np.ndarray:
    """Two row sets that differ from the mean by plus and minus a noise of each strength's own."""
    return np.array([np.add(means, noise), np.subtract(means, noise)])


@pytest.mark.parametrize(
    ("means", "noise", "minimum", "chosen"),
    [
        # one standard error of two row sets is the noise itself
        ([3.0, 1.0, 1.1, 1.2, 1.3], [0, 0, 0.3, 0.3, 0.2], 1, 3),  # up to the last within its bar
        ([3.0, 1.0, 1.1, 1.2, 1.3], [0, 0, 0.05, 0.3, 0.4], 1, 1),  # the run ends at the first that misses
        ([1.0, 1.1, 1.2, 1.3, 1.4], [0] * 5, 0, 0),  # without noise the minimum
        ([3.0, 2.0, 1.5, 1.2, 1.0], [1] * 5, 4, 4),  # nothing is stronger than the strongest
        ([3.0, 1.0, 1.1, 1.2, 1.3], [0.3] * 5, 1, 1),  # common noise cancels: differences are paired
        ([3.0, 1.0, np.inf, 1.0, 1.3], [0, 0, 0, 0.3, 0.3], 1, 1),  # what diverged ends the run
    ],
)
def test_hand_written_curves(means: list[float], noise: list[float], minimum: int, chosen: int) -> None:
    """The rule walks from the minimum to stronger ones while they stay within one paired standard error."""
    with np.errstate(invalid="ignore"):
        choice = one_standard_error(losses(means, noise), {"l2": L2})
    assert (choice.minimum, choice.one_standard_error) == (minimum, chosen)


def test_the_order_of_the_candidates_does_not_matter() -> None:
    """Candidates in another order give the same answers."""
    curves = losses([3.0, 1.0, 1.1, 1.2, 1.3], [0, 0, 0.3, 0.3, 0.2])
    order = np.array([4, 2, 0, 3, 1])
    choice = one_standard_error(curves[:, order], {"l2": L2[order]})
    assert (order[choice.minimum], order[choice.one_standard_error]) == (1, 3)


def test_only_what_is_stronger_in_everything() -> None:
    """Less dropout is not paid for by more L2."""
    curves = losses([3.0, 1.0, 1.01, 1.02], [0, 0, 0.3, 0.3])
    strengths = {"l2": np.array([0, 1e-3, 1e-1, 1e-2]), "dropout": np.array([0, 0.3, 0.2, 0.3])}
    assert one_standard_error(curves, strengths).one_standard_error == 3


@settings(max_examples=200)
@given(LOSSES, STRENGTHS)
def test_the_rule_by_its_definition(curves: np.ndarray, strengths: dict[str, np.ndarray]) -> None:
    """The chosen one is the most regularized to which, from the minimum, all in between meets its bar."""
    choice = one_standard_error(curves, strengths)
    m, mean, amounts = choice.minimum, curves.mean(axis=0), amount(strengths, 6)
    assert mean[m] == mean.min()

    def stronger(j: int, than: int) -> bool:
        return all(values[j] >= values[than] for values in strengths.values())

    def reached(j: int) -> bool:
        between = [k for k in range(6) if k != m and stronger(k, m) and stronger(j, k)]
        return stronger(j, m) and all(mean[k] <= mean[m] + choice.standard_error[k] for k in between)

    found = [j for j in range(6) if j == m or reached(j)]
    assert choice.one_standard_error in found
    assert amounts[choice.one_standard_error] == max(amounts[j] for j in found)


@given(LOSSES, STRENGTHS)
def test_never_weaker_than_the_minimum(curves: np.ndarray, strengths: dict[str, np.ndarray]) -> None:
    """The one-standard-error answer is at least as strong in every regularizer, and within its bar."""
    choice = one_standard_error(curves, strengths)
    m, chosen, mean = choice.minimum, choice.one_standard_error, curves.mean(axis=0)
    assert all(values[chosen] >= values[m] for values in strengths.values())
    assert chosen == m or mean[chosen] <= mean[m] + choice.standard_error[chosen]


def test_one_row_set_gives_the_minimum() -> None:
    """A single row set shows no spread, so both answers are the minimum and the error is unknown."""
    choice = one_standard_error(np.array([[3.0, 1.0, 1.0, 1.0, 1.0]]), {"l2": L2})
    assert choice.minimum == choice.one_standard_error == 1
    assert np.isnan(choice.standard_error).all()


def test_the_standard_error_is_of_paired_differences(seed: int) -> None:
    """The error is SciPy's standard error of the mean of the differences, with one degree of freedom less."""
    curves = np.random.default_rng(seed).normal(size=(5, 4))
    np.testing.assert_allclose(paired_standard_error(curves, 2), sem(curves - curves[:, [2]], axis=0), rtol=1e-12)
    unpaired = sem(curves, axis=0)
    assert not np.allclose(paired_standard_error(curves, 2), unpaired)


def test_amount_adds_up_the_places() -> None:
    """All-zero is 0, the tops of two ranges are 2, no regularizer at all is 0."""
    strengths = {"l2": np.array([0, 0.3, 0.3]), "dropout": np.array([0, 0, 0.6])}
    np.testing.assert_allclose(amount(strengths, 3), [0, 1, 2])
    assert amount({}, 3).tolist() == [0, 0, 0]


def histories(held_out_loss: Any, best_epoch: list[int], best_loss: list[float]) -> Histories:
    """Histories with these held-out losses [R, G, E]."""
    curves = np.asarray(held_out_loss, float)
    r, g, e = curves.shape
    return Histories(
        curves,
        curves,
        curves,
        curves,
        best_epoch=np.array(best_epoch),
        best_loss=np.array(best_loss),
        epochs=np.full(g, e),
        diverged=np.zeros((r, g), bool),
        row_loss=np.zeros((g, 1)),
        halved=np.zeros(g, bool),
    )


def test_choose_looks_at_the_best_epochs() -> None:
    """Each strength counts with the losses of its own best epoch; one that diverged is never chosen."""
    curves = [[[2, 5], [9, 1.0], [9, 1.3], [0, 0]], [[2, 5], [9, 1.0], [9, 0.9], [0, 0]]]
    candidates = Candidates({"l2": np.array([0, 0.01, 0.1, 0.2])}, np.ones(4))
    choice = choose(histories(curves, [1, 2, 2, 1], [2, 1.0, 1.1, np.inf]), candidates)
    assert (choice.minimum, choice.one_standard_error) == (1, 2)
    early = choose(histories(curves, [1, 1, 1, 1], [2, 9, 9, np.inf]), candidates)
    assert early.minimum == 0


def test_a_strength_that_had_to_leave_has_no_vote() -> None:
    """One halved away while it improved is not chosen, and its early loss does not stand in the way of others."""
    losses = np.array([[3.0, 1.0, 9.0, 1.1], [3.0, 1.2, 9.0, 1.1]])
    strengths = {"l2": np.array([0, 0.1, 0.2, 0.3])}
    halved = np.array([False, False, True, False])
    assert one_standard_error(losses, strengths).one_standard_error == 1
    assert one_standard_error(losses, strengths, unfinished=halved).one_standard_error == 3
    assert one_standard_error(losses, strengths, unfinished=halved[::-1]).one_standard_error == 1


def test_repeats_add_no_data() -> None:
    """Five folds repeated ten times have the standard error of five folds; counted as fifty they would not."""
    losses = np.random.default_rng(0).normal(size=(5, 3))
    once = standard_error(losses)
    repeated = np.tile(losses, (10, 1))
    np.testing.assert_allclose(standard_error(repeated, 5), once * np.sqrt(4 / 5 * 50 / 49), rtol=1e-12)
    assert (standard_error(repeated) < once / 3).all()

"""Selection: the minimum and the one-standard-error rule, by hand-written curves and by properties."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import sem

from fitwell.analysis.selection import (
    RULES,
    Choice,
    choose,
    choose_among,
    choose_by,
    paired_standard_error,
    standard_error,
)
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


def of(strengths: dict[str, np.ndarray]) -> Candidates:
    """Candidates with these strengths."""
    return Candidates(strengths, np.ones(len(next(iter(strengths.values())))))


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
        choice = choose_among(losses(means, noise), of({"l2": L2}))
    assert (choice.minimum, choice.one_standard_error) == (minimum, chosen)


def test_the_order_of_the_candidates_does_not_matter() -> None:
    """Candidates in another order give the same answers."""
    curves = losses([3.0, 1.0, 1.1, 1.2, 1.3], [0, 0, 0.3, 0.3, 0.2])
    order = np.array([4, 2, 0, 3, 1])
    choice = choose_among(curves[:, order], of({"l2": L2[order]}))
    assert (order[choice.minimum], order[choice.one_standard_error]) == (1, 3)


def test_only_what_is_stronger_in_everything() -> None:
    """Less dropout is not paid for by more L2."""
    curves = losses([3.0, 1.0, 1.01, 1.02], [0, 0, 0.3, 0.3])
    strengths = {"l2": np.array([0, 1e-3, 1e-1, 1e-2]), "dropout": np.array([0, 0.3, 0.2, 0.3])}
    assert choose_among(curves, of(strengths)).one_standard_error == 3


@settings(max_examples=200)
@given(LOSSES, STRENGTHS)
def test_the_rule_by_its_definition(curves: np.ndarray, strengths: dict[str, np.ndarray]) -> None:
    """The chosen one is the most regularized to which, from the minimum, all in between meets its bar."""
    choice = choose_among(curves, of(strengths))
    m, mean, amounts = choice.minimum, curves.mean(axis=0), of(strengths).amount
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
    choice = choose_among(curves, of(strengths))
    m, chosen, mean = choice.minimum, choice.one_standard_error, curves.mean(axis=0)
    assert all(values[chosen] >= values[m] for values in strengths.values())
    assert chosen == m or mean[chosen] <= mean[m] + choice.standard_error[chosen]


@given(LOSSES, STRENGTHS)
def test_the_confidence_set_holds_its_most_regularized(curves: np.ndarray, strengths: dict[str, np.ndarray]) -> None:
    """That strength and the minimum are in the set, it is nowhere weaker than the minimum, and `choose_by` agrees."""
    choice, rates = choose_among(curves, of(strengths)), np.full(curves.shape[1], 0.1)
    assert choice.confidence_set[[choice.minimum, choice.most_regularized]].all()
    assert all(values[choice.most_regularized] >= values[choice.minimum] for values in strengths.values())
    found = {rule: choose_by(rule, curves, Candidates(strengths, rates)) for rule in RULES}
    assert found == {rule: choice.chosen(rule) for rule in RULES}


def test_only_what_is_significantly_worse_leaves_the_confidence_set() -> None:
    """A strength that is worse in every fold alike is out, one that is worse in some and better in others is in."""
    noise = np.array([0.0, 0.1, -0.1, 0.05, -0.05])
    curves = np.stack([1 + 0 * noise, 1.02 + noise, 1.5 + 0.01 * noise], axis=1)
    choice = choose_among(curves, of({"l2": np.array([0.0, 0.1, 0.2])}))
    assert choice.confidence_set.tolist() == [True, True, False]
    assert choice.most_regularized == 1
    assert (
        choose_among(curves[:1], of({"l2": np.array([0.0, 0.1, 0.2])})).most_regularized == 0
    )  # one row set says nothing


def test_one_row_set_gives_the_minimum() -> None:
    """A single row set shows no spread, so both answers are the minimum and the error is unknown."""
    choice = choose_among(np.array([[3.0, 1.0, 1.0, 1.0, 1.0]]), of({"l2": L2}))
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
    np.testing.assert_allclose(of(strengths).amount, [0, 1, 2])
    assert Candidates({}, np.ones(3)).amount.tolist() == [0, 0, 0]


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
        cut=np.zeros(g, bool),
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
    assert choose_among(losses, of(strengths)).one_standard_error == 1
    assert choose_among(losses, of(strengths), unfinished=halved).one_standard_error == 3
    assert choose_among(losses, of(strengths), unfinished=halved[::-1]).one_standard_error == 1


def test_repeats_add_no_data() -> None:
    """Five folds repeated ten times have the standard error of five folds; counted as fifty they would not."""
    losses = np.random.default_rng(0).normal(size=(5, 3))
    once = standard_error(losses)
    repeated = np.tile(losses, (10, 1))
    np.testing.assert_allclose(standard_error(repeated, 5), once * np.sqrt(4 / 5 * 50 / 49), rtol=1e-12)
    assert (standard_error(repeated) < once / 3).all()


def search(means: list[float], noise: list[float], *, halved: int | None = None, **about: Any) -> Choice:
    """The choice for two row sets that differ by plus and minus the noise, over rising L2, all trained to their end."""
    curves = losses(means, noise)
    made = histories(curves[:, :, None], [1] * len(means), means)
    if halved is not None:
        made = replace(made, cut=np.arange(len(means)) == halved)
    candidates = Candidates({"l2": L2[: len(means)]}, np.ones(len(means)), **about)
    with np.errstate(invalid="ignore"):
        return choose(made, candidates, keep_given=True)


@pytest.mark.parametrize(
    ("means", "noise", "given", "alone"),
    [
        # the error of a paired difference of two row sets is the noise of the difference itself
        ([3.0, 1.2, 1.0], [0, 0.3, 0], 1, True),  # within one error of the lowest
        ([3.0, 1.2, 1.0], [0, 0.2, 0], 1, True),  # at the bar
        ([3.0, 1.2, 1.0], [0, 0.1, 0], 1, False),  # beyond it
        ([3.0, 1.2, 1.0], [0.3, 0.3, 0.3], 1, False),  # common noise cancels
        ([3.0, 1.0, 1.2], [0, 0, 0], 1, True),  # it is the lowest
        ([1.1, 2.0, 1.0], [0.2, 0, 0], 0, True),  # no regularization of its own: unregularized is as given
        ([3.0, np.inf, 1.0], [0, 0, 0], 1, False),  # diverged
        ([3.0, np.inf, 1.0], [0, 9, 0], 1, False),
    ],
)
def test_leave_it_alone(means: list[float], noise: list[float], given: int, alone: bool) -> None:
    """As given is the answer of both rules unless a strength is better by more than one paired error."""
    choice = search(means, noise, given=given)
    assert (choice.given, choice.leave_alone) == (given, alone)
    assert (choice.chosen("min") == given) == (alone or choice.minimum == given)
    if alone:
        assert choice.chosen("1se") == given
    else:
        assert (choice.chosen("min"), choice.chosen("1se")) == (choice.minimum, choice.one_standard_error)


def test_alone_only_where_asked() -> None:
    """Without `keep_given` nothing is left alone: a dense network of our own has no claim to be kept."""
    curves = losses([3.0, 1.2, 1.0], [0, 0.3, 0])
    made = histories(curves[:, :, None], [1] * 3, [3.0, 1.2, 1.0])
    choice = choose(made, Candidates({"l2": L2[:3]}, np.ones(3), given=1))
    assert (choice.minimum, choice.leave_alone, choice.chosen("1se")) == (2, False, 2)


def test_a_halved_network_as_given_is_judged_by_its_losses() -> None:
    """Were it halved away, which it never is, the 1se walk would pass by it, and what was measured still counts."""
    choice = search([3.0, 1.0, 1.2, 1.1], [0, 0, 0.5, 0.5], halved=2, given=2)
    assert choice.one_standard_error == 3
    assert choice.leave_alone
    assert not search([3.0, 1.0, 1.2, 1.1], [0, 0, 0.1, 0.1], halved=2, given=2).leave_alone


def test_a_single_row_set_leaves_alone_only_the_lowest() -> None:
    """Without a spread only the lowest loss is a reason to keep the network as given."""
    candidates = Candidates({"l2": L2[:3]}, np.ones(3), given=1)
    for means, alone in [([3.0, 1.01, 1.0], False), ([3.0, 1.0, 1.01], True)]:
        made = histories(np.array(means)[None, :, None], [1] * 3, means)
        assert choose(made, candidates, keep_given=True).leave_alone == alone


def test_regularization_of_its_own_is_not_walked_to() -> None:
    """What a network has beside its strengths is not compared with them: it may be the minimum, not the 1se step."""
    means, noise = [3.0, 1.0, 1.1, 1.2], [0, 0, 0.3, 0.3]
    own = np.array([0, 0, 0, 1.0])
    curves = losses(means, noise)[:, :, None]
    with_own = Candidates({"l2": L2[:4]}, np.ones(4), own=own, given=3)
    without = Candidates({"l2": L2[:4]}, np.ones(4), given=3)
    made = histories(curves, [1] * 4, means)
    assert choose(made, with_own).one_standard_error == 2
    assert choose(made, without).one_standard_error == 3  # the break: without its own it would be the strongest
    best = histories(losses([3.0, 1.2, 1.1, 1.0], [0] * 4)[:, :, None], [1] * 4, [3.0, 1.2, 1.1, 1.0])
    assert choose(best, with_own).minimum == 3
    in_the_way = Candidates({"l2": L2[:4]}, np.ones(4), own=np.array([0, 0, 1.0, 0]), given=2)
    far = histories(losses([3.0, 1.0, 9.0, 1.1], [0, 0, 0, 0.3])[:, :, None], [1] * 4, [3.0, 1.0, 9.0, 1.1])
    assert choose(far, in_the_way).one_standard_error == 3  # nor does it stand in the way


BY_LAYER = st.fixed_dictionaries(
    {
        "l2": arrays(float, (6, 3), elements=st.sampled_from([0.0, 1e-4, 1e-2, 0.1])),
        "dropout": arrays(float, 6, elements=st.sampled_from([0.0, 0.2, 0.5])),
    }
)


@settings(max_examples=200)
@given(LOSSES, BY_LAYER)
def test_never_weaker_in_any_layer(curves: np.ndarray, strengths: dict[str, np.ndarray]) -> None:
    """With strengths by layer the 1se answer is at least as strong as the minimum in each layer for itself."""
    choice = choose_among(curves, of(strengths))
    m, chosen, mean = choice.minimum, choice.one_standard_error, curves.mean(axis=0)
    assert all((values[chosen] >= values[m]).all() for values in strengths.values())
    assert chosen == m or mean[chosen] <= mean[m] + choice.standard_error[chosen]


@given(LOSSES, STRENGTHS)
def test_equal_layers_are_one_number(curves: np.ndarray, strengths: dict[str, np.ndarray]) -> None:
    """Strengths [G, L] that are the same in all layers are chosen like strengths [G]."""
    repeated = {name: np.repeat(values[:, None], 3, axis=1) for name, values in strengths.items()}
    one, other = choose_among(curves, of(strengths)), choose_among(curves, of(repeated))
    assert one.minimum == other.minimum
    chosen = [{name: values[c.one_standard_error] for name, values in strengths.items()} for c in (one, other)]
    assert chosen[0] == chosen[1]


def test_more_in_one_layer_does_not_pay_for_less_in_another() -> None:
    """The break: twice as much on average, yet weaker in the second layer, is not the stronger one."""
    curves = losses([3.0, 1.0, 1.01], [0, 0, 0.3])
    fair = {"l2": np.array([[0, 0], [0.01, 0.01], [0.1, 0.01]])}
    unfair = {"l2": np.array([[0, 0], [0.01, 0.01], [0.1, 0.009]])}
    assert choose_among(curves, of(fair)).one_standard_error == 2
    assert choose_among(curves, of(unfair)).one_standard_error == 1

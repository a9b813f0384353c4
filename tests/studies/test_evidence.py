"""What a diagnosis compares: hand-made searches, and problems that only say what they were asked to train."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fitwell.data.row_sets import folds
from fitwell.engine.histories import Histories
from fitwell.engine.job import Settings
from fitwell.errors import InputError, TrainingError
from fitwell.problems.options import Options
from fitwell.regularization.strengths import Candidates
from fitwell.studies import evidence
from fitwell.studies.compared import Compared, Comparing, weaker_than_given
from fitwell.studies.evidence import (
    WEAKER,
    Questions,
    gather,
    larger_menus,
    learning_curve,
    memorised,
    null_search,
    turning_epoch,
    with_weaker,
)

SETS = folds(np.arange(40.0), "regression", cv=5, seed=0)
TESTS = Comparing(SETS.test_to_train, 5, 0.95)
JITTER = np.array([0.01, -0.01, 0.02, -0.02, 0.0])
SETTINGS, OPTIONS = Settings(epochs=3), Options(refit="single")


def histories(curves: list[list[float]], train: list[list[float]] | None = None, row_sets: int = 5) -> Histories:
    """Histories of five row sets with these mean curves [G, E]."""

    def spread(means: list[list[float]]) -> np.ndarray:
        return np.array(means, float)[None] + np.resize(JITTER, row_sets)[:, None, None]

    held_out, trained = spread(curves), spread(train or curves)
    mean = np.where(np.isfinite(held_out), held_out, np.inf).mean(axis=0)
    count = len(curves)
    return Histories(
        trained,
        held_out,
        trained,
        held_out,
        best_epoch=mean.argmin(axis=1) + 1,
        best_loss=mean.min(axis=1),
        epochs=np.isfinite(np.array(curves)).sum(axis=1),
        diverged=np.zeros((row_sets, count), bool),
        row_loss=np.zeros((count, 40)),
        cut=np.zeros(count, bool),
    )


class Recorder:
    """A problem that trains nothing: it answers with histories and remembers what it was asked."""

    def __init__(self, *answers: Histories | Exception, row_sets: Any = SETS, larger: dict[str, Any] | None = None):
        self.answers, self.row_sets, self.asked = list(answers), row_sets, []
        self.strata, self.constant_loss, self._larger = None, 0.6, larger or {}

    def train(self, candidates: Candidates, settings: Settings) -> Any:
        """The next answer."""
        self.asked.append((candidates, settings))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(histories=answer, plan=None)

    def larger(self) -> dict[str, Any]:
        """As given."""
        return self._larger

    def on(self, row_sets: Any) -> Recorder:
        """The same problem, with the row sets that it was asked for."""
        self.row_sets = row_sets
        return self


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recorders answer for the engine."""
    monkeypatch.setattr(evidence, "train_networks", lambda problem, *asked: problem.train(*asked))


PLAIN = Candidates({"l2": np.array([0.0, 0.1])}, np.ones(2))
OWN = Candidates({"l2": np.array([0.0, 0.1, 0.01])}, np.ones(3), given=1)


def test_shares_of_its_own_regularization_are_added() -> None:
    """A network with strengths of its own is also tried with shares of them, in the order of the others behind."""
    candidates = Candidates(
        {"l2": np.array([0.0, 0.1, 0.5]), "dropout": np.array([[0, 0], [0.2, 0.4], [0, 0.1]])},
        np.array([1.0, 2.0, 3.0]),
        own=np.array([0, 1.0, 0]),
        given=1,
    )
    more = with_weaker(candidates)
    np.testing.assert_allclose(more.strengths["l2"], [0, 0.1, 0.5, *(0.1 * share for share in WEAKER)])
    np.testing.assert_allclose(more.strengths["dropout"][3:], [[0.2 * s, 0.4 * s] for s in WEAKER])
    assert more.own.tolist() == [0, 1.0, 0, *WEAKER]
    assert more.learning_rate.tolist() == [1, 2, 3, 2, 2]
    assert more.given == 1
    free, tied = np.array([3.0, 2, 1, 3, 3]), np.array([3.0, 2, 2, 3, 3])
    assert weaker_than_given(more, free).tolist() == [True, False, True, True, True]
    assert weaker_than_given(more, tied).tolist() == [True, False, False, True, True]  # more l2, and fits no better


def test_nothing_is_added_to_a_network_without_regularization() -> None:
    """Nothing is weaker than none."""
    assert with_weaker(PLAIN) is PLAIN
    assert not weaker_than_given(PLAIN, np.arange(2.0)[::-1]).any()


@given(arrays(float, (6, 2), elements=st.sampled_from([0.0, 1e-4, 1e-2, 0.1])), st.integers(0, 5))
def test_weaker_by_its_definition(values: np.ndarray, as_given: int) -> None:
    """Less somewhere and more nowhere is weaker, more somewhere and less nowhere is not, nor is the given one."""
    values[0] = 0
    candidates = Candidates({"l2": values[:, 0], "l1": values[:, 1]}, np.ones(6), given=as_given)
    weaker = weaker_than_given(candidates, np.ones(6))
    assert not weaker[as_given]
    for g in range(6):
        less, more = values[g] < values[as_given], values[g] > values[as_given]
        if less.any() and not more.any():
            assert weaker[g]
        if not less.any():
            assert not weaker[g]


@pytest.mark.parametrize(
    ("curve", "epoch"), [([3, 1, 2], 2), ([3, 2, 1], None), ([1, 2, np.nan], 1), ([2, 1, np.nan], None), ([1], None)]
)
def test_the_epoch_at_which_a_curve_turns(curve: list[float], epoch: int | None) -> None:
    """The epoch of the lowest loss, counted from 1, unless it is the last that was trained."""
    assert turning_epoch(np.array(curve, float)) == epoch


@pytest.mark.parametrize(("name", "least"), [("level", 0.5), ("worth", 0)])
@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, np.nan, "0.9", None])
def test_shares_that_are_none(name: str, least: float, value: Any) -> None:
    """A level or a worth outside of its range is refused by name."""
    with pytest.raises(InputError, match=f"'{name}' must lie between {least} and 1"):
        Questions(**{name: value})


NO_CURVE = Questions(larger=False, curve=False)


def gathered(candidates: Candidates, found: Histories, problem: Recorder | None = None, **asked: bool) -> Any:
    """The evidence of a hand-made search, the cure and the learning curve."""
    search = Compared(candidates, found, TESTS)
    questions = replace(NO_CURVE, **asked)
    return gather(problem or Recorder(), search, SETTINGS, OPTIONS, questions)


def test_what_helps_is_the_cure() -> None:
    """A strength that has a lower loss is evidence and cure; larger networks are then not trained at all."""
    wide = Recorder()
    found, chosen, curve = gathered(PLAIN, histories([[1, 1, 1], [1, 0.6, 0.5]]), Recorder(larger={"wide": wide}))
    assert found.search.helps
    assert found.regularization.held_out.share == pytest.approx(0.5)
    assert not found.earlier.helps
    assert (chosen, curve, found.growth, wide.asked) == (1, None, None, [])


def test_an_earlier_epoch_is_the_cure() -> None:
    """Where only stopping helps, the network as given is its own cure."""
    found, chosen, _ = gathered(PLAIN, histories([[1, 0.5, 1], [1, 0.9, 0.9]]))
    assert found.search.helps
    assert found.earlier.epoch == 2
    assert chosen == 0
    assert found.beyond.share < 0


def test_less_regularization_is_growth_and_no_cure() -> None:
    """A weaker network is a freer one: its lower loss says that the network as given underfits."""
    curves = histories([[1, 0.5, 0.4], [1, 1, 1], [1, 0.7, 0.6]])
    found, chosen, _ = gathered(replace(OWN, strengths={"l2": np.array([0.0, 0.1, 0.3])}), curves)
    assert found.search.helps  # the third is stronger here, and so a cure
    three = Candidates({"l2": np.array([0.0, 0.1, 0.3])}, np.ones(3), given=1)
    found, chosen, _ = gathered(three, histories([[1, 0.5, 0.4], [1, 1, 1], [1, 1.1, 1.2]]))
    assert not found.search.helps
    assert found.growth is not None
    assert (found.growth.best, found.growth.helps, chosen) == ("no regularization", True, 1)


def test_nothing_stronger_to_compare_with() -> None:
    """If every strength is weaker than the network as given, earlier epochs are all that may show that it overfits."""
    found, chosen, _ = gathered(OWN, histories([[0.5, 0.4], [1.0, 1.0], [0.7, 0.6]]))
    assert not found.search.helps
    assert found.beyond.share == 0
    assert found.growth is not None
    assert (found.growth.helps, found.growth.best, chosen) == (True, "no regularization", 1)
    assert gathered(OWN, histories([[0.5, 0.4], [0.3, 1.0], [0.7, 0.6]]))[0].search.helps


def test_larger_networks_and_longer_training() -> None:
    """Each larger network and twice the epochs are tried with the regularization as given; those that fail are not."""
    wide = Recorder(histories([[0.5, 0.4, 0.3]]))
    deep = Recorder(TrainingError("it diverged"))
    problem = Recorder(histories([[1, 1, 1, 1, 0.9, 0.8]]), larger={"wide": wide, "deep": deep})
    menus = larger_menus(problem, OWN, SETTINGS)
    assert [menu.names for menu in menus] == [("wide",), ("6 epochs instead of 3",)]
    assert [settings.epochs for _, settings in (*wide.asked, *deep.asked, *problem.asked)] == [3, 3, 6]
    for candidates, _ in (*wide.asked, *deep.asked, *problem.asked):
        assert candidates.strengths["l2"].tolist() == [0.1]


def test_the_learning_curve_trains_on_fewer_rows() -> None:
    """Eighths, quarters, halves and all rows with as many steps; scored where the other row sets choose."""
    sets = folds(np.arange(200.0), "regression", cv=5, seed=0)
    problem = Recorder(histories([[3.0, 2.0]], row_sets=20), row_sets=sets)
    curve = learning_curve(problem, PLAIN, 1, SETTINGS, Comparing(sets.test_to_train, 5, 0.95))
    assert curve is not None
    assert curve.sizes.tolist() == [20, 40, 80, 160]
    assert curve.losses.shape == (4, 5)
    np.testing.assert_allclose(curve.losses, 2 + np.tile(JITTER, (4, 1)))
    (candidates, settings), *_ = problem.asked
    assert settings.equal_steps
    assert candidates.strengths["l2"].tolist() == [0.1]
    np.testing.assert_allclose(curve.gain.estimate, curve.twice.estimate / curve.losses[-1].mean())


def test_no_learning_curve_of_few_rows() -> None:
    """Fewer than 16 rows in training say nothing, and two sizes are no curve; nor is one with losses that are none."""
    assert learning_curve(Recorder(), PLAIN, 0, SETTINGS, TESTS) is None  # 32 rows in training: 16 and 32
    sets = folds(np.arange(80.0), "regression", cv=5, seed=0)
    broken = Recorder(histories([[np.inf]], row_sets=15), row_sets=sets)
    assert learning_curve(broken, PLAIN, 0, SETTINGS, TESTS) is None


def test_the_null_search_by_hand() -> None:
    """Where nothing can be found, the lowest loss is reported beside what the other row sets' choice has."""
    generator = np.random.default_rng(0)
    noise = histories([[1.0, 1.0], [1.0, 1.0]])
    noise = replace(noise, held_out_loss=1 + 0.1 * generator.normal(size=(5, 2, 2)))
    noise = replace(noise, best_loss=noise.held_out_loss.mean(axis=0).min(axis=1))
    found = null_search(Recorder(noise), Compared(PLAIN, noise, TESTS), SETTINGS)
    assert found.as_given == pytest.approx(noise.held_out_loss[:, 0, 1].mean())
    assert found.lowest == pytest.approx(noise.held_out_loss.mean(axis=0).min())
    assert found.honest == pytest.approx(found.found.chosen_loss)
    assert found.lowest <= found.honest
    assert found.constant == 0.6


def test_learning_by_heart_by_hand() -> None:
    """The epoch at which the training loss is half way down from chance, of noise and of the target."""
    noise = histories([[0.8, 0.9, 1.0]], train=[[0.8, 0.5, 0.3]])
    target = histories([[1, 1, 1], [1, 1, 1]], train=[[0.9, 0.3, 0.2], [9, 9, 9]])
    problem = Recorder(noise)
    found = memorised(problem, Compared(PLAIN, target, TESTS), SETTINGS)
    assert found.chance == pytest.approx(0.8)
    assert found.train_loss == pytest.approx(0.3)
    assert (found.lowest, found.half_learned, found.half_learned_of_target) == (pytest.approx(0.2), 3, 2)
    # a loss that may be negative has no half: added to all losses a number changes no epoch
    lower = histories([[-99.2, -99.1, -99.0]], train=[[-99.2, -99.5, -99.7]])
    below = histories([[1, 1, 1], [1, 1, 1]], train=[[-99.1, -99.7, -99.8], [9, 9, 9]])
    shifted = memorised(Recorder(lower), Compared(PLAIN, below, TESTS), SETTINGS)
    assert (shifted.half_learned, shifted.half_learned_of_target) == (3, 2)
    assert problem.asked[0][0].count == 1
    never = memorised(Recorder(histories([[0.8]])), Compared(PLAIN, histories([[1.0], [1.0]]), TESTS), SETTINGS)
    assert (never.half_learned, never.half_learned_of_target) == (None, None)

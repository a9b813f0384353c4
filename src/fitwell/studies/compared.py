"""A search compared with the network as given: the tests of overfitting that a search and a diagnosis share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fitwell.analysis.search_verdict import SearchVerdict
from fitwell.analysis.selection import choose_by, not_to_be_chosen
from fitwell.analysis.verdict import Help, Menu, Reduction, beyond, cure_of, weigh
from fitwell.data.row_sets import RowSets
from fitwell.engine.histories import Histories
from fitwell.errors import InputError
from fitwell.regularization.strengths import Candidates

TEST_LEVEL = 0.95
"""Of the tests of a search, that of `fitwell.diagnose`."""


@dataclass(frozen=True)
class Comparing:
    """How row sets are compared: n_test / n_train, the folds of one repeat, the level."""

    test_to_train: float
    folds: int
    level: float


@dataclass(frozen=True, eq=False)
class Compared:
    """A search whose network as given was trained to its last epoch, and how its losses are compared."""

    candidates: Candidates
    histories: Histories
    tests: Comparing

    @property
    def lowest_train_loss(self) -> np.ndarray:
        """Lowest mean over row sets of each strength; float [G], infinite where it diverged."""
        mean = self.histories.train_loss.mean(axis=0)
        return np.where(np.isfinite(mean), mean, np.inf).min(axis=1)

    @property
    def train_loss(self) -> np.ndarray:
        """Of the network as given at its last epoch, [R]."""
        return self.histories.at_last("train_loss")[:, self.candidates.given]

    @property
    def held_out_loss(self) -> np.ndarray:
        """Likewise, [R]."""
        return self.histories.at_last("held_out_loss")[:, self.candidates.given]

    def menu(self, strengths: Sequence[int]) -> Menu:
        """Return some strengths as a menu."""
        found = [str(self.candidates.regularization(g)) for g in strengths]
        bare = str(self.candidates.regularization(0))
        nothing = "no regularization" if bare == "none" else f"no regularization but {bare}"
        names = tuple(nothing if text == bare else text for text in found)
        chosen = list(strengths)
        return Menu(names, self.histories.train_loss[:, chosen], self.histories.held_out_loss[:, chosen])

    def choose(self, rule: str, strengths: Sequence[int]) -> int:
        """Choose among some strengths at their best epochs."""
        losses = np.where(np.isfinite(self.histories.best_loss), self.histories.at_best("held_out_loss"), np.inf)
        among = list(strengths)
        g = choose_by(
            rule,
            losses[:, among],
            self.candidates.take(among),
            self.tests.folds,
            test_to_train=self.tests.test_to_train,
            unfinished=not_to_be_chosen(self.histories, self.candidates)[among],
        )
        return among[g]

    def weigh(self, *menus: Menu) -> Help:
        """Compare what menus offer with the network as given."""
        ratio, folds, level = self.tests.test_to_train, self.tests.folds, self.tests.level
        return weigh(Menu.joined(list(menus)), self.train_loss, self.held_out_loss, ratio, folds, level)


def how_compared(row_sets: RowSets, level: float) -> Comparing:
    """Say how these row sets are compared, or raise an InputError: there are fewer than 3, or they overlap."""
    if row_sets.independent < 3:
        raise InputError(
            f"A diagnosis compares row sets, so it needs at least 3 folds. Got {row_sets.independent}: use cv=5."
        )
    # the other row sets choose for each one: rows that they share would be scored by their own choice
    row_sets.check_apart()
    return Comparing(row_sets.test_to_train, row_sets.independent, level)


def weaker_than_given(candidates: Candidates, train_loss: np.ndarray) -> np.ndarray:
    """Which candidates have less regularization than the network as given; bool [G].

    Those that have nowhere more of it and somewhere less; and of those with more of one regularizer and less of
    another, those that reach a lower training loss [G]: regularization is what keeps a network from its training rows.
    """
    values = [v.reshape(candidates.count, -1) for v in candidates.strengths.values()]
    # regularization of the model's own kind counts as one more regularizer
    values += [] if candidates.own is None else [candidates.own[:, None]]
    every = np.concatenate(values, axis=1) if values else np.zeros((candidates.count, 0))
    less, more = every < every[candidates.given], every > every[candidates.given]
    mixed = less.any(axis=1) & more.any(axis=1)
    return (less.any(axis=1) & ~more.any(axis=1)) | (mixed & (train_loss < train_loss[candidates.given]))


@dataclass(frozen=True, eq=False)
class Overfitting:
    """The tests of overfitting, and what was tried for them.

    Attributes
    ----------
    search, earlier, beyond
        See `fitwell.analysis.verdict.Evidence`.
    weaker
        bool [G], strengths with less regularization than the network as given: no cure of overfitting.
    stronger
        Numbers of all other strengths but the one as given.
    """

    search: Help
    earlier: Help
    beyond: Reduction
    weaker: np.ndarray
    stronger: list[int]

    @property
    def cure(self) -> str:
        """`"regularization"` or `"fewer epochs"`; `""` where nothing surely helps."""
        return cure_of(self.earlier, self.beyond) if self.search.helps else ""


def overfitting(found: Compared) -> Overfitting:
    """Test whether more regularization, or an earlier epoch, lowers the held-out loss of the network as given."""
    candidates, tests, given = found.candidates, found.tests, found.candidates.given
    weaker = weaker_than_given(candidates, found.lowest_train_loss)
    # less regularization is no cure of overfitting: a diagnosis asks it later, as a larger network
    others = [g for g in range(candidates.count) if g != given and not weaker[g]]
    earlier = found.menu([given])
    stronger = found.menu(others) if others else earlier  # all that was tried is weaker
    # stopping early is free, so regularization is the cure only if it adds to that
    more = beyond(stronger, earlier, tests.test_to_train, tests.folds, tests.level)
    return Overfitting(found.weigh(earlier, stronger), found.weigh(earlier), more, weaker, others)


def verdict_of_search(histories: Histories, candidates: Candidates, row_sets: RowSets) -> SearchVerdict | None:
    """Say what a search shows of overfitting; None where its row sets, or a diverged network, do not let it."""
    given = candidates.given
    try:
        tests = how_compared(row_sets, TEST_LEVEL)
    except InputError:  # a search needs neither three row sets nor row sets that are apart
        return None
    if candidates.count < 2 or row_sets.count % tests.folds or not np.isfinite(histories.best_loss[given]):
        return None
    tested = overfitting(Compared(candidates, histories, tests))
    return SearchVerdict(
        cure=tested.cure,
        search=tested.search,
        earlier=tested.earlier,
        beyond=tested.beyond,
        epochs=int(histories.epochs[given]),
        best_epoch=int(histories.best_epoch[given]),
    )

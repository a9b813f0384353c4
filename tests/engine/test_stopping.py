"""Stopping: who goes on, by hand-written losses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.engine.stopping import LONGEST_EPOCHS, Stopping, pace_of, share_of_work, still_running

PATIENT = Stopping(patience=100, rungs=(10, 25), kept=0.5, finalists=2)


def staying(
    rules: Stopping,
    best_loss: list[float],
    *,
    best_epoch: list[int] | int = 10,
    running: list[bool] | None = None,
    before: int = 5,
    after: int = 10,
) -> list[int]:
    """The numbers of the strengths that train on."""
    everyone = np.ones(len(best_loss), bool) if running is None else np.array(running)
    epochs = np.broadcast_to(best_epoch, len(best_loss))
    return np.flatnonzero(still_running(rules, everyone, np.array(best_loss), epochs, before, after)).tolist()


def test_patience() -> None:
    """A strength leaves when its best epoch lies `patience` epochs back, and not one epoch earlier."""
    rules = Stopping(patience=4, rungs=(), finalists=4)
    assert staying(rules, [1, 1, 1, 1], best_epoch=[10, 7, 6, 5], after=10) == [0, 1]


@pytest.mark.parametrize(
    ("steps", "rungs"),
    [
        (1, (10, 20, 30, 45, 60)),
        (16, (10, 20, 30, 45, 60)),
        (32, (5, 10, 15, 23, 30)),
        (64, (3, 5, 8, 12, 15)),
        (4000, (3, 5, 8, 12, 15)),
    ],
)
def test_rungs_come_sooner_in_epochs_of_many_steps(steps: int, rungs: tuple[int, ...]) -> None:
    """But not before a quarter of their epochs; rungs that meet are one."""
    assert Stopping().paced(pace_of(steps)).rungs == rungs
    assert Stopping(rungs=(1, 2, 3)).paced(pace_of(4000)).rungs == (1,)


@pytest.mark.parametrize("pace", [1, 0.25])
@pytest.mark.parametrize(("strengths", "epochs"), [(32, 150), (64, 40), (3, 20)])
def test_share_of_work_is_what_the_rules_leave(strengths: int, epochs: int, pace: float) -> None:
    """Of strengths that improve all the while, the unregularized the worst of them; other rules leave another share."""
    rules = Stopping().paced(pace)
    running, trained = np.ones(strengths, bool), 0
    losses = np.roll(np.linspace(1, 2, strengths), 1)
    for epoch in range(min(epochs, LONGEST_EPOCHS)):
        trained += running.sum()
        running = still_running(rules, running, losses, np.full(strengths, epoch + 1), epoch, epoch + 1)
    found = share_of_work(rules, strengths, epochs)
    assert found == pytest.approx(trained / (strengths * epochs))
    assert share_of_work(Stopping(rungs=()), strengths, epochs) != found or strengths == 3
    assert share_of_work(None, strengths, epochs) == 1


def test_halving_keeps_the_better_half() -> None:
    """At a halving the better half goes on, and the unregularized network though it is the worst."""
    losses = [9.0, 5, 3, 8, 1, 7, 2, 6]
    assert staying(PATIENT, losses) == [0, 1, 2, 4, 6]
    assert staying(PATIENT, [0.5, *losses[1:]]) == [0, 2, 4, 6]


def test_halving_only_at_its_epochs() -> None:
    """A halving acts in the call that passes its epoch, wherever in it, and in no other."""
    losses = [1.0, 2, 3, 4, 5, 6, 7, 8]
    everyone = list(range(8))
    assert staying(PATIENT, losses, before=5, after=9) == everyone
    assert staying(PATIENT, losses, before=9, after=12) == [0, 1, 2, 3]
    assert staying(PATIENT, losses, before=10, after=15) == everyone
    assert staying(PATIENT, losses, before=0, after=50) == [0, 1, 2, 3]


def test_halves_are_of_those_running() -> None:
    """The half is counted among those still in training, rounded up; who has left does not come back."""
    losses = [8.0, 1, 2, 3, 4, 5, 6, 7]
    running = [False, False, True, True, True, True, True, False]
    assert staying(PATIENT, losses, running=running) == [2, 3, 4]


def test_a_slow_starter_has_credit() -> None:
    """What fell late outlives what stands still at a lower loss; break: without its past it leaves."""
    rules = Stopping(patience=100, rungs=(10,), kept=0.5, credit=0.75, finalists=2)
    losses, earlier = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.6]), np.array([1.0, 1.1, 1.2, 1.3, 1.4, 2.4])

    def kept(earlier: np.ndarray | None) -> list[int]:
        found = still_running(rules, np.ones(6, bool), losses, np.full(6, 10), 5, 10, earlier=earlier)
        return np.flatnonzero(found).tolist()

    assert kept(None) == [0, 1, 2]
    assert kept(earlier) == [0, 1, 5]


def test_credit_takes_no_place_from_the_best() -> None:
    """However fast others fall, the finalists by loss go on; what has no past yet has no credit."""
    rules = Stopping(patience=100, rungs=(10,), kept=0.5, finalists=2)
    losses, earlier = np.array([1.0, 1.1, 5.0, 5.0, 5.0]), np.array([1.0, 1.1, 99.0, 99.0, np.inf])
    kept = still_running(rules, np.ones(5, bool), losses, np.full(5, 10), 5, 10, earlier=earlier)
    assert np.flatnonzero(kept).tolist() == [0, 1, 2, 3]


def test_finalists_survive() -> None:
    """A halving leaves at least the finalists."""
    rules = Stopping(patience=100, rungs=(10,), kept=0.5, finalists=3)
    assert staying(rules, [1.0, 2, 3, 4]) == [0, 1, 2]


def test_what_diverged_leaves() -> None:
    """A strength of infinite loss leaves, the unregularized network too, and the others stay."""
    rules = Stopping(patience=100, rungs=(), finalists=2)
    assert staying(rules, [np.inf, 1, np.inf, 2]) == [1, 3]


def test_the_end_comes_when_the_leaders_have_left() -> None:
    """The search ends once the best `finalists` have stopped improving, whatever the rest still does."""
    rules = Stopping(patience=5, rungs=(), finalists=2)
    losses = [9.0, 1, 2, 3, 4]
    assert staying(rules, losses, best_epoch=[1, 4, 6, 10, 10]) == [2, 3, 4]
    assert staying(rules, losses, best_epoch=[1, 4, 5, 10, 10]) == []


def test_the_end_waits_for_the_unregularized() -> None:
    """While the unregularized network still improves the search goes on: its curve is in the result."""
    rules = Stopping(patience=5, rungs=(), finalists=2)
    assert staying(rules, [9.0, 1, 2, 3, 4], best_epoch=[10, 4, 5, 10, 10]) == [0, 3, 4]


@given(
    st.lists(
        st.tuples(st.floats(0, 10) | st.just(np.inf), st.integers(0, 20), st.booleans()),
        min_size=1,
        max_size=9,
    ),
    st.integers(1, 20),
    st.integers(1, 5),
)
def test_nobody_comes_back(rows: list[tuple[float, int, bool]], patience: int, finalists: int) -> None:
    """Whatever the losses: only who was running stays, and who stays is finite and improved of late."""
    losses, epochs, running = (list(values) for values in zip(*rows, strict=True))
    rules = Stopping(patience, (20,), finalists=finalists)
    for g in staying(rules, losses, best_epoch=epochs, running=running, before=15, after=20):
        assert running[g]
        assert np.isfinite(losses[g])
        assert 20 - epochs[g] < patience


def test_a_later_wave_is_judged_by_itself() -> None:
    """In a wave without the unregularized network, number 0 has no privilege and the best four still train on."""
    rules = Stopping(patience=5, rungs=(10,), kept=0.5, finalists=2)
    loss, epoch = np.array([9.0, 1.0, 2.0, 3.0, 4.0]), np.full(5, 10)
    kept = still_running(rules, np.ones(5, bool), loss, epoch, 5, 10, protected=())
    assert kept.tolist() == [False, True, True, True, False]
    assert still_running(rules, np.ones(5, bool), loss, epoch, 5, 10)[0]


@pytest.mark.parametrize("protected", [(1,), (0, 1), (3,), (0, 6)])
def test_any_strength_can_be_protected(protected: tuple[int, ...]) -> None:
    """Those named outlive a halving though they are the worst, and nobody else does in their place."""
    loss, epoch = np.array([9.0, 8.5, 1.0, 8.0, 2.0, 3.0, 7.0, 6.0]), np.full(8, 10)
    kept = still_running(PATIENT, np.ones(8, bool), loss, epoch, 5, 10, protected=protected)
    assert set(np.flatnonzero(kept)) == {2, 4, 5, 7} | set(protected)
    bare = still_running(PATIENT, np.ones(8, bool), loss, epoch, 5, 10, protected=())
    assert set(np.flatnonzero(bare)) == {2, 4, 5, 7}


def test_the_end_waits_for_every_protected_strength() -> None:
    """The search goes on while the network as given still improves, and protection holds no longer than that."""
    rules = Stopping(patience=5, rungs=(), finalists=2)
    loss = np.array([9.0, 8.0, 1.0, 2.0, 3.0])

    def kept(epoch: list[int], protected: tuple[int, ...]) -> list[int]:
        found = still_running(rules, np.ones(5, bool), loss, np.array(epoch), 5, 10, protected=protected)
        return np.flatnonzero(found).tolist()

    assert kept([1, 10, 4, 5, 10], (0, 1)) == [1, 4]
    assert kept([1, 10, 4, 5, 10], (0,)) == []
    assert kept([1, 5, 4, 5, 10], (0, 1)) == []  # protected from halving, not from its own patience


def test_protection_brings_nobody_back() -> None:
    """A protected strength that has left or diverged stays away."""
    loss, epoch, running = np.array([9.0, np.inf, 1.0, 2.0]), np.full(4, 10), np.array([False, True, True, True])
    kept = still_running(PATIENT, running, loss, epoch, 5, 10, protected=(0, 1))
    assert kept.tolist() == [False, False, True, True]


TO_THE_END = Stopping(patience=5, rungs=(10,), kept=0.5, finalists=2, to_the_end=True)


def test_to_the_end_keeps_the_protected_and_only_them() -> None:
    """Protected strengths train on long after their best epoch, when all others have left; patience alone ends it."""
    loss = np.array([9.0, 1.0, 2.0, 8.0, 3.0])
    epoch = np.full(5, 1)

    def kept(rules: Stopping, before: int = 90, after: int = 95) -> list[int]:
        found = still_running(rules, np.ones(5, bool), loss, epoch, before, after, protected=(0, 3))
        return np.flatnonzero(found).tolist()

    assert kept(TO_THE_END) == [0, 3]
    assert kept(TO_THE_END, 5, 10) == [0, 3]  # at a halving too
    assert kept(Stopping(patience=5, rungs=(10,), kept=0.5, finalists=2)) == []  # the break


def test_to_the_end_changes_nothing_for_the_others() -> None:
    """Who is not protected leaves by patience and halving as ever while the protected train on."""
    loss, epoch = np.array([9.0, 1.0, 2.0, 8.0, 3.0, 4.0]), np.array([1, 10, 10, 10, 10, 5])
    kept = still_running(TO_THE_END, np.ones(6, bool), loss, epoch, 5, 10)
    assert np.flatnonzero(kept).tolist() == [0, 1, 2, 4]
    later = still_running(TO_THE_END, kept, loss, epoch, 12, 15)
    assert np.flatnonzero(later).tolist() == [0]  # the leaders have left, and what was to see the end stays


def test_to_the_end_is_not_for_what_diverged_or_left() -> None:
    """A protected strength of infinite loss leaves, and one that has left stays away."""
    loss, epoch = np.array([np.inf, 1.0, 2.0, 3.0]), np.full(4, 10)
    kept = still_running(TO_THE_END, np.ones(4, bool), loss, epoch, 10, 11, protected=(0, 1))
    assert kept.tolist() == [False, True, True, True]
    running = np.array([True, False, True, True])
    assert not still_running(TO_THE_END, running, loss, epoch, 10, 11, protected=(0, 1))[1]
    nobody = still_running(TO_THE_END, np.array([True, False, False, False]), loss, epoch, 10, 11)
    assert not nobody.any()


@given(
    st.lists(st.tuples(st.floats(0, 10) | st.just(np.inf), st.integers(0, 20), st.booleans()), min_size=2, max_size=9)
)
def test_to_the_end_by_its_definition(rows: list[tuple[float, int, bool]]) -> None:
    """Whatever the losses: a finite protected strength that ran stays, others stay only if they would without it."""
    losses, epochs, running = (np.array(values) for values in zip(*rows, strict=True))
    kept = still_running(TO_THE_END, running, losses, epochs, 15, 20, protected=(0, 1))
    for g in (0, 1):
        assert kept[g] == (running[g] and np.isfinite(losses[g]))
    improving = np.isfinite(losses) & (20 - epochs < TO_THE_END.patience)
    assert not (kept[2:] & ~(running & improving)[2:]).any()

"""What a regularizer is: its range, its checks, and one of somebody's own through a whole search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from example_tables import QUICK, mixed
from hypothesis import given
from hypothesis import strategies as st

import fitwell
from fitwell.errors import InputError, InputTypeError
from fitwell.problems.options import Options
from fitwell.regularization.regularizer import ZERO_SHARE, Axes, Regularizer, Step, resolve
from fitwell.regularization.table import BUILT_IN, L1


def group_penalty(strength: np.ndarray, kernel: np.ndarray, axes: Axes) -> np.ndarray:
    """The root of the sum of squares of each input's weights, summed: whatever the layout of the kernel."""
    return strength * jnp.sqrt((kernel * kernel).sum(axis=axes.outputs) + 1e-12).sum()


GROUPS = Regularizer("groups", "pulls whole inputs down", "log", 1e-4, 1e-1, penalty=group_penalty)


@pytest.fixture
def promoting_ranks() -> Iterator[None]:
    """Allow what Keras's layers rely on, where what is handed over predicts."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("strict_ranks", "promoting_ranks")
def test_a_regularizer_of_somebodys_own() -> None:
    """It is searched beside fitwell's, named in settings, tables and texts, and zero is off."""
    drawn = fitwell.tune(mixed(), "ill", **QUICK, regularizers=[GROUPS, "dropout"])
    assert list(drawn.search.candidates.strengths) == ["groups", "dropout"]
    assert "groups" in drawn.table.columns
    settings = [{"groups": 0.0}, {"groups": 0.05}, {"l2": 0.01}]
    given = fitwell.tune(mixed(), "ill", **{**QUICK, "strengths": settings}, regularizers=GROUPS)
    texts = [str(given.search.candidates.regularization(g)) for g in range(3)]
    assert texts == ["none", "groups = 0.05", "l2 = 0.01"]
    losses = given.search.histories.train_loss
    assert not np.allclose(losses[:, 1], losses[:, 0], rtol=1e-4)  # it does something
    off = fitwell.tune(mixed(), "ill", **{**QUICK, "strengths": [{"l2": 0.01}]})
    np.testing.assert_allclose(losses[:, [0, 2]], off.search.histories.train_loss, rtol=1e-5)
    with pytest.raises(InputError, match="There is no regularizer 'groups'"):
        fitwell.tune(mixed(), "ill", **{**QUICK, "strengths": settings})


def test_regularizers_by_name() -> None:
    """A name is looked up, an object taken as it is, anything else refused with what there is."""
    assert resolve("l1", BUILT_IN) is resolve(L1, {}) is L1
    with pytest.raises(InputError, match=f"There is no regularizer 'L1'. Choose from {', '.join(BUILT_IN)}"):
        resolve("L1", BUILT_IN)
    with pytest.raises(InputTypeError, match=r"must be a name or a fitwell.Regularizer. Got 3"):
        resolve(3, BUILT_IN)  # type: ignore[arg-type]


def test_a_regularizer_of_the_same_name_takes_the_others_place() -> None:
    """Somebody's own l1 is that one; the others stay."""
    mine = replace(L1, high=5.0)
    table = Options(regularizers=(mine,)).table
    assert table["l1"] is mine
    assert list(table) == list(BUILT_IN)


def test_axes_say_what_the_layout_is() -> None:
    """A penalty on whole inputs is the same for a kernel and for its transpose with its axes."""
    kernel = np.random.default_rng(0).normal(size=(4, 7))  # [inputs, outputs], as Keras has it
    found = float(group_penalty(1.0, kernel, Axes()))
    assert found == pytest.approx(float(group_penalty(1.0, kernel.T, Axes(inputs=(1,), outputs=(0,)))))
    assert found == pytest.approx(np.linalg.norm(kernel, axis=1).sum(), rel=1e-6)
    assert found != pytest.approx(float(group_penalty(1.0, kernel.T, Axes())), rel=1e-3)  # the break: the other axes


def test_a_row_may_act_nowhere_yet() -> None:
    """All four places are optional, and a strength has no upper bound unless one is given."""
    row = Regularizer("nothing", "does nothing", "log", 1e-3, 1.0)
    assert [row.penalty, row.after_step, row.on_kernel, row.on_units] == [None] * 4
    assert np.isinf(row.below)
    assert row.acts_on == "kernels"
    assert BUILT_IN["dropout"].acts_on == "units"


def test_a_step_has_its_parts_in_order() -> None:
    """What is handed to `after_step` besides the kernel."""
    assert Step._fields == ("before", "rate", "size", "axes")


@pytest.mark.parametrize("name", BUILT_IN)
def test_strengths_are_spread_over_the_range(name: str) -> None:
    """The first share is zero, then come the ends of the range; a number that grows gives a strength that grows."""
    row = BUILT_IN[name]
    unit = np.linspace(ZERO_SHARE, 1, 9)
    values = row.spread(unit)
    assert row.spread(np.array([0.0, ZERO_SHARE - 1e-9])).tolist() == [0, 0]
    assert (values[0], values[-1]) == (pytest.approx(row.low), pytest.approx(row.high))
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("name", BUILT_IN)
def test_position_in_the_range(name: str) -> None:
    """Off stands at 0, the top of the range at 1, and in between it grows with the strength."""
    row = BUILT_IN[name]
    values = np.concatenate([[0], np.geomspace(max(row.low, 1e-3 * row.high), row.high, 9)])
    places = row.position(values)
    assert places[0] == 0
    assert places[-1] == pytest.approx(1)
    assert (np.diff(places) > 0).all()
    assert row.position(np.array([row.high * 1.5 if row.scale == "linear" else row.high * 10]))[0] > 1


@given(st.floats(0, 100), st.floats(0, 100), st.sampled_from(["l1", "l2"]))
def test_position_never_falls(one: float, other: float, name: str) -> None:
    """A larger penalty never stands below a smaller one, however small."""
    small, large = BUILT_IN[name].position(np.sort([one, other]))
    assert 0 <= small <= large

"""The plan: every strength once, memory within the budget, sentences where nothing fits."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.engine.plan import BLOCK_NETWORKS, COMPILE_SECONDS, Plan, Work, make_plan
from fitwell.errors import InputError, TrainingError

WORK = Work(variable_bytes=1000, step_bytes=5000, step_flops=1e6)
SIZES = st.fixed_dictionaries(
    {
        "row_sets": st.integers(1, 12),
        "strengths": st.integers(1, 200),
        "devices": st.integers(1, 5),
        "data_bytes": st.integers(0, 100_000),
    }
)


def plan_of(**sizes: Any) -> Plan:
    """A plan of some sizes, the others ordinary."""
    ordinary: dict[str, Any] = {
        "row_sets": 5,
        "strengths": 32,
        "epochs": 100,
        "steps": 8,
        "batch_size": 32,
        "devices": 1,
        "work": WORK,
        "data_bytes": 0,
        "budget": 2**40,
    }
    return make_plan(**{**ordinary, **sizes})


def smallest(row_sets: int, strengths: int, devices: int, data_bytes: int, work: Work = WORK) -> int:
    """Bytes of the data, of what every network leaves behind, and of one strength a device in training."""
    training = row_sets * min(devices, strengths) * (work.state_bytes + work.step_bytes)
    return data_bytes + row_sets * strengths * work.variable_bytes + training


@given(SIZES, st.integers(0, 10_000_000))
def test_every_strength_once(sizes: dict[str, int], more: int) -> None:
    """Waves of blocks cover all strengths once, in order; blocks are of one shape, even over the devices."""
    plan = plan_of(**sizes, budget=smallest(**sizes) + more)
    assert [g for wave in plan.waves for g in wave] == list(range(plan.strengths))
    assert plan.block_strengths % plan.devices == 0
    assert plan.wave_strengths % plan.block_strengths == 0
    assert 1 <= plan.devices <= sizes["devices"]
    assert plan.block_strengths * plan.blocks < plan.strengths + plan.block_strengths * len(plan.waves)


@given(SIZES, st.integers(0, 10_000_000))
def test_memory_is_within_the_budget(sizes: dict[str, int], more: int) -> None:
    """A plan's memory fits the budget, however small it is, and there is none only if nothing fits."""
    budget = smallest(**sizes) + more
    assert smallest(**sizes) <= plan_of(**sizes, budget=budget).memory <= budget
    with pytest.raises(TrainingError, match="smallest block"):
        plan_of(**sizes, budget=smallest(**sizes) - 1)


@given(SIZES, st.integers(1, 4), st.integers(0, 10_000_000))
def test_more_memory_never_means_more_waves(sizes: dict[str, int], times: int, more: int) -> None:
    """With the blocks given, a larger budget takes no more waves."""
    block = times * min(sizes["devices"], sizes["strengths"])
    enough = smallest(**sizes) * times
    small, large = (plan_of(**sizes, budget=b, block_strengths=block) for b in (enough, enough + more))
    assert len(large.waves) <= len(small.waves)
    assert large.block_strengths == small.block_strengths == block


@pytest.mark.parametrize(
    ("row_sets", "strengths", "devices", "block"),
    [
        (5, 32, 1, 8),
        (5, 32, 2, 8),
        (5, 32, 4, 8),
        (5, 33, 1, 7),
        (5, 3, 1, 3),
        (100, 32, 1, 1),
        (1, 32, 2, 32),
    ],
)
def test_blocks_are_small_and_even(row_sets: int, strengths: int, devices: int, block: int) -> None:
    """Blocks hold about 40 networks, spread evenly, however many row sets there are."""
    plan = plan_of(row_sets=row_sets, strengths=strengths, devices=devices)
    assert plan.block_strengths == block
    assert row_sets * block <= max(BLOCK_NETWORKS, row_sets)


def test_a_search_smaller_than_the_machine() -> None:
    """Fewer strengths than devices leave devices unused."""
    plan = plan_of(strengths=2, devices=16)
    assert (plan.devices, plan.block_strengths) == (2, 2)


def test_memory_is_counted_in_full() -> None:
    """Peak memory: the data, what all networks leave behind, a wave's state, and one block's step."""
    sizes: dict[str, Any] = {"row_sets": 2, "strengths": 8, "block_strengths": 4, "data_bytes": 77}
    plan = plan_of(**sizes)
    assert plan.memory == 77 + 2 * 8 * 1000 + 2 * 8 * WORK.state_bytes + 2 * 4 * 5000
    tight, less = plan_of(**sizes, budget=plan.memory), plan_of(**sizes, budget=plan.memory - 1)
    assert (len(tight.waves), len(less.waves)) == (1, 2)
    assert less.memory == plan.memory - 2 * 4 * WORK.state_bytes


def test_too_little_memory_is_said() -> None:
    """The sentence names the block, what it needs, what there is, and what to do."""
    work = Work(variable_bytes=10 * 2**20, step_bytes=2**20, step_flops=1.0)
    needed = smallest(5, 32, 1, 0, work) // 2**20
    with pytest.raises(TrainingError) as caught:
        plan_of(work=work, budget=3 * 2**20)
    assert re.fullmatch(
        rf"The smallest block \(5 row sets x 1 strengths\) needs about {needed:,} MiB, "
        r"and the memory budget is 3 MiB: raise it, .*\.",
        str(caught.value),
    )


def test_blocks_must_divide_over_devices() -> None:
    """A block that does not spread evenly over the devices is refused."""
    with pytest.raises(InputError, match=r"must be a multiple of the 2 devices\. Got 3\."):
        plan_of(devices=2, block_strengths=3)


def test_seconds() -> None:
    """Without a measured speed there is no estimate; with one it grows with the work."""
    assert plan_of().seconds == 0
    slow, fast = plan_of(flops_per_second=1e9), plan_of(flops_per_second=2e9)
    assert slow.seconds - COMPILE_SECONDS == pytest.approx(2 * (fast.seconds - COMPILE_SECONDS))
    half, idle = plan_of(flops_per_second=1e9, share=0.5), plan_of(flops_per_second=1e9, efficiency=0.2)
    assert slow.seconds - COMPILE_SECONDS == pytest.approx(2 * (half.seconds - COMPILE_SECONDS))
    assert slow.seconds - COMPILE_SECONDS == pytest.approx((idle.seconds - COMPILE_SECONDS) / 2)
    assert plan_of().networks == 160

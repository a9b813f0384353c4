"""Devices: those of this machine, what their compiler knows, their memory and speed."""

from __future__ import annotations

import os

import jax
import numpy as np
import pytest

from fitwell.engine import devices as machine


class FakeDevice:
    """A device with its own memory."""

    platform = "gpu"

    def __init__(self, limit: int, in_use: int) -> None:
        self.statistics = {"bytes_limit": limit, "bytes_in_use": in_use}

    def memory_stats(self) -> dict[str, int]:
        """As JAX's devices have it."""
        return self.statistics


def test_available_devices() -> None:
    """All devices there are, or as many as wanted."""
    assert machine.available_devices() == jax.local_devices()
    assert len(jax.local_devices()) == 2
    assert machine.available_devices(1) == jax.local_devices()[:1]
    assert machine.available_devices(99) == jax.local_devices()


def test_compiler_options_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only options that this XLA knows are given: an unknown one is left out, another platform gets none."""
    device = jax.local_devices()[0]
    options = machine.compiler_options(device)
    doubled = jax.jit(lambda x: 2 * x, compiler_options=options or None)(np.float32(3))
    assert float(doubled) == 6
    assert machine.compiler_options(FakeDevice(1, 0)) == {}
    monkeypatch.setattr(machine, "_CPU_OPTIONS", {"xla_cpu_no_such_option": "1"})
    assert machine.compiler_options(device) == {}


def test_memory_budget_of_a_cpu() -> None:
    """On a CPU it is half of what is free: some, and less than the machine has."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < machine.memory_budget(jax.local_devices()) <= pages / 2


def test_memory_budget_of_accelerators() -> None:
    """Devices with memory of their own count by the one with the least free, times their number, halved."""
    assert machine.memory_budget([FakeDevice(1000, 200), FakeDevice(1000, 400)]) == 600


def test_speed_is_of_this_century() -> None:
    """A core multiplies between a hundred million and a thousand million million times a second."""
    assert 1e8 < machine.measure_speed(size=128, repeats=2) < 1e15

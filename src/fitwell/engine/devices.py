"""The machine: one XLA device per core, memory that may be used, how fast it multiplies."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fitwell.engine.memory import host_memory

Device = Any
"""A `jax.Device`."""

_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""Single matrix products gain without XLA's YNNPACK fusions; a whole search by 1% (`benchmarks/RESULTS.md`)."""


def available_devices(wanted: int | None = None) -> list[Device]:
    """Return the devices to train on: all accelerators, or one XLA device for each core of a CPU.

    How many CPU devices there are was chosen when fitwell was imported (`fitwell.startup`), or by somebody else.

    Parameters
    ----------
    wanted
        Use at most this many.
    """
    devices = jax.local_devices()
    return devices[: wanted or len(devices)]


def compiler_options(device: Device) -> dict[str, str]:
    """Return the compiler options that are faster here and that this version of XLA knows."""
    return {k: v for k, v in _CPU_OPTIONS.items() if _knows(k, v)} if device.platform == "cpu" else {}


@cache
def _knows(option: str, value: str) -> bool:
    """Whether XLA takes an option; asked once, for the answer is a small compilation."""
    probe = jax.jit(lambda x: x + 1).lower(jax.ShapeDtypeStruct((), np.float32))
    try:
        probe.compile(compiler_options={option: value})
    except jax.errors.JaxRuntimeError:  # an XLA without this option has no such fusions either
        return False
    return True


def memory_budget(devices: list[Device]) -> int:
    """Return half of the memory that is free now, in bytes (of the smallest device, if it has its own)."""
    # None on a CPU, whose memory is the host's
    statistics = [device.memory_stats() for device in devices]
    limits = [s["bytes_limit"] - s["bytes_in_use"] for s in statistics if s and "bytes_limit" in s]
    if limits:
        # strengths are spread evenly, so the smallest device limits all; half is left to XLA and to others
        return min(limits) * len(limits) // 2
    return host_memory()


def training_memory(wanted: int | None) -> int:
    """Return the bytes that training may use: as many as wanted, or what this machine's devices allow."""
    return memory_budget(available_devices()) if wanted is None else wanted


def on_accelerator() -> bool:
    """Return whether training runs on another device than the processor."""
    return available_devices()[0].platform != "cpu"


def measure_speed(size: int = 512, repeats: int = 4) -> float:
    """Return floating point operations a second of matrix products on all cores, measured in about 50 ms."""
    # scaled, or the numbers would leave float32's range after some products
    multiply = jax.jit(lambda a: (a @ a) * (1 / size))
    matrix = jnp.ones((size, size), jnp.float32)
    # once before the clock starts: the first call compiles
    jax.block_until_ready(multiply(matrix))
    begin = time.perf_counter()
    for _ in range(repeats):
        matrix = multiply(matrix)
    jax.block_until_ready(matrix)
    return 2.0 * size**3 * repeats / (time.perf_counter() - begin)

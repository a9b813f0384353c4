"""What must be said before Keras and JAX start, since afterwards they no longer listen. Imports neither."""

from __future__ import annotations

import contextlib
import os
import sys

MAX_CPU_DEVICES = 16
"""More devices than this gain nothing on small networks."""


def prepare() -> None:
    """Let Keras run on JAX, and JAX have one CPU device for each core, unless somebody has chosen otherwise.

    On one device a search would use one core for much of its work. Other JAX programs go on using the first device.
    """
    # `setdefault`: a person's own choice stays, and is refused by a sentence when Keras is needed
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    # by the older flag somebody has chosen already
    if "jax" not in sys.modules and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(cpu_devices()))
    elif "jax" in sys.modules:
        ask_for_devices()


def ask_for_devices() -> None:
    """Ask an imported JAX for one CPU device for each core; in vain if it has started or somebody has chosen."""
    import jax

    if getattr(jax.config, "jax_num_cpu_devices", -1) < 1:  # -1: nobody has chosen
        with contextlib.suppress(RuntimeError):  # the backend has started already
            jax.config.update("jax_num_cpu_devices", cpu_devices())


def cpu_devices() -> int:
    """Return the number of cores that this process may use, or what is of use."""
    # a container or `taskset` may allow fewer cores than there are; macOS and Windows do not say
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_CPU_DEVICES)

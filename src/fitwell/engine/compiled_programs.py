"""Programs of XLA that outlive the process: compiled once on a machine, and loaded from then on.

A program is traced and lowered each time, and its *text*, which says all that is computed, is its key: whatever a
network, a loss or an optimizer is made of, another program has another text. (The text is 1 second of Python, XLA's
compilation 3 to 10.) With it go what else decides about machine code: versions, processor, devices, XLA's options.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from fitwell._version import __version__
from fitwell.engine.devices import Device
from fitwell.engine.program_directory import ProgramDirectory, open_directory
from fitwell.extras import installed_version
from fitwell.startup import cpu_devices

_NOT_KEPT = re.compile(r"callback|stablehlo\.(send|recv|infeed|outfeed)")
"""What calls back into this process: the text does not say what is called."""

_NO_MATTER = re.compile("compilation_cache|persistent_cache|(^|_)log|dump|traceback")
"""Settings of JAX that change no program."""

_ENVIRONMENT = re.compile("XLA_|TF_|LIBTPU_|NVIDIA_|NPROC$")
"""Variables that XLA and its libraries read."""

_OF_PROCESSORS = re.compile(
    r"(vendor_id|cpu family|model|model name|stepping|flags"  # x86
    r"|CPU implementer|CPU architecture|CPU variant|CPU part|CPU revision|Features"  # ARM
    r"|isa|uarch|cpu|machine|features)\s*:"  # RISC-V, POWER, s390
)


@dataclass(frozen=True, eq=False)
class LoweredProgram:
    """A program that has been traced, and not compiled yet.

    Attributes
    ----------
    lowered
        What `jax.jit(...).lower(...)` gives.
    devices
        Those it runs on, in order.
    key
        What it is kept by; None if it cannot be kept.
    """

    lowered: Any
    devices: tuple[Device, ...]
    key: str | None

    def compiled(self, directory: ProgramDirectory | None) -> Any:
        """Load what was compiled before, or compile and keep it; may be called in any thread."""
        if directory is None or self.key is None:
            return self.lowered.compile()
        return self._loaded(directory, self.key) or self._made(directory, self.key)

    def _loaded(self, directory: ProgramDirectory, key: str) -> Any:
        found = directory.read(key)
        if found is None:
            return None
        try:
            # structures of this tracing, and not of a file: they hold classes of anybody's
            in_tree = jax.tree.structure(self.lowered.args_info)
            devices = list(self.devices)
            return deserialize_and_load(found, in_tree, self.lowered.out_tree, devices[0].client, devices)
        except Exception:  # of whatever kind: then it is compiled, as if it had not been there
            directory.remove(key)
            return None

    def _made(self, directory: ProgramDirectory, key: str) -> Any:
        hits = _hits_of_jax()
        before = hits.count
        program = self.lowered.compile()
        # XLA writes only half of a program that it has read itself, which then fails when it runs
        if hits.count > before:
            return program
        # not every program and device allows it
        with contextlib.suppress(Exception):
            directory.write(key, serialize(program)[0])
        return program


class _Hits(threading.local):
    """Counts, in each thread, what JAX's own cache gave."""

    count = 0

    def hear(self, event: str, **details: Any) -> None:
        del details
        self.count += event == "/jax/compilation_cache/cache_hits"


@cache
def _hits_of_jax() -> _Hits:
    hits = _Hits()
    jax.monitoring.register_event_listener(hits.hear)
    return hits


def directory_of_programs() -> ProgramDirectory | None:
    """Return where programs are kept; None if nowhere, or if somebody has told JAX to keep them itself."""
    settings = jax.config.values
    jax_keeps = settings["jax_enable_compilation_cache"] and settings["jax_compilation_cache_dir"]
    return None if jax_keeps else open_directory()


def lower_program(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    *,
    devices: Sequence[Device],
    options: Mapping[str, str],
    donate: tuple[int, ...] = (),
) -> LoweredProgram:
    """Trace a function.

    Parameters
    ----------
    arguments
        Arrays, or their shapes with shardings.
    devices
        Those that the arguments are on.
    options
        Of the compiler.
    donate
        Numbers of the arguments whose memory the results may take.
    """
    # unused arguments stay: without them two functions that use different ones would have one text
    jitted = jax.jit(function, keep_unused=True, donate_argnums=donate, compiler_options=dict(options) or None)
    lowered = jitted.lower(*arguments)
    return LoweredProgram(lowered, tuple(devices), _key(lowered, devices, options))


def _key(lowered: Any, devices: Sequence[Device], options: Mapping[str, str]) -> str | None:
    text = lowered.as_text()
    if _NOT_KEPT.search(text):
        return None
    rest = {
        "text": hashlib.sha256(text.encode()).hexdigest(),
        "arguments": str(lowered.args_info),
        "results": str(lowered.out_info),
        "options": dict(options),
        "surroundings": surroundings(devices),
        "versions": _versions(devices[0].platform != "cpu"),
        "backend": devices[0].client.platform_version,
        "processor": _processor(),
        # XLA cuts loops for the threads that it will have
        "cores": [os.cpu_count(), cpu_devices()],
    }
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()


def surroundings(devices: Sequence[Device]) -> str:
    """Return what else decides about a program and may change while a process runs: settings of JAX, and devices."""
    rest = {
        "settings": {name: value for name, value in jax.config.values.items() if not _NO_MATTER.search(name)},
        "environment": {name: value for name, value in os.environ.items() if _ENVIRONMENT.match(name)},
        "devices": [(device.id, device.platform, device.device_kind) for device in devices],
        "all devices": [jax.device_count(), jax.process_count(), jax.process_index()],
    }
    return json.dumps(rest, sort_keys=True, default=str)


@cache
def _versions(accelerator: bool) -> dict[str, str | None]:
    """Return the versions of all that makes programs, reads their files, and runs them."""
    found = {"fitwell": __version__, "jax": jax.__version__, "numpy": np.__version__, "python": sys.version}
    found |= {"jaxlib": installed_version("jaxlib")}
    if not accelerator:
        return found
    # plugins and CUDA's libraries come as distributions of their own
    named = [(distribution.name or "", distribution.version) for distribution in distributions()]
    return found | {name: version for name, version in named if name.lower().startswith(("jax", "libtpu", "nvidia"))}


@cache
def _processor() -> list[str]:
    """Return what says which instructions there are: XLA compiles for the processor that it runs on."""
    with contextlib.suppress(OSError):
        # several kinds of cores may be in one machine
        found = {line for line in Path("/proc/cpuinfo").read_text().splitlines() if _OF_PROCESSORS.match(line)}
        if found:
            return [platform.machine(), *sorted(found)]
    # macOS and Windows say less: there a machine's name stands for it
    return [platform.machine(), platform.processor(), platform.version(), platform.node()]

"""What the benchmarks share: fresh child processes, peak memory, Markdown, the machine they ran on.

Imports the standard library only. A process that starts children must stay small itself: Linux hands the peak
memory of a parent on to the children that it starts (`getrusage`), and their own would be hidden below it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MIB = 2**20
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes; of `ru_maxrss` in what `getrusage` and `wait4` return."""
_RESULT = "fitwell-benchmark-result "

Task = Callable[..., dict[str, Any]]
"""What a child process runs: keyword arguments in, a dictionary that JSON can hold out."""


def arguments(description: str | None, tasks: Mapping[str, Task], only: Sequence[str] = ()) -> argparse.Namespace:
    """Read the command line; in a child process, run its task, print the result and leave.

    Parameters
    ----------
    description
        The script's docstring.
    tasks
        What child processes of this script can be asked to do.
    only
        Sections that can be asked for alone.
    """
    first_line = (description or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(description=first_line)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, no more")
    parser.add_argument("--rounds", type=int, help="measure everything so many times, one after another")
    if only:
        parser.add_argument("--only", choices=only, help="measure one section")
    parser.add_argument("--child", nargs=2, metavar=("TASK", "JSON"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        task, keywords = options.child
        print(_RESULT + json.dumps(tasks[task](**json.loads(keywords))), flush=True)
        sys.exit()
    return options


def in_child(script: str, task: str, environment: Mapping[str, str] | None = None, **keywords: Any) -> dict[str, Any]:
    """Run a task of `script` in a fresh Python process and return what it measured."""
    command = [sys.executable, str(Path(script).resolve()), "--child", task, json.dumps(keywords)]
    # each measurement compiles what it runs, unless it is about what is kept
    return _run(command, {**os.environ, "FITWELL_CACHE": "off", **(environment or {})})


def in_node(script: str, **keywords: Any) -> dict[str, Any]:
    """Run a script of this folder in a fresh Node process and return what it measured."""
    return _run(["node", str(HERE / script), json.dumps(keywords)], dict(os.environ))


def _run(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    note(" ".join(command[1:])[:140])
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    results = [line for line in done.stdout.splitlines() if line.startswith(_RESULT)]
    if done.returncode or len(results) != 1:
        sys.exit(f"{' '.join(command)}\nfailed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return json.loads(results[0].removeprefix(_RESULT))


def note(text: str) -> None:
    """Say on stderr what is being done: stdout is for the tables."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def peak_bytes() -> int:
    """Peak resident memory of this process, since it started or since `forget_peak`."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def resident_bytes() -> int:
    """Resident memory of this process now; 0 where the system does not say."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Start `peak_bytes` anew from here (Linux; elsewhere nothing happens)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), 0)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; floats get three significant digits, ints a comma every three."""
    lines = [list(header), ["---"] * len(header), *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def cell(value: Any) -> str:
    """Format a table's value."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def spread(values: Sequence[float]) -> str:
    """Format the lowest and the highest value."""
    return f"{cell(float(min(values)))} to {cell(float(max(values)))}"


def against(ratios: Sequence[float], target: float) -> list[Any]:
    """Return the cells of ratios that should be at least the target: median, range, target, verdict."""
    middle = statistics.median(ratios)
    return [middle, spread(ratios), f"at least {target:g}", "pass" if middle >= target else "FAIL"]


def heading(title: str, options: argparse.Namespace) -> str:
    """Return a section's title with the machine, the versions and what was asked for."""
    asked = " (--quick: these numbers mean nothing)" if options.quick else ""
    return f"## {title}{asked}\n\n{machine()}\n\n{versions()}\n"


def machine() -> str:
    """Describe the processor, its cores that may be used, the memory, and what else is running."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = f"{os.getloadavg()[0]:.1f}"
    no_byte_code = "; PYTHONDONTWRITEBYTECODE is set" if os.environ.get("PYTHONDONTWRITEBYTECODE") else ""
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return (
        f"{time.strftime('%Y-%m-%d')}, {_processor()}, {cores()} cores, {memory:.1f} GiB, {system}; "
        f"load average at the start {load}{no_byte_code}"
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> str:
    """List the versions of everything measured."""
    found = [f"Python {platform.python_version()}"]
    found += [f"{name} {_version(name)}" for name in ("jax", "jaxlib", "keras", "scikit-learn", "numpy")]
    found += [f"Node {_node_version()}"]
    found += [f"{name} {_npm_version(name)}" for name in ("@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm")]
    return ", ".join(found)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _node_version() -> str:
    try:
        return subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip().lstrip("v")
    except OSError:
        return "not installed"


def _npm_version(name: str) -> str:
    try:
        return json.loads((HERE.parent / "node_modules" / name / "package.json").read_text())["version"]
    except OSError:
        return "not installed"

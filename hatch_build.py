"""Compiles `dense_epoch.c` when fitwell is installed from its sources, if there is a C compiler.

Without one the wheel has no compiled part, and everything is trained by NumPy alone.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/fitwell/engine/dense_epoch.c")

# no -ffast-math, see there; no -march=native, for a wheel may go to another machine
OPTIONS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]


class CompileDenseEpoch(BuildHookInterface):
    """Puts the library beside its source, where a checkout finds it, too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling's build hooks."""
        del version
        source = Path(self.root) / SOURCE
        if compile_library(source, library := source.with_suffix(".so")):
            build_data["force_include"][str(library)] = str(SOURCE.with_suffix(".so").relative_to("src"))
            # no part of Python is compiled in, only of the machine
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def compile_library(source: Path, library: Path) -> bool:
    """Compile, and return whether that went well; a library that was there is replaced, or gone."""
    aside = library.with_suffix(".so.new")
    # Python's own compiler goes without the flags that Python was built with; who names one means all of it
    compiler = shlex.split(os.environ.get("CC", "")) or shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]
    try:
        library.unlink(missing_ok=True)
        named = f"-DFITWELL_SOURCE={zlib.crc32(source.read_bytes())}"
        command = [*compiler, *OPTIONS, named, str(source), "-o", str(aside), "-lm"]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        reason = getattr(problem, "stderr", b"").decode(errors="replace") or str(problem)
        print(f"fitwell trains with NumPy alone, for its C code could not be compiled: {reason}", file=sys.stderr)
        aside.unlink(missing_ok=True)
        return False
    aside.rename(library)
    return True


if __name__ == "__main__":
    compile_library(SOURCE, SOURCE.with_suffix(".so"))

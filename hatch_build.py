"""What is made when fitwell is installed from its sources: its compiled part, and the script of a report's charts.

Without a C compiler the wheel has no compiled part, and everything is trained by NumPy alone. The script is that of
Vega-Lite with all that it needs, as `vl-convert` bundles it: no report asks the network for it.
"""

from __future__ import annotations

import gzip
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
CHARTS = Path("src/fitwell/report/vega.js.gz")

# no -ffast-math, see there; no -march=native, for a wheel may go to another machine
OPTIONS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]


class CompileDenseEpoch(BuildHookInterface):
    """Puts the library beside its source, where a checkout finds it, too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling's build hooks."""
        del version
        charts = bundle_charts(Path(self.root) / CHARTS)
        build_data["force_include"][str(charts)] = str(CHARTS.relative_to("src"))
        source = Path(self.root) / SOURCE
        if compile_library(source, library := source.with_suffix(".so")):
            build_data["force_include"][str(library)] = str(SOURCE.with_suffix(".so").relative_to("src"))
            # no part of Python is compiled in, only of the machine
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def bundle_charts(file: Path) -> Path:
    """Write the charts' script, compressed: 0.9 MB become 0.3."""
    import vl_convert

    # no time of day inside: the same script is the same file
    aside = file.with_suffix(".new")
    aside.write_bytes(gzip.compress(vl_convert.javascript_bundle().encode(), mtime=0))
    return aside.rename(file)


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
    bundle_charts(CHARTS)
    compile_library(SOURCE, SOURCE.with_suffix(".so"))

"""Run docs/tutorial.md: write what its code prints below it, draw its pictures: ``python docs/make_tutorial.py``.

Needs matplotlib, and Node with the packages of package.json.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "tutorial.md"
BLOCK = re.compile(r"```(python|js)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
END = "--- end of a block ---"
SEEDED = """
let state = 0;
Math.random = () => {    // the same first weights and the same order of rows in every run (mulberry32)
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};
console.warn = console.info = () => {};
"""
BLUE, RED, GREEN, GREY = "#1f6fb8", "#c8452c", "#2e8b57", "#8a8a8a"
DARK = {"#ffffff": "#0d1117", "#000000": "#e6edf3", BLUE: "#6cb6ff", RED: "#ff8f73", GREEN: "#5fd393", GREY: "#9198a1"}
"""Which colour a reader in dark mode sees in the place of which."""


def main() -> None:
    """Run the page, and write it and its pictures."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        names, printed = run_python(page)
        spoken = run_javascript(page, Path(folder))
    PAGE.write_text(with_outputs(page, printed, spoken), encoding="utf-8")
    for file, svg in pictures(names).items():
        (DOCS / file).write_text(svg, encoding="utf-8")


def blocks(page: str, language: str) -> list[tuple[str, str]]:
    """The code blocks of a language, each with the output that the page shows below it."""
    return [(code, shown) for kind, code, shown in BLOCK.findall(page) if kind == language]


def run_python(page: str) -> tuple[dict[str, Any], list[str]]:
    """Run the Python blocks one after another in the current directory; the names they made, and what each printed."""
    names: dict[str, Any] = {}
    printed = []
    for code, _ in blocks(page, "python"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, str(PAGE), "exec"), names)
        printed.append(out.getvalue())
    return names, printed


def run_javascript(page: str, folder: Path) -> list[str]:
    """Run the JavaScript blocks as one program of Node in a folder; what each printed."""
    code = f"\nconsole.log('{END}');\n".join(code for code, _ in blocks(page, "js"))
    program = folder / "tutorial.cjs"
    program.write_text(f"{SEEDED}(async () => {{\n{code}\n}})();\n", encoding="utf-8")
    environment = {**os.environ, "NODE_PATH": str(DOCS.parent / "node_modules")}
    done = subprocess.run(["node", program], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [out.lstrip("\n") for out in done.stdout.split(f"{END}\n")]


def with_outputs(page: str, printed: Iterable[str], spoken: Iterable[str]) -> str:
    """The page with other outputs."""
    outputs = {"python": iter(printed), "js": iter(spoken)}

    def renewed(found: re.Match[str]) -> str:
        language, code, shown = found.groups()
        output = next(outputs[language])
        return f"```{language}\n{code}```\n" + ("" if shown is None else f"\n```text\n{_lines(output)}```\n")

    return BLOCK.sub(renewed, page)


def _lines(output: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines() if line.strip())


def pictures(names: Mapping[str, Any]) -> dict[str, str]:
    """Draw the pictures from the variables of the page: file name to SVG."""
    style = {"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "fitwell", "legend.frameon": False}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.w_pad": 0.1}
    with mpl.rc_context(style):
        return {f"tutorial-{name}.svg": svg(draw(names)) for name, draw in DRAWN.items()}


def svg(figure: Figure) -> str:
    """A figure as SVG, with other colours for readers in dark mode and no more digits than pixels need."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    # the page below may be light or dark, whatever the reader's system is: the picture has a background of its own
    rules = "".join(
        f'[style*="{way}: {light}"] {{{way}: {dark} !important}}'
        for light, dark in DARK.items()
        for way in ("fill", "stroke")
    )
    rules += "text:not([style*='fill']) {fill: #e6edf3}"
    text = written.getvalue().replace("</style>", f"@media (prefers-color-scheme: dark) {{{rules}}}</style>", 1)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # in attributes only: a label says what it says
    text = re.sub(r'"[^"]*"', lambda found: re.sub(r"(\d+\.\d\d)\d+", r"\1", found[0]), text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _figure(columns: int = 1, height: float = 3.2, **options: Any) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(7.6, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, columns, **options)))


def _curve(axes: Any, losses: Any, colour: str, label: str, style: str = "-") -> None:
    axes.plot(np.arange(1, len(losses) + 1), losses, style, color=colour, label=label)


def _epochs(axes: Any, title: str = "") -> None:
    axes.set(xlabel="epoch", ylabel="loss (mean squared error)", ylim=(0, None), title=title)


def by_heart(names: Mapping[str, Any]) -> Figure:
    """The losses of the network without a penalty."""
    figure, (axes,) = _figure()
    curves = names["plain_curves"]
    _curve(axes, curves["val_mse"], RED, "new rows")
    _curve(axes, curves["mse"], BLUE, "rows learned from")
    best = int(np.argmin(curves["val_mse"]))
    axes.plot(best + 1, curves["val_mse"][best], "o", color=RED)
    axes.annotate("from here on: by heart", (best + 1, curves["val_mse"][best]), (14, -14), textcoords="offset points")
    axes.axhline(1, color=GREY, linestyle="--", linewidth=1)
    axes.text(80, 0.98, "always guess the mean", color=GREY, ha="right", va="top")
    _epochs(axes)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.93), ncols=2)
    return figure


def weights(names: Mapping[str, Any]) -> Figure:
    """The losses of new rows with each penalty, and the sizes of the first layer's weights."""
    figure, (left, right) = _figure(2, 3.6)
    for name, colour, label in [("plain", GREY, "no penalty"), ("small", BLUE, "L2"), ("sparse", RED, "L1")]:
        _curve(left, names[f"{name}_curves"]["val_mse"], colour, label)
    _epochs(left, "new rows")
    left.legend()
    drawn = {
        "none": (GREY, "no penalty"),
        "L2": (BLUE, "L2"),
        "L1": (RED, "L1"),
        "L1, fitwell": (GREEN, "L1 in fitwell"),
    }
    for name, (colour, label) in drawn.items():
        sizes = np.sort(names["sizes"][name].ravel())[::-1]
        positive = np.flatnonzero(sizes > 0)
        kept = np.union1d(positive[:: max(1, len(sizes) // 200)], positive[-1:])
        right.plot(100 * (kept + 1) / len(sizes), sizes[kept], color=colour, label=label)
        if sizes[-1] == 0:
            share = 100 * len(positive) / len(sizes)
            right.plot([share] * 2, [sizes[positive[-1]], 1e-6], color=colour)
            right.text(share + 3, 3e-6, "all others are zero", color=colour)
    right.legend(loc="center", bbox_to_anchor=(0.5, 0.55))
    right.set(yscale="log", ylim=(1e-6, 2), xlabel="weights, largest first (%)", ylabel="size", title="the first layer")
    return figure


def dropout(names: Mapping[str, Any]) -> Figure:
    """A corner of the kernel with dropped units, and one with dropped weights."""
    figure, panels = _figure(2, 2.6)
    for axes, name, title in zip(panels, ("by_unit", "by_weight"), ("units dropped", "weights dropped"), strict=True):
        kept = np.argwhere(names[name][:14, :26])
        squares = [Outline.unit_rectangle().transformed(Affine2D().scale(0.75).translate(*at[::-1])) for at in kept]
        axes.add_patch(PathPatch(Outline.make_compound_path(*squares), facecolor=BLUE, linewidth=0))
        axes.set(
            title=title,
            xlabel="to unit",
            ylabel="from unit",
            xticks=[],
            yticks=[],
            xlim=(-0.5, 26.2),
            ylim=(14.2, -0.5),
        )
    return figure


def strengths(names: Mapping[str, Any]) -> Figure:
    """The held-out loss of every strength that was not hopeless."""
    figure, (axes,) = _figure()
    result = names["result"]
    table = result.table.filter(~result.table["diverged"])
    none = table.filter((table["l2"] == 0) & (table["dropout"] == 0))["held_out_loss"][0]
    shown = table.filter(table["l2"] > 0)
    points = axes.scatter(
        shown["l2"],
        shown["held_out_loss"],
        c=shown["dropout"],
        cmap="viridis",
        s=42,
        edgecolors="#000000",
        linewidths=0.6,
    )
    bar = figure.colorbar(points, ax=axes, label="dropout of units")
    bar.outline.set_visible(False)
    axes.axhline(none, color=RED, linestyle="--", linewidth=1)
    axes.text(0.29, none, "no regularization, at its best epoch", color=RED, va="bottom", ha="right")
    chosen = result.regularization
    at = (chosen["l2"], table.filter(table["l2"] == chosen["l2"])["held_out_loss"][0])
    axes.annotate("chosen", at, (9, -4), textcoords="offset points")
    axes.axvline(0.01, color=GREY, linestyle=":", linewidth=1)
    axes.text(0.0095, axes.get_ylim()[1], "the 0.01 of tutorials", color=GREY, ha="right", va="top")
    axes.set(xscale="log", xlabel="strength of L2", ylabel="held-out loss")
    return figure


def needed(names: Mapping[str, Any]) -> Figure:
    """The cross-validated losses of both diagnosed networks."""
    figure, panels = _figure(2, sharey=True)
    for axes, name in zip(panels, ("overfitted", "left_alone"), strict=True):
        found = names[name]
        _curve(axes, found.histories.held_out_loss[:, 0].mean(axis=0), RED, "held-out rows")
        _curve(axes, found.histories.train_loss[:, 0].mean(axis=0), BLUE, "rows learned from")
        _epochs(axes, f"verdict: {found.verdict}")
        axes.set_ylim(0, 1.4)
    panels[1].set_ylabel("")
    panels[1].legend()
    return figure


DRAWN: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "by-heart": by_heart,
    "weights": weights,
    "dropout": dropout,
    "strengths": strengths,
    "needed": needed,
}

if __name__ == "__main__":
    main()

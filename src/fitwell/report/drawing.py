"""What all plots on matplotlib's axes are drawn with. It is imported in this file only, and when something is drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import polars as pl

from fitwell.analysis.series import best_points, strength_range, strength_ticks
from fitwell.errors import InputTypeError
from fitwell.extras import check_matplotlib
from fitwell.report.charts import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_LABEL = 30
"""Characters of a name from a table: a longer one would leave the picture no room."""

MARKERS = {"diamond": "D", "triangle-up": "^", "square": "s", "circle": "o", "cross": "x"}
"""matplotlib's names of the shapes in `fitwell.report.charts.MARKS`."""


def axes_for(ax: Any, width: float = 6.4, height: float = 4.2) -> Axes:
    """Return the axes that were given, or those of a new figure of pyplot."""
    return all_axes_for(ax if ax is None else [ax], 1, width, height)[0]


def all_axes_for(axes: Any, count: int, width: float = 6.4, height: float = 4.2) -> list[Axes]:
    """Return the axes that were given, or `count` side by side in a new figure of pyplot."""
    check_matplotlib()
    from matplotlib.axes import Axes

    if axes is not None:
        for one in axes:
            if not isinstance(one, Axes):
                raise InputTypeError(f"'ax' must be axes of matplotlib, as plt.subplots gives them. Got {one!r}.")
        return list(axes)
    # only here, as scikit-learn's displays do: who gives axes may use no pyplot at all
    from matplotlib import pyplot

    _, made = pyplot.subplots(1, count, figsize=(width * count, height), squeeze=False, layout="constrained")
    return list(made[0])


@cache
def _palette() -> dict[str, str]:
    """The light colours of the page, by name."""
    css = (resources.files("fitwell.report") / "page.css").read_text(encoding="utf-8")
    # the first of a name is that of the light page
    return dict(reversed(re.findall(r"--(\w+): (#\w{6})", css)))


def colour(name: str, ax: Axes | None = None) -> Any:
    """Return a colour of the page: one of its names as charts write it, ``"var(--first)"``.

    What is drawn in ink is drawn in that of the axes' own words, if they are given: those may be light on dark.
    """
    short = name.removeprefix("var(--").removesuffix(")")
    return ax.xaxis.label.get_color() if ax is not None and short == "ink" else _palette()[short]


def shades(none: str, all_of_it: str) -> Any:
    """Return a map of shares to the colours from one of the page to another."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("fitwell", [colour(none), colour(all_of_it)])


def network_colour(network: str) -> str:
    """Return the colour of a network that is compared."""
    return colour(COLOURS[network])


def shortened(label: Any) -> str:
    """Return a name from a table, on one line and not too long."""
    line = " ".join(str(label).split())
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"


def name_ticks(ax: Axes, along: str, labels: Sequence[Any], **style: Any) -> None:
    """Put names from a table at 0, 1, ... of one axis, as they are: a dollar is no mathematics."""
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_ticks(range(len(labels)), [shortened(label) for label in labels], parse_math=False, **style)


def bands(ax: Axes, curves: pl.DataFrame, loss: str) -> None:
    """Draw curves of training and held-out rows with their bands, and the best epochs; see `curve_bands`."""
    for network in curves["network"].unique(maintain_order=True):
        for rows, line in (("held out", "-"), ("training", "--")):
            part = curves.filter(network=network, rows=rows)
            hue, epochs = network_colour(network), part["epoch"].to_numpy()
            ax.plot(epochs, part["loss"].to_numpy(), line, color=hue, label=f"{network}, {rows}")
            low, high = part["low"].to_numpy(), part["high"].to_numpy()
            ax.fill_between(epochs, low, high, color=hue, alpha=0.15, linewidth=0)
    for point in best_points(curves).to_dicts():
        ax.plot([point["epoch"]], [point["loss"]], "o", color=network_colour(point["network"]), label="_best epoch")
    ax.set(xlabel="epoch", ylabel=loss)
    ax.legend(frameon=False)


def strength_axis(ax: Axes, along: str, strengths: pl.Series) -> None:
    """Make an axis logarithmic, with a place for zero: below the least strength, where there is none, it is linear."""
    low, high = strength_range(strengths)
    getattr(ax, f"set_{along}scale")("symlog", linthresh=low, linscale=0.5)
    getattr(ax, f"set_{along}lim")(-low / 3, high * 1.5)
    ticks = [0.0, *strength_ticks(low, high)]
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def legend_of_all(axes: Sequence[Axes], order: Sequence[str], *, outside: bool = False) -> None:
    """Say once what is drawn on several axes: on the last of them, or below all of a figure that is ours."""
    named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    labels = [label for label in order if label in named]
    handles = [named[label] for label in labels]
    # the root: axes may lie in a part of a figure
    figure = axes[-1].get_figure(root=True)
    if outside and figure is not None:
        # as many in a row as their words leave room for
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * len(axes)), frameon=False)
    else:
        axes[-1].legend(handles, labels, framealpha=0.8, edgecolor="none")


def unit_square(ax: Axes, *, diagonal: bool) -> None:
    """Let both axes go from 0 to 1, with the diagonal."""
    if diagonal:
        ax.plot([0, 1], [0, 1], ":", color=colour("faint"), label="_diagonal", zorder=1)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")

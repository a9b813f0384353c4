"""The pictures of a search on matplotlib's axes: the numbers of `analysis/series.py`, as in the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fitwell.analysis.readings import reading_of
from fitwell.analysis.series import (
    RunTables,
    by_predictor,
    confusion,
    curve_bands,
    importance_bars,
    input_lines,
    input_strength,
    loss_window,
    path_points,
    predicted_and_true,
)
from fitwell.errors import InputError
from fitwell.report.charts import CHOSEN_MARKS, MARKS, MOST_CLASSES
from fitwell.report.drawing import (
    MARKERS,
    all_axes_for,
    axes_for,
    bands,
    colour,
    legend_of_all,
    name_ticks,
    network_colour,
    shades,
    shortened,
    strength_axis,
    unit_square,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OF_TABLES = "only of tables with one target is every row's held-out prediction kept"


@dataclass(frozen=True, eq=False, repr=False)
class RunPlots:
    """Pictures of a search; each method draws one and returns its axes.

    `ax` are the axes to draw on; None makes a figure with `matplotlib.pyplot`. Colours mean the same in all of them,
    and in the report of a saved run: red is the unregularized network, blue what was chosen or is handed over, violet
    the network as given or a linear model.

    Attributes
    ----------
    run
        What is drawn.
    """

    run: RunTables

    def __repr__(self) -> str:
        return f"Pictures of this search: {', '.join(f'{name}()' for name in self.names)}."

    @property
    def names(self) -> list[str]:
        """The pictures that there are of this search."""
        return [name for name, lacks in LACKS.items() if not lacks(self.run)]

    def curves(self, ax: Axes | None = None) -> Axes:
        """Draw loss by epoch on training and on held-out rows, of the networks that are compared.

        Means over row sets with a band of one standard error; the dot is the best epoch.
        """
        axes = axes_for(ax)
        bands(axes, curve_bands(self.run), self._loss)
        return axes

    def path(self, regularizer: str | None = None, ax: Axes | Sequence[Axes] | None = None) -> Any:
        """Draw held-out loss by strength: each point is one candidate, with one standard error on either side.

        The other strengths differ from point to point. Points far above are left outside, and those whose strength
        differs by layer have no place: both are counted above the axes.

        Parameters
        ----------
        regularizer
            One that was searched; None draws all, side by side.
        ax
            Axes; where all are drawn, as many as there are regularizers.

        Returns
        -------
        The axes of `regularizer`; of all, an array of axes [number of regularizers].
        """
        names = self.run.regularizers
        if regularizer is not None:
            self._check_searched(regularizer)
            axes = axes_for(ax)
            self._path(axes, regularizer)
            legend_of_all([axes], list(MARKS))
            return axes
        given = None if ax is None else np.ravel(np.array(ax, dtype=object)).tolist()
        if given is not None and len(given) != len(names):
            raise InputError(
                f"'ax' must be {len(names)} axes, for {', '.join(names)}; or name the one regularizer to draw. "
                f"Got {len(given)}."
            )
        found = all_axes_for(given, len(names), width=4.6)
        for name, axes in zip(names, found, strict=True):
            self._path(axes, name)
        legend_of_all(found, list(MARKS), outside=ax is None)
        return np.array(found, dtype=object)

    def _path(self, ax: Axes, regularizer: str) -> None:
        points = path_points(self.run)
        shown = points.filter(pl.col(regularizer).is_not_null())
        # what matters is drawn last, on top
        for rank, mark in enumerate(reversed(MARKS)):
            part = shown.filter(mark=mark)
            if part.is_empty():
                continue
            shape, name = MARKS[mark]
            style: dict[str, Any] = {"color": colour(name, ax), "zorder": 2 + rank / 10}
            ax.vlines(part[regularizer], part["low"], part["high"], **style, alpha=0.35)
            size = 9 if mark in CHOSEN_MARKS else 5
            ax.plot(part[regularizer], part["loss"], MARKERS[shape], **style, markersize=size, label=mark)
        strength_axis(ax, "x", shown[regularizer])
        low, high = loss_window(points)
        ax.set(xlabel=regularizer.replace("_", " "), ylabel=f"held-out {self._loss}", ylim=(low, high))
        above, by_layer = shown.filter(pl.col("loss") > high).height, points.height - shown.height
        notes = [f"{above} above"] if above else []
        notes += [f"{by_layer} by layer"] if by_layer else []
        where: dict[str, Any] = {"transform": ax.transAxes, "ha": "right", "va": "bottom"}
        ax.text(1.0, 1.01, ", ".join(notes), **where, fontsize="small", color=colour("soft"))

    def strength_map(self, one: str | None = None, other: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the held-out loss of every candidate by two of its strengths; the ring is the minimum.

        Parameters
        ----------
        one, other
            Regularizers of the two axes; None takes the first that vary.
        """
        self._check("strength_map")
        for name in (one, other):
            if name is not None:
                self._check_searched(name)
        rest = [name for name in self.run.varied if name not in (one, other)]
        across = one or rest.pop(0)
        up = other or rest.pop(0)
        if across == up:
            raise InputError(f"'one' and 'other' must be two regularizers. Got '{across}' twice.")
        points, axes = path_points(self.run), axes_for(ax)
        shown = points.filter(pl.col(across).is_not_null() & pl.col(up).is_not_null()).sort("loss", descending=True)
        low, high = float(shown["loss"].to_numpy().min()), loss_window(points)[1]
        dots = axes.scatter(shown[across], shown[up], s=60, c=shown["loss"], cmap="viridis_r", vmin=low, vmax=high)
        best = shown.filter(pl.col("mark").str.contains("minimum"))
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": colour("second"), "markeredgewidth": 2}
        axes.plot(best[across], best[up], "o", markersize=14, **ring, label="minimum")
        strength_axis(axes, "x", shown[across])
        strength_axis(axes, "y", shown[up])
        axes.set(xlabel=across.replace("_", " "), ylabel=up.replace("_", " "))
        beyond = "max" if (shown["loss"] > high).any() else "neither"
        axes.figure.colorbar(dots, ax=axes, label=f"held-out {self._loss}", extend=beyond)
        return axes

    def importance(self, most: int = 20, ax: Axes | None = None) -> Axes:
        """Draw how much worse held-out rows are predicted once a column is dealt out anew, with its 95% interval.

        Parameters
        ----------
        most
            Columns that are drawn, the most important first.
        """
        self._check("importance")
        bars = importance_bars(self.run, most)
        axes = axes_for(ax, height=max(2.0, 0.8 + 0.26 * bars.height))
        places = range(bars.height)
        axes.barh(places, bars["increase"], color=colour("second"), alpha=0.75)
        axes.hlines(places, bars["low"], bars["high"], color=colour("ink", axes), linewidth=1.2)
        name_ticks(axes, "y", bars["column"].to_list())
        axes.set(xlabel=f"rise of the held-out {self.run.document['loss']}", ylim=(bars.height - 0.4, -0.6))
        return axes

    def inputs(self, most: int = 10, ax: Axes | None = None) -> Axes:
        """Draw how heavily networks weigh the columns, by the strength that pulls whole columns to zero.

        Dashed are columns that are not needed; the vertical line is the strength that was chosen.

        Parameters
        ----------
        most
            Columns that are drawn, those first that come in at the largest strengths.
        """
        self._check("inputs")
        lines, chosen, axes = input_lines(self.run, most), input_strength(self.run), axes_for(ax)
        for column in lines["column"].unique(maintain_order=True):
            part = lines.filter(column=column)
            style = "o-" if part["needed"][0] == "yes" else "o--"
            axes.plot(part["value"], part["weight"], style, markersize=4, linewidth=1.4, label=shortened(column))
        strength_axis(axes, "x", lines["value"])
        if chosen is not None:
            axes.axvline(chosen, color=colour("ink", axes), linewidth=1, alpha=0.6)
        axes.set(xlabel="strength", ylabel="weight by that of the heaviest column")
        axes.legend(fontsize="small", ncols=2, framealpha=0.8, edgecolor="none")
        return axes

    def calibration(self, ax: Axes | None = None) -> Axes:
        """Draw how often what was predicted of the second class came true, with Wilson's 95% intervals."""
        self._check("calibration")
        frame, axes = by_predictor(self.run, "calibration"), axes_for(ax, 5.0, 5.0)
        for network in frame["network"].unique(maintain_order=True):
            part, hue = frame.filter(network=network), network_colour(network)
            axes.vlines(part["predicted"], part["low"], part["high"], color=hue, alpha=0.4)
            axes.plot(part["predicted"], part["observed"], "o-", color=hue, markersize=5, label=network)
        self._square(axes, "predicted probability", "observed share", of_class="both", diagonal=True)
        return axes

    def roc(self, ax: Axes | None = None) -> Axes:
        """Draw what share of the second class is found, by what share of the first is taken for it."""
        axes = self._thresholds("roc", "false_positive_rate", "true_positive_rate", ax)
        self._square(axes, "false positive rate", "recall", of_class="y", diagonal=True)
        return axes

    def precision_recall(self, ax: Axes | None = None) -> Axes:
        """Draw what share of the rows taken for the second class is of it, by what share of that class is found."""
        axes = self._thresholds("precision_recall", "recall", "precision", ax)
        self._square(axes, "recall", "precision", of_class="both", diagonal=False)
        return axes

    def _thresholds(self, picture: str, across: str, up: str, ax: Axes | None) -> Axes:
        self._check(picture)
        frame, axes = by_predictor(self.run, picture), axes_for(ax, 5.0, 5.0)
        for network in frame["network"].unique(maintain_order=True):
            part = frame.filter(network=network)
            axes.plot(part[across], part[up], color=network_colour(network), label=network)
        return axes

    def _square(self, ax: Axes, across: str, up: str, *, of_class: str, diagonal: bool) -> None:
        unit_square(ax, diagonal=diagonal)
        positive = f" of {shortened(self.run.classes[1])}"
        # the name of a class may hold a dollar
        ax.set_xlabel(across + (positive if of_class == "both" else ""), parse_math=False)
        ax.set_ylabel(up + positive, parse_math=False)
        ax.legend(frameon=False)

    def confusion(self, ax: Axes | None = None) -> Axes:
        """Draw what held-out rows are taken for: their number or weight, coloured by the share of their class."""
        self._check("confusion")
        counts, classes = confusion(self.run).with_columns(pl.col("share").fill_null(0)), self.run.classes
        side = len(classes), len(classes)
        share, count = counts["share"].to_numpy().reshape(side), counts["count"].to_numpy().reshape(side)
        # sums of weights, where rows do not count alike
        decimals = 1 if count.dtype.kind == "f" else 0
        axes = axes_for(ax, 5.0, 5.0)
        axes.imshow(share, cmap=shades("page", "second"), vmin=0, vmax=1)
        # more would be too small to read
        for (row, column), number in np.ndenumerate(count if len(classes) <= MOST_CLASSES else count[:0]):
            ink = colour("page" if share[row, column] > 0.6 else "ink")
            axes.text(column, row, f"{number:,.{decimals}f}", ha="center", va="center", color=ink)
        turned: dict[str, Any] = (
            {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, classes)) > 4 else {}
        )
        name_ticks(axes, "x", classes, **turned)
        name_ticks(axes, "y", classes)
        axes.set(xlabel="predicted", ylabel="true")
        return axes

    def predicted(self, ax: Axes | None = None) -> Axes:
        """Draw predicted and true values of held-out rows, 1000 at most; on the line they would be equal."""
        self._check("predicted")
        frame, axes = predicted_and_true(self.run), axes_for(ax)
        ends = np.sort(frame["true"].to_numpy())[[0, -1]]
        axes.plot(ends, ends, ":", color=colour("faint"), label="_equal", zorder=1)
        self._dots(axes, frame["predicted"], frame["true"])
        axes.set(xlabel="predicted", ylabel="true")
        return axes

    def residuals(self, ax: Axes | None = None) -> Axes:
        """Draw what is left of held-out rows, 1000 at most, by what was predicted."""
        self._check("residuals")
        frame, axes = predicted_and_true(self.run), axes_for(ax)
        axes.axhline(0, linestyle=":", color=colour("faint"), label="_zero", zorder=1)
        self._dots(axes, frame["predicted"], frame["residual"])
        axes.set(xlabel="predicted", ylabel="true minus predicted")
        return axes

    def _dots(self, ax: Axes, across: pl.Series, up: pl.Series) -> None:
        ax.plot(across, up, "o", color=colour("second"), alpha=0.45, markersize=4.5, markeredgewidth=0, label="rows")

    @property
    def _loss(self) -> str:
        return reading_of(self.run.document["loss"]).name

    def _check(self, picture: str) -> None:
        """Raise an InputError if there is no such picture, before a figure is made for it."""
        if why := LACKS[picture](self.run):
            raise InputError(f"There is no '{picture}' of this search: {why}. There are {', '.join(self.names)}.")

    def _check_searched(self, regularizer: str) -> None:
        if regularizer not in self.run.regularizers:
            raise InputError(f"'{regularizer}' was not searched: name one of {', '.join(self.run.regularizers)}.")


def _lacks_two_classes(run: RunTables) -> str:
    count = len(run.classes)
    why = f"it takes two classes, and the target has {count}" if count else "the target has no classes"
    return OF_TABLES if run.held_out is None else "" if count == 2 else why


def _lacks_inputs(run: RunTables) -> str:
    if run.input_paths is None:
        return "no regularizer acted on whole columns"
    return "" if run.input_paths.height else "no strength that was trained to its end beats a constant"


def _lacks_classes(run: RunTables) -> str:
    return OF_TABLES if run.held_out is None else "" if run.classes else "the target has no classes"


def _lacks_numbers(run: RunTables) -> str:
    return OF_TABLES if run.held_out is None else "the target has classes" if run.classes else ""


LACKS: dict[str, Callable[[RunTables], str]] = {
    "curves": lambda run: "",
    "path": lambda run: "",
    "strength_map": lambda run: "" if len(run.varied) > 1 else "it takes two strengths that were searched",
    "importance": lambda run: "" if run.document.get("importance") else "only of tables is it known",
    "inputs": _lacks_inputs,
    "calibration": _lacks_two_classes,
    "roc": _lacks_two_classes,
    "precision_recall": _lacks_two_classes,
    "confusion": _lacks_classes,
    "predicted": _lacks_numbers,
    "residuals": _lacks_numbers,
}
"""Why a search has nothing for a picture, by its name; empty where it has."""

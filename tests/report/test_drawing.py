"""What all plots are drawn with: axes in and out, the page's colours, names as they are, a place for zero."""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path

import matplotlib as mpl
import polars as pl
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import fitwell
from fitwell.errors import InputError, InputTypeError
from fitwell.report.charts import COLOURS, MARKS
from fitwell.report.drawing import (
    LONGEST_LABEL,
    MARKERS,
    all_axes_for,
    axes_for,
    colour,
    legend_of_all,
    name_ticks,
    network_colour,
    shades,
    shortened,
    strength_axis,
)

mpl.use("agg")


@pytest.fixture
def ax() -> Axes:
    """Axes of a figure that pyplot does not know."""
    return Figure().subplots()


def test_axes_that_are_given_come_back(ax: Axes) -> None:
    """The same, without any figure of pyplot; without axes there is one for all that is drawn side by side."""
    assert axes_for(ax) is ax
    assert all_axes_for([ax, ax], 2) == [ax, ax]
    assert pyplot.get_fignums() == []
    three = all_axes_for(None, 3)
    assert len(three) == 3
    assert {one.figure for one in three} == {pyplot.gcf()}
    assert len(pyplot.get_fignums()) == 1


def test_what_is_no_axes_is_refused(ax: Axes) -> None:
    """A figure is a common slip: one sentence, and nothing is drawn."""
    with pytest.raises(InputTypeError, match=r"'ax' must be axes of matplotlib, as plt.subplots .* Got <Figure"):
        axes_for(ax.figure)


def test_without_matplotlib_a_sentence_says_what_to_install(ax: Axes, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback of an import; with it nothing is said."""
    axes_for(ax)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r'matplotlib is not installed.*pip install "fitwell\[plot\]"\.$'):
        axes_for(ax)


def test_colours_are_those_of_the_light_page(ax: Axes) -> None:
    """Every colour and marker that charts name can be drawn; ink is that of the axes' own words."""
    css = (resources.files("fitwell.report") / "page.css").read_text(encoding="utf-8")
    light, dark = css.split("@media", maxsplit=1)
    assert f"--first: {network_colour('unregularized')};" in light
    assert f"--first: {network_colour('unregularized')};" not in dark
    assert network_colour("chosen") == network_colour("answer") == colour("second")
    assert network_colour("as given") == network_colour("linear model") == colour("var(--third)")
    drawn = [*COLOURS.values(), *(name for _, name in MARKS.values())]
    assert all(colour(name).startswith("#") for name in drawn)
    assert {shape for shape, _ in MARKS.values()} == set(MARKERS)
    assert [to_hex(shades("page", "second")(share)) for share in (0.0, 1.0)] == [colour("page"), colour("second")]
    ax.set_xlabel("", color="white")  # as in a dark style
    assert colour("var(--ink)", ax) == "white"
    assert colour("var(--first)", ax) == colour("first")


def test_names_of_a_table_are_drawn_as_they_are(ax: Axes) -> None:
    """A dollar is no mathematics, in which matplotlib would find an error; and a long name is cut."""
    names = [r"$\frac$", "_hidden", "<script>alert(1)</script>", "a\nb"]
    for along in ("x", "y"):
        name_ticks(ax, along, names)
        texts = (ax.get_xticklabels if along == "x" else ax.get_yticklabels)()
        assert [one.get_text() for one in texts] == [*names[:3], "a b"]
    ax.figure.draw_without_rendering()
    other = Figure().subplots()
    other.set_xticks([0], [names[0]])
    with pytest.raises(ValueError, match="frac"):
        other.figure.draw_without_rendering()
    assert shortened("x" * LONGEST_LABEL) == "x" * LONGEST_LABEL
    assert shortened("x" * 31) == "x" * (LONGEST_LABEL - 1) + "…"


def test_an_axis_of_strengths_has_a_place_for_zero(ax: Axes) -> None:
    """Zero lies inside, left of the least strength by more than a hair, and is called zero."""
    strengths = pl.Series([0.0, 1e-4, 0.3])
    strength_axis(ax, "x", strengths)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "0.0001", "0.001", "0.01", "0.1"]
    places = ax.transData.transform([(value, 0.5) for value in strengths])[:, 0]
    left, right = ax.transAxes.transform([(0, 0), (1, 1)])[:, 0]
    assert left < places[0] < places[1] < places[2] < right
    assert places[1] - places[0] > 0.05 * (right - left)
    # a decade is as wide here as there: the axis is logarithmic where there are strengths
    decades = ax.transData.transform([(1e-4, 0), (1e-3, 0), (1e-2, 0)])[:, 0]
    assert decades[2] - decades[1] == pytest.approx(decades[1] - decades[0])


def test_what_was_not_varied_has_an_axis_too(ax: Axes) -> None:
    """All zeros, or no number at all."""
    for strengths in (pl.Series([0.0, 0.0]), pl.Series([0.0, 0.3]), pl.Series([], dtype=pl.Float64)):
        strength_axis(ax, "y", strengths)
        low, high = ax.get_ylim()
        assert low < 0 < high
        assert len({text.get_text() for text in ax.get_yticklabels()}) == len(ax.get_yticks()) == 2
        ax.figure.draw_without_rendering()


def test_a_legend_says_each_thing_once() -> None:
    """In the order that is asked for, on the last axes or below all."""
    axes = list(Figure().subplots(1, 2))
    for one in axes:
        one.plot([0], [0], label="b")
        one.plot([0], [0], label="a")
    legend_of_all(axes, ["a", "b", "c"])
    assert axes[0].get_legend() is None
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["a", "b"]
    legend_of_all(axes, ["b", "a"], outside=True)
    assert [text.get_text() for text in axes[1].figure.legends[0].get_texts()] == ["b", "a"]


def test_one_file_imports_matplotlib() -> None:
    """It is the only one, and does so when it draws: neither fitwell nor a search loads it."""
    root = Path(fitwell.__file__).parent
    importing = re.compile(r"^( *)(?:from|import) matplotlib", re.MULTILINE)
    found = {
        path.relative_to(root).as_posix(): importing.findall(path.read_text(encoding="utf-8"))
        for path in root.rglob("*.py")
    }
    # elsewhere only for types, below `if TYPE_CHECKING:`
    assert found.pop("report/drawing.py") == ["    "] * 4
    assert {name: indents for name, indents in found.items() if indents} == {
        "report/plots.py": ["    "],
        "report/diagnosis_plots.py": ["    "],
    }

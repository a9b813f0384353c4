from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from revised import revised
from rich.console import Console, RenderableType

from fitwell.regularization.by_layer import Layers
from fitwell.report import text
from fitwell.report.words import LEAVE_IT_ALONE
from fitwell.results.result import Result


def printed(parts: list[RenderableType]) -> str:
    """What a wide console shows."""
    console = Console(width=200, highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def found(result: Result) -> list[RenderableType]:
    """What is said of a result."""
    return text.found(result.search, result.answer, result.score)


def saved(result: Result, directory: str, without_tfjs: str | None) -> list[RenderableType]:
    """What is said of a run that was saved."""
    return text.saved(result.search, result.answer, result.record.seconds, directory, without_tfjs)


def test_what_was_read(result: Result) -> None:
    """Rows, kinds and class balance are printed; of many columns set aside, ten and how many more."""
    shown = printed(text.read(result.record.summary))
    assert "Read      90 rows; columns: 2 numeric" in shown
    assert "classification, 2 classes: no 45 (50%), yes 45 (50%)" in shown
    many = {**result.record.summary, "set_aside": {f"column {i}": "only one value" for i in range(25)}}
    assert "and 15 more" in printed(text.read(many))


def test_what_rows_count_is_said(result: Result) -> None:
    """Where they do not count alike; of many classes ten."""
    summary = result.record.summary
    assert "Weights" not in printed(text.read(summary))
    by_class = {"sample_weight": "exposure", "class_weight": {"no": 1.0, "yes": 2.5}}
    assert "Weights   rows by 'exposure'; classes no 1, yes 2.5" in printed(text.read({**summary, **by_class}))
    assert "Weights   classes balanced" in printed(text.read({**summary, "class_weight": "balanced"}))
    many = {"class_weight": {str(i): float(i) for i in range(25)}}
    assert "Weights   classes 0 0, 1 1, 2 2" in printed(text.read({**summary, **many}))
    assert ", 9 9, ..." in printed(text.read({**summary, **many}))


def test_the_plan_is_the_search(result: Result) -> None:
    """The product of row sets and strengths is printed as the number of networks."""
    assert "3 row sets x 4 strengths = 12 networks" in printed(text.planned(result.search.plan))


def test_marks_stand_where_they_belong(result: Result) -> None:
    """A strength that is several things at once carries all its marks."""
    choice = replace(result.choice, minimum=0, one_standard_error=0)
    shown = printed(found(revised(result, choice=choice)))
    assert "unregularized, minimum, one standard error" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_numbers_are_whole_on_any_console(result: Result, width: int) -> None:
    """A narrow one goes without some columns, never with a part of a number; none is wider than it may be."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(text.strengths(result.search))
    shown = captured.get()
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    numbers = [f"{loss:.4g}" for loss in result.table["held_out_loss"]]
    assert all(f"{number} " in shown for number in numbers)
    assert ("paired" in shown) == (width >= 120)
    assert ("training" in shown) == (width >= 80)


@pytest.mark.parametrize(("width", "shown"), [(40, 2), (80, 6), (120, 9), (200, 11)])
def test_scores_fit_any_console(result: Result, width: int, shown: int) -> None:
    """The first of them, whole and in their order; those that a narrow console goes without are named."""
    scores = result.scores["minimum"]
    names = list(scores)
    assert names[:5] == ["log loss", "accuracy", "AUC", "average precision", "balanced accuracy"]
    assert len(names) == 11
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(*text.scores(result.answer, result.score), sep="\n")
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in captured.get()
    minimum = next(line for line in lines if line.startswith("│ minimum "))
    numbers = [f"{number:.4g}" for number in scores.values()]
    assert [cell.strip() for cell in minimum.split("│")[2:-1]] == numbers[:shown]
    title = " ".join(captured.get().split("┏")[0].split())
    left_out = f"; {', '.join(names[shown:])} on a wider console, and in JSON"
    assert title == "Cross-validated scores" + (left_out if shown < 11 else "")


def test_rules_that_choose_the_same_are_one_line(result: Result) -> None:
    """And those that do not have their own; what each rule means is said in either case."""
    same = replace(result.choice, minimum=1, one_standard_error=1, most_regularized=1)
    others = replace(same, most_regularized=2)
    one, two = (printed(found(revised(result, choice=choice))) for choice in (same, others))
    assert "Minimum, one standard error, confidence set  " in one
    assert "Minimum, one standard error  " in two
    assert "Confidence set      " in two
    for shown in (one, two):
        assert shown.count("learning rate") == shown.count("; learning rate") + 1
        assert "(the most regularized strength within one standard error" in shown


def test_the_confidence_set_is_counted(result: Result) -> None:
    """How many strengths may be the best, and which of them the rule takes."""
    sets = np.array([True, False, True, True]), np.array([False, True, False, False])
    many, one = (
        printed(found(revised(result, choice=replace(result.choice, confidence_set=mine, most_regularized=1))))
        for mine in sets
    )
    assert "(the most regularized of the 3 strengths that are not significantly worse than the best, 90%)" in many
    assert "(the most regularized of 1 strength that is not" in one
    assert f"onfidence set  {result.search.candidates.regularization(1)}; learning rate" in one.replace(" " * 6, "  ")


def test_what_was_cut_is_said_to_be(result: Result) -> None:
    """A strength that left while it improved says after which epoch, and stands behind a worse one that finished."""
    histories = result.search.histories
    assert "cut" not in printed(found(revised(result, histories=replace(histories, cut=np.zeros(4, bool)))))
    losses = np.array([0.5, 0.4, 0.3, 0.6])
    cut = replace(histories, cut=losses == 0.3, best_loss=losses, epochs=np.array([6, 6, 2, 6]))
    shown = revised(result, histories=cut)
    assert shown.table["strength"].to_list() == [1, 0, 3, 2]
    assert shown.table["cut_after"].to_list() == [None, None, None, 2]
    assert [row["cut_after"] for row in shown.to_json()["strengths"]] == [None, None, None, 2]
    lines = printed(found(shown)).splitlines()
    assert any("at their best epochs); 1 cut while still improving, ranked last" in line for line in lines)
    assert [line.rstrip("│ ").endswith("cut after epoch 2") for line in lines].count(True) == 1


def test_divergence_is_said_once(result: Result) -> None:
    """Diverged networks are counted in one sentence, and not mentioned when there are none."""
    assert "diverged" not in printed(found(result))
    diverged = np.zeros_like(result.search.histories.diverged)
    diverged[:, 2] = True
    shown = printed(found(revised(result, histories=replace(result.search.histories, diverged=diverged))))
    assert shown.count("3 networks of 1 strength diverged") == 1


def test_the_network_as_given_is_marked(result: Result) -> None:
    """Its strength carries the mark, its score the name, and the sentence stands where it is left alone."""
    candidates = replace(result.search.candidates, given=1)
    choice = replace(result.choice, given=1, leave_alone=True)
    scores = {"as_given": result.scores["minimum"], **result.scores}
    changed = revised(result, candidates=candidates, choice=choice, scores=scores)
    shown = printed(found(changed))
    marked = [line for line in shown.splitlines() if "as given" in line and "│" in line]
    assert len(marked) == 2  # among the strengths, and among the scores
    assert "as given, best epoch" in shown
    assert LEAVE_IT_ALONE in shown.replace("\n", "")
    before = printed(found(result))
    assert "as given" not in before
    assert "Leave it alone" not in before


def test_what_it_has_as_given_is_printed_by_layer(result: Result) -> None:
    """A strength of one layer stands as it is, never as a mean; what is no strength stands at the mark."""
    layers = Layers(("first", "second", "third"), ("first", "second"))
    strengths = np.zeros((4, 3))
    strengths[1, 1], strengths[2], strengths[3] = 0.01, 0.5, [0.1, 0.2, 0.4]
    own = np.array([0.0, 1.0, 0.0, 0.0])
    named = {"own": own, "own_names": ("dropout = 0.2 (inside lstm)",)}
    candidates = replace(result.search.candidates, strengths={"l2": strengths}, layers=layers, given=1, **named)
    choice = replace(result.choice, given=1)
    scores = {"as_given": result.scores["minimum"], **result.scores}
    changed = revised(result, candidates=candidates, choice=choice, scores=scores)
    shown = printed(found(changed))
    assert "0.01 (second)" in shown
    assert "0.1 to 0.4 by layer" in shown
    assert "0.00333" not in shown
    assert "as given, with dropout = 0.2 (inside lstm)" in shown
    table = pl.DataFrame({"layer": ["first"], "l2": [0.5]})
    handed = "The network handed over, with dropout = 0.2 (inside lstm)"
    # a title is broken to the width of its table
    told = [" ".join(printed(found(revised(changed, layers=table, chosen=g))).split()) for g in (1, 2)]
    assert [handed in text for text in told] == [True, False]
    assert "As given            l2 = 0.01 (second), dropout = 0.2 (inside lstm); learning rate" in shown
    rows = {row["strength"]: row for row in changed.table.to_dicts()}
    assert [rows[g]["l2"] for g in range(4)] == [0.0, None, 0.5, None]
    texts = [rows[g]["regularization"] for g in range(4)]
    several = "l2 = {first: 0.1, second: 0.2, third: 0.4}"
    assert texts == ["none", "l2 = 0.01 (second), dropout = 0.2 (inside lstm)", "l2 = 0.5", several]


def test_strengths_of_layers(result: Result) -> None:
    """One line a layer, shares of zeros in percent, nothing where no strength acts, no column without a number."""
    layers = pl.DataFrame(
        {
            "layer": ["hidden", "drop"],
            "l1": [0.01234, None],
            "dropout": [None, 0.25],
            "weight_dropout": [0.5, None],
            "l2": pl.Series([None, None], dtype=pl.Float64),
            "share_of_zeros": [0.876, None],
        }
    )
    shown = printed(found(revised(result, layers=layers)))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert ["hidden", "0.0123", "", "0.5", "87.6%"] in lines
    assert ["drop", "", "0.25", "", ""] in lines
    head = next(line for line in shown.splitlines() if "weights at zero" in line)
    assert [cell.strip() for cell in head.split("┃")[1:-1]] == [
        *("layer", "l1", "dropout", "weight dropout", "weights at zero"),
    ]
    assert "The network handed over" in shown
    assert "weights at zero" not in printed(found(result))


def test_a_single_network_is_saved_with_its_strengths(result: Result) -> None:
    """What is saved is named: the strengths by which the one network was trained."""
    single = revised(result, refit="single", members=(2,))
    shown = printed(saved(single, "run", None))
    assert "tfjs/: the same in Node and browsers" in shown
    assert "not for TensorFlow.js: a GRU" in printed(saved(single, "run", "a GRU"))
    assert f"run: a network trained on all rows with {result.search.candidates.regularization(2)}" in shown


def test_a_first_network_that_diverged(result: Result) -> None:
    """It is said to have diverged, has no row of scores, and every column of the others has its heading."""
    scores = {name: values for name, values in result.answer.scores.items() if name != "unregularized"}
    histories = result.search.histories
    best, losses = histories.best_loss.copy(), histories.held_out_loss.copy()
    best[0], losses[:, 0] = np.inf, np.nan
    diverged = replace(histories, best_loss=best, held_out_loss=losses, best_epoch=histories.best_epoch * [0, 1, 1, 1])
    search = replace(result.search, histories=diverged)
    shown = printed(text.found(search, replace(result.answer, scores=scores), result.score))
    assert "Without regularization the network diverged: its loss was not finite." in shown
    assert "unregularized, diverged" in shown
    assert "unregularized, best epoch" not in shown
    mixed_up = {"unregularized": {"log loss": 1.0}, "minimum": {"log loss": 0.5, "AUC": 0.75}}
    headings, *rows = [line for line in printed(text.scores(replace(result.answer, scores=mixed_up), result.score))
                       .splitlines() if line[0] in "┃│"]  # fmt: skip
    assert [cell.strip() for cell in headings.split("┃")[1:-1]] == ["", "log loss", "AUC"]
    assert [cell.strip() for cell in rows[0].split("│")[1:-1]] == ["unregularized, best epoch", "1", ""]

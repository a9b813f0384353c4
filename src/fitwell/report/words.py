"""The sentences of fitwell: from numbers, for the person who reads them. They are made here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fitwell.analysis.baselines import as_good
from fitwell.analysis.findings import Findings, Memorisation, Noise
from fitwell.analysis.found import Answer, Search
from fitwell.analysis.honest import Score
from fitwell.analysis.intervals import Interval, Test, figures
from fitwell.analysis.readings import as_read, reading_of
from fitwell.analysis.verdict import Help, Reduction, Verdict
from fitwell.engine.ending import Ended
from fitwell.engine.plan import Plan
from fitwell.errors import counted

MOST_TIMES = 100
"""How many times as many rows are told as a number: nobody plans for more."""

LEAVE_IT_ALONE = (
    "Leave it alone: no strength is better than the network as given by more than one standard error of the difference."
)


def comparison(search: Search, answer: Answer, score: Score) -> str:
    """Show the networks that are compared, and what was chosen."""
    lines = [f"{size_of(search)}; {reading_of(search.loss_name).name}"]
    lines.append(f"{'':<16}{'training':>10}{'held out':>10}{'difference':>12}{'std. error':>12}{'epoch':>7}")
    for row in compared(search, answer):
        losses = f"{row['training']:>10.4g}{row['held out']:>10.4g}{row['difference']:>12.3g}{row['std. error']:>12.3g}"
        lines.append(f"{row['network']:<16}{losses}{row['epoch']:>7}  {row['regularization']}")
    return "\n".join([*lines, *conclusions(search, answer, score)])


COLUMNS_NAMED = 12
"""Columns that are named in a sentence."""


def columns_needed(answer: Answer) -> list[str]:
    """Say which columns are needed, where a regularizer of whole columns was searched; else nothing."""
    if answer.inputs is None:
        return []
    needed, all_of_them = answer.inputs.filter("needed")["column"].to_list(), counted(answer.inputs.height, "column")
    if not needed:
        return [f"Of none of {all_of_them} is it sure that held-out rows are predicted worse without it."]
    named = ", ".join(needed[:COLUMNS_NAMED]) + (", ..." if len(needed) > COLUMNS_NAMED else "")
    return [f"Needed are {len(needed)} of {all_of_them}, without which held-out rows are predicted worse: {named}."]


def size_of(search: Search) -> str:
    """Say how many networks were trained."""
    plan = search.plan
    return f"{plan.row_sets} row sets x {plan.strengths} strengths = {plan.networks:,} networks"


def streamed_in(windows: int, rows: int) -> str:
    """Say how a table that is larger than memory is read."""
    return f"streamed in {windows} windows of {rows:,} rows, for the table is larger than memory"


def compared(search: Search, answer: Answer) -> Iterator[dict[str, Any]]:
    """Give the networks that are compared, the chosen one last, with losses in the unit that people read."""
    reading, rows = reading_of(search.loss_name), search.comparison(answer.chosen).to_dicts()
    lowest = reading.value(rows[-1]["held_out_loss"])
    for row in rows:
        held_out = reading.value(row["held_out_loss"])
        yield {
            "network": row["network"],
            "training": reading.value(row["training_loss"]),
            "held out": held_out,
            "difference": held_out - lowest,
            "std. error": reading.error(row["held_out_loss"], row["standard_error"]),
            "epoch": row["epoch"],
            "regularization": row["regularization"],
        }


def cut_short(plan: Plan, ended: Ended | None) -> list[str]:
    """Say what a budget or a person cut short, a sentence each; nothing if nothing was."""
    lines = []
    if ended is not None and ended.running:
        why = "Ended by hand" if ended.reason == "interrupted" else "Time was up"
        running = f"{counted(ended.running, 'strength')} of {plan.strengths} {'was' if ended.running == 1 else 'were'}"
        lines.append(f"{why} after epoch {ended.epoch}: {running} still in training, and might have improved further.")
    if plan.strengths < plan.asked:
        those = ", the best on a part of the rows" if plan.screened else ""
        lines.append(f"Of {plan.asked} strengths there was time for {plan.strengths}{those}.")
    return lines


def conclusions(search: Search, answer: Answer, score: Score) -> list[str]:
    """Say what follows from the comparison, a sentence each: whether to change anything, the score, the verdict."""
    alone = [LEAVE_IT_ALONE] if search.choice.leave_alone else []
    short = cut_short(search.plan, search.ended)
    return [
        *short,
        *alone,
        *chosen_by(search.scoring),
        f"{as_read(score)}.",
        *verdict_of(search, answer),
        *columns_needed(answer),
    ]


def chosen_by(scoring: str | None) -> list[str]:
    """Say by which score strengths were chosen, if not by the loss."""
    return [] if scoring is None else [f"Strengths were chosen by {scoring} on held-out rows, not by the loss."]


def verdict_of(search: Search, answer: Answer) -> list[str]:
    """Say in a sentence whether the search shows that the network overfits and what cures it; and of a linear model.

    It says no more than `fitwell.diagnose`, which asks the same with more folds and to the last epoch.
    """
    return [*_overfits(search, answer), *_linear(search, answer)]


def _overfits(search: Search, answer: Answer) -> Iterator[str]:
    found, name = answer.verdict, search.loss_name
    if found is None:
        return
    network = "The network as given" if search.candidates.given else "The unregularized network"
    at_epoch = f"{network}, at epoch {found.epochs},"
    if found.cure == "regularization":
        stopping = (
            f" ({_change(found.beyond)} beyond stopping at epoch {found.best_epoch})" if found.earlier.helps else ""
        )
        yield f"{at_epoch} overfits: regularization lowers the held-out {name} {_lowers(found.search)}{stopping}."
    elif found.cure:
        yield (
            f"{at_epoch} overfits, and stopping at epoch {found.best_epoch} is cure enough: it lowers the held-out "
            f"{name} {_lowers(found.earlier)}, and regularization changes it by {_change(found.beyond)} beyond that."
        )
    else:
        yield (
            f"{at_epoch} is not shown to overfit: regularization and earlier epochs change the held-out {name} by "
            f"{_change(found.search.held_out)}."
        )


def _linear(search: Search, answer: Answer) -> Iterator[str]:
    linear = next((one for one in answer.baselines if one.name == "linear model"), None)
    # a Keras model may be compiled with another loss
    if linear is None or search.loss_name != linear.loss_name:
        return
    network = search.histories.at_best("held_out_loss")[:, search.choice.minimum]
    if not as_good(linear, network, search.folds):
        return
    reading = reading_of(search.loss_name)
    its, best = reading.value(linear.loss), reading.value(float(network.mean()))
    is_lower, how = its < best, "below" if its < best else "within one standard error of"
    yield (
        f"A linear model is {'better' if is_lower else 'as good'}: its held-out {reading.name}, {figures(its)}, is "
        f"{how} the best network's, {figures(best)}."
    )


def verdict(found: Findings) -> str:
    """Say the verdict and its reasons, a line each."""
    return "\n".join([verdict_word(found), *reasons(found)])


def verdict_word(found: Findings) -> str:
    """Say the verdict as a sentence of its own."""
    word = found.verdict.word
    return f"{word[0].upper()}{word[1:]}."


def reasons(found: Findings) -> list[str]:
    """Say the evidence in sentences."""
    return list(_sentences(found))


def _sentences(found: Findings) -> Iterator[str]:
    evidence, name = found.evidence, found.loss_name
    yield from cut_short(found.plan, found.ended) if found.plan else ()
    yield (
        f"On its training rows the {name} is {figures(found.as_given.train_loss)}, on held-out rows "
        f"{figures(found.as_given.held_out_loss)} (gap {_interval(found.as_given.gap, first=True)})."
    )
    if str(found.as_given.regularization) != "none":
        yield f"As given it has {found.as_given.regularization}."
    # None where the last epoch is the best: then nothing turned
    if found.as_given.turned:
        what = "turned upwards" if found.verdict.word == "overfits" else "was lowest"
        yield f"Held-out {name} {what} at epoch {found.as_given.turned} of {found.as_given.epochs}."
    yield from _cures(found)
    if evidence.growth is not None:
        yield _growth(found, evidence.growth)
    yield from _rows(found)
    yield from _left_alone(found)
    yield from _looks(found)
    if found.noise:
        yield _noise(found, found.noise)
    if found.memorisation:
        yield _memorisation(found, found.memorisation)
    for name, training in (("null", found.noise), ("memorisation", found.memorisation)):
        if training is None and name in found.asked:
            why = f"on a shuffled target networks diverged, or memory{_or_time(found)} did not suffice"
            yield f"What '{name}' asks is not known: {why}."


def _or_time(found: Findings) -> str:
    return " or time" if found.hurried else ""


def _cures(found: Findings) -> Iterator[str]:
    evidence = found.evidence
    stopping = evidence.earlier
    if found.verdict.word != "overfits":
        yield (
            f"The regularizations and earlier epochs that were tried change the held-out {found.loss_name} by "
            f"{_change(evidence.search.held_out)}: no evidence that it overfits."
        )
        return
    if stopping.helps:
        yield f"Stopping at epoch {stopping.epoch} lowers it {_lowers(stopping)}."
    # an interval without an end is that of networks that diverged
    if found.verdict.cure == "fewer epochs" and not np.isfinite(evidence.beyond.test.high):
        yield "That is cure enough; whether regularization adds to it is not known, since its networks diverged."
    elif found.verdict.cure == "fewer epochs":
        yield f"That is cure enough: regularization changes it by {_change(evidence.beyond)} beyond that."
    elif evidence.regularization.helps:
        beyond = f" ({_change(evidence.beyond)} beyond what stopping does)" if stopping.helps else ""
        yield f"Regularization lowers it {_lowers(evidence.regularization)}{beyond}: {found.chosen}."
    else:
        yield f"Regularization or stopping, whichever the other rows choose, lowers it {_lowers(evidence.search)}."


def _growth(found: Findings, growth: Help) -> str:
    if found.verdict.word == "underfits":
        return (
            f"A larger, freer or longer trained network lowers it {_lowers(growth)}, and the training loss by "
            f"{growth.train.share:.0%}: {growth.best}."
        )
    changes = f"Larger, freer and longer trained networks change it by {_change(growth.held_out)}"
    # a lower held-out loss alone is no underfitting: that shows in the training loss
    if growth.helps:
        return f"{changes} ({growth.best}), but not surely the training loss: that is no underfitting."
    return f"{changes}."


def _rows(found: Findings) -> Iterator[str]:
    curve = found.learning_curve
    if curve is None:
        if "learning curve" in found.asked:
            time = ", or there was no time" if found.hurried else ""
            why = f"there are too few rows for a learning curve, or training on fewer of them diverged{time}"
            yield f"How much more rows would help is not known: {why}."
        return
    cured = "With that cure, twice" if found.verdict.word == "overfits" else "Twice"
    falls = curve.falls
    # an interval that holds zero must not read as a promise
    known = "" if curve.twice.low > 0 else ", which may be nothing"
    yield (
        f"The last doubling of the rows changed it by {_change(falls, level=True)}. "
        f"{cured} the rows would lower it by about {_interval(curve.twice, labelled=True)}{known}."
    )


def _left_alone(found: Findings) -> Iterator[str]:
    worth = f"{found.worth:.0%} of the held-out {found.loss_name}"
    if found.verdict.word in ("fits well", "needs data"):
        yield (
            "Leave it alone: no strength is better than the network as given"
            + (f" by {worth} or more." if found.verdict.word == "fits well" else "; more rows are what would help.")
        )
    if found.verdict.word == "undecided":
        nothing = "Nothing else" if found.evidence.growth and found.evidence.growth.helps else "Nothing"
        missing = found.verdict.missing
        what = " or ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        yield (
            f"{nothing} is shown to help, but these rows cannot rule out that {what} would help by more than "
            f"{worth}. {_needed(found.verdict)}"
        )


def _needed(verdict: Verdict) -> str:
    """What would decide it."""
    rows = max(verdict.rows, 1.1)  # it is undecided, so as many are too few
    many = f"About {figures(rows, 2)} times as many rows" if rows <= MOST_TIMES else "Only far more rows"
    folds = (
        "so may more folds, or drawing them anew more often" if verdict.more_folds else "more folds of these would not"
    )
    return f"{many} would decide it; {folds}."


def _looks(found: Findings) -> Iterator[str]:
    if len(found.looks) > 1:
        yield f"The folds were drawn {found.looks[-1]} times, for after {found.looks[0]} it was not clear."


def _noise(found: Findings, noise: Noise) -> str:
    constant = (
        "" if noise.constant is None else f"; the best constant prediction has {figures(noise.constant)} on all rows"
    )
    lowest, honest = figures(noise.lowest), figures(noise.honest)
    alone = ": the difference is what searching alone makes look better" if noise.lowest < noise.honest else ""
    # compared as printed: two equal numbers must not be called a difference
    if lowest == honest:
        alone = ": searching alone makes nothing look better here"
    return (
        f"On a shuffled target, where there is nothing to learn, the lowest {found.loss_name} of the same search is"
        f" {lowest}, and {honest} on rows that had no part in choosing{alone}{constant}."
    )


def _memorisation(found: Findings, memorisation: Memorisation) -> str:
    slow, fast = memorisation.half_learned, memorisation.half_learned_of_target
    reached = f"by epoch {slow}" if slow else f"not within {found.as_given.epochs} epochs"
    target = f"by epoch {fast}" if fast else f"not within {found.as_given.epochs} epochs"
    return (
        f"Of a shuffled target it learns by heart down to a training {found.loss_name} of "
        f"{figures(memorisation.train_loss, 2)} (chance: {figures(memorisation.chance, 2)}): half way {reached}, "
        f"with the true target {target}."
    )


def _interval(found: Test | Interval, *, first: bool = False, labelled: bool = False) -> str:
    """An estimate with its interval; the first one, and one of another level than the last, says the level."""
    estimate = found.difference if isinstance(found, Test) else found.estimate
    # said once, and again where it changes: in every sentence it would drown the numbers
    level = f"{found.level * 100:.4g}% interval " if first or labelled else ""
    opening = ", " if first else " ("
    text = f"{figures(estimate, 2)}{opening}{level}{figures(found.low, 2)} to {figures(found.high, 2)}"
    return text if first else f"{text})"


def _lowers(found: Help) -> str:
    """To which loss, and by which share of it, with its interval."""
    share = found.held_out
    return f"to {figures(found.chosen_loss)}, by {share.share:.0%} ({share.low:.0%} to {share.high:.0%})"


def _change(found: Reduction, *, level: bool = False) -> str:
    """A change of the loss as a share, negative where it falls, with its interval (and the level of that)."""
    name = f"{found.test.level * 100:.4g}% interval " if level else ""
    # a reduction counts what is saved; people read a change of the loss, so the ends of the interval swap
    return f"{_percent(-found.share)} ({name}{_percent(-found.high)} to {_percent(-found.low)})"


def _percent(share: float) -> str:
    # rounded it would be "-0%"
    return f"{share:+.0%}" if abs(share) >= 0.005 else "0%"

"""Gather the evidence for a verdict: the search, larger networks, fewer rows, and a target with nothing to learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from fitwell.analysis.findings import AsGiven, Findings, LearningCurve, Memorisation, Noise
from fitwell.analysis.intervals import corrected_t, cross_fitted
from fitwell.analysis.learning_curve import fit_power_law
from fitwell.analysis.verdict import Evidence, Menu, Verdict, judge, reduction
from fitwell.data.resampling import with_fewer_rows
from fitwell.engine.histories import joined
from fitwell.engine.job import Settings
from fitwell.engine.plan import QUIET, Listener
from fitwell.errors import InputError, TrainingError
from fitwell.problems.options import Options
from fitwell.problems.problem import Problem
from fitwell.regularization.strengths import Candidates
from fitwell.results.diagnosis import Diagnosis
from fitwell.results.record import Record
from fitwell.studies.compared import Compared, Comparing, how_compared, overfitting
from fitwell.studies.search import Searched, search, train_networks

_Found = TypeVar("_Found")

# doublings, so that the last step says what the next doubling may give
SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of the training rows, in the learning curve: each doubles the one before."""

# as many as the smallest batch has: with fewer an epoch is a single step
FEWEST_ROWS = 16
"""In training, in the learning curve: fewer say nothing about more."""

# about equal steps in the logarithm
WEAKER = (0.3, 0.1)
"""Shares of the network's own regularization that are tried, besides none."""


MORE_REPEATS = 4
"""How many times as many repeats of the folds there are at the second look, if the first is undecided."""

ANOTHER_SEED = 0x9E3779B9
"""Added to the seed for folds that are drawn later."""


@dataclass(frozen=True)
class Questions:
    """What a diagnosis is asked.

    Attributes
    ----------
    level
        Of all intervals.
    worth
        Share of the held-out loss below which a difference is not worth acting on.
    larger, curve
        Whether to try larger networks, and fewer rows.
    null, memorisation
        Whether to run the search, or only the network as given, on a shuffled target.
    """

    level: float = 0.95
    worth: float = 0.1
    larger: bool = True
    curve: bool = True
    null: bool = False
    memorisation: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Of further trainings that were asked for."""
        asked = {"learning curve": self.curve, "null": self.null, "memorisation": self.memorisation}
        return frozenset(name for name, wanted in asked.items() if wanted)

    def __post_init__(self) -> None:
        for name, least in (("level", 0.5), ("worth", 0)):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and least < value < 1):
                raise InputError(f"'{name}' must lie between {least} and 1. Got {value!r}.")


def judge_problem(problem: Problem, options: Options, questions: Questions, listener: Listener = QUIET) -> Diagnosis:
    """Train what the verdict needs and judge; see `fitwell.diagnose`."""
    tests = how_compared(problem.row_sets, questions.level)
    # else a network with too much regularization could only be compared with one that has none
    candidates = with_weaker(problem.candidates(options))
    if candidates.count == 1:
        raise InputError(
            "There is no strength to compare the network as given with: 'strengths' must be at least 2, or name one "
            "above 0."
        )
    searched = search(problem, options, listener, candidates)
    candidates = searched.candidates  # there may have been no time for all
    found = Compared(candidates, searched.trained.histories, tests)
    if not np.isfinite(found.histories.best_loss[candidates.given]):
        raise TrainingError("The network as given diverged (its loss was not finite): lower the learning rate.")
    looks = [Look(problem, found, *_weighed(problem, found, searched, questions))]
    if looks[0].verdict.more_folds and (last := _look_again(searched, found, questions, listener)):
        looks.append(last)
    return Diagnosis(
        findings=_findings(searched, looks, questions),
        candidates=candidates,
        histories=looks[-1].found.histories,
        plan=searched.trained.plan,
        record=Record(problem.summary, options.seed, searched.seconds),
    )


@dataclass(frozen=True, eq=False)
class Look:
    """What was trained until a look at it, and what it says."""

    problem: Problem
    found: Compared
    verdict: Verdict
    evidence: Evidence
    chosen: int
    curve: LearningCurve | None


def _weighed(
    problem: Problem, found: Compared, searched: Searched, questions: Questions
) -> tuple[Verdict, Evidence, int, LearningCurve | None]:
    evidence, chosen, curve = gather(problem, found, searched.settings, searched.options, questions)
    verdict = judge(evidence, worth=questions.worth, test_to_train=found.tests.test_to_train)
    return verdict, evidence, chosen, curve


def _look_again(searched: Searched, found: Compared, questions: Questions, listener: Listener) -> Look | None:
    """Draw the folds anew `MORE_REPEATS` times as often, train on the new ones, and look at all; None if that fails.

    Each look is tested at the same level, so together they may err twice as often: a verdict that helps is claimed by
    one end of a two-sided interval of 95%, an error of 2.5% at each look and at most 5% at both (the union bound, the
    simplest way of spending: Lan and DeMets, Biometrika 70, 1983).
    """
    problem, settings = searched.problem, searched.settings
    repeats = problem.row_sets.count // problem.row_sets.independent
    drawn = problem.row_sets.further(MORE_REPEATS * repeats)
    if drawn is None:
        return None
    every, new = drawn
    # other first weights and other noise: those of the first look are not counted twice
    again = replace(settings, seed=(settings.seed + ANOTHER_SEED) % 2**32)
    try:
        trained = train_networks(problem.on(new), found.candidates, again, listener=listener)
        whole = problem.on(every)
        more = Compared(found.candidates, joined([found.histories, trained.histories]), found.tests)
        if not np.isfinite(more.histories.best_loss[more.candidates.given]):
            return None
        return Look(whole, more, *_weighed(whole, more, searched, questions))
    except (InputError, TrainingError):
        return None  # memory may not hold so many: the first look stands


def _findings(searched: Searched, looks: Sequence[Look], questions: Questions) -> Findings:
    """Run the further trainings that were asked for, and say all that was found."""
    problem, options, settings = searched.problem, searched.options, searched.settings
    last = looks[-1]
    evidence, chosen, curve, found = last.evidence, last.chosen, last.curve, last.found
    shuffled = problem.shuffled(options.seed) if questions.null or questions.memorisation else None
    # one shuffled target serves both questions
    noise = _if_it_trains(null_search, shuffled, found, settings) if shuffled and questions.null else None
    by_heart = _if_it_trains(memorised, shuffled, found, settings) if shuffled and questions.memorisation else None
    return Findings(
        verdict=last.verdict,
        evidence=evidence,
        as_given=_as_given(found),
        chosen=found.candidates.regularization(chosen),
        chosen_number=chosen,
        learning_curve=curve,
        noise=noise,
        memorisation=by_heart,
        asked=questions.names,
        loss_name=problem.loss.name,
        level=questions.level,
        worth=questions.worth,
        looks=tuple(look.problem.row_sets.count // look.problem.row_sets.independent for look in looks),
        ended=searched.trained.ended,
        plan=searched.trained.plan,
    )


def _as_given(found: Compared) -> AsGiven:
    train, held_out, given = found.train_loss, found.held_out_loss, found.candidates.given
    return AsGiven(
        train_loss=float(train.mean()),
        held_out_loss=float(held_out.mean()),
        gap=corrected_t(held_out - train, found.tests.test_to_train, found.tests.level),
        epochs=int(found.histories.epochs[given]),
        turned=turning_epoch(found.histories.held_out_loss[:, given].mean(axis=0)),
        regularization=found.candidates.regularization(given),
    )


def _if_it_trains(test: Callable[..., _Found], *arguments: Any) -> _Found | None:
    """Return what a further training finds, None where it cannot be had: the verdict stands without it."""
    try:
        return test(*arguments)
    except TrainingError:
        return None


def gather(
    problem: Problem, found: Compared, settings: Settings, options: Options, questions: Questions
) -> tuple[Evidence, int, LearningCurve | None]:
    """Return the evidence, the strength that is the cure (as given, if there is none), and its learning curve.

    Larger networks are trained only where no strength and no earlier epoch helps: one verdict is given, and that of
    overfitting comes first.
    """
    candidates, tests, chosen = found.candidates, found.tests, found.candidates.given
    tested, growth = overfitting(found), None
    if not tested.search.helps:
        weaker = np.flatnonzero(tested.weaker).tolist()
        freer = [found.menu(weaker)] if weaker else []
        menus = freer + (larger_menus(problem, candidates, settings) if questions.larger else [])
        growth = found.weigh(*menus) if menus else None
    elif tested.cure == "regularization":
        chosen = found.choose(options.rule, tested.stronger)
    curve = _if_it_trains(learning_curve, problem, candidates, chosen, settings, tests) if questions.curve else None
    evidence = Evidence(
        search=tested.search,
        # where all that was tried is weaker, what is left is stopping
        regularization=found.weigh(found.menu(tested.stronger)) if tested.stronger else tested.earlier,
        earlier=tested.earlier,
        beyond=tested.beyond,
        growth=growth,
        gain=curve.gain if curve else None,
        falls=curve.falls if curve else None,
    )
    return evidence, chosen, curve


def with_weaker(candidates: Candidates) -> Candidates:
    """Add shares of the network's own regularization, if it has some."""
    given = candidates.given
    if not given:
        return candidates

    def added(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, *(share * values[[given]] for share in WEAKER)])

    rates = np.concatenate([candidates.learning_rate, candidates.learning_rate[[given] * len(WEAKER)]])
    own = None if candidates.own is None else added(candidates.own)
    strengths = {name: added(values) for name, values in candidates.strengths.items()}
    return replace(candidates, strengths=strengths, learning_rate=rates, own=own)


def larger_menus(problem: Problem, candidates: Candidates, settings: Settings) -> list[Menu]:
    """Train larger networks, and the same for twice the epochs, each with the regularization as given.

    Those that diverge, or for which memory is too small, are no better network and are left out.
    """
    given = candidates.take([candidates.given])
    # a network that is not trained to the end looks too small
    longer = replace(settings, epochs=2 * settings.epochs)
    tries = [(name, larger, settings) for name, larger in problem.larger().items()]
    menus = []
    for name, network, how in [*tries, (f"{longer.epochs} epochs instead of {settings.epochs}", problem, longer)]:
        with suppress(TrainingError):
            histories = train_networks(network, given, how).histories
            menus.append(Menu((name,), histories.train_loss, histories.held_out_loss))
    return menus


def learning_curve(
    problem: Problem, candidates: Candidates, strength: int, settings: Settings, tests: Comparing
) -> LearningCurve | None:
    """Train on fewer and fewer rows, all sizes times row sets at once; None where the rows are too few for that.

    Every size takes as many steps as all rows do, and is scored at the epoch that the other row sets choose.
    """
    row_sets = problem.row_sets
    shares = [share for share in SHARES if share * row_sets.n_train.min() >= FEWEST_ROWS]
    # a power law has three numbers: two sizes say nothing about its rate
    if len(shares) < 3:
        return None
    fewer = with_fewer_rows(row_sets, shares, problem.strata, settings.seed)
    # what the last epoch does is known already, so nobody trains on after the best one
    stopping = replace(settings.stopping, to_the_end=False) if settings.stopping else None
    # equal steps, so that fewer rows are not also less training
    alike = replace(settings, equal_steps=True, stopping=stopping)
    try:
        smaller = problem.on(fewer)
    except InputError:  # so few that all of them weigh nothing
        return None
    histories = train_networks(smaller, candidates.take([strength]), alike).histories
    # row sets come size by size, as `with_fewer_rows` makes them
    held_out = histories.held_out_loss[:, 0].reshape(len(shares), row_sets.count, -1)
    rows = np.arange(row_sets.count)
    # the epoch is chosen by the other row sets: its own would make the loss too low
    losses = np.array([at_size[rows, cross_fitted(at_size, tests.folds)] for at_size in held_out])
    if not np.isfinite(losses).all():  # it diverged with fewer rows
        return None
    sizes = fewer.n_train.reshape(len(shares), -1).mean(axis=1)
    law = fit_power_law(sizes, losses, tests.level, test_to_train=tests.test_to_train)
    half, twice = law.change(sizes[-1] / 2, sizes[-1]), law.change(sizes[-1], 2 * sizes[-1])
    one_sided = 2 * tests.level - 1  # whether more rows help is asked, not whether they harm
    falls = reduction(losses[-2], losses[-1], tests.test_to_train, one_sided)
    return LearningCurve(sizes, losses, law, half, twice, falls)


def null_search(shuffled: Problem, found: Compared, settings: Settings) -> Noise:
    """Run the same search where there is nothing to find."""
    candidates = found.candidates
    noise = Compared(candidates, train_networks(shuffled, candidates, settings).histories, found.tests)
    searched = noise.weigh(noise.menu(range(candidates.count)))
    return Noise(
        as_given=float(noise.held_out_loss.mean()),
        lowest=float(np.nanmin(noise.histories.best_loss)),
        honest=searched.chosen_loss,
        found=searched,
        constant=shuffled.constant_loss,
    )


def memorised(shuffled: Problem, found: Compared, settings: Settings) -> Memorisation:
    """Train the network as given on a shuffled target: what it learns of that it learns by heart."""
    given = found.candidates.given
    histories = train_networks(shuffled, found.candidates.take([given]), settings).histories
    noise = histories.train_loss[:, 0].mean(axis=0)
    # the lowest held-out loss where there is nothing to learn
    chance = float(np.nanmin(histories.held_out_loss[:, 0].mean(axis=0)))
    target = found.histories.train_loss[:, given].mean(axis=0)
    # a middle, not a half: a loss that may be negative has no half
    lowest = float(min(np.nanmin(noise), np.nanmin(target)))
    middle = (chance + lowest) / 2
    return Memorisation(
        chance=chance,
        # the last epoch at which all row sets trained
        train_loss=float(noise[np.isfinite(noise)][-1]),
        lowest=lowest,
        half_learned=_first_below(noise, middle),
        half_learned_of_target=_first_below(target, middle),
    )


def turning_epoch(curve: np.ndarray) -> int | None:
    """Return the epoch, counted from 1, of a curve's lowest point; None if that is its last."""
    # behind its last epoch a curve is NaN
    known = curve[np.isfinite(curve)]
    lowest = int(np.argmin(known))
    return lowest + 1 if lowest + 1 < len(known) else None


def _first_below(curve: np.ndarray, bar: float) -> int | None:
    below = np.flatnonzero(curve < bar)
    return int(below[0]) + 1 if below.size else None

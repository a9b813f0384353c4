"""The one road: every row set times every strength of a problem, trained at once.

Whatever is asked of a problem (which strength, does it overfit, what would more rows do) is row sets and strengths
handed to `train_networks`; `search` is that with the strengths and the care that a whole search takes.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import dataclass, replace

from fitwell.data.resampling import nested_folds
from fitwell.data.row_sets import RowSets
from fitwell.data.units import units_of_rows
from fitwell.engine.job import Settings
from fitwell.engine.network import DenseNetwork, PureNetwork
from fitwell.engine.plan import QUIET, Listener
from fitwell.engine.stopping import Screening
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import InputError
from fitwell.problems.options import Options
from fitwell.problems.problem import Problem
from fitwell.regularization.strengths import Candidates

# 128 MiB on the host, where they are float64; with more rows than that allows, rows are recorded in bundles
MOST_RECORDED = 2**24
"""Losses that a search keeps (units x strengths x epochs x repeats), to choose epochs anew in every draw."""

MOST_UNITS = 5000
"""Units that are drawn, a thousand times: with more a score takes longer and is no surer."""


@dataclass(frozen=True, eq=False)
class Searched:
    """A finished search, to be answered or judged.

    Attributes
    ----------
    problem, options, candidates, settings
        What was searched, how.
    trained
        The networks.
    begun
        `time.perf_counter` when it began.
    """

    problem: Problem
    options: Options
    candidates: Candidates
    settings: Settings
    trained: Trained
    begun: float

    @property
    def seconds(self) -> dict[str, float]:
        """Time of its parts, and of all until now."""
        return {**self.trained.seconds, "total": clock.perf_counter() - self.begun}


def search(
    problem: Problem, options: Options, listener: Listener = QUIET, candidates: Candidates | None = None
) -> Searched:
    """Train every row set times every strength of a problem.

    Parameters
    ----------
    candidates
        Strengths in the place of those that the problem makes of the options.

    Raises
    ------
    FitwellError
        What was asked cannot be done; nearly all of that is said before anything is trained.
    """
    begun = clock.perf_counter()
    # before the listener says what was read: a search that cannot be finished is not announced
    problem.check(options)
    if options.scoring is not None:
        _check_scoring(problem, options)
    listener.on_read(problem.summary)
    candidates = problem.candidates(options) if candidates is None else candidates
    _check_folds(options, problem.row_sets)
    settings = problem.settings(options)
    if not options.to_the_end:  # a diagnosis scores nothing
        settings = recording(settings, problem.row_sets, candidates.count)
    beside = None if options.to_the_end else problem.warm_up  # a diagnosis finishes nothing
    # a diagnosis compares all that it trains
    screening = None if options.to_the_end else Screening(strata=problem.strata)
    written = replace(settings, checkpoints=options.checkpoints, screening=screening)
    trained = train_networks(problem, candidates, written, listener=listener, beside=beside)
    # what is asked of it later is asked whole or not at all
    after = replace(settings, ending=settings.ending.strict)
    return Searched(problem, options, trained.candidates, after, trained, begun)


def train_networks(
    problem: Problem,
    candidates: Candidates,
    settings: Settings,
    *,
    first: int = 0,
    listener: Listener | None = None,
    beside: Callable[[], None] | None = None,
) -> Trained:
    """Train every row set of a problem times every strength; see `fitwell.engine.training.train_all`.

    Parameters
    ----------
    first
        The number from which row sets count where first weights are drawn.
    listener
        None for trainings that nobody watches: then the machine's speed is not measured either.
    """
    return train_all(
        made_for(problem.network, candidates),
        problem.dataset(settings.seed, first),
        problem.row_sets,
        candidates,
        loss=problem.loss,
        settings=settings,
        listener=listener,
        beside=beside,
    )


def made_for(network: PureNetwork, candidates: Candidates) -> PureNetwork:
    """Return the network with what strengths of its inputs need: learned scales, if a strength learns them.

    Raises
    ------
    InputError
        A strength acts on the inputs, and the network has none to act on.
    """
    wanted = [row for row in candidates.regularizers if row.acts_on == "inputs"]
    if not wanted:
        return network
    if not isinstance(network, DenseNetwork):
        raise InputError(
            f"The regularizer '{wanted[0].name}' acts on the dense network of tables, and not on a model: leave it out."
        )
    return replace(network, scaled=True) if any(row.on_scales for row in wanted) else network


def _check_scoring(problem: Problem, options: Options) -> None:
    """Refuse a score that is none of this problem's, before anything is trained."""
    from fitwell.analysis.scoring import scoring_named  # only for who asks for one

    if problem.source is None:
        raise InputError(
            "'scoring' must be left out with a Keras model on arrays, which is chosen by its own loss; with a table, "
            "tune(table, target, model=model), it may be given."
        )
    target, weighted = problem.source.target, problem.source.weight is not None
    if target.outputs:
        raise InputError(
            f"'scoring' is of one target, and there are {len(target.outputs)}, whose mean loss chooses: leave it out."
        )
    scoring_named(options.scoring).check(target.task, len(target.classes), weighted=weighted)


def _check_folds(options: Options, row_sets: RowSets) -> None:
    """Refuse folds that cannot be nested, or have no confidence set, before anything is trained."""
    if options.honest != "bbc":
        nested_folds(row_sets)
    if options.rule == "confidence-set":
        row_sets.check_apart()


def recording(settings: Settings, row_sets: RowSets, strengths: int) -> Settings:
    """Keep the losses of all units of rows at all epochs, as a score will ask for them."""
    most = min(MOST_RECORDED // (strengths * settings.epochs), MOST_UNITS)
    return replace(settings, units=units_of_rows(row_sets, most, settings.seed))

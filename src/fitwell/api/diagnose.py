"""diagnose(): does the network overfit, how much, how sure is that, and what would cure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Literal

from fitwell.arguments import is_whole, seconds_in, whole_number
from fitwell.data.target import Task
from fitwell.engine.engines import Engine
from fitwell.engine.listening import checked_listener
from fitwell.engine.plan import Listener
from fitwell.keras.backend import check_backend
from fitwell.problems.given import opened_model, read_problem
from fitwell.problems.options import (
    DEFAULT_HIDDEN,
    DepthName,
    Pruning,
    Schedule,
    Start,
    Strengths,
    hidden_units,
    make_options,
    regularizer_list,
)
from fitwell.regularization.grids import DEFAULT_COUNT
from fitwell.regularization.regularizer import Regularizer
from fitwell.regularization.strengths import DEFAULT_LEARNING_RATE
from fitwell.regularization.table import DEFAULT_REGULARIZERS
from fitwell.report.watching import watching
from fitwell.results.diagnosis import Diagnosis
from fitwell.studies.evidence import Questions, judge_problem
from fitwell.studies.time_limits import ending_of


def diagnose(
    table: Any,
    target: Any = None,
    y: Any = None,
    *,
    model: Any = None,
    task: Task | None = None,
    cv: Any = 5,
    repeats: int | None = None,
    groups: Any = None,
    time: Any = None,
    drop: str | Sequence[str] = (),
    missing: Sequence[str] | None = None,
    hidden: int | Sequence[int] = DEFAULT_HIDDEN,
    strengths: Strengths = DEFAULT_COUNT,
    regularizers: Sequence[str | Regularizer] = DEFAULT_REGULARIZERS,
    depth: DepthName = "constant",
    learning_rate: float | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    patience: int = 25,
    pruning: Pruning = "early",
    schedule: Schedule = "constant",
    level: float = 0.95,
    worth: float = 0.1,
    larger: bool = True,
    learning_curve: bool = True,
    null: bool = False,
    memorisation: bool = False,
    seed: int = 0,
    memory: int | None = None,
    engine: Engine = "auto",
    time_budget: float | str | None = None,
    sample_weight: Any = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    weights: Start = "fresh",
    verbose: int = 0,
    listener: Listener | None = None,
) -> Diagnosis:
    """Say whether a network overfits, with evidence: what would lower its loss on rows that it has not seen.

    ``diagnose(table, target)`` looks at a dense network without regularization, ``diagnose(model, x, y)`` at your own
    compiled Keras model as it is, ``diagnose(table, target, model=model)`` at that model on a table's encoded columns.

    The network is trained to its last epoch on every row set, beside networks with other strengths, larger ones, and
    networks trained on fewer rows. The verdict is

    - *overfits* if some strength, or an earlier epoch, has a lower held-out loss;
    - *underfits* if not, and a larger or less regularized network, or more epochs, has a lower held-out loss and a
      lower training loss;
    - *needs data* if neither helps and the held-out loss still falls with the number of rows;
    - *fits well* if neither helps, and all three by less than `worth` of the held-out loss;
    - *undecided* if the intervals are too wide to say that.

    "Lower" is tested: every row set scores a choice that it had no part in, and the differences are compared by the
    corrected resampled t-test (Nadeau and Bengio, Machine Learning 52, 2003, section 3); the whole interval must lie
    above zero. The gap between training and held-out loss is reported and decides nothing.

    Parameters
    ----------
    table, target, y, model, task, groups, time, drop, missing, hidden, regularizers, depth, batch_size, patience, \
    pruning, schedule, seed, memory, engine, time_budget, sample_weight, class_weight, weights, verbose, listener
        As in `tune`.
    cv, repeats
        Folds, at least 3, and how often they are drawn anew.
    strengths
        As in `tune`, at least 2. The learning rate is not searched: it is the network's own. A model with
        regularization of its own is tried with 0.3 and 0.1 of it besides.
    learning_rate
        Of Adam in the dense network, 1e-3 if not given; a Keras model keeps its own.
    epochs
        As many as you train the network for: its last epoch is judged.
    level
        Of all intervals.
    worth
        Share of the held-out loss below which a difference is not worth acting on; only "needs data" and "fits well"
        depend on it.
    larger, learning_curve
        Whether to try larger networks (where no strength helps), and to train on fewer rows.
    null
        Whether to run the same search on a shuffled target too: what does it find where there is nothing?
    memorisation
        Whether to train the network on a shuffled target: how fast does it learn by heart?

    Returns
    -------
    Diagnosis
        Print it.

    Raises
    ------
    InputError
        What is wrong with the table or an argument, in a sentence.
    FileError
        The file cannot be read.
    TrainingError
        The network as given diverged, or memory is too small.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> found = diagnose(x, y, strengths=4, epochs=20, larger=False, learning_curve=False)
    >>> found.verdict in ("overfits", "underfits", "needs data", "fits well", "undecided")
    True
    """
    check_backend()
    told, verbose = checked_listener(listener), whole_number("verbose", verbose, least=0)
    begun, budget = perf_counter(), None if time_budget is None else seconds_in("time_budget", time_budget)
    questions = Questions(level, worth, larger, learning_curve, null, memorisation)
    # in a search the rate would be a candidate's own, and the network as given has one only
    if learning_rate is None and is_whole(strengths) and model is None and opened_model(table) is None:
        learning_rate = DEFAULT_LEARNING_RATE
    options = make_options(
        hidden=hidden_units(hidden),
        strengths=strengths,
        regularizers=regularizer_list(regularizers),
        depth=depth,
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        pruning=pruning,
        schedule=schedule,
        refit="single",  # the cure is of one network
        # a verdict compares row sets by itself, and needs no corrected score
        to_the_end=True,
        seed=seed,
        memory=memory,
        engine=engine,
    )
    if repeats is None:  # a splitter, and time, decide themselves
        # twice the row sets make the intervals narrower
        repeats = 2 if is_whole(cv) and time is None else 1
    problem = read_problem(
        table,
        target,
        y,
        options,
        model=model,
        task=task,
        splits={"cv": cv, "repeats": repeats, "groups": groups, "time": time},
        sample_weight=sample_weight,
        class_weight=class_weight,
        weights=weights,
        drop=drop,
        missing=missing,
    )
    with watching(told, verbose) as listening:
        timed = replace(options, ending=ending_of(problem, options, listening, budget, begun))
        return judge_problem(problem, timed, questions, listening)

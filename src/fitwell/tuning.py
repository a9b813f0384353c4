"""tune(): find the regularization that cures overfitting, by training every fold times every strength at once."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fitwell.analysis.scores import score
from fitwell.analysis.selection import Choice, choose
from fitwell.engine.devices import available_devices, memory_budget
from fitwell.engine.network import DenseNetwork
from fitwell.engine.plan import Plan
from fitwell.engine.run import Trained, train
from fitwell.engine.search import Progress
from fitwell.engine.settings import Settings
from fitwell.engine.stopping import Stopping
from fitwell.errors import InputError, InputTypeError, TrainingError
from fitwell.keras.export import Tower, build_model, import_keras, tower
from fitwell.prediction import Predictor
from fitwell.regularization.grids import DEFAULT_COUNT, DEFAULT_REGULARIZERS, sobol
from fitwell.regularization.strengths import Candidates, Regularization, from_settings
from fitwell.results import Result
from fitwell.tables import TableProblem, read_problem

MAX_TOWERS = 100
"""Networks of an ensemble: more take minutes to save, load and compile."""

ENSEMBLE_STRENGTHS = 4
"""Strengths whose fold networks are averaged: the recipe measured on 15 real tables (see the design notes)."""

Strengths = int | Candidates | Sequence[Regularization | Mapping[str, float]]


@dataclass(frozen=True)
class Listener:
    """What is called while a search goes on; by default nothing."""

    on_read: Callable[[dict[str, Any]], None] = lambda summary: None
    on_plan: Callable[[Plan], None] = lambda plan: None
    on_progress: Callable[[Progress], None] = lambda progress: None


@dataclass(frozen=True)
class Options:
    """How `tune` searches; see there."""

    hidden: tuple[int, ...] = (128, 64)
    strengths: Strengths = DEFAULT_COUNT
    regularizers: Sequence[str] = DEFAULT_REGULARIZERS
    learning_rate: float | None = None
    epochs: int = 150
    batch_size: int | None = None
    patience: int = 15
    schedule: str = "constant"
    refit: str | None = None
    rule: str = "1se"
    refit_seeds: int = 1
    seed: int = 0
    memory: int | None = None
    stopping: Stopping = field(init=False)

    def __post_init__(self) -> None:
        _check_options(self)
        object.__setattr__(self, "stopping", Stopping(patience=self.patience))
        self.settings()  # wrong numbers are refused before anything is read

    def candidates(self) -> Candidates:
        """Return the strengths to search."""
        if isinstance(self.strengths, Candidates):
            _check_candidates(self.strengths, self.learning_rate)
            return self.strengths
        if isinstance(self.strengths, int | np.integer):
            return sobol(int(self.strengths), self.regularizers, learning_rate=self.learning_rate, seed=self.seed)
        if not isinstance(self.strengths, Sequence) or not all(
            isinstance(item, Mapping | Regularization) for item in self.strengths
        ):
            raise InputTypeError(
                "'strengths' must be a number, Candidates, or a list of settings such as [{'l2': 0.01}]. "
                f"Got {self.strengths!r}."
            )
        return from_settings(self.strengths, self.learning_rate)

    def settings(self) -> Settings:
        """Return how the search is trained."""
        return Settings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            stopping=self.stopping,
            schedule=self.schedule,
            seed=self.seed,
            memory=self.memory,
        )


def tune(
    table: Any,
    target: Any = None,
    *,
    task: str | None = None,
    cv: Any = 5,
    repeats: int = 1,
    groups: str | None = None,
    time: str | None = None,
    hidden: int | Sequence[int] = (128, 64),
    strengths: Strengths = DEFAULT_COUNT,
    regularizers: Sequence[str] = DEFAULT_REGULARIZERS,
    learning_rate: float | None = None,
    epochs: int = 150,
    batch_size: int | None = None,
    patience: int = 15,
    schedule: str = "constant",
    refit: str | None = None,
    rule: str = "1se",
    refit_seeds: int = 1,
    seed: int = 0,
    memory: int | None = None,
    listener: Listener | None = None,
) -> Result:
    """Search the regularization of a dense network on a table, every fold times every strength at once.

    The objective is ``mean loss + l1 * sum |w| + l2 * sum w**2`` over all kernels, with the log loss (classification)
    or the squared error of the standardised target (regression).

    Parameters
    ----------
    table
        Path of a CSV, TSV, Parquet, Arrow or JSON-lines file, a data frame of any library, or an array [n, d].
    target
        Name of a column, or an array [n].
    task
        `"classification"` or `"regression"`; None decides by the target.
    cv, repeats
        Number of folds (stratified for classes) or a scikit-learn splitter, and how often they are drawn anew.
    groups, time
        Names of columns: rows of one group stay in one fold; or each fold trains on earlier rows only.
    hidden
        Units of the hidden layers: wide enough to overfit.
    strengths
        How many candidates to draw from the default ranges, or the candidates themselves, such as
        ``[{"l2": 0.01}, {"dropout": 0.3}]``. No regularization at all is always the first candidate.
    regularizers
        Which to search when `strengths` is a number: any of `l1`, `l2`, `dropout`, `weight_dropout`.
    learning_rate
        Fixes Adam's step size. None searches it with the strengths when their number is given, else it is 1e-3.
    epochs, batch_size, patience, schedule
        The most epochs (a search usually ends long before); rows of a batch (None: an eighth of the rows, 16 to 256);
        epochs without improvement after which a strength stops; `"constant"` or `"cosine"`.
    refit
        `"ensemble"` averages the fold networks of the best strengths, nothing is trained again; `"single"` trains one
        network on all rows. None takes the ensemble, and a single network with `time`, where early folds have seen
        little.
    rule
        Which strength a single refit takes: `"1se"`, or `"min"`.
    refit_seeds
        Networks averaged in a single refit.
    seed
        Makes everything repeatable to the bit on one machine.
    memory
        Bytes that training may use; None takes half of what is free.
    listener
        Called while the search goes on.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        What is wrong with the table or an argument, in a sentence.
    FileError
        The file cannot be read.
    TrainingError
        Every network diverged, or memory is too small.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> result = tune(x, y, strengths=4, epochs=20)
    >>> result.table.height
    4
    """
    options = Options(
        hidden=_hidden(hidden),
        strengths=strengths,
        regularizers=(regularizers,) if isinstance(regularizers, str) else tuple(regularizers),
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        schedule=schedule,
        refit=refit or ("single" if time else "ensemble"),
        rule=rule,
        refit_seeds=refit_seeds,
        seed=seed,
        memory=memory,
    )
    candidates = options.candidates()
    problem = read_problem(table, target, task=task, cv=cv, repeats=repeats, groups=groups, time=time, seed=seed)
    return tune_problem(problem, candidates, options, listener or Listener())


def tune_problem(problem: TableProblem, candidates: Candidates, options: Options, listener: Listener) -> Result:
    """Search the strengths of a problem that was read already."""
    begin = clock.perf_counter()
    _check_size(problem, options)
    summary = problem.summary()
    listener.on_read(summary)
    network = DenseNetwork(problem.layout.width, options.hidden, problem.outputs)
    trained = train(
        network,
        problem.dataset(),
        problem.row_sets,
        candidates,
        loss=problem.loss,
        settings=options.settings(),
        on_plan=listener.on_plan,
        on_progress=_with_keras_beside(listener.on_progress),
    )
    choice = choose(trained.histories, candidates, problem.row_sets.independent)
    towers, members, encodings = _refit(problem, network, trained, candidates, choice, options)
    predictions = _held_out(trained, choice, _best(trained))
    scores = {name: score(problem.target.task, problem.target.values, values) for name, values in predictions.items()}
    model = build_model(towers, classification=problem.target.task == "classification")
    return Result(
        summary=summary,
        plan=trained.plan,
        candidates=candidates,
        histories=trained.histories,
        choice=choice,
        predictor=_predictor(problem, encodings, model),
        members=members,
        refit=str(options.refit),
        ensemble_size=len(_best(trained)),
        scores=scores,
        held_out_predictions=predictions,
        folds=problem.row_sets.independent,
        loss_name=problem.loss.name,
        metric_name=problem.loss.metric_name,
        seed=options.seed,
        seconds={**trained.seconds, "total": clock.perf_counter() - begin},
    )


def _best(trained: Trained) -> tuple[int, ...]:
    """Number the strengths of the ensemble: the best few that did not diverge."""
    order = trained.histories.order[:ENSEMBLE_STRENGTHS]
    return tuple(int(g) for g in order if np.isfinite(trained.histories.best_loss[g]))


def _held_out(trained: Trained, choice: Choice, members: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Predict every row by networks that did not train on it."""
    wanted = sorted({0, choice.minimum, choice.one_standard_error, *members})
    found = dict(zip(wanted, trained.held_out_predictions(wanted), strict=True))
    if not np.isfinite(trained.histories.best_loss[0]):
        found[0] = np.full_like(found[0], np.nan)
    return {
        "unregularized": found[0],
        "minimum": found[choice.minimum],
        "one_standard_error": found[choice.one_standard_error],
        "ensemble": np.mean([found[g] for g in members], axis=0),
    }


def _refit(
    problem: TableProblem,
    network: DenseNetwork,
    trained: Trained,
    candidates: Candidates,
    choice: Choice,
    options: Options,
) -> tuple[list[Tower], tuple[int, ...], tuple[Any, ...]]:
    """Return the towers of the final model, the strengths they have, and the encodings they take."""
    if options.refit == "ensemble":
        members = _best(trained)
        dataset = trained.dataset
        row_sets = problem.row_sets.independent  # those of one repeat hold every row out once
        towers = [
            _tower(network, trained.variables(g), r, r, candidates.regularization(g), dataset.shift, dataset.scale)
            for g in members
            for r in range(row_sets)
        ]
        return towers, members, problem.encodings[:row_sets]
    g = choice.minimum if options.rule == "min" else choice.one_standard_error
    row_sets, encodings, dataset = problem.on_all_rows(options.refit_seeds)
    epochs = int(trained.histories.best_epoch[g])
    settings = replace(
        options.settings(),
        epochs=epochs,
        schedule_epochs=options.epochs,
        call_epochs=epochs,
        batch_size=trained.plan.batch_size,
        stopping=None,
    )
    again = train(network, dataset, row_sets, candidates.take([g]), loss=problem.loss, settings=settings)
    variables = again.variables(0)
    if not all(np.isfinite(leaf).all() for layer in variables.trainable for leaf in layer.values()):
        raise TrainingError("The refit on all rows diverged, though the folds did not: use refit='ensemble'.")
    regularization = candidates.regularization(g)
    towers = [
        _tower(network, variables, r, 0, regularization, dataset.shift, dataset.scale) for r in range(row_sets.count)
    ]
    return towers, (g,), encodings[:1]


def _tower(
    network: DenseNetwork,
    variables: Any,
    row_set: int,
    encoding: int,
    regularization: Regularization,
    shift: np.ndarray,
    scale: np.ndarray,
) -> Tower:
    one = type(variables)(
        [{name: leaf[row_set] for name, leaf in layer.items()} for layer in variables.trainable], variables.state
    )
    return tower(
        one,
        encoding=encoding,
        activation=network.activation,
        regularization=regularization,
        shift=float(shift[row_set]),
        scale=float(scale[row_set]),
    )


def _predictor(problem: TableProblem, encodings: tuple[Any, ...], model: Any) -> Predictor:
    target = problem.target
    return Predictor(problem.columns, encodings, target.name, target.task, target.classes, target.label_type, model)


def _with_keras_beside(report: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Import Keras (3 s) in a thread while the first blocks train, since the model is built at the end."""
    available_devices()  # the number of devices must be chosen before Keras starts JAX
    importing = threading.Thread(target=import_keras, daemon=True)

    def reported(progress: Progress) -> None:
        if importing.ident is None:
            importing.start()
        report(progress)

    return reported


def _check_size(problem: TableProblem, options: Options) -> None:
    """Refuse before training what could not be kept: an ensemble of too many networks, inputs beyond the memory."""
    towers = ENSEMBLE_STRENGTHS * problem.row_sets.independent
    if options.refit == "ensemble" and towers > MAX_TOWERS:
        raise InputError(
            f"The ensemble would hold {towers} networks ({ENSEMBLE_STRENGTHS} strengths x "
            f"{problem.row_sets.independent} row sets), at most {MAX_TOWERS} are sensible: use fewer folds, or "
            "refit='single' (--refit single)."
        )
    devices = available_devices()
    budget = memory_budget(devices) if options.memory is None else options.memory
    rows = len(problem.target.values)
    needed = problem.row_sets.count * rows * problem.layout.width * 4 * (1 + len(devices))
    if needed > budget:
        raise TrainingError(
            f"The encoded table ({problem.row_sets.count} row sets x {rows:,} rows x "
            f"{problem.layout.width:,} inputs) needs about {needed / 2**20:,.0f} MiB, and the memory budget is "
            f"{budget / 2**20:,.0f} MiB: raise it, use fewer folds, or drop columns with many categories."
        )


def _check_candidates(candidates: Candidates, learning_rate: float | None) -> None:
    if learning_rate is not None:
        raise InputError("Candidates have their own learning rates: leave out 'learning_rate'.")
    if any(values[0] != 0 for values in candidates.strengths.values()):
        raise InputError("The first candidate must have all strengths 0: the unregularized network is always searched.")


def _hidden(hidden: int | Sequence[int]) -> tuple[int, ...]:
    units = tuple(hidden) if isinstance(hidden, Sequence | np.ndarray) else (hidden,)
    for number in units:
        if not isinstance(number, int | np.integer) or number < 1:
            raise InputError(f"'hidden' must be whole numbers of at least 1, one for each layer. Got {number!r}.")
    return tuple(int(number) for number in units)


def _check_options(options: Options) -> None:
    if options.refit not in ("ensemble", "single"):
        raise InputError(f"'refit' must be 'ensemble' or 'single'. Got {options.refit!r}.")
    if options.rule not in ("1se", "min"):
        raise InputError(f"'rule' must be '1se' or 'min'. Got {options.rule!r}.")
    for name in ("epochs", "patience", "refit_seeds", "batch_size"):
        value = getattr(options, name)
        if name == "batch_size" and value is None:
            continue
        if not isinstance(value, int) or value < 1:
            raise InputError(f"'{name}' must be a whole number of at least 1. Got {value!r}.")

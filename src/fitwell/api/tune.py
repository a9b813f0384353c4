"""tune(): find the regularization that cures overfitting, by training every fold times every strength at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from fitwell.analysis.honest import Method
from fitwell.analysis.selection import RuleName
from fitwell.arguments import seconds_in, whole_number
from fitwell.data.target import Task
from fitwell.engine.checkpoints import Checkpoints
from fitwell.engine.engines import Engine
from fitwell.engine.listening import checked_listener
from fitwell.engine.plan import Listener
from fitwell.errors import InputError
from fitwell.keras.backend import check_backend
from fitwell.problems.given import opened_model, read_problem
from fitwell.problems.options import (
    DEFAULT_HIDDEN,
    DepthName,
    Pruning,
    Refit,
    Schedule,
    Start,
    Strengths,
    hidden_units,
    make_options,
    regularizer_list,
)
from fitwell.regularization.grids import DEFAULT_COUNT
from fitwell.regularization.regularizer import Regularizer
from fitwell.regularization.table import DEFAULT_REGULARIZERS
from fitwell.report.watching import watching
from fitwell.results.result import Result
from fitwell.studies.answering import answer
from fitwell.studies.search import search
from fitwell.studies.time_limits import ending_of


def tune(
    table: Any,
    target: Any = None,
    y: Any = None,
    *,
    model: Any = None,
    task: Task | None = None,
    cv: Any = 5,
    repeats: int = 1,
    groups: Any = None,
    time: Any = None,
    drop: str | Sequence[str] = (),
    missing: Sequence[str] | None = None,
    key: str | None = None,
    hidden: int | Sequence[int] = DEFAULT_HIDDEN,
    strengths: Strengths = DEFAULT_COUNT,
    regularizers: Sequence[str | Regularizer] = DEFAULT_REGULARIZERS,
    depth: DepthName = "constant",
    learning_rate: float | None = None,
    epochs: int = 150,
    batch_size: int | None = None,
    patience: int = 25,
    pruning: Pruning = "early",
    schedule: Schedule = "constant",
    refit: Refit | None = None,
    rule: RuleName = "1se",
    honest: Method = "bbc",
    scoring: str | None = None,
    refit_seeds: int = 1,
    seed: int = 0,
    memory: int | None = None,
    devices: int | None = None,
    engine: Engine = "auto",
    time_budget: float | str | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    sample_weight: Any = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    weights: Start = "fresh",
    verbose: int = 0,
    listener: Listener | None = None,
) -> Result:
    """Search the regularization of a network, every fold times every strength at once.

    ``tune(table, target)`` trains a dense network on a table; ``tune(model, x, y)`` your own compiled Keras model on
    what `keras.Model.fit` takes; ``tune(table, target, model=model)`` your Keras model on a table's encoded columns.

    The objective is ``mean loss + l1 * sum |w| + l2 * sum w**2`` over all penalised kernels; for a dense network the
    loss is the log loss (classification) or the squared error of the standardised target (regression), of several
    targets its mean over them, and where rows
    have weights its mean is the weighted mean; for a Keras model it is what that was compiled with.

    Parameters
    ----------
    table
        Path of a CSV, TSV, Parquet, Arrow or JSON-lines file or of a directory of Parquet files, a data frame of any
        library, or an array [n, d]; or a `keras.Model` (or `fitwell.opened` of one), which is not touched.
    target
        Name of a column, or an array [n]; or several that are predicted together, names or an array [n, k]: all
        numbers, or labels that a row has or has not, of two classes each. After a model: x, an array [n, ...], a tuple,
        list or dict of such, a data frame, or an iterable of batches ``(x, y)`` (read once into memory).
    y
        After a model: the targets, likewise; left out with batches.
    model
        A compiled Keras model for a table, in the place of the dense network; it must take as many inputs as the
        encoded table has.
    task
        `"classification"` or `"regression"`; None decides by the target.
    cv, repeats
        Number of folds (stratified for classes) or a scikit-learn splitter, and how often they are drawn anew.
    groups, time
        Names of columns (arrays [n] with a model): rows of one group stay in one fold; or each fold trains on earlier
        rows only.
    drop
        Names of columns of a table that are left out; nothing in them is looked at.
    missing
        The texts of a table that mean missing, in place of the usual ones (`fitwell.data.notation.MISSING_MARKS`:
        NA, None, ?, ...), such as ``["-999", "unknown"]``; the empty text always does. New rows are read alike.
    key
        Name of a column of a table that says what its rows are called, such as a patient's number: it is no input, and
        stands in the report beside the rows that are predicted worst, and in `Result.held_out`.
    hidden
        Units of the hidden layers: wide enough to overfit.
    strengths
        How many candidates are tried in all, or the candidates themselves, such as
        ``[{"l2": 0.01}, {"dropout": 0.3}]``. No regularization at all is always the first candidate, and a Keras model
        as it was given the second, if it has regularization of its own; the strengths of all others replace that. As a
        number it counts these, too: at least 1, or 2 for such a model; what is left is drawn from the default ranges.
        A strength may also be a mapping by layer name or a `fitwell.Depth`.
    regularizers
        Which to search when `strengths` is a number, and which a setting may name besides fitwell's own: names of
        `fitwell.regularization.table`, or a `fitwell.Regularizer` of yours.
    depth
        How strengths change with depth: `"constant"`, `"funnel"`, `"rising"`, or `"search"`.
    learning_rate
        Fixes Adam's step size. None searches it with the strengths when their number is given, else it is 1e-3; a
        Keras model keeps the optimizer and the rate that it was compiled with.
    epochs, batch_size, patience, schedule
        The most epochs (a search usually ends long before); rows of a batch (None: an eighth of the rows, 16 to 256);
        epochs without improvement after which a strength stops; of the learning rate `"constant"`, `"cosine"`, or
        `"cooldown"`, which falls linearly to zero in the second half of the epochs.
    pruning
        `"early"`: of the strengths still running the worst leave on the way, marked `cut_after` in `Result.table`;
        `"none"`: each trains until it stops improving, which takes about twice as long.
    refit
        `"ensemble"` averages the fold networks of the best strengths, nothing is trained again; `"single"` trains one
        network on all rows. None takes the ensemble, and a single network with `time`, where early folds have seen
        little. A Keras model always comes back as one network trained on all rows.
    rule
        Which strength a single refit takes: `"1se"` the most regularized within one standard error of the lowest
        held-out loss, `"min"` that itself, `"confidence-set"` the most regularized that is not significantly worse than
        the best.
    honest
        How `Result.score`, the loss on new rows, is corrected for having chosen: `"bbc"` by the bootstrap, nothing is
        trained; `"nested"` and `"bates"` by the whole search inside each fold, at once (K times as many networks, to
        the last epoch), the second with an interval that knows that folds share rows.
    scoring
        What strengths are chosen by on a table, as the name of one of scikit-learn's scorers, such as
        `"average_precision"`, `"balanced_accuracy"` or `"neg_mean_absolute_error"`: of the held-out rows of each row
        set, predicted at each strength's best epoch, which stays that of the lowest loss. Then `Result.score` is that
        score on new rows (with ``honest="bbc"`` only). None chooses by the loss.
    refit_seeds
        Networks averaged in a single refit.
    seed
        Makes everything repeatable to the bit on one machine.
    memory
        Bytes that training may use; None takes half of what is free. The table of a Parquet or CSV file that is larger
        is searched from disk, its rows shuffled in windows (see "Large data" in the docs).
    devices
        The most cores (or accelerators) to train on; None takes all.
    engine
        What multiplies: `"numpy"`, with nothing to compile, for the dense network of tables with fitwell's own
        regularizers (in C, on all cores, where a compiler was at hand when fitwell was installed); `"jax"` anything, on
        all cores and on accelerators. `"auto"` takes NumPy where it can and there is no accelerator; without the
        C part, only where it is done before JAX has compiled, or nearly, by the size of the search and the number of
        cores. The numbers agree to rounding. `"ray"` trains with the one or the other on the workers of a Ray cluster,
        or on this machine; `Ray(...)` says which cluster, and what a worker has. The numbers are those without it.
    time_budget
        How long all of it may take: seconds, or a text such as ``"90s"``, ``"5m"``, ``"1h 30m"``. Strengths for which
        there is no time are left out from the start, rungs come earlier, and when time is up the best so far is the
        answer, with its score. Where there is plainly time for everything, nothing is changed. ``result.search.ended``
        and the report say what was cut short.
    checkpoint
        A directory into which a search of more than ten seconds is written while it goes on. If the process dies, the
        same call with it goes on from there, and gives the numbers of an unbroken search bit for bit; what has changed
        since is refused. Delete it once you have saved what came of it.
    sample_weight
        What each row counts, 0 or more, in training and where losses are measured: of a table the name of a column,
        which is no input then, or an array [n] beside it; with a Keras model an array [n]. Of a table only the ratios
        matter: weights times a constant change nothing.
    class_weight
        Of a table: a dict from class, as the table has it, to weight (1 for those not named), or `"balanced"`, with
        which every class counts alike, ``n / (k * count)`` as in scikit-learn. It multiplies `sample_weight` in
        training and where losses are measured; in training, `"balanced"` counts a row set's own training rows. With a
        Keras model on arrays: a dict from class index to weight, in training only.
    weights
        Where a Keras model's training starts in every fold: `"fresh"` draws new first weights by its initializers (what
        is frozen stays), so that nothing of held-out rows can be in them; `"given"` starts from the weights it has.
    verbose
        1 shows a progress line with the time left on a terminal and in a notebook (elsewhere, as in a log, a line every
        few epochs); 2 says what was read and what will be trained, too.
    listener
        Told while the search goes on: a `fitwell.Listener`.

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
    # before Keras is imported by what follows, and could only be refused afterwards
    check_backend()
    told, verbose = checked_listener(listener), whole_number("verbose", verbose, least=0)
    begun, budget = perf_counter(), None if time_budget is None else seconds_in("time_budget", time_budget)
    if budget is not None and honest != "bbc":
        raise InputError(
            f"'honest' must be 'bbc' with a time budget: {honest!r} trains several times as many networks, all of them "
            "to the end."
        )
    written = checkpoint if checkpoint is None or isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)
    # asked here, because the defaults of `refit` depend on it
    of_a_model = model is not None or opened_model(table) is not None
    if of_a_model and (refit == "ensemble" or refit_seeds != 1):
        raise InputError(
            "A Keras model comes back as one network of its own architecture, trained on all rows: leave out 'refit' "
            "and 'refit_seeds'."
        )
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
        refit=refit or ("single" if of_a_model or time is not None else "ensemble"),
        rule=rule,
        honest=honest,
        scoring=scoring,
        refit_seeds=refit_seeds,
        seed=seed,
        memory=memory,
        devices=devices,
        engine=engine,
    )
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
        key=key,
    )
    with watching(told, verbose) as listening:
        ending = ending_of(problem, options, listening, budget, begun)
        return answer(search(problem, replace(options, ending=ending, checkpoints=written), listening))

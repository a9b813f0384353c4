"""train(): search the regularization of any network that is written in JAX, from two plain functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from fitwell.arguments import seconds_in, whole_number
from fitwell.engine.listening import checked_listener
from fitwell.engine.losses import Loss
from fitwell.engine.optimizers import Optimizer, adam
from fitwell.engine.plan import Listener
from fitwell.errors import InputTypeError
from fitwell.problems.functions import Network, read_functions
from fitwell.problems.options import Options, make_options, regularizer_list
from fitwell.report.watching import watching
from fitwell.results.result import Result
from fitwell.studies.answering import answer
from fitwell.studies.search import search
from fitwell.studies.time_limits import ending_of


def train(
    network: Network,
    x: Any,
    y: Any,
    *,
    loss: str | Loss | None = None,
    cv: Any = 5,
    repeats: int = 1,
    groups: Any = None,
    time: Any = None,
    optimizer: Optimizer | None = None,
    time_budget: float | str | None = None,
    verbose: int = 0,
    listener: Listener | None = None,
    **options: Any,
) -> Result:
    """Search the regularization of a network of your own, every fold times every strength at once.

    Parameters
    ----------
    network
        Two functions; see `Network`.
    x, y
        Inputs, an array [n, ...] or a tree of such, and targets [n]: class indices or values (as they are, not
        standardised).
    loss
        `"log loss"`, `"squared error"`, or a `fitwell.engine.losses.Loss` of your own; None takes the log loss for
        whole numbers.
    cv, repeats, groups, time
        Folds; groups and moments are arrays [n]. See `fitwell.tune`.
    optimizer
        Of `fitwell.engine.optimizers`; None is Adam.
    time_budget, verbose, listener
        How long all of it may take, what is shown and who is told while the search goes on; see `fitwell.tune`.
    **options
        `strengths`, `regularizers`, `depth`, `learning_rate`, `epochs`, `batch_size`, `patience`, `pruning`,
        `schedule`, `rule`, `seed`, `memory`: see `fitwell.tune`.

    Returns
    -------
    Result
        ``result.model`` holds the refit's parameters, ``result.predict(x)`` applies them.

    Raises
    ------
    InputError, InputTypeError
        What is wrong with an argument, in a sentence.
    TrainingError
        Every network diverged, or memory is too small.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> def init(key):
    ...     return {"hidden": jax.random.normal(key, (4, 16)) / 2, "output": jnp.zeros((16, 3))}
    >>> def apply(parameters, inputs, drop):
    ...     return drop(jnp.tanh(inputs @ parameters["hidden"])) @ parameters["output"]
    >>> result = train(Network(init, apply), x, y, strengths=4, epochs=5)
    >>> result.predict(x).shape
    (150, 3)
    """
    told, verbose = checked_listener(listener), whole_number("verbose", verbose, least=0)
    begun, budget = perf_counter(), None if time_budget is None else seconds_in("time_budget", time_budget)
    read = _options(options)
    splits = {"cv": cv, "repeats": repeats, "groups": groups, "time": time}
    problem = read_functions(network, x, y, loss=loss, optimizer=optimizer or adam(), splits=splits, seed=read.seed)
    with watching(told, verbose) as listening:
        timed = replace(read, ending=ending_of(problem, read, listening, budget, begun))
        return answer(search(problem, timed, listening))


def _options(given: Mapping[str, Any]) -> Options:
    allowed = {"strengths", "regularizers", "depth", "learning_rate", "epochs", "batch_size", "patience", "pruning",
               "schedule",                "rule", "honest", "seed", "memory"}  # fmt: skip
    # checked by hand: `**options` would take a misspelt name without a word
    for name in given:
        if name not in allowed:
            raise InputTypeError(f"train() has no option '{name}'. It has: {', '.join(sorted(allowed))}.")
    regularizers = regularizer_list(given.get("regularizers", Options.regularizers))
    # no ensemble: networks of functions cannot be joined into one model, whose parameters `result.model` is
    return make_options(**{**given, "regularizers": regularizers, "refit": "single"})

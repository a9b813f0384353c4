"""From what a person gives (a table, a model, both) to a problem that can be searched."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fitwell.errors import InputError, InputTypeError
from fitwell.keras.backend import import_keras
from fitwell.searches.options import DEFAULT_HIDDEN, Options
from fitwell.searches.problems import DenseOnTable, Problem
from fitwell.tables import read_problem

if TYPE_CHECKING:
    from fitwell.keras.opening import Opened


def read(
    table: Any,
    target: Any,
    y: Any,
    options: Options,
    *,
    model: Any,
    task: str | None,
    splits: Mapping[str, Any],
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    weights: str,
) -> tuple[Problem, dict[str, Any]]:
    """Return a problem and what was read, as plain types; see `fitwell.tune` for the arguments."""
    opened = opened_model(table)
    if opened is not None:
        from fitwell.searches.model_problems import ModelOnArrays
        from fitwell.searches.opened_models import read_model

        check_model_options(options, task)
        keras = {"sample_weight": sample_weight, "class_weight": class_weight, "weights": weights}
        found = read_model(opened, target, y, options, splits=splits, **keras)
        return ModelOnArrays(found.problem, found.row_sets, found.strata), found.summary
    opened = check_table_arguments(model, y, sample_weight, class_weight, weights)
    problem = read_problem(table, target, task=task, seed=options.seed, **splits)
    if opened is None:
        dense = DenseOnTable(problem, options.hidden)
        dense.candidates(options)
        return dense, problem.summary()
    from fitwell.searches.model_problems import ModelOnTable
    from fitwell.searches.models_on_tables import open_on_table

    check_model_options(options)
    return ModelOnTable.of(open_on_table(problem, opened)[0], problem), problem.summary()


def opened_model(value: Any) -> Opened | None:
    """Return a Keras model opened; None for anything else. A model cannot come without Keras being imported."""
    if "keras" not in sys.modules:
        return None
    from fitwell.keras.opening import Opened

    if isinstance(value, Opened):
        return value
    return Opened(value) if isinstance(value, import_keras().Model) else None


def check_table_arguments(model: Any, y: Any, sample_weight: Any, class_weight: Any, weights: str) -> Opened | None:
    """Refuse with a table what goes with a model and arrays; return the model opened, if there is one."""
    opened = None
    if model is not None and (opened := opened_model(model)) is None:
        raise InputTypeError(f"'model' must be a keras.Model or fitwell.opened(model). Got {type(model).__name__}.")
    if y is not None or sample_weight is not None or class_weight is not None or weights != "fresh":
        raise InputError(
            "'y', 'sample_weight', 'class_weight' and 'weights' go with a Keras model and arrays, as in "
            "fitwell.tune(model, x, y)."
        )
    return opened


def check_model_options(options: Options, task: str | None = None) -> None:
    """Refuse with a Keras model what only the dense network has."""
    if options.hidden != DEFAULT_HIDDEN:
        raise InputError("A Keras model has its own layers: leave out 'hidden'.")
    if task is not None:
        raise InputError("A Keras model's task is that of its loss: leave out 'task'.")

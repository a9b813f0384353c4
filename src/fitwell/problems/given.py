"""From what a person gives (a table, a model, both) to a problem that can be searched: the one way in."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitwell.data.notation import refuse_missing
from fitwell.engine.network import DenseNetwork
from fitwell.errors import InputError, InputTypeError
from fitwell.keras.backend import import_keras
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import Options
from fitwell.problems.problem import Problem
from fitwell.problems.tables import read_table

if TYPE_CHECKING:
    from fitwell.keras.opening import Opened


def read_problem(
    table: Any,
    target: Any,
    y: Any,
    options: Options,
    *,
    model: Any,
    task: str | None,
    splits: Mapping[str, Any],
    sample_weight: Any,
    class_weight: Any,
    weights: str,
    drop: str | Sequence[str] = (),
    missing: Sequence[str] | None = None,
    key: str | None = None,
) -> Problem:
    """Return what is to be searched; see `fitwell.tune` for the arguments."""
    opened = opened_model(table)
    if opened is not None:
        from fitwell.problems.models import check_model_options, read_model

        check_model_options(options)
        if task is not None:
            raise InputError("A Keras model's task is that of its loss: leave out 'task'.")
        if drop is not None and len(drop):
            raise InputError("'drop' leaves out columns of a table: a Keras model takes all of x.")
        refuse_missing(missing)
        if key is not None:
            raise InputError("'key' is a column of a table, by which its rows are called: leave it out with arrays.")
        weighing = {"sample_weight": sample_weight, "class_weight": class_weight, "weights": weights}
        return read_model(opened, target, y, options, splits=splits, **weighing)
    opened = _check_table_arguments(model, y, sample_weight, class_weight, weights)
    if opened is None:
        options.candidates(DenseNetwork.layers_of(options.hidden))  # wrong ones are refused before the table is read
    reading: dict[str, Any] = {"task": task, "drop": drop, "missing": missing, "key": key, "seed": options.seed}
    reading |= {"sample_weight": sample_weight, "class_weight": class_weight, **splits}
    if opened is None and isinstance(table, str | Path):
        from fitwell.problems.streaming import is_streamed, read_on_disk  # of no other tables

        asked = {"memory": options.memory, "engine": options.engine, "sample_weight": sample_weight}
        if is_streamed(table, target, **asked, cv=splits["cv"], repeats=splits["repeats"]):
            return DenseOnTable(read_on_disk(Path(table), target, **reading), options.hidden)
    read = read_table(table, target, **reading)
    if opened is None:
        return DenseOnTable(read, options.hidden)
    from fitwell.problems.models import check_model_options
    from fitwell.problems.models_on_tables import open_on_table

    check_model_options(options)
    return open_on_table(read, opened)


def opened_model(value: Any) -> Opened | None:
    """Return a Keras model opened; None for anything else. A model cannot come without Keras being imported."""
    if "keras" not in sys.modules:
        return None
    from fitwell.keras.opening import Opened

    if isinstance(value, Opened):
        return value
    return Opened(value) if isinstance(value, import_keras().Model) else None


def _check_table_arguments(model: Any, y: Any, sample_weight: Any, class_weight: Any, weights: str) -> Opened | None:
    """Refuse with a table what goes with a model and arrays; return the model opened, if there is one."""
    opened = None
    if model is not None and (opened := opened_model(model)) is None:
        raise InputTypeError(f"'model' must be a keras.Model or fitwell.opened(model). Got {type(model).__name__}.")
    if y is not None or weights != "fresh":
        raise InputError("'y' and 'weights' go with a Keras model and arrays, as in fitwell.tune(model, x, y).")
    if opened is not None and not (sample_weight is None and class_weight is None):
        raise InputError(
            "'sample_weight' and 'class_weight' go with the dense network on a table, or with a Keras model and arrays "
            "as in fitwell.tune(model, x, y): leave them out with 'model'."
        )
    return opened

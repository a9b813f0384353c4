"""What predicts, written for TensorFlow.js: the model, and of a table all that a record takes to become its tensors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fitwell.errors import InputError
from fitwell.keras.plain_model import PlainModel
from fitwell.results.predictors import Predicts, TablePredictor

TFJS = "tfjs"
"""Directory of a run that holds it for TensorFlow.js."""


def write_tfjs(predictor: Predicts, directory: Path, *, quantize: str | None = None) -> tuple[str, ...]:
    """Write a model with its metadata, and of a table what encodes its records, into an existing directory.

    Returns
    -------
    Sentences that a person should read; often none.

    Raises
    ------
    InputError
        TensorFlow.js cannot be made to compute the model alike.
    """
    # imported late, like all of this: a run that is loaded to predict needs nothing of TensorFlow.js
    from fitwell.tfjs.plain_writing import write_plain_model

    if isinstance(predictor, TablePredictor):
        from fitwell.tfjs.schema import write_table_files

        write_table_files(directory, schema_of(predictor))
        if isinstance(predictor.network, PlainModel) and quantize is None:
            write_plain_model(predictor.network, directory, metadata=predictor.metadata)
            return ()
    from fitwell.tfjs.saving import write

    return tuple(str(write(predictor.model, directory, quantize=quantize, metadata=predictor.metadata)).splitlines())


def schema_of(predictor: TablePredictor) -> dict[str, Any]:
    """Return what `encode.js` needs of a table's model."""
    from fitwell.tfjs.schema import schema

    names = ("target", "task", "classes", "label_type", "head", "outputs")
    about = {name: getattr(predictor, name) for name in names}
    return schema(predictor.columns, predictor.encodings, units=predictor.units, missing=predictor.missing, **about)


def add_tfjs(predictor: Predicts, directory: Path) -> str | None:
    """Write the sub-directory `tfjs` of a run; where that is not possible return why, and leave none.

    A fault of the writer is said too: a search that took hours must not be lost for it.
    """
    inside = directory / TFJS
    inside.mkdir()
    try:
        write_tfjs(predictor, inside)
    # a full disk hits the rest of the run too, so it is no fault of the writer
    except OSError:
        raise
    except InputError as error:
        why = str(error)
    except Exception as error:
        why = f"it could not be written, by a fault of fitwell's ({type(error).__name__}: {error}); please report it."
    else:
        return None
    # half of it must not be taken for a model
    shutil.rmtree(inside)
    return why

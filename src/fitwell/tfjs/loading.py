"""A TensorFlow.js layers model as a Keras model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitwell.errors import FileError
from fitwell.keras.backend import import_keras
from fitwell.keras.internals import operation_of
from fitwell.tfjs.document import MODEL_JSON, metadata_in, read_document
from fitwell.tfjs.reading import from_tfjs
from fitwell.tfjs.reading.keras_names import KERAS_NAMES
from fitwell.tfjs.training_config import read_training_config


@dataclass(frozen=True)
class Loaded:
    """What was in a file.

    Attributes
    ----------
    model
        keras.Model; compiled, if the file says how it was trained.
    notices
        What a person should know, a sentence each.
    metadata
        What a person keeps beside the model; see `metadata`.
    """

    model: Any
    notices: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def load(path: str | Path) -> Any:
    """Load a TensorFlow.js layers model; what a person should know is said by warnings.

    Parameters
    ----------
    path
        Of `model.json`, as ``model.save(...)`` in JavaScript or the old converter wrote it, or its directory. The
        weight files lie beside it. All of it is taken for data: nothing in it is run, and no address is opened.

    Returns
    -------
    keras.Model with the weights, regularizers and dropout of the file, and compiled with its training settings if it
    holds some. What else a person keeps in the file is not on the model: `fitwell.tfjs.metadata` reads it.

    Raises
    ------
    FileError
        It is missing or damaged, is no layers model, or holds a layer that Keras cannot be made to compute alike.

    Examples
    --------
    >>> import fitwell, keras, tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> directory = tempfile.mkdtemp()
    >>> _ = fitwell.tfjs.save(model, directory)
    >>> fitwell.tfjs.load(directory + "/model.json").count_params()
    8
    """
    found = load_with_notices(Path(path))
    for notice in found.notices:
        warnings.warn(notice, UserWarning, stacklevel=2)
    return found.model


def metadata(path: str | Path) -> dict[str, Any]:
    """Read what a person keeps in the file of a TensorFlow.js layers model, set there by `setUserDefinedMetadata`.

    Parameters
    ----------
    path
        Of `model.json` or its directory, as for `load`. The weights are not read.

    Returns
    -------
    Plain JSON, empty if the file holds none. A Keras model has no place for it, so it is given on beside the model:
    ``fitwell.tfjs.save(model, directory, metadata=...)``, or ``fitwell.opened(model, metadata=...)`` to `tune`.

    Raises
    ------
    FileError
        The file is missing or damaged.

    Examples
    --------
    >>> import fitwell, keras, tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> directory = tempfile.mkdtemp()
    >>> _ = fitwell.tfjs.save(model, directory, metadata={"labels": ["no", "yes"]})
    >>> fitwell.tfjs.metadata(directory + "/model.json")
    {'labels': ['no', 'yes']}
    """
    found = metadata_in(_model_json(Path(path)))
    return {key: value for key, value in found.items() if key != KERAS_NAMES}


def kept_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata in a run's model.json; nothing if it is damaged or not there, for the run holds the model."""
    try:
        return metadata(path)
    except FileError:
        return {}


def load_with_notices(path: Path) -> Loaded:
    """Load a model, and what a person should know; see `load`."""
    document = read_document(_model_json(path))
    mine = dict(document.metadata or {})
    built = from_tfjs(document.graph, document.weights, mine.pop(KERAS_NAMES, None))
    notices = (*document.notices, *built.notices)
    model = built.model
    # without settings it stays uncompiled: only who asks `with_training` gets a loss that is guessed
    if document.training is not None:
        arguments, more = read_training_config(document.training, len(model.outputs))
        notices += more
        # the file calls outputs by its own names, which may not be allowed in Keras
        arguments |= {key: _by_keras_names(arguments[key], built.names) for key in ("loss", "metrics")}
        _check_losses(path, model, arguments["loss"])
        try:
            model.compile(**arguments)
        except FileError:
            raise
        except (TypeError, ValueError) as error:  # Keras's own words for settings that do not fit the outputs
            raise FileError(f"The training settings of '{path}' do not fit its model ({error}).") from error
    return Loaded(model, notices, mine)


def _model_json(path: Path) -> Path:
    """Return the model.json that a directory holds, or the path itself."""
    return path / MODEL_JSON if path.is_dir() else path


def _by_keras_names(found: Any, names: Mapping[str, str]) -> Any:
    """Return losses or metrics, if they are given by output, by the outputs' names in Keras."""
    return {names.get(key, key): value for key, value in found.items()} if isinstance(found, dict) else found


def _check_losses(path: Path, model: Any, loss: Any) -> None:
    """Refuse losses for outputs that are not there, which Keras says only in training."""
    names = [operation_of(tensor).name for tensor in model.outputs]
    if (isinstance(loss, list) and len(loss) != len(names)) or (isinstance(loss, dict) and set(loss) - set(names)):
        raise FileError(
            f"The training settings of '{path}' do not fit its model: its outputs are {', '.join(names)}, and the "
            f"losses are for {', '.join(loss) if isinstance(loss, dict) else len(loss)}."
        )


def with_training(model: Any) -> tuple[Any, str | None]:
    """Compile a model that its file says no training settings for, by its last layer; return it and a notice.

    Raises
    ------
    FileError
        The last layer does not say what the outputs are.
    """
    if model.compiled:
        return model, None
    loss = _usual_loss(model)
    if loss is None:
        raise FileError(
            f"The file of '{model.name}' holds no training settings, and its last layer does not say which loss it has:"
            " save it in JavaScript by model.save(..., {includeOptimizer: true}) after model.compile(...)."
        )
    model.compile(import_keras().optimizers.Adam(), loss)
    return model, f"The file holds no training settings: Adam and the {loss.replace('_', ' ')} were taken."


def _usual_loss(model: Any) -> str | None:
    activation = getattr(getattr(model.layers[-1], "activation", None), "__name__", "")
    units = model.output_shape[-1] if isinstance(model.output_shape, tuple) else None
    # class indices, as tables give them: one-hot targets would need the categorical loss
    if activation == "softmax":
        return "sparse_categorical_crossentropy"
    if activation == "sigmoid" and units == 1:
        return "binary_crossentropy"
    return "mean_squared_error" if activation == "linear" and units == 1 else None

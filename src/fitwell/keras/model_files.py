"""Keras models from files, which are data: nothing in them is run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from fitwell.errors import FileError
from fitwell.keras.backend import import_keras


def load_compiled(path: Path) -> Any:
    """Load a compiled model from a `.keras` file.

    Raises
    ------
    FileError
        It is not there, is damaged, is not compiled, needs classes that are not known, or wants to run code.
    """
    if path.suffix != ".keras":
        raise FileError(f"'{path}' must be a .keras file, as model.save('model.keras') writes it.")
    if not path.is_file():
        raise FileError(f"There is no file '{path}'.")
    keras = import_keras()
    import fitwell.keras.layers  # noqa: F401  registers them for loading

    try:
        with warnings.catch_warnings():  # the optimizer's state is not used, so it may be missing
            warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
            model = keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # Keras, zipfile and h5py raise many kinds for a damaged file
        raise FileError(_refusal(path, error)) from error
    # asked here, where the file can be named, and not in the search
    if not model.compiled:
        raise FileError(f"The model in '{path}' is not compiled: call model.compile(...) before it is saved.")
    return model


def _refusal(path: Path, error: Exception) -> str:
    # Keras breaks its messages into lines, and an error of ours is one sentence
    text = " ".join(str(error).split())
    # Keras has no exception of its own for it, only these words
    if "safe_mode" in text or "arbitrary code" in text:
        return (
            f"'{path}' holds code (a Lambda layer), and no code of a file is run: build that part from Keras's layers."
        )
    return f"'{path}' cannot be loaded as a Keras model ({text[:200]})."

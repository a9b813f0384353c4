"""Keras on its JAX backend."""

from __future__ import annotations

import os
import sys
from typing import Any

from fitwell.errors import InputError
from fitwell.extras import check_installed

BACKEND = "jax"


def import_keras() -> Any:
    """Import Keras on the JAX backend.

    Raises
    ------
    InputError
        Keras is not installed; or another backend is asked for, or Keras runs on it already: said before anything is
        loaded.
    """
    if "keras" not in sys.modules:
        check_installed()
        _check_asked()
    import keras

    backend = keras.backend.backend()
    if backend != BACKEND:
        raise InputError(
            f"Keras must run on JAX here, and Keras was imported with the backend '{backend}': set "
            f"KERAS_BACKEND={BACKEND} before Keras is imported, or import fitwell first."
        )
    return keras


def is_keras_own(made: Any) -> bool:
    """Whether the class of an object is Keras's, and nobody's of the same name."""
    return type(made).__module__.startswith("keras.")


def has_default_settings(made: Any) -> bool:
    """Whether an object is Keras's own, with the settings that it has when none are given."""
    if not is_keras_own(made):
        return False
    try:
        usual = type(made)()
    except TypeError:  # it cannot be made without settings
        return False
    return _settings(made) == _settings(usual)


def _settings(made: Any) -> dict[str, Any]:
    return {key: value for key, value in made.get_config().items() if key not in ("name", "dtype")}


def _check_asked() -> None:
    asked = os.environ.setdefault("KERAS_BACKEND", BACKEND)
    if asked != BACKEND:
        raise InputError(
            f"Keras must run on JAX here, and KERAS_BACKEND is '{asked}': set KERAS_BACKEND={BACKEND}, or unset it."
        )


def check_backend() -> None:
    """Raise what `import_keras` would, without importing Keras.

    Raises
    ------
    InputError
        Another backend is asked for, or Keras runs on it already.
    """
    if "keras" in sys.modules:
        import_keras()
    else:
        _check_asked()

"""TensorFlow.js layers models: read and written, with neither TensorFlow nor `tensorflowjs`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitwell.tfjs.loading import load, metadata
    from fitwell.tfjs.saving import Saved, save

__all__ = ["Saved", "load", "metadata", "save"]

_WHERE = {
    "Saved": "fitwell.tfjs.saving",
    "load": "fitwell.tfjs.loading",
    "metadata": "fitwell.tfjs.loading",
    "save": "fitwell.tfjs.saving",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fitwell.tfjs' has no attribute '{name}'")
    import_module("fitwell.extras").check_installed()
    import_module("fitwell.keras.backend").check_backend()  # before Keras loads another
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__

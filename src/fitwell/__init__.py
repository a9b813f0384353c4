"""LassoCV for neural networks: finds the regularization that cures overfitting, all folds and strengths at once.

Names are loaded when they are first used: ``import fitwell`` loads neither Keras nor JAX nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fitwell._version import __version__

if TYPE_CHECKING:
    from fitwell.errors import FileError, FitwellError, InputError, InputTypeError, TrainingError
    from fitwell.regularization.strengths import Regularization
    from fitwell.results import Result, load
    from fitwell.tuning import tune

_WHERE = {
    "FileError": "fitwell.errors",
    "FitwellError": "fitwell.errors",
    "InputError": "fitwell.errors",
    "InputTypeError": "fitwell.errors",
    "Regularization": "fitwell.regularization.strengths",
    "Result": "fitwell.results",
    "TrainingError": "fitwell.errors",
    "load": "fitwell.results",
    "tune": "fitwell.tuning",
}

__all__ = [
    "FileError",
    "FitwellError",
    "InputError",
    "InputTypeError",
    "Regularization",
    "Result",
    "TrainingError",
    "__version__",
    "load",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fitwell' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__

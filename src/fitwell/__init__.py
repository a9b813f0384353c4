"""LassoCV for neural networks: finds the regularization that cures overfitting, all folds and strengths at once.

Names are loaded when they are first used: ``import fitwell`` loads neither Keras nor JAX nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fitwell._version import __version__
from fitwell.startup import prepare as _prepare

if TYPE_CHECKING:
    from fitwell import tfjs
    from fitwell.api.diagnose import diagnose
    from fitwell.api.estimators import MLPClassifierCV, MLPRegressorCV
    from fitwell.api.export import export
    from fitwell.api.keras_estimators import KerasClassifierCV, KerasRegressorCV
    from fitwell.api.train import train
    from fitwell.api.tune import tune
    from fitwell.engine.plan import Listener, Plan, Progress
    from fitwell.engine.ray_options import Ray
    from fitwell.errors import FileError, FitwellError, FitwellWarning, InputError, InputTypeError, TrainingError
    from fitwell.keras import layers
    from fitwell.keras.opening import Opened, opened
    from fitwell.problems.functions import Network
    from fitwell.regularization.by_layer import Depth
    from fitwell.regularization.regularizer import Regularizer
    from fitwell.regularization.strengths import Regularization
    from fitwell.results.diagnosis import Diagnosis
    from fitwell.results.mlflow_log import log_to_mlflow
    from fitwell.results.result import Result
    from fitwell.results.storage import load
    from fitwell.results.tensorboard_log import log_to_tensorboard

_WHERE = {
    "Depth": "fitwell.regularization.by_layer",
    "Diagnosis": "fitwell.results.diagnosis",
    "FileError": "fitwell.errors",
    "FitwellError": "fitwell.errors",
    "FitwellWarning": "fitwell.errors",
    "InputError": "fitwell.errors",
    "InputTypeError": "fitwell.errors",
    "KerasClassifierCV": "fitwell.api.keras_estimators",
    "KerasRegressorCV": "fitwell.api.keras_estimators",
    "Listener": "fitwell.engine.plan",
    "MLPClassifierCV": "fitwell.api.estimators",
    "MLPRegressorCV": "fitwell.api.estimators",
    "Network": "fitwell.problems.functions",
    "Opened": "fitwell.keras.opening",
    "Plan": "fitwell.engine.plan",
    "Progress": "fitwell.engine.plan",
    "Ray": "fitwell.engine.ray_options",
    "Regularization": "fitwell.regularization.strengths",
    "Regularizer": "fitwell.regularization.regularizer",
    "Result": "fitwell.results.result",
    "TrainingError": "fitwell.errors",
    "diagnose": "fitwell.api.diagnose",
    "export": "fitwell.api.export",
    "layers": "fitwell.keras.layers",
    "load": "fitwell.results.storage",
    "log_to_mlflow": "fitwell.results.mlflow_log",
    "log_to_tensorboard": "fitwell.results.tensorboard_log",
    "opened": "fitwell.keras.opening",
    "tfjs": "fitwell.tfjs",
    "train": "fitwell.api.train",
    "tune": "fitwell.api.tune",
}

_OF_MODELS = ("Network", "Opened", "layers", "opened", "train")
"""What imports Keras or JAX at once; the others do so when they are given a model."""

# at import, because JAX and Keras read the environment once, when they are first loaded
_prepare()

__all__ = [
    "Depth",
    "Diagnosis",
    "FileError",
    "FitwellError",
    "FitwellWarning",
    "InputError",
    "InputTypeError",
    "KerasClassifierCV",
    "KerasRegressorCV",
    "Listener",
    "MLPClassifierCV",
    "MLPRegressorCV",
    "Network",
    "Opened",
    "Plan",
    "Progress",
    "Ray",
    "Regularization",
    "Regularizer",
    "Result",
    "TrainingError",
    "__version__",
    "diagnose",
    "export",
    "layers",
    "load",
    "log_to_mlflow",
    "log_to_tensorboard",
    "opened",
    "tfjs",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fitwell' has no attribute '{name}'")
    if name in _OF_MODELS:
        import_module("fitwell.extras").check_installed()
    if _WHERE[name].startswith("fitwell.keras."):  # another backend is refused before Keras loads it
        import_module("fitwell.keras.backend").check_backend()
    module = import_module(_WHERE[name])
    # these two are modules themselves
    return module if name in ("layers", "tfjs") else getattr(module, name)


def __dir__() -> list[str]:
    return __all__

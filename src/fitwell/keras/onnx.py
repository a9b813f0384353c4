"""Keras models to ONNX, by Keras's own exporter, and checked before they are believed."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fitwell.errors import InputError
from fitwell.keras.probing import probes

NEEDED = ("jax2onnx", "onnx", "onnxruntime")
"""What Keras's exporter takes on JAX, and what checks it."""

# float32 sums in another order differ by 1e-7 to 1e-6 of the largest, a wrong operation by far more than this
TOLERANCE = 1e-4
"""Largest difference from Keras's outputs, as a share of the largest output."""


def export_onnx(model: Any, path: Path) -> float:
    """Write a model as ONNX and compare what onnxruntime predicts with it.

    Parameters
    ----------
    path
        File to write; the caller renames it when all has gone well.

    Returns
    -------
    Largest difference from Keras's outputs on random inputs, as a share of the largest output.

    Raises
    ------
    InputError
        A package is missing, Keras cannot export the model, or its file predicts something else.
    """
    # said first, with what to install: Keras would fail with an import error of its own
    missing = [name for name in NEEDED if not _importable(name)]
    if missing:
        raise InputError(f"ONNX takes the package {missing[0]}, which is not installed: pip install 'fitwell[onnx]'.")
    inputs = probes(model, 8)
    expected = model(inputs if len(inputs) > 1 else inputs[0], training=False)  # Keras exports what was called
    outputs = expected if isinstance(expected, list | tuple) else [expected]
    try:
        with _quiet():
            model.export(path, format="onnx", verbose=False)
        found = _predicted(path, inputs)
    except Exception as error:  # the exporter and onnxruntime raise many kinds
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"Keras's exporter cannot write '{model.name}' as ONNX ({first[:200]}): use tfjs.") from error
    difference = max(_difference(np.asarray(one), two) for one, two in zip(outputs, found, strict=True))
    # so written that NaN is refused too
    if not difference <= TOLERANCE:
        raise InputError(
            f"The ONNX file of '{model.name}' predicts something else than Keras (largest difference "
            f"{difference:.2g} of the largest output), a fault of the exporter, so it was not written: use tfjs."
        )
    return difference


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Any:
    """Silence the exporter's progress; what matters is checked."""
    # the caller may have silenced more, and that must come back
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _predicted(path: Path, inputs: list[np.ndarray]) -> list[np.ndarray]:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # an error is raised, it need not be printed too
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {place.name: value for place, value in zip(session.get_inputs(), inputs, strict=True)})


def _difference(one: np.ndarray, two: np.ndarray) -> float:
    if one.shape != two.shape:
        # NumPy would broadcast shapes that differ, and might find them equal
        return np.inf
    # outputs that are all zero would divide by zero
    return float(np.abs(one - two).max() / max(float(np.abs(one).max()), np.finfo(np.float32).tiny))

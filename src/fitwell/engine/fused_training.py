"""Training of dense ReLU networks in C (`dense_epoch.c`), where that could be compiled when fitwell was installed."""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike
from threadpoolctl import ThreadpoolController

from fitwell.engine.dense_training import DenseTraining, Scratch, kept_levels
from fitwell.engine.losses import CLASSIFICATION, LABELS, SEVERAL_VALUES
from fitwell.engine.network import DenseNetwork
from fitwell.engine.plain_losses import PLAIN_LOSSES, PlainLoss
from fitwell.engine.plain_noise import Words

FLOAT = np.dtype(np.float32)

LIBRARY = Path(__file__).with_name("dense_epoch.so")
"""What `hatch_build.py` compiles."""

SGEMM = {"scipy_cblas_sgemm64_": True, "cblas_sgemm64_": True, "scipy_cblas_sgemm": False, "cblas_sgemm": False}
"""Names of OpenBLAS's matrix product in the builds that NumPy comes with, and whether its integers have 64 bits."""

_ADDRESS, _INTEGER, _WORD = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32


class _Networks(ctypes.Structure):
    """The structure of this name in C; whoever makes one keeps its arrays alive."""

    _fields_ = (
        *((name, _ADDRESS) for name in ("sgemm", "sizes", "rates", "l1", "l2", "decay", "paces")),
        *((name, _ADDRESS) for name in ("shrunk", "columns", "roots")),
        *((name, _ADDRESS) for name in ("unit_factor", "weight_factor", "unit_level", "weight_level")),
        *(
            (name, _INTEGER)
            for name in ("wide", "strengths", "layers", "count", "classes", "targets", "labels", "scaled", "grouped")
        ),
    )


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions.

    None where there was no C compiler, where they are of other sources or another machine (a checkout that was updated,
    a folder that was copied), and where NumPy has another BLAS than OpenBLAS.
    """
    if not LIBRARY.exists() or matrix_product() is None:
        return None
    try:
        found = ctypes.CDLL(str(LIBRARY))
        found.fitwell_source.restype = _INTEGER
        if found.fitwell_source() != zlib.crc32(LIBRARY.with_suffix(".c").read_bytes()):
            return None
    except (OSError, AttributeError):  # no library at all, or one without that function
        return None
    networks = ctypes.POINTER(_Networks)
    found.fitwell_room.restype, found.fitwell_room.argtypes = _INTEGER, [networks, _INTEGER]
    found.fitwell_train.restype = found.fitwell_outputs.restype = None
    arrays, sizes = [_ADDRESS] * 5, [_INTEGER] * 3
    found.fitwell_train.argtypes = [networks, *arrays[:3], *sizes, *arrays, *sizes[:2], _WORD, _WORD, _ADDRESS]
    found.fitwell_outputs.argtypes = [networks, *arrays[:2], _INTEGER, *arrays[:2]]
    return found


@cache
def matrix_product() -> tuple[int, bool] | None:
    """Return the address of ``cblas_sgemm`` in NumPy's OpenBLAS, and whether its integers have 64 bits."""
    for controller in ThreadpoolController().select(internal_api="openblas").lib_controllers:
        blas = ctypes.CDLL(controller.filepath)
        for name, wide in SGEMM.items():
            if hasattr(blas, name):
                return ctypes.cast(getattr(blas, name), _ADDRESS).value or 0, wide
    return None


def can_fuse(network: DenseNetwork, dtype: np.dtype) -> bool:
    """Whether networks of this kind are trained in C."""
    return network.activation == "relu" and dtype == FLOAT and library() is not None


def make_training(
    network: DenseNetwork, loss: PlainLoss, strengths: Mapping[str, np.ndarray], rates: np.ndarray, dtype: np.dtype
) -> DenseTraining:
    """Train in C what can be, else in NumPy; the parameters are those of `DenseTraining`."""
    found = library()
    # by the network only: a strength's numbers do not depend on which others train beside it
    if found is None or not can_fuse(network, dtype):
        return DenseTraining(network, loss, strengths, rates, dtype)
    return FusedTraining(network, loss, strengths, rates, found)


class FusedTraining(DenseTraining):
    """Trains in C: an epoch of a block is one call, which leaves Python's other threads alone.

    The numbers are NumPy's to rounding: the same products and the same order of operations, but for sums over the rows
    of a batch, the exponential function, and products that are added in one rounding where the machine can.
    """

    def __init__(
        self,
        network: DenseNetwork,
        loss: PlainLoss,
        strengths: Mapping[str, np.ndarray],
        rates: np.ndarray,
        compiled: ctypes.CDLL,
    ) -> None:
        super().__init__(network, loss, strengths, rates, FLOAT)
        self._library, layers = compiled, len(network.sizes) - 1
        acting = {name: np.asarray(values, FLOAT) for name, values in strengths.items() if np.any(values)}
        arrays = {"sizes": np.array(network.sizes, np.int64), "rates": np.array(rates, FLOAT)}
        for name, of, factor in (("l1", "l1", 1), ("l2", "l2", 2), ("decay", "weight_decay", 1)):
            if of in acting:
                values = acting[of].reshape(len(rates), -1)
                arrays[name] = np.ascontiguousarray(np.broadcast_to(factor * values, (len(rates), layers)))
        for name, of, places in (("unit", "dropout", layers - 1), ("weight", "weight_dropout", layers)):
            if of in acting:
                arrays[f"{name}_level"], arrays[f"{name}_factor"] = kept_levels(acting[of], places)
        if self._learns_scales:
            arrays["paces"] = np.ascontiguousarray(acting["input_scaling"].reshape(len(rates)))
        if self._groups is not None:
            arrays["shrunk"] = np.ascontiguousarray(acting["l1_inputs"].reshape(len(rates)))
            arrays["columns"] = self._groups.numbers
            arrays["roots"] = np.sqrt(self._groups.sizes).astype(FLOAT)
        address, wide = matrix_product() or (0, False)
        self._arrays = arrays  # kept alive: C has their addresses only
        self._networks = _Networks(
            sgemm=address,
            wide=wide,
            strengths=len(rates),
            layers=layers,
            count=self.layout.count,
            classes=network.sizes[-1] if loss is PLAIN_LOSSES[CLASSIFICATION] else 0,
            targets=network.sizes[-1] if loss in (PLAIN_LOSSES[LABELS], PLAIN_LOSSES[SEVERAL_VALUES]) else 1,
            labels=loss is PLAIN_LOSSES[LABELS],
            scaled=network.scaled,
            grouped=0 if self._groups is None else len(self._groups.sizes),
            **{name: array.ctypes.data for name, array in arrays.items()},
        )

    def epoch(
        self,
        weights: np.ndarray,
        means: np.ndarray,
        squares: np.ndarray,
        taken: int,
        factors: np.ndarray,
        inputs: np.ndarray,
        targets: np.ndarray,
        order: np.ndarray,
        batch_size: int,
        key: Words,
        scratch: Scratch,
        weight: np.ndarray | None = None,
        earlier: int = 0,
    ) -> None:
        """See `DenseTraining.epoch`."""
        whole = np.int32 if self._networks.classes else FLOAT
        state = [_address(array, FLOAT) for array in (weights, means, squares)]
        self._library.fitwell_train(
            self._networks,
            *state,
            taken,
            earlier,
            len(factors),
            _address(factors := factors.astype(FLOAT), FLOAT),
            _address(inputs, FLOAT),
            _address(targets, whole),
            None if weight is None else _address(weight, FLOAT),
            _address(order := order.astype(np.int64), np.int64),
            len(order),
            batch_size,
            *key,
            self._room(batch_size, scratch),
        )

    def outputs(self, weights: np.ndarray, inputs: np.ndarray, scratch: Scratch) -> np.ndarray:
        """See `DenseTraining.outputs`."""
        found = scratch.array("raw outputs", (len(weights), self.network.sizes[-1], len(inputs)), FLOAT)
        room = self._room(len(inputs), scratch)
        addresses = _address(weights, FLOAT), _address(inputs, FLOAT)
        self._library.fitwell_outputs(self._networks, *addresses, len(inputs), _address(found, FLOAT), room)
        return found

    def _room(self, rows: int, scratch: Scratch) -> int:
        return _address(scratch.array("room", (self._library.fitwell_room(self._networks, rows),), FLOAT), FLOAT)


def _address(array: np.ndarray, dtype: DTypeLike) -> int:
    # C would read past an array of another kind
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"Expected contiguous {np.dtype(dtype)}. Got {array.dtype} with strides {array.strides}.")
    return array.ctypes.data

"""Training in C: the numbers of NumPy's training, whoever else is in the block."""

from __future__ import annotations

import ctypes
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from fitwell.engine import fused_training
from fitwell.engine.dense_training import DenseTraining, Scratch, drawn_weights
from fitwell.engine.fused_training import FLOAT, SGEMM, FusedTraining, can_fuse, library, make_training, matrix_product
from fitwell.engine.losses import CLASSIFICATION, LABELS, REGRESSION, SEVERAL_VALUES, Loss
from fitwell.engine.network import DenseNetwork
from fitwell.engine.plain_losses import PLAIN_LOSSES

needs_compiler = pytest.mark.skipif(library() is None, reason="fitwell was installed without a C compiler or OpenBLAS")

ON = {
    "l1": np.array([0, 1e-2, 0, 3e-3, 0]),
    "l2": np.array([0, 0, 1e-2, 3e-2, 1e-1]),
    "dropout": np.array([0, 0.4, 0, 0.2, 0.5]),
    "weight_dropout": np.array([0, 0, 0.3, 0.2, 0]),
    "weight_decay": np.array([0, 0.5, 0, 0.1, 2.0]),
    "input_scaling": np.array([0, 3.0, 0, 8.0, 1.0]),
    "l1_inputs": np.array([0, 0.5, 0.03, 0, 0.2]),
}
COLUMNS = (0, 3, 1, 2, 3, 3, 1)  # of which one is three inputs, and one two, apart from each other
RATES = np.array([3e-3, 1e-2, 3e-3, 2e-3, 5e-3])
ROWS, BATCH, STEPS = 61, 23, 4  # the last batches wrap round, and no size is a multiple of the vectors'


def table(outputs: int, dtype: Any = FLOAT, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(rows, 7)).astype(np.float32)
    targets = rng.integers(0, outputs, rows).astype(np.int32) if outputs > 1 else rng.normal(size=rows).astype(dtype)
    return inputs.astype(dtype), targets


def trained(
    training: DenseTraining,
    key: tuple[int, int] = (5, 6),
    rows: int = ROWS,
    batch: int = BATCH,
    measured: int = 9,
    counts: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Weights, moments and outputs after an epoch; `counts` are weights of rows."""
    count, outputs = len(training.rates), training.network.sizes[-1]
    weights = np.repeat(drawn_weights(training.network, (1, 2), training.dtype)[None], count, axis=0)
    state = [weights, np.zeros_like(weights), np.zeros_like(weights)]
    inputs, targets = table(outputs, training.dtype, rows)
    order, factors = np.random.default_rng(1).permutation(rows), np.linspace(1, 0.5, STEPS)
    counts = None if counts is None else counts.astype(training.dtype)
    training.epoch(*state, 0, factors, inputs, targets, order, batch, key, Scratch(), counts)
    return [*state, training.outputs(weights, inputs[:measured], Scratch()).copy()]


def in_numpy(network: DenseNetwork, strengths: dict[str, np.ndarray], dtype: Any = np.float64) -> DenseTraining:
    """The reference."""
    return DenseTraining(network, loss_of(network), strengths, RATES, np.dtype(dtype))


def in_c(network: DenseNetwork, strengths: dict[str, np.ndarray], rates: np.ndarray = RATES) -> FusedTraining:
    """What is tested."""
    training = make_training(network, loss_of(network), strengths, rates, FLOAT)
    assert isinstance(training, FusedTraining)
    return training


def loss_of(network: DenseNetwork) -> Any:
    """The log loss, or of one output the squared error."""
    return PLAIN_LOSSES[CLASSIFICATION if network.sizes[-1] > 1 else REGRESSION]


def agree(one: list[np.ndarray], other: list[np.ndarray], within: float = 2e-5) -> bool:
    """Whether all arrays agree to what float32 loses in a few steps."""
    return all(np.allclose(a, b, rtol=1e-4, atol=within) for a, b in zip(one, other, strict=True))


@needs_compiler
@pytest.mark.parametrize("hidden", [(), (5,), (17, 6), (6, 5, 4)], ids=str)
@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_an_epoch_is_numpys(hidden: tuple[int, ...], outputs: int) -> None:
    """Everything at once, against NumPy in float64; other noise, or one strength less, is seen."""
    network = DenseNetwork(7, hidden, outputs, output_scale=1.0, scaled=True, groups=COLUMNS)
    found = trained(in_c(network, ON))
    # columns that are nearly gone hang on the rounding of their norms: in NumPy's float32 as much
    assert agree(found, trained(in_numpy(network, ON)), within=1e-4)
    assert not agree(found, trained(in_numpy(network, ON), key=(5, 7)), within=1e-4)
    for name in ON:
        if hidden or name != "dropout":
            assert not agree(found, trained(in_numpy(network, {**ON, name: np.zeros(5)})), within=1e-4), name
    assert not agree(found, trained(in_numpy(replace(network, groups=()), ON)), within=1e-4)


@needs_compiler
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_batch_that_goes_through_in_parts(outputs: int) -> None:
    """As 64, 64 and 22 rows, of which each takes its own targets and noise; measured are 64, 64 and 33."""
    network = DenseNetwork(7, (130, 120), outputs, output_scale=1.0, scaled=True)
    sizes = {"rows": 161, "batch": 150, "measured": 161}
    found = trained(in_c(network, ON), **sizes)
    # of so many weights some have slopes near 0, where a step of Adam's is mostly rounding: in NumPy's float32, too
    assert agree(found, trained(in_numpy(network, ON), **sizes), within=1e-4)
    # as if a part were left out, or had other noise
    assert not agree(found, trained(in_numpy(network, ON), **{**sizes, "batch": 128}), within=1e-4)
    assert not agree(found, trained(in_numpy(network, ON), key=(5, 7), **sizes), within=1e-4)


@needs_compiler
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("batch", [BATCH, 150])
def test_rows_that_do_not_count_alike(outputs: int, batch: int) -> None:
    """In one part or several, with all noise; counts of other rows are seen, and ones are no counts, bit for bit."""
    network = DenseNetwork(7, (130, 120), outputs, output_scale=1.0)
    sizes = {"rows": 161, "batch": batch}
    counts = np.random.default_rng(3).gamma(1.0, size=161)
    counts[::5] = 0
    found = trained(in_c(network, ON), **sizes, counts=counts)
    assert agree(found, trained(in_numpy(network, ON), **sizes, counts=counts), within=3e-4)
    assert not agree(found, trained(in_numpy(network, ON), **sizes, counts=np.roll(counts, 1)), within=3e-4)
    for training in (in_c(network, ON), in_numpy(network, ON, FLOAT)):
        pairs = zip(trained(training, **sizes, counts=np.ones(161)), trained(training, **sizes), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)


@needs_compiler
@pytest.mark.parametrize("loss", [SEVERAL_VALUES, LABELS], ids=lambda loss: loss.name)
@pytest.mark.parametrize(("hidden", "batch"), [((), BATCH), ((17, 6), BATCH), ((130, 120), 150)], ids=str)
def test_several_targets(loss: Loss, hidden: tuple[int, ...], batch: int) -> None:
    """Of a row, in one part or several, with counts: NumPy's numbers; targets in another order are seen."""
    network, rows, rng = DenseNetwork(7, hidden, 3, output_scale=1.0), 161, np.random.default_rng(2)
    values = rng.normal(size=(rows, 3))
    targets = values if loss is SEVERAL_VALUES else (values > 0) * 1.0
    counts, order = rng.gamma(1.0, size=rows), rng.permutation(rows)

    def epoch(training: DenseTraining, targets: np.ndarray) -> list[np.ndarray]:
        weights = np.repeat(drawn_weights(network, (1, 2), training.dtype)[None], 5, axis=0)
        state = [weights, np.zeros_like(weights), np.zeros_like(weights)]
        inputs, *rest = (array.astype(training.dtype) for array in (table(3, rows=rows)[0], targets, counts))
        training.epoch(*state, 0, np.ones(3), inputs, rest[0], order, batch, (5, 6), Scratch(), rest[1])
        return state

    in_c = make_training(network, PLAIN_LOSSES[loss], ON, RATES, FLOAT)
    assert isinstance(in_c, FusedTraining)
    reference = DenseTraining(network, PLAIN_LOSSES[loss], ON, RATES, np.dtype(np.float64))
    assert agree(epoch(in_c, targets), epoch(reference, targets), within=1e-4)
    assert not agree(epoch(in_c, np.roll(targets, 1, axis=1)), epoch(reference, targets), within=1e-4)


@needs_compiler
@pytest.mark.parametrize("name", [name for name in ON if "input" not in name])  # which have one place
def test_each_strength_by_layer(name: str) -> None:
    """A number for every place, which differ: exchanged, they would be seen."""
    network = DenseNetwork(7, (17, 6), 3, output_scale=1.0)
    places = 2 if name == "dropout" else 3
    strengths = {name: ON[name][:, None] * np.linspace(0.5, 1.5, places)}
    found = trained(in_c(network, strengths))
    assert agree(found, trained(in_numpy(network, strengths)))
    assert not agree(found, trained(in_numpy(network, {name: strengths[name][:, ::-1]})))


@needs_compiler
@pytest.mark.parametrize("batch", [BATCH, 150])
@pytest.mark.parametrize("place", range(5))
def test_alone_is_among_others_bit_for_bit(place: int, batch: int) -> None:
    """With noise that only others need, or without, in one part or several."""
    network = DenseNetwork(7, (130, 120), 3, scaled=True, groups=COLUMNS)
    whole = trained(in_c(network, ON), batch=batch)
    mine = {name: values[[place]] for name, values in ON.items()}
    alone = trained(in_c(network, mine, RATES[[place]]), batch=batch)
    for mine, others in zip(alone, whole, strict=True):
        np.testing.assert_array_equal(mine[0], others[place])
        assert not np.array_equal(mine[0], others[place - 1])


@needs_compiler
def test_what_diverges_is_not_finite() -> None:
    """Nor hidden by a compiler that takes all numbers for finite; its neighbours do not notice."""
    network = DenseNetwork(7, (17, 6), 3)
    rates = np.array([3e-3, 1e38, 3e-3])
    found, alone = trained(in_c(network, {}, rates)), trained(in_c(network, {}, rates[:1]))
    assert not np.isfinite(found[-1][1]).any()
    np.testing.assert_array_equal(found[-1][[0, 2]], np.repeat(alone[-1], 2, axis=0))


@needs_compiler
def test_blas_with_integers_of_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy's OpenBLAS has them, and multiplies as NumPy's does, to rounding."""
    import scipy.linalg  # noqa: F401  # loads it

    found = None
    for controller in ThreadpoolController().select(internal_api="openblas").lib_controllers:
        blas = ctypes.CDLL(controller.filepath)
        names = [name for name, wide in SGEMM.items() if not wide and hasattr(blas, name)]
        found = ctypes.cast(getattr(blas, names[0]), ctypes.c_void_p).value if names else found
    if found is None:
        pytest.skip("SciPy has no OpenBLAS of its own here")
    network = DenseNetwork(7, (17, 6), 3)
    wide = trained(in_c(network, ON))
    monkeypatch.setattr(fused_training, "matrix_product", lambda: (found, False))
    assert agree(trained(in_c(network, ON)), wide)


@needs_compiler
def test_arrays_of_another_kind_are_refused() -> None:
    """C would read past them."""
    training = in_c(DenseNetwork(7, (5,), 3), {})
    weights = np.zeros((5, training.layout.count), np.float32)
    with pytest.raises(ValueError, match=r"Expected contiguous float32\. Got float64"):
        training.outputs(weights, np.zeros((3, 7)), Scratch())
    with pytest.raises(ValueError, match=r"Expected contiguous float32\. Got float32 with strides"):
        training.outputs(weights, np.zeros((7, 3), np.float32).T, Scratch())


@needs_compiler
@pytest.mark.parametrize("damage", ["as it was", "no library", "another library", "of other sources", "no sources"])
def test_a_library_that_is_not_of_these_sources_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """A checkout that was updated, or a file that is none: NumPy trains."""
    place = tmp_path / fused_training.LIBRARY.name
    for suffix in (".so", ".c"):
        place.with_suffix(suffix).write_bytes(fused_training.LIBRARY.with_suffix(suffix).read_bytes())
    monkeypatch.setattr(fused_training, "LIBRARY", place)
    opened = library.__wrapped__
    if damage == "as it was":
        assert opened() is not None
        return
    if damage == "no library":
        place.write_bytes(b"not a library")
    elif damage == "another library":
        place.unlink()
        place.symlink_to(ThreadpoolController().select(internal_api="openblas").lib_controllers[0].filepath)
    elif damage == "of other sources":
        with place.with_suffix(".c").open("a") as sources:
            sources.write("\n")
    else:
        place.with_suffix(".c").unlink()
    assert opened() is None


def test_what_is_trained_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the network and its numbers, never by the strengths; without a library nothing."""
    network = DenseNetwork(7, (5,), 3)
    monkeypatch.setattr(fused_training, "library", lambda: object())
    assert can_fuse(network, FLOAT)
    assert not can_fuse(DenseNetwork(7, (5,), 3, "tanh"), FLOAT)
    assert not can_fuse(network, np.dtype(np.float64))
    monkeypatch.setattr(fused_training, "library", lambda: None)
    assert not can_fuse(network, FLOAT)
    assert type(make_training(network, loss_of(network), {}, RATES, FLOAT)) is DenseTraining


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_compiler_is_used() -> None:
    """Where there is one, and NumPy has OpenBLAS, the tests above were not skipped."""
    assert matrix_product() is None or library() is not None

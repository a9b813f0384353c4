"""Compiled programs: a hit is the same machine code, and whatever is another program has another key."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from fitwell.engine import compiled_programs
from fitwell.engine.compiled_programs import LoweredProgram, directory_of_programs, lower_program
from fitwell.engine.executor import Job
from fitwell.engine.jax_executor import JaxExecutor, _OneNetwork
from fitwell.engine.job import Settings
from fitwell.engine.losses import REGRESSION
from fitwell.engine.network import DenseNetwork
from fitwell.engine.optimizers import adam, sgd
from fitwell.engine.program_directory import CACHE_VARIABLE, ProgramDirectory
from fitwell.regularization.strengths import Candidates

ROW = np.linspace(0.0, 1.0, 12, dtype=np.float32)
CANDIDATES = Candidates({"l2": np.array([0, 0.01, 0.1])}, np.array([0.01, 0.02, 0.03]))


@contextmanager
def jax_keeps(place: Path | None) -> Iterator[None]:
    """Let JAX keep compiled programs in a directory, or none at all, for a while."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", place and str(place))
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProgramDirectory]:
    """An empty directory for programs, while JAX keeps none itself, as it does for other tests."""
    place = tmp_path / "programs"
    monkeypatch.setenv(CACHE_VARIABLE, str(place))
    with jax_keeps(None):
        found = directory_of_programs()
        assert found == ProgramDirectory(place)
        yield found


def lower(function: Callable[..., Any], *arguments: Any, **others: Any) -> LoweredProgram:
    """A program on the first device."""
    others = {"devices": jax.local_devices()[:1], "options": {}} | others
    return lower_program(function, arguments, **others)


def a_program(row: jax.Array) -> dict[str, jax.Array]:
    """Something to compile."""
    return {"sum": jnp.sin(row).sum(), "row": row * 3}


class Compiled:
    """Counts XLA's compilations of lowered programs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        compile_program = jax.stages.Lowered.compile

        def counted(lowered: Any, *arguments: Any, **others: Any) -> Any:
            self.count += 1
            return compile_program(lowered, *arguments, **others)

        monkeypatch.setattr(jax.stages.Lowered, "compile", counted)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """A counter."""
    return Compiled(monkeypatch)


def equal(one: Any, other: Any) -> bool:
    """Whether two trees are the same to the bit, in structure too."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def test_a_program_is_compiled_once(directory: ProgramDirectory, compiled: Compiled) -> None:
    """The second time it is loaded, and gives the same bits; without a directory it is compiled each time."""
    first = lower(a_program, ROW).compiled(directory)(ROW)
    assert compiled.count == 1
    second = lower(a_program, ROW).compiled(directory)(ROW)
    assert compiled.count == 1
    assert equal(first, second)
    third = lower(a_program, ROW).compiled(None)(ROW)
    assert compiled.count == 2
    assert equal(first, third)
    assert not equal(first, lower(a_program, ROW).compiled(directory)(ROW + 1))


def test_a_loaded_program_still_takes_the_memory_of_its_arguments(directory: ProgramDirectory) -> None:
    """What is donated is gone after the call, and what is not stays, loaded as compiled."""
    for _ in range(2):
        given, kept = jnp.asarray(ROW), jnp.asarray(ROW)
        program = lower(lambda a, b: a + b, given, kept, donate=(0,)).compiled(directory)
        jax.block_until_ready(program(given, kept))
        assert given.is_deleted()
        assert not kept.is_deleted()
    assert directory.size()[0] == 1


@pytest.mark.parametrize("damage", ["nothing of a program", "of another kind"])
def test_what_cannot_be_loaded_is_compiled(directory: ProgramDirectory, compiled: Compiled, damage: str) -> None:
    """A file that is whole, but no program of this one's kind, is replaced by one that is."""
    program = lower(a_program, ROW)
    assert program.key is not None
    contents = {"nothing of a program": b"\x00" * 99, "of another kind": b"cbuiltins\nint\n."}
    directory.write(program.key, contents[damage])
    expected = program.compiled(directory)(ROW)
    assert compiled.count == 1
    assert equal(lower(a_program, ROW).compiled(directory)(ROW), expected)
    assert compiled.count == 1


def test_what_calls_back_is_never_kept(directory: ProgramDirectory) -> None:
    """The text of a program does not say which function of this process it calls, so two would be one."""

    def calling(factor: float) -> Callable[..., Any]:
        return lambda row: jax.pure_callback(lambda x: factor * np.asarray(x), row, row)

    two, three = (lower(calling(factor), jnp.asarray(ROW)) for factor in (2.0, 3.0))
    assert two.key is None
    assert two.lowered.as_text() == three.lowered.as_text()  # the break: kept by their text they would be one
    np.testing.assert_allclose(two.compiled(directory)(ROW), 2 * ROW)
    np.testing.assert_allclose(three.compiled(directory)(ROW), 3 * ROW)
    assert directory.size()[0] == 0


def test_where_jax_keeps_programs_none_are_kept(directory: ProgramDirectory, tmp_path: Path) -> None:
    """Two need not keep the same; without JAX's directory, or with its cache switched off, ours is used."""
    with jax_keeps(tmp_path / "jax"):
        assert directory_of_programs() is None
        jax.config.update("jax_enable_compilation_cache", False)
        assert directory_of_programs() == directory
        jax.config.update("jax_enable_compilation_cache", True)
    assert directory_of_programs() == directory


def test_what_jax_has_read_is_not_kept(directory: ProgramDirectory, tmp_path: Path) -> None:
    """A program that JAX's own cache gave is written by halves: kept, it would fail in the next search."""

    def looping() -> LoweredProgram:
        def loop(times: jax.Array, matrix: jax.Array) -> jax.Array:
            return jax.lax.fori_loop(0, times, lambda i, m: jnp.where(m > 0.1, 2.0, jnp.tanh(m @ matrix)) + i, matrix)

        return lower(loop, *arguments)

    arguments = np.int32(3), np.ones((50, 50), np.float32)
    with jax_keeps(tmp_path / "jax"):
        compiled_here = looping().compiled(directory)
        assert directory.clear() == 1
        read = looping().compiled(directory)
        assert directory.size()[0] == 0
        assert equal(compiled_here(*arguments), read(*arguments))
        broken = deserialize_and_load(*serialize(read), execution_devices=jax.local_devices()[:1])  # the break
        with pytest.raises(jax.errors.JaxRuntimeError, match="not found"):
            jax.block_until_ready(broken(*arguments))


def test_arguments_that_are_not_used_are_told_apart() -> None:
    """Two functions that differ by which of their arguments they use are two programs."""
    first, second = (lower(function, ROW, ROW) for function in (lambda a, b: a * 2, lambda a, b: b * 2))
    assert first.key != second.key
    # the break: JAX leaves out what is not used, and the texts are one
    texts = {jax.jit(f).lower(ROW, ROW).as_text().replace("f1", "f0") for f in (lambda a, b: a * 2, lambda a, b: b * 2)}
    assert len(texts) == 1


def key_of_network(problem: Callable[..., Any], **changes: Any) -> str:
    """The key of a small search's training program, of which something is changed."""
    shape = {k: changes.pop(k) for k in ("regression", "dtype", "rows", "inputs", "own", "folds") if k in changes}
    case = problem(0, **shape)
    network, loss = changes.pop("network", case.network), changes.pop("loss", case.loss)
    candidates = changes.pop("candidates", CANDIDATES)
    usual = Settings(epochs=4, batch_size=8, call_epochs=2, block_strengths=2)
    executor = JaxExecutor(Job(network, case.dataset, case.row_sets, candidates, loss), replace(usual, **changes))
    executor._put_data()
    one = _OneNetwork(executor)
    state = jax.tree.map(executor._placed, executor._lower_start(one).lowered.out_info)
    key = executor._lower_advance(one, state).key
    assert key is not None
    return key


@pytest.fixture
def usual_key(problem: Callable[..., Any]) -> str:
    """The key when nothing is changed."""
    return key_of_network(problem)


CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "layers": lambda: {"network": DenseNetwork(4, (5, 5), 3)},
    "units": lambda: {"network": DenseNetwork(4, (6,), 3)},
    "loss": lambda: {"regression": True},
    "loss alone": lambda: {"loss": replace(REGRESSION, per_row=lambda outputs, targets: outputs[:, 0] * 2.0)},
    "optimizer": lambda: {"optimizer": sgd()},
    "optimizer's number": lambda: {"optimizer": adam(b1=0.8)},
    "schedule": lambda: {"schedule": "cosine"},
    "schedule's length": lambda: {"schedule": "cosine", "schedule_epochs": 7},
    "schedule of one's own": lambda: {"schedule": lambda step: 1 / (1.0 + step)},
    "batch size": lambda: {"batch_size": 9},
    "rows": lambda: {"rows": 50},
    "inputs": lambda: {"inputs": 5, "network": DenseNetwork(5, (5,), 3)},
    "row sets": lambda: {"folds": 4},
    "shared rows": lambda: {"own": False},
    "epochs of a call": lambda: {"call_epochs": 3},
    "block": lambda: {"block_strengths": 4},
    "devices": lambda: {"devices": 1},
    "recorded rows": lambda: {"units": np.arange(41)},
    "regularizer": lambda: {"candidates": Candidates({"l1": np.array([0, 0.01, 0.1])}, CANDIDATES.learning_rate)},
    "strengths by layer": lambda: {
        "candidates": Candidates({"l2": np.array([[0, 0.0], [0.1, 0], [0, 0.1]])}, CANDIDATES.learning_rate)
    },
}


@pytest.mark.slow
def test_the_same_search_has_the_same_key(problem: Callable[..., Any], usual_key: str) -> None:
    """Made anew of equal parts, with other strengths and another seed, it is the same program."""
    assert key_of_network(problem) == usual_key
    others = Candidates({"l2": np.array([0, 0.3])}, np.array([0.1, 0.3]))
    assert key_of_network(problem, candidates=others, seed=5, epochs=9) == usual_key


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_another_program_has_another_key(problem: Callable[..., Any], usual_key: str, change: str) -> None:
    """Whatever a program is made of is in its key."""
    assert key_of_network(problem, **CHANGES[change]()) != usual_key


@pytest.mark.slow
def test_only_the_text_tells_them_apart(problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The break: by a key of shapes, versions and settings alone, another batch size would load the wrong program."""
    monkeypatch.setattr(jax.stages.Lowered, "as_text", lambda self: "")
    usual = key_of_network(problem)
    assert all(key_of_network(problem, **CHANGES[name]()) == usual for name in ("batch size", "schedule", "loss alone"))


@pytest.mark.slow
def test_schedules_differ_by_length(problem: Callable[..., Any]) -> None:
    """A number inside a schedule is in the key, too."""
    keys = {key_of_network(problem, schedule="cosine", schedule_epochs=epochs) for epochs in (6, 7)}
    assert len(keys) == 2


@pytest.mark.usefixtures("float64")
@pytest.mark.slow
def test_float64_has_another_key(problem: Callable[..., Any], usual_key: str) -> None:
    """Double precision is another program."""
    assert key_of_network(problem, dtype=np.float64) != usual_key


def test_constants_are_in_the_key() -> None:
    """Numbers that a program holds (weights of frozen layers), however many, tell programs apart."""
    many = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    changed = many.copy()
    changed[100_000] += 1
    keys = [lower(lambda row, c=c: row + c, jax.ShapeDtypeStruct(c.shape, c.dtype)).key for c in (many, many, changed)]
    assert keys[0] == keys[1] != keys[2]


SURROUNDINGS: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    "version": lambda patch: patch.setattr(compiled_programs, "_versions", lambda accelerator: {"jax": "0"}),
    "processor": lambda patch: patch.setattr(compiled_programs, "_processor", lambda: ["flags: avx9"]),
    "XLA's flags": lambda patch: patch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", "") + " "),
    "setting of JAX": lambda patch: jax.config.update("jax_exec_time_optimization_effort", 0.1),
    "cores": lambda patch: patch.setattr(compiled_programs, "cpu_devices", lambda: 77),
    "other devices": lambda patch: patch.setattr(jax, "device_count", lambda: 77),
}


@pytest.mark.parametrize("change", SURROUNDINGS)
def test_other_surroundings_have_another_key(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Machine code depends on more than the program: versions, the processor, and what XLA is told."""
    usual = lower(a_program, ROW).key
    before = jax.config.jax_exec_time_optimization_effort
    SURROUNDINGS[change](monkeypatch)
    try:
        assert lower(a_program, ROW).key != usual
    finally:
        jax.config.update("jax_exec_time_optimization_effort", before)
    monkeypatch.undo()
    assert lower(a_program, ROW).key == usual


def test_options_and_devices_are_in_the_key() -> None:
    """The compiler's options, the device, and what is donated make other programs."""
    second = jax.local_devices()[1]
    usual = lower(a_program, ROW)
    keys = {
        usual.key,
        lower(a_program, ROW, options={"xla_llvm_disable_expensive_passes": True}).key,
        lower(a_program, jax.device_put(ROW, second), devices=[second]).key,
        lower(a_program, ROW, donate=(0,)).key,
        lower(a_program, ROW.reshape(3, 4)).key,
        lower(a_program, ROW.astype(np.float16)).key,
    }
    assert len(keys) == 6
    assert lower(a_program, ROW).key == usual.key


def test_versions_and_processor() -> None:
    """What is asked of the machine is there: the libraries' versions, and what a processor can do."""
    found = compiled_programs._versions(accelerator=False)
    assert {"fitwell", "jax", "jaxlib", "numpy", "python"} == set(found)
    assert all(found.values())
    assert set(found) < set(compiled_programs._versions(accelerator=True)) | {"jaxlib"} | set(found)
    said = "\n".join(compiled_programs._processor())
    assert len(said) > 10
    if Path("/proc/cpuinfo").exists():
        assert "flags" in said or "Features" in said or "isa" in said
        assert "MHz" not in said


TRAINED = """
import hashlib, sys
import fitwell
import jax, numpy as np
from fitwell.api.tune import tune
import keras

keras.utils.set_random_seed(0)
compiled = []
compile_program = jax.stages.Lowered.compile
jax.stages.Lowered.compile = lambda self, *a, **k: (compiled.append(1), compile_program(self, *a, **k))[1]
rng = np.random.default_rng(0)
x = rng.normal(size=(60, 5)).astype("float32")
y = (x[:, 0] > 0).astype("int32")
layers = [keras.Input((5,)), keras.layers.Dense(6, "relu"), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
model = keras.Sequential(layers)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
for seed in sys.argv[1:]:
    result = tune(model, x, y, cv=3, strengths=3, epochs=4, batch_size=16, seed=int(seed))
    histories, answer = result.search.histories, result.answer
    numbers = [histories.held_out_loss, histories.train_loss, histories.row_loss, answer.held_out_predictions]
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves([*numbers, *result.model.get_weights()]):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    print(digest.hexdigest())
print(len(compiled))
"""


def trained(directory: Path, *seeds: str) -> tuple[list[str], int]:
    """What a fresh process finds: a digest of all its numbers for each seed, and how many programs it compiled."""
    settings = {"KERAS_BACKEND": "jax", "JAX_NUM_CPU_DEVICES": "2", CACHE_VARIABLE: str(directory)}
    clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    run = subprocess.run([sys.executable, "-c", TRAINED, *seeds], env=clean | settings, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    *digests, count = run.stdout.split()
    return digests, int(count)


@pytest.mark.slow
def test_a_second_search_is_the_first_bit_for_bit(tmp_path: Path) -> None:
    """A Keras model's second search, in a process of its own, compiles no training program and finds the same bits.

    Nor does one of another seed, whose bits are others.
    """
    (first,), count = trained(tmp_path / "programs", "0")
    (second, other), again = trained(tmp_path / "programs", "0", "1")
    assert first == second != other
    assert count - again == 5  # start, advance and measure of the search, start and advance of the refit

"""Measure training steps of small Keras CNNs: many at once in several ways, against one compiled network after another.

Prints, for each model, milliseconds a network-step of the networks one by one (forward, backward, plain gradient
step, on batches of 32 rows), and of all other ways the ratio to it, below 1 if faster. All ways are measured in turn,
in one process, and the least of several rounds counts. The last column is what the patches of one network take.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np

import keras
from fitwell.keras.convolutions import batched_call, patch_elements
from keras import layers

ROWS, CLASSES, RATE = 32, 10, 0.1
Step = Callable[[Any, Any, Any], Any]


def images(size: int, channels: int) -> keras.Model:
    """Two convolutions of 3 by 3, a pooling between them."""
    return keras.Sequential(
        [
            keras.Input((size, size, channels)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES),
        ]
    )


def series(length: int, channels: int) -> keras.Model:
    """The same in one dimension, kernels of 5."""
    return keras.Sequential(
        [
            keras.Input((length, channels)),
            layers.Conv1D(16, 5, activation="relu"),
            layers.MaxPooling1D(),
            layers.Conv1D(32, 5, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(CLASSES),
        ]
    )


MODELS: dict[str, tuple[Callable[[int, int], keras.Model], int, int]] = {
    "8x8x1": (images, 8, 1),
    "28x28x1": (images, 28, 1),
    "64x64x3": (images, 64, 3),
    "series 64x1": (series, 64, 1),
}


def step_of(model: Any, call_of: Callable[[Any], Callable[[Any], Any] | None]) -> Step:
    """One step of gradient descent, each layer called by what `call_of` gives for it, or else as Keras does."""

    def loss(variables: Any, inputs: Any, targets: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(model.trainable_variables, variables, strict=True))):
            for layer in model.layers:
                inputs = (call_of(layer) or layer)(inputs)
        return -jnp.take_along_axis(jax.nn.log_softmax(inputs), targets[:, None], axis=-1).mean()

    def step(variables: Any, inputs: Any, targets: Any) -> Any:
        gradients = jax.grad(loss)(variables, inputs, targets)
        return [value - RATE * gradient for value, gradient in zip(variables, gradients, strict=True)]

    return step


def lifted(step: Step) -> Step:
    """All strengths of all row sets at once; a row set's batch is shared by its strengths."""
    return jax.jit(jax.vmap(jax.vmap(step, (0, None, None))))


def looped(step: Step) -> Step:
    """One network after another, inside one program."""

    def row_set(arguments: Any) -> Any:
        variables, inputs, targets = arguments
        return jax.lax.map(lambda own: step(own, inputs, targets), variables)

    return jax.jit(lambda *arguments: jax.lax.map(row_set, arguments))


def one_by_one(step: Step, variables: Any, inputs: Any, targets: Any) -> Callable[[], Any]:
    """Call a program of one network for each."""
    program, (row_sets, strengths) = jax.jit(step), variables[0].shape[:2]
    own = [([value[r, g] for value in variables], inputs[r], targets[r]) for r, g in np.ndindex(row_sets, strengths)]
    return lambda: [program(*arguments) for arguments in own]


def only_convolutions(layer: Any) -> Callable[[Any], Any] | None:
    """Leave poolings to Keras."""
    return None if "Pooling" in type(layer).__name__ else batched_call(layer)


def ways(model: Any, variables: Any, inputs: Any, targets: Any) -> dict[str, Callable[[], Any]]:
    """What is compared, the one that others are divided by first."""
    own, patches = step_of(model, lambda _: None), step_of(model, batched_call)
    lifts = {
        "grouped": lifted(own),
        "loop": looped(own),
        "patches, Keras's pooling": lifted(step_of(model, only_convolutions)),
        "patches": lifted(patches),
        "loop of patches": looped(patches),
    }
    arguments = (variables, inputs, targets)
    calls = {name: lambda lift=lift: lift(*arguments) for name, lift in lifts.items()}
    return {"one by one": one_by_one(own, *arguments), **calls}


def measure(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The least seconds of each, all of them in turn in every round, after one call that compiles."""
    least = dict.fromkeys(calls, float("inf"))
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            if number > 0:
                least[name] = min(least[name], time.perf_counter() - start)
    return least


def patch_numbers(model: Any) -> int:
    """Numbers in the patches of all layers of one network."""
    return sum(patch_elements(layer, (ROWS, *layer.input.shape[1:])) for layer in model.layers)


def row_of(name: str, row_sets: int, strengths: int, rounds: int) -> tuple[Sequence[str], Sequence[str]]:
    """Measure one model; give the table's header and its row."""
    make, size, channels = MODELS[name]
    model: Any = make(size, channels)
    rng = np.random.default_rng(0)
    shape = (row_sets, strengths)
    variables = [jnp.asarray(rng.normal(0, 0.1, (*shape, *v.shape)), "float32") for v in model.trainable_variables]
    inputs = jnp.asarray(rng.normal(size=(row_sets, ROWS, *model.input_shape[1:])), "float32")
    targets = jnp.asarray(rng.integers(CLASSES, size=(row_sets, ROWS)))
    seconds = measure(ways(model, variables, inputs, targets), rounds)
    alone = seconds.pop("one by one")
    header = ["model", "R x G", "one by one, ms", *seconds, "patches, numbers"]
    ratios = [f"{value / alone:.2f}" for value in seconds.values()]
    per_step = f"{alone * 1000 / (row_sets * strengths):.2f}"
    return header, [name, f"{row_sets} x {strengths}", per_step, *ratios, f"{patch_numbers(model):,}"]


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--shapes", nargs="+", default=["1x1", "1x4", "5x8"], help="row sets x strengths")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    first = True
    for name in options.models:
        for shape in options.shapes:
            row_sets, strengths = map(int, shape.split("x"))
            header, row = row_of(name, row_sets, strengths, options.rounds)
            if first:
                print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
                first = False
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

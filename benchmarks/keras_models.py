"""Keras models: fitwell against its own dense network, and against `keras.Model.fit`, paired in rounds.

All on scikit-learn's digits, 5 stratified folds, Adam 1e-3, batches of 128, the validation loss after each epoch:
a dense model (64-100-10, as in `digits.py`), a small convolutional one and an LSTM over the rows of the image.
fitwell trains every fold times every strength, Keras some networks one after another; both are counted with and
without compilation and what else is done once. Every competitor runs in a fresh process, every round runs all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import digits
import measuring

KINDS = ("dense", "convolutional", "LSTM")
HIGHEST_OVERHEAD = 1.10
"""What a dense Keras model may take of the built-in network's time."""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes
    ----------
    epochs
        Of every network.
    strengths
        Of the dense model; fitwell trains 5 times as many networks.
    other_strengths
        Of the other models.
    keras_networks
        What Keras trains after a warm-up.
    rounds
        How often everything is measured.
    """

    epochs: int = 20
    strengths: int = 64
    other_strengths: int = 16
    keras_networks: int = 2
    rounds: int = 3


QUICK = Size(epochs=2, strengths=4, other_strengths=2, keras_networks=1, rounds=1)


def make_model(kind: str) -> Any:
    """Build and compile one of the models for rows of 64 pixels."""
    import keras

    layers = keras.layers
    penalty = {"kernel_regularizer": keras.regularizers.L2(digits.L2)}
    if kind == "dense":
        body = [layers.Dense(digits.HIDDEN, activation="relu", kernel_initializer="he_normal", **penalty)]
    elif kind == "convolutional":
        body = [
            layers.Reshape((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu", **penalty),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", **penalty),
            layers.Flatten(),
        ]
    else:
        body = [layers.Reshape((8, 8)), layers.LSTM(32, **penalty)]
    body += [layers.Dropout(digits.DROPOUT), layers.Dense(10, **penalty)]
    model = keras.Sequential([keras.Input((64,)), *body])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(digits.LEARNING_RATE), loss=loss, metrics=["accuracy"])
    return model


def train_fitwell(kind: str, epochs: int, strengths: int) -> dict[str, Any]:
    """Train every fold times every strength of a Keras model by the engine."""
    import numpy as np

    from fitwell.data.row_sets import from_splitter
    from fitwell.engine.devices import available_devices
    from fitwell.engine.training import train_all
    from fitwell.keras.compiled import Targets
    from fitwell.keras.opening import Opened
    from fitwell.problems.model_data import make_data, model_candidates, model_settings
    from fitwell.problems.options import Options

    available_devices()
    inputs, target = digits.load()
    row_sets = from_splitter(digits.splitter(), len(target), target=target)
    model = make_model(kind)  # with the import of Keras: a person has a model before it is tuned
    begin = time.perf_counter()
    problem = make_data(Opened(model), inputs, Targets(target, None, None), own=False, weights="fresh")
    options = Options(strengths=strengths, epochs=epochs, batch_size=digits.BATCH_SIZE, refit="single")
    candidates = model_candidates(problem.network, options, problem.optimizer.learning_rate)
    settings = replace(model_settings(problem, options, row_sets), stopping=None)
    dataset = problem.dataset(row_sets, 0)
    trained = train_all(problem.network, dataset, row_sets, candidates, loss=problem.loss, settings=settings)
    seconds = time.perf_counter() - begin
    networks = digits.FOLDS * candidates.count
    return {
        "seconds": seconds / networks,
        "training": (trained.seconds["train"] + trained.seconds["measure"]) / networks,
        "compile_seconds": trained.seconds["compile"],
        "networks": networks,
        "accuracy": float(np.median(trained.histories.at_last("held_out_metric"))),
    }


def train_built_in(epochs: int, strengths: int) -> dict[str, Any]:
    """Train the same number of the built-in dense networks."""
    found = digits.train_fitwell(epochs, strengths)
    networks = found["networks"]
    return {
        "seconds": found["seconds"] / networks,
        "training": (found["seconds"] - found["compile_seconds"]) / networks,
        "compile_seconds": found["compile_seconds"],
        "networks": networks,
        "accuracy": found["accuracy"],
    }


def train_keras(kind: str, epochs: int, networks: int) -> dict[str, Any]:
    """Fit one network after another; the first of the process is not counted."""
    inputs, target = digits.load()
    folds = list(digits.splitter().split(inputs, target))
    fits = [_fit(kind, inputs, target, folds[i % digits.FOLDS], epochs) for i in range(networks + 1)][1:]
    return {name: statistics.median(fit[name] for fit in fits) for name in fits[0]} | {"networks": networks}


def _fit(kind: str, inputs: Any, target: Any, fold: tuple[Any, Any], epochs: int) -> dict[str, float]:
    import keras

    train, held_out = fold
    moments: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: moments.append(time.perf_counter()))
    begin = time.perf_counter()
    history = make_model(kind).fit(
        inputs[train],
        target[train],
        batch_size=digits.BATCH_SIZE,
        epochs=epochs,
        validation_data=(inputs[held_out], target[held_out]),
        callbacks=[clock],
        verbose=0,
    )
    seconds = time.perf_counter() - begin
    # each model is compiled anew, in its first epoch: the others tell what training alone takes
    training = (moments[-1] - moments[0]) / (epochs - 1) * epochs
    return {"seconds": seconds, "training": training, "accuracy": history.history["val_accuracy"][-1]}


TASKS = {"fitwell": train_fitwell, "built_in": train_built_in, "keras": train_keras}

Round = dict[str, dict[str, Any]]


def measure_round(size: Size) -> Round:
    """Run every competitor once."""
    environment = {"KERAS_BACKEND": "jax"}
    epochs = size.epochs
    found: Round = {"built in": measuring.in_child(__file__, "built_in", epochs=epochs, strengths=size.strengths)}
    for kind in KINDS:
        strengths = size.strengths if kind == "dense" else size.other_strengths
        keywords = {"kind": kind, "epochs": epochs}
        found[f"fitwell, {kind}"] = measuring.in_child(
            __file__, "fitwell", environment, **keywords, strengths=strengths
        )
        found[f"Keras, {kind}"] = measuring.in_child(
            __file__, "keras", environment, **keywords, networks=size.keras_networks
        )
    return found


def times_table(rounds: Sequence[Round]) -> str:
    """Seconds per network, medians over rounds."""
    rows = []
    for name in rounds[0]:
        results = [found[name] for found in rounds]
        row: list[Any] = [name, results[0]["networks"]]
        for key in ("seconds", "training"):
            values = [result[key] for result in results]
            row += [statistics.median(values), measuring.spread(values)]
        rows.append([*row, statistics.median(result["accuracy"] for result in results)])
    header = ["", "networks a round", "s per network", "range", "s without compilation", "range"]
    return measuring.table([*header, "median held-out accuracy"], rows)


def ratio_table(rounds: Sequence[Round]) -> str:
    """Paired ratios of every round: Keras over fitwell, and the Keras model over the built-in network."""
    rows = [_ratio_row(rounds, f"Keras / fitwell, {kind}", f"Keras, {kind}", f"fitwell, {kind}") for kind in KINDS]
    over = _ratio_row(rounds, "dense Keras model / built in, by fitwell", "fitwell, dense", "built in")
    ratio = statistics.median(found["fitwell, dense"]["training"] / found["built in"]["training"] for found in rounds)
    verdict = "pass" if ratio <= HIGHEST_OVERHEAD else "FAIL"
    header = ["", "with compilation", "range", "without", "range", f"at most {HIGHEST_OVERHEAD}"]
    return measuring.table(header, [[*over, verdict], *([*row, ""] for row in rows)])


def _ratio_row(rounds: Sequence[Round], name: str, above: str, below: str) -> list[Any]:
    row: list[Any] = [name]
    for key in ("seconds", "training"):
        values = [found[above][key] / found[below][key] for found in rounds]
        row += [statistics.median(values), measuring.spread(values)]
    return row


def main() -> None:
    """Measure and print the tables for RESULTS.md."""
    options = measuring.arguments(__doc__, TASKS)
    size = QUICK if options.quick else Size()
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    print(measuring.heading("Keras models: `keras_models.py`", options))
    rounds = [measure_round(size) for _ in range(size.rounds)]
    print(times_table(rounds))
    print(ratio_table(rounds))


if __name__ == "__main__":
    main()

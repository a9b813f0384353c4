"""One network of a search: fitwell against Keras, TensorFlow.js and scikit-learn, paired in rounds.

The task: scikit-learn's digits, standardised, a 64-100-10 relu network, Adam 1e-3, batches of 128, 50 epochs
with the validation loss after each, 5 stratified folds x 64 strengths = 320 networks. fitwell trains all of
them to the last epoch, then as a search does, whose worst leave early, and then with the whole search inside each
fold (nested cross-validation, 1,600 more); the others train some, and a network is a network. Every competitor runs
in a fresh process, every round runs all.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring

FOLDS = 5
BATCH_SIZE = 128
HIDDEN = 100
LEARNING_RATE = 1e-3
DROPOUT = 0.2
L2 = 1e-4
TARGETS = {"Keras": 100.0, "TensorFlow.js": 100.0, "scikit-learn": 8.0}
"""Networks that fitwell should train in the time of one of theirs, to the last epoch; a search twice as many."""

TO_THE_END, SEARCH, NESTED = "fitwell, to the last epoch", "fitwell, as it searches", "fitwell, nested"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes
    ----------
    epochs
        Of every network.
    strengths
        fitwell trains 5 times as many networks.
    keras_networks, tfjs_networks, alphas
        What the others train after their warm-up; scikit-learn 5 times `alphas`.
    warm_up_epochs
        Of TensorFlow.js's first network, which is not counted.
    rounds
        How often everything is measured.
    """

    epochs: int = 50
    strengths: int = 64
    keras_networks: int = 3
    tfjs_networks: int = 2
    alphas: int = 4
    warm_up_epochs: int = 3
    rounds: int = 5


QUICK = Size(epochs=2, strengths=4, keras_networks=1, tfjs_networks=1, alphas=2, warm_up_epochs=1, rounds=1)


def load() -> tuple[Any, Any]:
    """Digits, every column standardised: float32 [1797, 64] and int32 [1797]."""
    from sklearn.datasets import load_digits

    inputs: Any
    inputs, target = load_digits(return_X_y=True)
    return ((inputs - inputs.mean(0)) / (inputs.std(0) + 1e-6)).astype("float32"), target.astype("int32")


def splitter() -> Any:
    """The folds that everyone uses."""
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(FOLDS, shuffle=True, random_state=0)


def train_fitwell(epochs: int, strengths: int, cutting: bool) -> dict[str, Any]:
    """Train every fold times every strength by the engine, to the last epoch or until the worst have left."""
    import numpy as np

    from fitwell.data.row_sets import from_splitter
    from fitwell.engine.engines import executor_of
    from fitwell.engine.job import Dataset, Settings
    from fitwell.engine.losses import CLASSIFICATION
    from fitwell.engine.network import DenseNetwork
    from fitwell.engine.stopping import Stopping
    from fitwell.engine.training import train_all
    from fitwell.regularization.grids import sobol

    inputs, target = load()
    row_sets = from_splitter(splitter(), len(target), target=target)
    dataset = Dataset(inputs, target, False, np.zeros(FOLDS), np.ones(FOLDS))
    candidates = sobol(strengths, learning_rate=LEARNING_RATE)
    stopping = Stopping() if cutting else None
    settings = Settings(epochs=epochs, batch_size=BATCH_SIZE, stopping=stopping, executor=executor_of("auto"))
    network = DenseNetwork(inputs.shape[1], (HIDDEN,), 10)
    begin = time.perf_counter()
    trained = train_all(network, dataset, row_sets, candidates, loss=CLASSIFICATION, settings=settings)
    seconds = time.perf_counter() - begin
    trained_epochs = np.isfinite(trained.histories.held_out_loss).sum(axis=2)
    # by the best that there is: a search cuts off the others
    last = trained.histories.at_last("held_out_metric")
    return {
        "seconds": seconds,
        "compile_seconds": trained.seconds["compile"],
        "networks": FOLDS * strengths,
        "measured_epochs": int(trained_epochs.max() if cutting else trained_epochs.min()),
        "share": float(trained_epochs.mean() / epochs),
        "accuracy": float(np.median(last)),
        "peak_bytes": measuring.peak_bytes(),
    }


def train_nested(epochs: int, strengths: int) -> dict[str, Any]:
    """Search, and score the search by itself inside each fold; all that a person waits for but imports."""
    from fitwell import tune

    inputs, target = load()
    begin = time.perf_counter()
    found = tune(
        inputs,
        target,
        hidden=HIDDEN,
        strengths=strengths,
        learning_rate=LEARNING_RATE,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        cv=splitter(),
        honest="nested",
        task="classification",
    )
    return {
        "seconds": time.perf_counter() - begin,
        "networks": (FOLDS + 1) * FOLDS * strengths,
        "score": str(found.score),
        "peak_bytes": measuring.peak_bytes(),
    }


def train_keras(epochs: int, networks: int) -> dict[str, Any]:
    """Fit one network after another; the first of the process is kept apart."""
    import keras

    inputs, target = load()
    folds = list(splitter().split(inputs, target))
    fits = [_fit_keras(keras, inputs, target, folds[i % FOLDS], epochs) for i in range(networks + 1)]
    return {
        "backend": keras.backend.backend(),
        "warm_up_seconds": fits[0]["seconds"],
        "fits": fits[1:],
        "peak_bytes": measuring.peak_bytes(),
    }


def _fit_keras(keras: Any, inputs: Any, target: Any, fold: tuple[Any, Any], epochs: int) -> dict[str, Any]:
    train, held_out = fold
    moments: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: moments.append(time.perf_counter()))
    begin = time.perf_counter()
    model = _keras_model(keras, inputs.shape[1])
    history = model.fit(
        inputs[train],
        target[train],
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=(inputs[held_out], target[held_out]),
        callbacks=[clock],
        verbose=0,
    )
    seconds = time.perf_counter() - begin
    # each model is compiled anew, in its first epoch: the others tell what training alone takes
    later = (moments[-1] - moments[0]) / (epochs - 1) * epochs
    predicted = model.predict(inputs[held_out], verbose=0).argmax(axis=1)
    return {
        "seconds": seconds,
        "seconds_compiled": later,
        "measured_epochs": len(history.history["val_loss"]),
        "accuracy": float((predicted == target[held_out]).mean()),
    }


def _keras_model(keras: Any, features: int) -> Any:
    layers = [
        keras.Input((features,)),
        keras.layers.Dense(
            HIDDEN,
            activation="relu",
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(L2),
        ),
        keras.layers.Dropout(DROPOUT),
        keras.layers.Dense(10, kernel_regularizer=keras.regularizers.L2(L2)),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss=loss)
    return model


def train_sklearn(epochs: int, alphas: int) -> dict[str, Any]:
    """Search over `alphas` strengths with two processes, which have been started before."""
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)  # it is told to stop after so many epochs
    inputs, target = load()
    settings: dict[str, Any] = {"hidden_layer_sizes": (HIDDEN,), "batch_size": BATCH_SIZE}
    never = {"tol": 0.0, "n_iter_no_change": 10**9, "early_stopping": False}
    searched = {"cv": splitter(), "n_jobs": 2, "refit": False, "error_score": "raise"}
    scoring = {"accuracy": "accuracy", "epochs": _epochs_of}

    def search(epochs: int, alphas: int) -> Any:
        network = MLPClassifier(**settings, **never, max_iter=epochs, random_state=0)
        grid = {"alpha": np.geomspace(1e-4, 1e1, alphas)}
        return GridSearchCV(network, grid, scoring=scoring, **searched).fit(inputs, target)

    search(epochs=1, alphas=1)
    begin = time.perf_counter()
    done = search(epochs, alphas)
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "networks": FOLDS * alphas,
        "measured_epochs": int(done.cv_results_["mean_test_epochs"].min()),
        "accuracy": float(np.median(done.cv_results_["mean_test_accuracy"])),
    }


def _epochs_of(network: Any, inputs: Any, target: Any) -> int:  # noqa: ARG001 (a scorer is called with these)
    return network.n_iter_


def write_fold(folder: str) -> dict[str, Any]:
    """Write the rows and the first fold as raw arrays for `tfjs_digits.mjs`."""
    inputs, target = load()
    train, held_out = next(splitter().split(inputs, target))
    place = Path(folder)
    arrays = {"inputs.f32": inputs, "targets.i32": target, "train.i32": train, "held_out.i32": held_out}
    for name, array in arrays.items():
        array.astype("<f4" if name.endswith("f32") else "<i4").tofile(place / name)
    meta = {"rows": len(inputs), "features": inputs.shape[1], "classes": 10}
    (place / "meta.json").write_text(json.dumps(meta))
    return meta


TASKS = {
    "fitwell": train_fitwell,
    "nested": train_nested,
    "keras": train_keras,
    "sklearn": train_sklearn,
    "write_fold": write_fold,
}


def measure_round(size: Size, folder: str) -> dict[str, dict[str, Any]]:
    """Run every competitor once."""
    epochs = size.epochs
    tfjs = {
        "folder": folder,
        "warm_up_epochs": size.warm_up_epochs,
        "networks": size.tfjs_networks,
        "batch_size": BATCH_SIZE,
        "hidden": HIDDEN,
        "dropout": DROPOUT,
        "l2": L2,
        "learning_rate": LEARNING_RATE,
    }
    keras_environment, ours = {"KERAS_BACKEND": "jax"}, {"epochs": epochs, "strengths": size.strengths}
    measured = {
        TO_THE_END: measuring.in_child(__file__, "fitwell", **ours, cutting=False),
        SEARCH: measuring.in_child(__file__, "fitwell", **ours, cutting=True),
        NESTED: measuring.in_child(__file__, "nested", **ours),
        "Keras": measuring.in_child(__file__, "keras", keras_environment, epochs=epochs, networks=size.keras_networks),
        "TensorFlow.js": measuring.in_node("tfjs_digits.mjs", epochs=epochs, **tfjs),
        "scikit-learn": measuring.in_child(__file__, "sklearn", epochs=epochs, alphas=size.alphas),
    }
    for name, result in measured.items():
        for part in result.get("fits", [result]):
            if part.get("measured_epochs", epochs) != epochs:
                raise SystemExit(f"{name} trained {part['measured_epochs']} epochs, not {epochs}.")
    if measured["Keras"]["backend"] != "jax":
        raise SystemExit(f"Keras runs on {measured['Keras']['backend']}, not on JAX.")
    return measured


Round = dict[str, dict[str, Any]]


def seconds_per_network(result: dict[str, Any], *, compiled: bool = False) -> float:
    """Return a round's seconds per network; `compiled` leaves Keras's compilation out."""
    if "fits" in result:
        return statistics.median(fit["seconds_compiled" if compiled else "seconds"] for fit in result["fits"])
    return result["seconds"] / result["networks"]


def times_table(rounds: Sequence[Round]) -> str:
    """Seconds per network of everyone, medians over rounds."""
    rows = []
    for name in rounds[0]:
        results = [measured[name] for measured in rounds]
        counted = [seconds_per_network(result) for result in results]
        networks = results[0].get("networks") or len(results[0]["fits"])
        parts = [part for result in results for part in result.get("fits", [result])]
        accuracy = [part["accuracy"] for part in parts if "accuracy" in part]
        rows.append(
            [
                name,
                networks,
                statistics.median(counted),
                measuring.spread(counted),
                statistics.median(accuracy) if accuracy else "",
                _peak(results),
            ]
        )
    header = ["", "networks a round", "s per network", "range over rounds"]
    return measuring.table([*header, "median held-out accuracy", "peak memory, MiB"], rows)


def _peak(results: Sequence[dict[str, Any]]) -> int | str:
    peaks = [result["peak_bytes"] for result in results if "peak_bytes" in result]
    return round(max(peaks) / measuring.MIB) if peaks else "several processes"


def ratio_table(rounds: Sequence[Round]) -> str:
    """How many networks fitwell trains while another trains one, in every round, against the targets."""
    rows = []
    for name, target in TARGETS.items():
        for ours, aim in ((TO_THE_END, target), (SEARCH, 2 * target)):
            found = [seconds_per_network(one[name]) / seconds_per_network(one[ours]) for one in rounds]
            rows.append([f"{name} / {ours}", *measuring.against(found, aim)])
    without = [
        seconds_per_network(one["Keras"], compiled=True) / seconds_per_network(one[TO_THE_END]) for one in rounds
    ]
    rows.append(
        [f"Keras, compiled before / {TO_THE_END}", statistics.median(without), measuring.spread(without), "", ""]
    )
    grid = rounds[0][TO_THE_END]["networks"]
    nested = [seconds_per_network(one["scikit-learn"]) * grid / one[NESTED]["seconds"] for one in rounds]
    named = f"scikit-learn's grid of {grid} networks / {NESTED} ({rounds[0][NESTED]['networks']} networks)"
    rows.append([named, *measuring.against(nested, 1.0)])
    return measuring.table(["times as long", "median", "range over rounds", "target", ""], rows)


def notes(rounds: Sequence[Round], size: Size) -> str:
    """Say how the others were run."""
    keras, tfjs = rounds[-1]["Keras"], rounds[-1]["TensorFlow.js"]
    simd, threads = ("on" if tfjs[flag] else "off" for flag in ("simd", "threads"))
    parts = [
        f"{size.rounds} rounds, {size.epochs} epochs.",
        f"Keras: `fit` on the {keras['backend']} backend. The first network of each process is left out",
        f"(it took {keras['warm_up_seconds']:.2f} s in the last round); every further model is compiled",
        "anew, as it is for users; what its epochs take without that is worked out from all but the first.",
        f"TensorFlow.js: {tfjs['backend']} backend in Node, SIMD {simd}, threads {threads} (its defaults",
        f"there); a first network of {size.warm_up_epochs} epochs is left out",
        f"({tfjs['warm_up_seconds']:.2f} s).",
        "scikit-learn: GridSearchCV(MLPClassifier), n_jobs=2, its processes started before, BLAS threads by",
        "default; no dropout, and scores after the last epoch only.",
        "fitwell also measures the training loss and the accuracy after each epoch; the others do not. Its",
        f"{rounds[-1][TO_THE_END]['compile_seconds']:.2g} s of compilation are counted, as is everybody's; as it",
        f"searches it trains {rounds[-1][SEARCH]['share']:.2f} of all epochs, and its accuracy is of those left.",
        f"Nested: {rounds[-1][NESTED]['score']}",
    ]
    return " ".join(parts) + "\n"


def main() -> None:
    """Measure and print."""
    options = measuring.arguments(__doc__, TASKS)
    size = QUICK if options.quick else Size()
    size = replace(size, rounds=options.rounds or size.rounds)
    print(measuring.heading("Digits: seconds per network", options))
    with tempfile.TemporaryDirectory() as folder:
        measuring.in_child(__file__, "write_fold", folder=folder)
        rounds = [measure_round(size, folder) for _ in range(size.rounds)]
    for part in (ratio_table(rounds), times_table(rounds), notes(rounds, size)):
        print(part)


if __name__ == "__main__":
    main()

"""The three commands of the page, on a model that TensorFlow.js saved in Node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from example_tables import mixed
from tfjs_node import Node

from fitwell.api.cli import INPUT_EXIT, main
from fitwell.data.columns import extract
from fitwell.problems.tables import read_table
from fitwell.results.predictors import TablePredictor
from fitwell.results.storage import load

MADE = """
    const model = tf.sequential({layers: [
      tf.layers.dense({units: 6, inputShape: [given.width], activation: 'relu', name: 'hidden',
                       kernelRegularizer: tf.regularizers.l2({l2: 0.01})}),
      tf.layers.dropout({rate: 0.2}),
      tf.layers.dense({units: given.units, activation: given.activation, name: 'last'}),
    ]});
    model.setUserDefinedMetadata({mine: 'é'});
    if (given.loss) model.compile({optimizer: tf.train.adam(0.01), loss: given.loss, metrics: ['accuracy']});
    await save(model, given.folder, {includeOptimizer: Boolean(given.loss)});
"""
QUICK = ("--strengths", "4", "--epochs", "3", "--cv", "3")
Made = Callable[..., None]


class Answer(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the mixed table."""
    folder = tmp_path_factory.mktemp("commands")
    mixed().write_csv(folder / "table.csv")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> Callable[..., Answer]:
    """Run the command in this process, beside the table."""
    monkeypatch.chdir(place)

    def call(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["fitwell", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        return Answer(status, *capsys.readouterr())

    return call


def make(node: Node, folder: Path, **options: Any) -> None:
    """Make and save a model in Node that fits the mixed table."""
    width = read_table(mixed(), "ill", cv=3).layout.width
    usual = {"units": 2, "activation": "softmax", "loss": "sparseCategoricalCrossentropy"}
    node(MADE, folder=folder, width=width, **{**usual, **options})


def predicted(node: Node, folder: Path, predictor: TablePredictor) -> np.ndarray:
    """What TensorFlow.js predicts for the encoded rows of the table."""
    raw = extract(mixed(), predictor.columns)
    inputs = [encoding.transform(raw) for encoding in predictor.encodings]
    code = "const model = await load(given.file); return model.predict(given.inputs);"
    return node(code, file=folder / "model.json", inputs=inputs if len(inputs) > 1 else inputs[0])


@pytest.fixture
def tuned(run: Callable[..., Answer], node: Node, place: Path) -> Path:
    """The first command, once."""
    if not (place / "run").exists():
        make(node, place / "node")
        answer = run("tune", "table.csv", "--target", "ill", "--model", "node/model.json", *QUICK, "--out", "run")
        assert answer.status == 0, answer.err
        assert "tfjs/: the same in Node and browsers" in answer.out
        assert "optimizer" in answer.err.lower()  # its state is not used, and that is said
    return place / "run"


@pytest.mark.slow
def test_a_model_from_node_is_tuned_and_goes_back(tuned: Path, node: Node, wasm: Node) -> None:
    """`run/tfjs` predicts in TensorFlow.js what the run predicts in Python; its own dropout and L2 were candidates."""
    predictor = load(tuned)
    expected = predictor.predict_numbers(mixed())
    for backend in (node, wasm):
        np.testing.assert_allclose(predicted(backend, tuned / "tfjs", predictor), expected, rtol=1e-5, atol=1e-6)
    document = json.loads((tuned / "run.json").read_text(encoding="utf-8"))
    assert document["choice"]["given"] > 0
    assert document["tfjs"] is None
    assert {"encode.js", "schema.json", "model.json"} <= {path.name for path in (tuned / "tfjs").iterdir()}


@pytest.mark.slow
def test_training_goes_on_in_node(tuned: Path, node: Node) -> None:
    """The settings came back with the model: it is compiled when it is loaded."""
    code = """
        const model = await load(given.file);
        return {loss: model.loss, optimizer: model.optimizer.getClassName(), rate: model.optimizer.learningRate};
    """
    found = node(code, file=tuned / "tfjs" / "model.json")
    assert found["loss"] == "sparseCategoricalCrossentropy"
    assert found["optimizer"] == "Adam"
    assert found["rate"] == pytest.approx(0.01)


@pytest.mark.slow
def test_metadata_of_node_come_back(run: Callable[..., Answer], tuned: Path, node: Node, place: Path) -> None:
    """In the run and in what is exported of it: what a person wrote, and nothing else."""
    assert run("export", "run", "--to", "tfjs", "--out", "again").status == 0
    for folder in (tuned / "tfjs", place / "again"):
        code = "return (await load(given.file)).getUserDefinedMetadata();"
        assert node(code, file=folder / "model.json") == {"mine": "é"}


@pytest.mark.slow
def test_export_to_tfjs(run: Callable[..., Answer], tuned: Path, node: Node, place: Path) -> None:
    """The same files under another name; quantized ones are smaller, differ a little, and by how much is printed."""
    predictor = load(tuned)
    expected = predictor.predict_numbers(mixed())
    answer = run("export", "run", "--to", "tfjs", "--out", "web")
    assert answer.status == 0, answer.err
    np.testing.assert_allclose(predicted(node, place / "web", predictor), expected, rtol=1e-5, atol=1e-6)
    names = {path.name for path in (place / "web").iterdir()}
    assert names == {path.name for path in (tuned / "tfjs").iterdir()}
    sizes = []
    for quantize, least, most in (("float16", 0, 2e-3), ("uint16", 0, 1e-3), ("uint8", 1e-5, 5e-2)):
        answer = run("export", "run", "--to", "tfjs", "--out", "small", "--quantize", quantize, "--force")
        assert answer.status == 0, answer.err
        assert "Quantized weights change the outputs by at most" in answer.err
        assert least < np.abs(predicted(node, place / "small", predictor) - expected).max() < most
        sizes.append(sum(path.stat().st_size for path in (place / "small").glob("*.bin")))
    assert sizes[0] == sizes[1] > sizes[2]


@pytest.mark.slow
def test_export_to_keras(run: Callable[..., Answer], tuned: Path, place: Path) -> None:
    """The Keras file is the run's own; a line says that it takes encoded numbers."""
    answer = run("export", "run", "--to", "keras", "--out", "model.keras")
    assert answer.status == 0, answer.err
    assert "takes encoded numbers" in answer.err
    assert (place / "model.keras").read_bytes() == (tuned / "model.keras").read_bytes()


@pytest.mark.slow
def test_predict_js_predicts_a_record(tuned: Path) -> None:
    """A record in, the label and probabilities of Python out; it needs nothing but TensorFlow.js."""
    row = mixed()[:1].drop("ill")
    record = json.loads(row.write_json())[0]
    program = next((tuned / "tfjs").glob("predict.*js"))
    root = Path(__file__).resolve().parents[2]
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(root / "node_modules")}
    done = subprocess.run(["node", str(program), json.dumps(record)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    answer = answer[0] if isinstance(answer, list) else answer
    expected = load(tuned).predict(row)
    assert answer["prediction"] == expected["ill"][0]
    assert answer["probabilities"]["yes"] == pytest.approx(expected["probability of yes"][0], rel=1e-4)


@pytest.mark.slow
def test_a_model_without_training_settings(run: Callable[..., Answer], node: Node, place: Path) -> None:
    """Node saves none unless asked: the last layer says the loss, and a line says what was taken."""
    make(node, place / "bare", loss="")
    answer = run("tune", "table.csv", "--target", "ill", "--model", "bare/model.json", *QUICK, "--quiet")
    assert answer.status == 0, answer.err
    assert "Adam and the sparse categorical crossentropy were taken" in answer.err
    make(node, place / "tanh", loss="", activation="tanh")
    answer = run("tune", "table.csv", "--target", "ill", "--model", "tanh/model.json", *QUICK)
    assert answer.status == INPUT_EXIT
    assert "does not say which loss it has" in answer.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("export", "run", "--to", "torch", "--out", "x"), "'to' must be one of keras, onnx, tfjs. Got 'torch'"),
        (("export", "run", "--to", "onnx", "--out", "x"), "'x' must be a .onnx file"),
        (
            ("export", "run", "--to", "onnx", "--out", "x.onnx", "--quantize", "uint8"),
            "'quantize' is for TensorFlow.js",
        ),
        (("export", "run", "--to", "tfjs", "--out", "x", "--quantize", "int4"), "'quantize' must be one of"),
        (("export", "run", "--to", "tfjs", "--out", "run"), "'run' exists already"),
        (("export", "nowhere", "--to", "tfjs", "--out", "x"), "There is no directory 'nowhere'"),
        (("tune", "table.csv", "--target", "ill", "--model", "none/model.json"), "There is no file"),
    ],
)
@pytest.mark.usefixtures("tuned")
def test_what_cannot_be_done(run: Callable[..., Answer], place: Path, arguments: tuple[str, ...], part: str) -> None:
    """Exit status 2, one line that says what to do, and nothing written."""
    before = sorted(path.name for path in place.iterdir())
    answer = run(*arguments)
    assert answer.status == INPUT_EXIT
    assert part in answer.err
    assert answer.err.count("\n") == 1
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.slow
def test_a_model_that_tensorflow_js_lacks(run: Callable[..., Answer], place: Path) -> None:
    """The run is saved all the same, without `tfjs`; it says why, and so does `export`."""
    import keras

    width = read_table(mixed(), "ill", cv=3).layout.width
    layers = [
        keras.Input((width,)),
        keras.layers.Reshape((width, 1)),
        keras.layers.GRU(2),
        keras.layers.Dense(2, "softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(place / "gru.keras")
    answer = run("tune", "table.csv", "--target", "ill", "--model", "gru.keras", *QUICK, "--out", "gru")
    assert answer.status == 0, answer.err
    assert "not for TensorFlow.js: " in answer.out
    assert not (place / "gru" / "tfjs").exists()
    answer = run("export", "gru", "--to", "tfjs", "--out", "gru_web")
    assert answer.status == INPUT_EXIT
    assert "reset_after" in answer.err
    assert not (place / "gru_web").exists()

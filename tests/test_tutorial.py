from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
from tfjs_node import MISSING, Node, available

import fitwell

# the page is run once, by whichever test comes first, with the warnings that a reader may see
pytestmark = pytest.mark.filterwarnings("default")

DOCS = Path(__file__).resolve().parents[1] / "docs"
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
SETTINGS = re.compile(r"((, )?\b(l1|l2|dropout|weight_dropout) = [\d.e-]+( \([^)]*\))?)+")
"""Strengths of near equals: which of them wins may depend on the processor's rounding."""


class Ran(NamedTuple):
    """The page's Python after a run."""

    names: dict[str, Any]
    printed: list[str]


def load_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tutorial", DOCS / "make_tutorial.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The program that runs the page and draws its pictures."""
    return load_maker()


@pytest.fixture(scope="module")
def page(maker: ModuleType) -> str:
    return maker.PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def ran(maker: ModuleType, page: str, folder: Path) -> Ran:
    """One run of all Python blocks; it leaves rows.json for JavaScript."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Ran(*maker.run_python(page))


@pytest.fixture(scope="module")
def spoken(maker: ModuleType, page: str, folder: Path, ran: Ran) -> list[str]:
    """What each JavaScript block printed in Node."""
    assert ran.printed
    if not available():
        pytest.skip(MISSING)
    return maker.run_javascript(page, folder)


def differences(shown: str, printed: str) -> list[str]:
    """Lines whose words differ, or whose numbers differ by more than another processor's rounding explains.

    Trainings amplify rounding: losses may differ by a quarter or by 0.05, percentages and epochs by 15.
    """
    pairs = zip(lines(shown), lines(printed), strict=False)
    wrong = [f"{a!r} but {b!r}" for a, b in pairs if not alike(a, b)]
    return wrong + ([] if len(lines(shown)) == len(lines(printed)) else ["number of lines"])


def lines(text: str) -> list[str]:
    return [SETTINGS.sub("none", line).rstrip() for line in text.splitlines() if line.strip()]


def alike(shown: str, printed: str) -> bool:
    same_words = NUMBER.sub("#", shown).split() == NUMBER.sub("#", printed).split()
    return same_words and all(close(a, b) for a, b in zip(numbers(shown), numbers(printed), strict=True))


def numbers(text: str) -> list[str]:
    return NUMBER.findall(text)


def close(shown: str, printed: str) -> bool:
    a, b = float(shown.replace(",", "")), float(printed.replace(",", ""))
    slack = 0.05 if "." in shown else 15  # whole numbers are percentages, epochs and counts
    return abs(a - b) <= max(slack, 0.25 * abs(a))


def check_outputs(blocks: Sequence[tuple[str, str]], printed: Sequence[str]) -> None:
    assert len(blocks) == len(printed)
    wrong = [line for (_, shown), out in zip(blocks, printed, strict=True) for line in differences(shown, out)]
    assert wrong == []


@pytest.mark.slow
def test_python_prints_what_the_page_shows(maker: ModuleType, page: str, ran: Ran) -> None:
    """Every Python block runs as it stands, and prints what stands below it."""
    check_outputs(maker.blocks(page, "python"), ran.printed)


@pytest.mark.slow
def test_javascript_prints_what_the_page_shows(maker: ModuleType, page: str, spoken: list[str]) -> None:
    """Every JavaScript block runs in real TensorFlow.js, and prints what stands below it."""
    check_outputs(maker.blocks(page, "js"), spoken)


def test_another_output_is_noticed() -> None:
    """Break: another verdict, a loss that doubled, another unit, a line too many."""
    assert differences("Overfits.\nloss 0.47 at 8", "Overfits.\nloss 0.51 at 12") == []
    assert differences("Overfits.", "Fits well.")
    assert differences("loss 0.47", "loss 0.97")
    assert differences("zero: 95%", "zero: 0%")
    assert differences("loss 0.47", "loss 0.47\nloss 0.47")


@pytest.mark.slow
def test_the_story_is_true(ran: Ran) -> None:
    """Overfitting is real, each remedy helps on new rows, and the verdicts say so."""
    end = {
        name: ran.names[f"{name}_curves"]["val_mse"][-1] for name in ("plain", "small", "sparse", "units", "weights")
    }
    assert end["plain"] > 1.2 * min(ran.names["plain_curves"]["val_mse"])
    assert ran.names["plain_curves"]["mse"][-1] < 0.15
    assert max(end["small"], end["sparse"]) < 0.9 * end["plain"]
    assert max(end["units"], end["weights"]) < end["plain"]
    assert ran.names["future"](ran.names["result"].model) < 0.8 * ran.names["future"](ran.names["plain"])
    assert ran.names["overfitted"].verdict == "overfits"
    assert ran.names["left_alone"].verdict == "fits well"


@pytest.mark.slow
def test_only_the_proximal_step_gives_zeros(ran: Ran) -> None:
    """Of L1 at 0.01, Keras's own network has small weights and hardly a zero, fitwell's has zeros."""
    sizes = ran.names["sizes"]
    assert np.mean(sizes["L1"] < 0.001) > 0.8
    assert np.mean(sizes["L1"] == 0) < 0.01
    assert np.mean(sizes["L1, fitwell"] == 0) > 0.8


@pytest.mark.slow
def test_penalties_and_steps_are_those_of_tensorflow_js(ran: Ran, spoken: list[str]) -> None:
    """Penalty and proximal step are the same numbers by hand, in Keras, and in TensorFlow.js."""
    by_hand = next(out for out in ran.printed if out.startswith("L2 by hand"))
    in_node = next(out for out in spoken if re.match(r"L2 0\.\d+\nL1 0", out))
    assert numbers(by_hand.replace("L2", "").replace("L1", "")) == [
        n for n in numbers(in_node.replace("L2", "").replace("L1", "")) for _ in range(2)
    ]
    shrunk = ran.names["shrink"](np.array([0.5, -0.25, 0.004, -0.001]), 0.01)
    assert "0.49 -0.24 0.00 0.00\n" in spoken
    np.testing.assert_allclose(shrunk, [0.49, -0.24, 0, 0])


PENALISED = """
const model = tf.sequential({layers: [tf.layers.dense(
  {units: 1, inputShape: [2], kernelInitializer: 'ones', kernelRegularizer: tf.regularizers.l2({l2: 0.01})})]});
model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
const evaluated = model.evaluate(given.x, given.y).dataSync()[0];
await save(model, given.folder, {includeOptimizer: true});
return [evaluated, [].concat(await model.trainOnBatch(given.x, given.y))[0]];
"""


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason=MISSING)
def test_where_the_penalty_is_added(tmp_path: Path) -> None:
    """As the page says: Keras adds it to every loss, TensorFlow.js in training; `model.json` has the strength."""
    x, y = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0], [2.0]])
    node = Node()
    evaluated, trained = node(PENALISED, x=x, y=y, folder=str(tmp_path / "saved"))
    node.close()
    with pytest.warns(UserWarning, match="state of an optimizer"):
        model = fitwell.tfjs.load(tmp_path / "saved" / "model.json")
    assert float(model.layers[0].kernel_regularizer.l2) == pytest.approx(0.01)
    assert evaluated == pytest.approx(2.5)
    assert trained == pytest.approx(2.5 + 0.02)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(trained)


def test_numbers_in_the_text_are_printed(page: str, maker: ModuleType) -> None:
    """A number with decimals, or a percentage, that the text says stands in some code or output."""
    assert unfounded(page, maker) == []
    assert unfounded(page + "\nIt lowers the loss to 0.123, by 77%.\n", maker) == ["0.123", "77%"]


def unfounded(page: str, maker: ModuleType) -> list[str]:
    code = "".join(found[0] for found in maker.BLOCK.finditer(page))
    return [number for number in re.findall(r"\d+\.\d+|\d+%", maker.BLOCK.sub("", page)) if number not in code]


@pytest.mark.slow
def test_the_pictures_are_of_this_run(maker: ModuleType, ran: Ran) -> None:
    """Every picture of the page is drawn from the page's variables: the same words as the one that is kept."""
    pictures = maker.pictures(ran.names)
    for file, drawn in pictures.items():
        assert words_of(drawn) == words_of((DOCS / file).read_text(encoding="utf-8"))
    assert pictures == maker.pictures(ran.names)  # drawn again they are the same, to the letter


def test_pictures_are_shown_small_and_legible_in_the_dark(page: str, maker: ModuleType) -> None:
    """The page shows every picture that is drawn; each is below 50 kB and has colours for dark mode."""
    shown = re.findall(r"!\[[^\]]+\]\((tutorial-[\w-]+\.svg)\)", page)
    assert sorted(shown) == sorted(f"tutorial-{name}.svg" for name in maker.DRAWN)
    for file in shown:
        text = (DOCS / file).read_text(encoding="utf-8")
        assert len(text) < 50_000
        assert "prefers-color-scheme: dark" in text


def words_of(svg: str) -> list[str]:
    """The texts of a picture but its numbers, which follow from the axes."""
    texts = ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    return [text.strip() for text in texts if re.search("[a-z]", text)]


LATE = "import keras, fitwell; fitwell.layers; print(keras.backend.backend())"
LINE = 'os.environ["KERAS_BACKEND"] = "jax"'
FILE = '"backend": "jax"'


@pytest.mark.slow
@pytest.mark.parametrize("remedy", ["fitwell first", "variable", "line", "file"])
def test_what_the_page_says_when_keras_looks_for_tensorflow(remedy: str, page: str, tmp_path: Path) -> None:
    """Each remedy of the page has Keras compute with JAX, in a home where nothing is set."""
    code = {"fitwell first": "import fitwell\n" + LATE, "line": f"import os\n{LINE}\n{LATE}"}.get(remedy, LATE)
    if remedy == "file":
        (tmp_path / ".keras").mkdir()
        (tmp_path / ".keras" / "keras.json").write_text("{" + FILE + "}", encoding="utf-8")
    assert LINE in page
    assert FILE in page
    done = started(code, tmp_path, **({"KERAS_BACKEND": "jax"} if remedy == "variable" else {}))
    assert done.stdout.strip() == "jax", done.stderr


@pytest.mark.slow
def test_keras_alone_looks_for_tensorflow(tmp_path: Path) -> None:
    """Break: without a remedy Keras does not compute with JAX: the error of the page, or fitwell's."""
    done = started(LATE, tmp_path)
    assert done.stdout.strip() != "jax"
    assert "No module named 'tensorflow'" in done.stderr or "Keras must run on JAX" in done.stderr


def started(code: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "KERAS_HOME")}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

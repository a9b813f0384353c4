"""Saving: all or nothing, and how much quantization changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fitwell
import keras
from fitwell.errors import FileError, InputError
from fitwell.keras.probing import probes
from fitwell.tfjs.saving import PROBES


def model() -> keras.Sequential:
    """A model whose kernels are worth quantizing."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(32, "tanh"), keras.layers.Dense(3)])


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["float16", "uint16", "uint8"])
def test_what_quantization_changes_is_measured(quantize: str, tmp_path: Path) -> None:
    """The number is that of the loaded file's outputs; the break: the files as they are change nothing."""
    made = model()
    saved = fitwell.tfjs.save(made, tmp_path / "m", quantize=quantize)
    rows = probes(made, PROBES)[0]
    one, two = (np.asarray(m(rows)) for m in (made, fitwell.tfjs.load(tmp_path / "m")))
    assert saved.quantized == pytest.approx(np.abs(one - two).max() / np.abs(one).max(), rel=0.01)
    assert 0 < saved.quantized < 0.05
    assert "Quantized weights change the outputs by at most" in str(saved)
    plain = fitwell.tfjs.save(made, tmp_path / "plain")
    assert plain.quantized is None
    np.testing.assert_array_equal(one, np.asarray(fitwell.tfjs.load(tmp_path / "plain")(rows)))


def test_names_that_had_to_change_are_in_the_file(tmp_path: Path) -> None:
    """TensorFlow.js takes no spaces; the Keras names are among the metadata, a person's own beside them."""
    layers = [keras.Input((6,)), keras.layers.Dense(3, name="my layer")]
    fitwell.tfjs.save(keras.Sequential(layers), tmp_path / "m", metadata={"mine": 1})
    written = json.loads((tmp_path / "m" / "model.json").read_text())
    assert written["modelTopology"]["config"]["layers"][1]["config"]["name"] == "my_layer"
    assert written["userDefinedMetadata"] == {"mine": 1, "kerasNames": {"my_layer": "my layer"}}


@pytest.mark.slow
def test_nothing_half_written(tmp_path: Path) -> None:
    """A model that cannot be written leaves what was there, and nothing else."""
    fitwell.tfjs.save(model(), tmp_path / "m")
    before = (tmp_path / "m" / "model.json").read_bytes()
    refused = keras.Sequential([keras.Input((5, 2)), keras.layers.GRU(3)])
    with pytest.raises(InputError, match="reset_after"):
        fitwell.tfjs.save(refused, tmp_path / "m", force=True)
    with pytest.raises(InputError, match="'quantize' must be one of"):
        fitwell.tfjs.save(model(), tmp_path / "new", quantize="int4")
    with pytest.raises(FileError, match="exists already"):
        fitwell.tfjs.save(model(), tmp_path / "m")
    assert (tmp_path / "m" / "model.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]

"""export(): a saved run as a file for another place, a Keras model, ONNX, or TensorFlow.js."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fitwell.directories import check_file, fresh_directory, write_aside
from fitwell.errors import FileError, InputError
from fitwell.results.for_tfjs import TFJS, write_tfjs
from fitwell.results.predictors import MODEL_FILE, TablePredictor
from fitwell.results.storage import load

FORMATS = ("keras", "onnx", "tfjs")


def export(
    run: str | Path, to: str, out: str | Path, *, quantize: str | None = None, force: bool = False
) -> tuple[str, ...]:
    """Write the model of a saved run for another place, all or nothing.

    Parameters
    ----------
    run
        Directory that `Result.save` or ``fitwell tune --out`` wrote.
    to
        `"keras"`: the plain Keras model, a `.keras` file. `"onnx"`: an `.onnx` file, checked with onnxruntime.
        `"tfjs"`: a directory for TensorFlow.js; of a table also with `encode.js`, `schema.json`, `predict.js` and
        `index.html`. The first two take encoded numbers, so of a table they are a part of what predicts.
    out
        New file or directory.
    quantize
        For TensorFlow.js: `"float16"`, `"uint16"` or `"uint8"`; see `fitwell.tfjs.save`.
    force
        Replace what `export` wrote before.

    Returns
    -------
    Sentences that a person should read; often none.

    Raises
    ------
    InputError
        The model cannot be written so; the sentence says why.
    FileError
        The run is not there or damaged, or `out` cannot be written.

    Examples
    --------
    >>> fitwell.export("run", "tfjs", "web")  # doctest: +SKIP
    ()
    """
    run, out = Path(run), Path(out)
    if to not in FORMATS:
        raise InputError(f"'to' must be one of {', '.join(FORMATS)}. Got {to!r}.")
    if quantize is not None and to != "tfjs":
        raise InputError(f"'quantize' is for TensorFlow.js, and this export is to {to}: leave it out.")
    # a directory, with rules of its own about what it may replace
    if to == "tfjs":
        return _export_tfjs(run, out, quantize, force)
    suffix = "." + to
    if out.suffix != suffix:
        raise FileError(f"'{out}' must be a {suffix} file: name it so.")
    # before the model is loaded, which takes seconds
    check_file(out, force=force)
    predictor = load(run, compiled=True)
    if to == "keras":
        # the very file of the run: saving it again would change its bytes
        write_aside(out, lambda aside: shutil.copyfile(run / MODEL_FILE, aside))
    else:
        from fitwell.keras.onnx import export_onnx

        write_aside(out, lambda aside: export_onnx(predictor.model, aside))
    return tuple(_beside(predictor, out)) if isinstance(predictor, TablePredictor) else ()


def _beside(predictor: TablePredictor, out: Path) -> Iterator[str]:
    """Say what of a table's predictions the exported model leaves to others."""
    yield f"'{out}' takes encoded numbers: the encoding of the table's columns is in the run only."
    units = predictor.units
    if not units.are_values:
        shift, scale = units.to_json().values()
        yield (
            f"'{out}' gives '{predictor.target}' in standard deviations from the mean, for float32 cannot hold its "
            f"values apart: in float64 a value is {shift!r} + {scale!r} * output."
        )


def _export_tfjs(run: Path, out: Path, quantize: str | None, force: bool) -> tuple[str, ...]:
    from fitwell.tfjs.document import MODEL_JSON
    from fitwell.tfjs.loading import kept_metadata
    from fitwell.tfjs.saving import FILES

    # an empty directory is nobody's loss, and needs no --force
    empty = out.is_dir() and not any(out.iterdir())
    with fresh_directory(out, force=force or empty, mark=MODEL_JSON, ours=FILES) as inside:
        # the run's .keras file has no place for a person's metadata, its file for TensorFlow.js has
        predictor = replace(load(run, compiled=True), metadata=kept_metadata(run / TFJS / MODEL_JSON))
        return write_tfjs(predictor, inside, quantize=quantize)

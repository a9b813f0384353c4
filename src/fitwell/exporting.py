"""A saved run as a file for another place: a Keras model, ONNX, or TensorFlow.js."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fitwell.directories import check_file, fresh_directory, write_aside
from fitwell.errors import FileError, InputError
from fitwell.prediction import MODEL_FILE, Predictor, Predicts, load_any

FORMATS = ("keras", "onnx", "tfjs")
TFJS = "tfjs"
"""Directory of a run that holds it for TensorFlow.js."""


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
    if to == "tfjs":
        return _export_tfjs(run, out, quantize, force)
    suffix = "." + to
    if out.suffix != suffix:
        raise FileError(f"'{out}' must be a {suffix} file: name it so.")
    check_file(out, force=force)
    predictor = load_any(run)
    if to == "keras":
        write_aside(out, lambda aside: shutil.copyfile(run / MODEL_FILE, aside))
    else:
        from fitwell.keras.onnx import export_onnx

        write_aside(out, lambda aside: export_onnx(predictor.model, aside))
    if isinstance(predictor, Predictor):
        return (f"'{out}' takes encoded numbers: the encoding of the table's columns is in the run only.",)
    return ()


def _export_tfjs(run: Path, out: Path, quantize: str | None, force: bool) -> tuple[str, ...]:
    from fitwell.keras.files import METADATA
    from fitwell.tfjs.document import MODEL_JSON
    from fitwell.tfjs.loading import kept_metadata
    from fitwell.tfjs.saving import FILES

    empty = out.is_dir() and not any(out.iterdir())
    with fresh_directory(out, force=force or empty, mark=MODEL_JSON, ours=FILES) as inside:
        predictor = load_any(run)
        # a .keras file has no place for them
        setattr(predictor.model, METADATA, kept_metadata(run / TFJS / MODEL_JSON))
        return write_tfjs(predictor, inside, quantize=quantize)


def write_tfjs(predictor: Predicts, directory: Path, *, quantize: str | None = None) -> tuple[str, ...]:
    """Write a model, and of a table all that a record takes to become its tensors, into an existing directory.

    Raises
    ------
    InputError
        TensorFlow.js cannot be made to compute the model alike.
    """
    from fitwell.tfjs.saving import write

    saved = write(predictor.model, directory, quantize=quantize)
    if isinstance(predictor, Predictor):
        from fitwell.tfjs.schema import write_table_files

        write_table_files(directory, schema_of(predictor))
    return tuple(str(saved).splitlines())


def schema_of(predictor: Predictor) -> dict[str, Any]:
    """Return what `encode.js` needs of a table's model."""
    from fitwell.tfjs.schema import schema

    names = ("target", "task", "classes", "label_type", "head")
    return schema(predictor.columns, predictor.encodings, **{name: getattr(predictor, name) for name in names})


def add_tfjs(predictor: Predicts, directory: Path) -> str | None:
    """Write the sub-directory `tfjs` of a run; where that is not possible return why, and leave none.

    A fault of the writer is said too: a search that took hours must not be lost for it.
    """
    inside = directory / TFJS
    inside.mkdir()
    try:
        write_tfjs(predictor, inside)
    except OSError:
        raise
    except InputError as error:
        why = str(error)
    except Exception as error:
        why = f"it could not be written, by a fault of fitwell's ({type(error).__name__}: {error}); please report it."
    else:
        return None
    shutil.rmtree(inside)
    return why

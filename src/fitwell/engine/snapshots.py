"""What a search is made of between two calls, as plain arrays; and whether it is still the same search."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fitwell.engine.checkpoints import DIGEST_BYTES, Snapshot
from fitwell.engine.ending import Pacing
from fitwell.engine.executor import Block, Executor, Job, SavedBlock
from fitwell.engine.job import Settings
from fitwell.engine.network import Variables
from fitwell.engine.plan import Plan
from fitwell.engine.records import Records
from fitwell.errors import InputError
from fitwell.trees import tree_leaves, tree_map

RECORDED = ("curves", "best_loss", "best_epoch", "epochs", "running", "cut")
"""Arrays of a `Training`, over all its strengths."""

MEASURED = ("memory", "seconds", "epoch_seconds", "compile_seconds", "budget")
MEASURED += ("strengths", "asked", "screened", "begun")
"""Of a `Plan`: what was measured, or depends on what has been found to fit."""


class Recording(Protocol):
    """What a search records of itself: a `Training`, which has the arrays `RECORDED`, too."""

    executor: Executor[Any]
    plan: Plan
    settings: Settings
    records: Records | None
    best: Variables
    kept: Sequence[int] | None


@dataclass(frozen=True, eq=False)
class Wave:
    """A wave in training: its strengths, epochs done, the pace of its rungs, and its blocks; none if it is over."""

    strengths: range
    epoch: int
    pacing: Pacing
    blocks: Sequence[Block]


def snapshot_of(training: Recording, wave: Wave, identity: Mapping[str, str]) -> Snapshot:
    """Return what a search is made of now."""
    arrays = {name: getattr(training, name) for name in RECORDED}
    if hasattr(training, "best"):
        arrays |= _packed("best", tree_leaves(training.best))
    if training.records is not None:
        arrays |= _packed("records", training.records.sums)
    blocks = training.executor.saved(wave.blocks)
    for number, block in enumerate(blocks):
        arrays[f"block{number}"] = block.strengths
        arrays |= _packed(f"block{number}", block.arrays)
    about = {
        "identity": dict(identity),
        "strengths": training.plan.strengths,
        "screened": training.plan.screened,
        "kept": None if training.kept is None else list(training.kept),
        "wave": [wave.strengths.start, wave.strengths.stop],
        "epoch": wave.epoch,
        "decided": wave.pacing.decided,
        "blocks": [block.count for block in blocks],
    }
    return Snapshot(about, arrays)


def restore(training: Recording, snapshot: Snapshot) -> Wave:
    """Put a search where it stood, and return the wave that was in training."""
    about, arrays = snapshot.about, snapshot.arrays
    for name in RECORDED:
        getattr(training, name)[...] = arrays[name]
    if training.records is not None:
        sums = tuple(_unpacked("records", arrays))
        training.records = replace(training.records, sums=sums)
    blocks = training.executor.restored(
        [
            SavedBlock(arrays[f"block{number}"], count, _unpacked(f"block{number}", arrays))
            for number, count in enumerate(about["blocks"])
        ]
    )
    if best := _unpacked("best", arrays):
        leaves = iter(best)
        training.best = tree_map(lambda _: next(leaves), training.executor.structure)
    pacing = Pacing(training.settings.stopping, training.plan.epochs, about["decided"])
    return Wave(range(*about["wave"]), about["epoch"], pacing, blocks)


def identity_of(job: Job, settings: Settings, plan: Plan, executor: object) -> dict[str, str]:
    """Return what must be the same for a search to go on, each part by a digest."""
    dataset, candidates = job.dataset, job.candidates
    how = asdict(plan)
    for name in MEASURED:
        del how[name]
    screening = settings.screening and settings.screening.share
    optimizer = None if settings.optimizer is None else settings.optimizer.name
    trained_by = {"executor": type(executor).__name__, "stopping": repr(settings.stopping), "seed": settings.seed}
    trained_by["screening"] = screening
    about_network = (type(job.network).__name__, getattr(job.network, "described", getattr(job.network, "sizes", None)))
    return {
        "rows": _digest(_arrays_of(dataset)),
        "folds": _digest([*job.row_sets.train, *job.row_sets.held_out]),
        "strengths": _digest([*candidates.strengths.values(), candidates.learning_rate], sorted(candidates.strengths)),
        "options": _digest([], how, trained_by, job.loss.name, str(settings.schedule), optimizer, about_network),
    }


def _arrays_of(dataset: Any) -> Iterator[np.ndarray]:
    if hasattr(dataset.inputs, "arrays"):  # more than memory holds
        yield from dataset.inputs.arrays()
    elif dataset.own and not isinstance(dataset.inputs, np.ndarray):  # encoded one row set at a time
        yield from (np.asarray(dataset.inputs[r]) for r in range(len(dataset.shift)))
    else:
        yield from tree_leaves(dataset.inputs)
    weights = (dataset.weight, dataset.train_weight)
    yield from tree_leaves((dataset.targets, dataset.first, tuple(one for one in weights if one is not None)))


def _digest(arrays: Any, *others: Any) -> str:
    found = hashlib.blake2b(repr(others).encode(), digest_size=DIGEST_BYTES)
    for array in arrays:
        values = np.ascontiguousarray(array)
        found.update(f"{values.dtype}{values.shape}".encode())
        found.update(values.ravel().view(np.uint8).data)
    return found.hexdigest()


def check_identity(found: Mapping[str, str], expected: Mapping[str, str], directory: Path) -> None:
    """Raise an InputError if a search that was written down is not the one that is to go on."""
    changed = [name for name, digest in expected.items() if found.get(name) != digest]
    if changed:
        raise InputError(
            f"The search in '{directory}' cannot go on: {', '.join(changed)} have changed since. Give what it began "
            "with (of a table that is larger than memory 'memory', too), or delete the directory to begin anew."
        )


def _packed(prefix: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Name arrays by their places."""
    return {f"{prefix}.{place}": np.asarray(array) for place, array in enumerate(arrays)}


def _unpacked(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return what `_packed` has named."""
    names = [name for name in arrays if name.rpartition(".")[0] == prefix]
    return [arrays[name] for name in sorted(names, key=lambda name: int(name.rpartition(".")[2]))]

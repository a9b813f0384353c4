"""A Keras model and its data, understood: what a problem made of them needs, before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitwell.arguments import is_whole
from fitwell.data.arrays import Arrays, read_arrays
from fitwell.data.row_sets import RowSets
from fitwell.engine.devices import on_accelerator, training_memory
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import Loss
from fitwell.engine.plan import BLOCK_NETWORKS, default_batch_size
from fitwell.errors import InputError
from fitwell.keras.anatomy import parts, walk
from fitwell.keras.backend import import_keras
from fitwell.keras.compiled import Targets, compile_arguments, make_loss
from fitwell.keras.convolutions import input_shape, networks_at_once, patch_elements
from fitwell.keras.keras_network import KerasNetwork, first_weights, given_weights, keras_inputs
from fitwell.keras.opening import Opened
from fitwell.keras.targets import check_targets, warn_of_lost_digits
from fitwell.keras.translation import Translated, translate
from fitwell.problems.options import Options
from fitwell.regularization.strengths import Candidates
from fitwell.regularization.table import BUILT_IN, Table
from fitwell.trees import tree_leaves, tree_map

WEIGHTS = ("fresh", "given")


@dataclass(frozen=True, eq=False)
class ModelData:
    """A Keras model and its data, understood.

    Attributes
    ----------
    opened, network
        The model, and as the engine takes it.
    inputs, targets
        Trees of arrays [n, ...], or [R, n, ...] if `own`.
    own
        Whether every row set has its own.
    loss
        What the model was compiled with.
    optimizer
        Likewise, translated.
    weights
        `"fresh"` or `"given"`: where training starts.
    """

    opened: Opened
    network: KerasNetwork
    inputs: Any
    targets: Targets
    own: bool
    loss: Loss
    optimizer: Translated
    weights: str

    @property
    def sample(self) -> Any:
        """Inputs of two rows, as Keras takes them."""
        return sample_of(self.inputs, self.own)

    def dataset(self, row_sets: RowSets, seed: int, first: int = 0) -> Dataset:
        """Return the data with the first weights of row sets that are numbered from `first`."""
        count = row_sets.count
        if self.weights == "given":
            start = given_weights(self.network, count)
        else:
            seeds = [int(np.random.SeedSequence([seed, first + r]).generate_state(1)[0]) for r in range(count)]
            start = first_weights(self.network, self.opened.model, self.sample, seeds)
        return Dataset(self.inputs, self.targets, self.own, np.zeros(count), np.ones(count), start)


def sample_of(inputs: Any, own: bool) -> Any:
    """Return inputs of two rows, as Keras takes them."""
    return keras_inputs(tree_map(lambda leaf: leaf[0, :2] if own else leaf[:2], inputs))


def read_data(
    opened: Opened,
    x: Any,
    y: Any,
    options: Options,
    *,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    weights: str,
) -> tuple[ModelData, dict[str, Any]]:
    """Read what a Keras model trains on; also what was read, as plain types."""
    compile_arguments(opened.model)  # a model that is not compiled is refused before anything is read
    arrays = _read(x, y, sample_weight, class_weight, options)
    train_weight = _product(arrays.sample_weight, arrays.class_weight)
    targets = Targets(arrays.targets, arrays.sample_weight, train_weight)
    warn_of_lost_digits(_unrounded(y, arrays.targets), import_keras().config.floatx())
    data = make_data(opened, arrays.inputs, targets, own=False, weights=weights)
    return data, _summary(data, arrays)


def make_data(opened: Opened, inputs: Any, targets: Targets, *, own: bool, weights: str) -> ModelData:
    """Open a model for these data and take its compile settings over."""
    if weights not in WEIGHTS:
        raise InputError(f"'weights' must be 'fresh' or 'given'. Got {weights!r}.")
    sample = sample_of(inputs, own)
    _check_inputs(opened.model, sample)
    network = opened.network(sample)
    network.copy.compile(**compile_arguments(opened.model))
    outputs = network.copy(sample, training=False)
    rows = tree_map(lambda leaf: leaf[0], targets) if own else targets
    check_targets(network.copy, rows.values, outputs)
    loss = make_loss(network.copy, rows, outputs)
    optimizer = translate(opened.model.optimizer)
    return ModelData(opened, network, inputs, targets, own, loss, optimizer, weights)


def model_candidates(network: KerasNetwork, options: Options, learning_rate: float) -> Candidates:
    """Return the strengths to search: all zero first, then the model as given, if it has any regularization."""
    if options.learning_rate is None and not isinstance(options.strengths, Candidates):
        options = replace(options, learning_rate=learning_rate)
    searched = replace(options.candidates(network.layers), always=network.always)
    given = own_strengths(network, searched.table)
    extras = bool(network.own.names)
    if not given and not extras:
        return searched
    if is_whole(options.strengths):  # the model as given is one of so many
        if searched.count < 2:
            raise InputError(
                "'strengths' must be at least 2 for a model with regularization of its own, which is tried without any "
                f"and as given. Got {searched.count}."
            )
        searched = searched.take(range(searched.count - 1))
    return _with_given(searched, given, extras, network)


def own_strengths(network: KerasNetwork, table: Table = BUILT_IN) -> dict[str, np.ndarray]:
    """Return the model's own strengths, regularizer's name to [L]; those that are zero everywhere are left out."""
    found = {name: network.own_strengths(row) for name, row in table.items()}
    return {name: values for name, values in found.items() if values.any()}


def _with_given(
    searched: Candidates, given: Mapping[str, np.ndarray], extras: bool, network: KerasNetwork
) -> Candidates:
    """Put the model as given second, behind the network without regularization."""
    strengths = {}
    for name, row in searched.table.items():
        if name in searched.strengths or name in given:
            own = given.get(name, np.zeros(len(network.layers.of(row))))
            strengths[name] = _with_second(searched.strengths.get(name, np.zeros(searched.count)), own)
    second = np.zeros(searched.count + 1)
    second[1] = 1.0
    rates = np.insert(searched.learning_rate, 1, searched.learning_rate[0])
    own = second if extras else None
    found = replace(searched, strengths=strengths, learning_rate=rates, layers=network.layers, own=own, given=1)
    return replace(found, own_names=network.own.names)


def _with_second(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    same = own[0] if own.size else 0.0
    if values.ndim == 1 and (own == same).all():
        return np.insert(values, 1, same)
    by_layer = values if values.ndim == 2 else np.repeat(values[:, None], len(own), axis=1)
    return np.insert(by_layer, 1, own, axis=0)


def model_settings(data: ModelData, options: Options, row_sets: RowSets) -> Settings:
    """Return how a model is trained: with its own optimizer, in blocks that suit its convolutions."""
    schedule = data.optimizer.schedule or options.schedule
    networks = _block_networks(data, row_sets, options)
    optimizer = data.optimizer.optimizer
    return replace(options.settings(), optimizer=optimizer, schedule=schedule, block_networks=networks)


def _block_networks(data: ModelData, row_sets: RowSets, options: Options) -> int:
    """Networks that are trained together: fewer where convolutions fill a processor's cache."""
    if on_accelerator():
        return BLOCK_NETWORKS
    batch_size = options.batch_size or default_batch_size(int(row_sets.n_train.max()))
    layers = [inner for layer in walk(data.network.original) for inner in parts(layer)]
    elements = sum(patch_elements(layer, (batch_size, *shape)) for layer in layers if (shape := input_shape(layer)))
    return min(BLOCK_NETWORKS, networks_at_once(elements)) if elements else BLOCK_NETWORKS


def _read(x: Any, y: Any, sample_weight: Any, class_weight: Any, options: Options) -> Arrays:
    floatx = import_keras().config.floatx()
    budget = training_memory(options.memory)
    return read_arrays(
        x, y, sample_weight=sample_weight, class_weight=class_weight, dtype=np.dtype(floatx), most_bytes=budget // 2
    )


def _unrounded(y: Any, targets: Any) -> Any:
    """Return one array of targets as it was given, before floats were rounded; else the targets that were read."""
    if not isinstance(targets, np.ndarray):
        return targets
    try:
        given = np.asarray(y, np.float64)
    except (TypeError, ValueError, RuntimeError):  # batches, or arrays of other libraries
        return targets
    return given if given.shape[:1] == targets.shape[:1] else targets


def _product(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return a * b if a is not None and b is not None else b if a is None else a


def _check_inputs(model: Any, sample: Any) -> None:
    """Refuse inputs that a built model does not take."""
    if not model.built:
        return
    wanted, given = len(getattr(model, "inputs", None) or []), len(tree_leaves(sample))
    if wanted and isinstance(sample, list) and given != wanted:  # Keras would leave some out
        raise InputError(f"The model '{model.name}' takes {wanted} inputs, but x has {given}.")
    try:
        model(sample, training=False)
    except Exception as error:  # layers raise many kinds
        _check_shape(model, sample)
        said = str(error).replace("Exception encountered when calling", "in")
        raise InputError(f"The model '{model.name}' does not take these inputs ({_one_line(said)}).") from error


def _check_shape(model: Any, sample: Any) -> None:
    """Say the shapes of a single input that are not the same; Keras says it with numbers and names of its own."""
    leaves, inputs = tree_leaves(sample), getattr(model, "inputs", None) or []
    if len(leaves) != 1 or len(inputs) != 1:
        return
    wanted, given = tuple(inputs[0].shape[1:]), leaves[0].shape[1:]
    fits = len(wanted) == len(given) and all(one in (None, other) for one, other in zip(wanted, given, strict=True))
    if not fits:
        one, other = (", ".join(["rows", *map(str, shape)]) for shape in (wanted, given))
        raise InputError(f"The model '{model.name}' takes x of the shape ({one}). Got ({other}).")


def _one_line(text: str) -> str:
    """Return a text of Keras without its colours and line breaks, and not all of it."""
    return " ".join(re.sub("\x1b\\[[0-9;]*m", "", text).split())[:200]


def labels_of_loss(targets: Any, loss: Loss) -> tuple[np.ndarray, str]:
    """What folds are stratified by: classes where the loss compares classes of one target, else nothing."""
    if not isinstance(targets, np.ndarray):
        return np.arange(len(tree_leaves(targets)[0])), "regression"
    flat = targets.reshape(len(targets), -1)
    if flat.shape[1] == 1 and "crossentropy" in loss.name.lower().replace(" ", "") and (flat == flat.round()).all():
        return flat[:, 0].astype(int), "classification"
    if targets.ndim == 2 and flat.shape[1] > 1 and ((flat == 0) | (flat == 1)).all() and (flat.sum(axis=1) == 1).all():
        return flat.argmax(axis=1), "classification"
    return flat[:, 0], "regression"


def _summary(data: ModelData, arrays: Arrays) -> dict[str, Any]:
    network = data.network
    parameters = int(sum(np.prod(v.shape) for v in network.copy.trainable_variables))
    return {
        "model": data.opened.model.name,
        "parameters": parameters,
        "kernels": len(network.kernels),
        "dropout_places": len(network.places),
        "rows": arrays.rows,
        "inputs": [list(leaf.shape[1:]) for leaf in tree_leaves(arrays.inputs)],
        "targets": [list(leaf.shape[1:]) for leaf in tree_leaves(arrays.targets)],
        "weights": data.weights,
        "own_regularization": list(network.own.names),
        "in_every_network": list(network.always),
    }

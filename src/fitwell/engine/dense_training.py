"""Training of dense networks in NumPy, written out: forward, backward, Adam, and what regularizers do in a step.

The networks of S strengths on one row set see the same batch and the same noise. Their weights are rows of one array
[S, P], so that Adam is a few operations on all of them; a matrix product is one product for each strength, so that a
network equals itself trained alone, bit for bit. Whoever calls holds BLAS to one thread, and gives each thread a
`Scratch` of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fitwell.engine import plain_noise
from fitwell.engine.input_groups import InputGroups
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.engine.plain_losses import PlainLoss
from fitwell.engine.plain_noise import LEVELS, Words

B1, B2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's (Kingma and Ba 2015)."""

CHUNK, LEAST_WIDTH = 2**16, 2**13
"""Numbers that a step of Adam works on at a time, so that they stay in the cache; but rows shorter than a few thousand
numbers cost NumPy several times as much for each."""

EVALUATED_ROWS = 256
"""Rows whose losses are computed at a time."""


class Scratch:
    """Arrays for one thread's intermediate results, allocated when first asked for."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[Any, np.dtype], np.ndarray] = {}

    def array(self, name: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an array of that name; what was in it is lost."""
        size, key = math.prod(shape), (name, np.dtype(dtype))
        if key not in self._arrays or self._arrays[key].size < size:
            self._arrays[key] = np.empty(size, dtype)
        return self._arrays[key][:size].reshape(shape)

    def positions(self, count: int) -> np.ndarray:
        """Return 0 to `count` - 1, uint32."""
        key = ("positions", np.dtype(np.uint32))
        if key not in self._arrays or self._arrays[key].size < count:
            self._arrays[key] = np.arange(count, dtype=np.uint32)
        return self._arrays[key][:count]


@dataclass(frozen=True)
class WeightLayout:
    """Where the weights of a dense network stand in a row of P numbers: kernels, biases, perhaps scales of the inputs.

    Attributes
    ----------
    sizes
        Widths from inputs to outputs.
    scaled
        Whether there are scales, see `DenseNetwork`.
    """

    sizes: tuple[int, ...]
    scaled: bool = False

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Of the kernels, [units out, units in]."""
        return tuple(zip(self.sizes[1:], self.sizes[:-1], strict=True))

    @cached_property
    def kernels(self) -> tuple[slice, ...]:
        """Places of the kernels."""
        return _one_after_another([out * into for out, into in self.shapes], 0)

    @cached_property
    def biases(self) -> tuple[slice, ...]:
        """Places of the biases."""
        return _one_after_another([out for out, _ in self.shapes], self.kernels[-1].stop)

    @cached_property
    def scales(self) -> slice:
        """Place of the scales, empty if there are none."""
        start = self.biases[-1].stop
        return slice(start, start + self.sizes[0] * self.scaled)

    @property
    def count(self) -> int:
        """P."""
        return self.scales.stop

    def layers(self, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return views of weights [..., P]: kernel [..., units out, units in] and bias [..., units out, 1] by layer."""
        lead = weights.shape[:-1]
        return [
            (weights[..., kernel].reshape(*lead, *shape), weights[..., bias].reshape(*lead, shape[0], 1))
            for kernel, bias, shape in zip(self.kernels, self.biases, self.shapes, strict=True)
        ]

    def variables(self, weights: np.ndarray) -> Variables:
        """Return views of weights [..., P] as `DenseNetwork`'s variables."""
        layers: list[dict[str, Any]] = [{"kernel": kernel, "bias": bias} for kernel, bias in self.layers(weights)]
        if self.scaled:
            layers.append({"scales": weights[..., None, self.scales]})
        return Variables(layers, ())

    def joined(self, variables: Variables) -> np.ndarray:
        """Return weights [..., P] of `DenseNetwork`'s variables [..., units out, units in], a copy."""
        layers, ends = variables.trainable[: len(self.shapes)], variables.trainable[len(self.shapes) :]
        parts = [layer[name] for name in ("kernel", "bias") for layer in layers] + [end["scales"] for end in ends]
        lead = parts[0].shape[:-2]
        # parts that are views of others, as of some strengths, may lie otherwise, and what is made of them with them
        return np.ascontiguousarray(np.concatenate([part.reshape(*lead, -1) for part in parts], axis=-1))


def _one_after_another(counts: list[int], start: int) -> tuple[slice, ...]:
    ends = np.cumsum([start, *counts]).tolist()
    return tuple(slice(begin, end) for begin, end in itertools.pairwise(ends))


def drawn_weights(network: DenseNetwork, key: Words, dtype: np.dtype) -> np.ndarray:
    """Return what `DenseNetwork.init` draws, [P]."""
    layout = WeightLayout(network.sizes, network.scaled)
    weights = np.zeros(layout.count, dtype)
    weights[layout.scales] = 1
    for number, (kernel, _) in enumerate(layout.layers(weights)):
        bound = np.sqrt(6 / kernel.shape[1]) * (network.output_scale if number == len(network.hidden) else 1.0)
        unit = plain_noise.plain_uniform(plain_noise.folded(key, number), kernel.shape, dtype)
        kernel[:] = (2 * unit - 1) * dtype.type(bound)
    return weights


def _relu(values: np.ndarray, slope: np.ndarray | None, scratch: Scratch) -> None:
    # several times faster than the maximum with 0
    positive = np.greater(values, 0, out=scratch.array("positive", values.shape, bool))
    if slope is None:
        np.multiply(values, positive, out=values)
    else:
        np.copyto(slope, positive)
        values *= slope


def _tanh(values: np.ndarray, slope: np.ndarray | None, scratch: Scratch) -> None:
    del scratch
    np.tanh(values, out=values)
    if slope is not None:
        np.subtract(1, values * values, out=slope)


def _silu(values: np.ndarray, slope: np.ndarray | None, scratch: Scratch) -> None:
    del scratch
    sigmoid = 1 / (1 + np.exp(-values))
    if slope is not None:
        np.multiply(sigmoid, 1 + values * (1 - sigmoid), out=slope)
    values *= sigmoid


Activation = Callable[[np.ndarray, np.ndarray | None, Scratch], None]

ACTIVATIONS_AND_SLOPES: Mapping[str, Activation] = {"relu": _relu, "tanh": _tanh, "silu": _silu}
"""``f(values, slope, scratch)`` puts values in the place of what they are of, and writes slopes where asked for."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """Columns of the weights [S, P] that a step treats alike; strengths are [S, 1], None where all are zero.

    `pace` is by how many times the step is longer, None where it is not.
    """

    columns: slice
    l1: np.ndarray | None = None
    l2: np.ndarray | None = None
    decay: np.ndarray | None = None
    pace: np.ndarray | None = None


class DenseTraining:
    """Trains the networks of some strengths on one row set at a time; has no state but the strengths.

    Parameters
    ----------
    network, loss
        The architecture, and what is minimised.
    strengths
        Regularizer's name to an array [S], or [S, L] with a number for each of its places.
    rates
        Learning rates [S].
    dtype
        Of the weights.
    """

    def __init__(
        self,
        network: DenseNetwork,
        loss: PlainLoss,
        strengths: Mapping[str, np.ndarray],
        rates: np.ndarray,
        dtype: np.dtype,
    ) -> None:
        self.network, self.loss, self.dtype = network, loss, dtype
        self.layout = WeightLayout(network.sizes, network.scaled)
        self.rates = np.asarray(rates, dtype)[:, None]
        self._activation = ACTIVATIONS_AND_SLOPES[network.activation]
        # what is zero for all is left out: the numbers are the same, and it costs nothing
        acting = {name: np.asarray(values, dtype) for name, values in strengths.items() if np.any(values)}
        # where no scale is learned all of them are 1, and multiply nothing
        self._learns_scales = network.scaled and "input_scaling" in acting
        self._paces = acting.get("input_scaling", np.zeros(len(rates), dtype)).reshape(len(rates), 1)
        self._pieces = self._cut(acting)
        shrunk = acting.get("l1_inputs", np.zeros(0, dtype)).reshape(-1, 1)
        self._shrunk = np.flatnonzero(shrunk)
        self._groups = InputGroups(network) if len(self._shrunk) else None
        self._thresholds = shrunk[self._shrunk]
        self._unit_dropout = self._dropout(acting.get("dropout"), len(network.hidden))
        self._weight_dropout = self._dropout(acting.get("weight_dropout"), len(network.hidden) + 1)

    def epoch(
        self,
        weights: np.ndarray,
        means: np.ndarray,
        squares: np.ndarray,
        taken: int,
        factors: np.ndarray,
        inputs: np.ndarray,
        targets: np.ndarray,
        order: np.ndarray,
        batch_size: int,
        key: Words,
        scratch: Scratch,
        weight: np.ndarray | None = None,
        earlier: int = 0,
    ) -> None:
        """Take a step for each of the learning rates' factors, with one batch of `order` after another.

        Parameters
        ----------
        weights, means, squares
            [S, P], changed in place; Adam's moments are kept divided by ``1 - b1`` and ``1 - b2``.
        taken
            Steps before these.
        inputs, targets
            [n, d] and [n].
        order
            Numbers of rows; where it ends it begins anew: row sets that differ by a row share one number of steps, and
            no batch is short.
        key
            Of the epoch's noise.
        weight
            Of each row, [n]; None is 1.
        earlier
            Those of them that the same epoch took: its noise goes on from there.
        """
        for number, factor in enumerate(factors):
            rows = order.take(np.arange(number * batch_size, (number + 1) * batch_size), mode="wrap")
            count, batch = taken + number + 1, (inputs[rows], targets[rows])
            noise = plain_noise.folded(key, 1 + earlier + number)
            mine = None if weight is None else weight[rows]
            self.step(weights, means, squares, count, factor, *batch, noise, scratch, mine)

    def step(
        self,
        weights: np.ndarray,
        means: np.ndarray,
        squares: np.ndarray,
        count: int,
        factor: float,
        inputs: np.ndarray,
        targets: np.ndarray,
        key: Words,
        scratch: Scratch,
        weight: np.ndarray | None = None,
    ) -> None:
        """Take one step, the `count`-th counted from 1, with a batch: inputs [rows, d], targets and `weight` [rows]."""
        gradient = scratch.array("gradient", weights.shape, self.dtype)
        self._backpropagate(weights, gradient, inputs, targets, weight, key, scratch)
        self._move(weights, gradient, means, squares, count, self.rates * self.dtype.type(factor), scratch)

    def outputs(self, weights: np.ndarray, inputs: np.ndarray, scratch: Scratch) -> np.ndarray:
        """Return raw outputs [S, k, rows] without noise, of at most `EVALUATED_ROWS` rows; they are scratch."""
        values = inputs.T
        for number, (kernel, bias) in enumerate(self.layout.layers(weights)):
            if number == 0 and self.network.scaled:
                kernel = self._scaled(kernel, weights, scratch)
            shape = (len(kernel), kernel.shape[1], len(inputs))
            out = scratch.array(("seen", number), shape, self.dtype)
            np.matmul(kernel, values, out=out)
            out += bias
            if number < len(self.network.hidden):
                self._activation(out, None, scratch)
            values = out
        return values

    def _backpropagate(
        self,
        weights: np.ndarray,
        gradient: np.ndarray,
        inputs: np.ndarray,
        targets: np.ndarray,
        weight: np.ndarray | None,
        key: Words,
        scratch: Scratch,
    ) -> None:
        """Write the gradient of the mean of weight times loss; penalties are added in `_move`."""
        layers, gradients = self.layout.layers(weights), self.layout.layers(gradient)
        last = len(layers) - 1
        kernels, factors = self._perturbed([kernel for kernel, _ in layers], key, scratch)
        unscaled = kernels[0]
        if self._learns_scales:
            kernels = [self._scaled(unscaled, weights, scratch), *kernels[1:]]
        values, slopes = [inputs.T], []
        for number, (kernel, (_, bias)) in enumerate(zip(kernels, layers, strict=True)):
            shape = (len(kernel), kernel.shape[1], len(inputs))
            out = scratch.array(("values", number), shape, self.dtype)
            np.matmul(kernel, values[-1], out=out)
            out += bias
            if number < last:
                slope = scratch.array(("slope", number), shape, self.dtype)
                self._activation(out, slope, scratch)
                self._drop_units(out, slope, number, key, scratch)
                slopes.append(slope)
            values.append(out)
        ones = np.ones((len(inputs), 1), self.dtype)
        way = scratch.array(("way", last), values[-1].shape, self.dtype)
        self.loss.slope(values[-1], targets, way)
        if weight is not None:
            way *= weight
        for number in range(last, -1, -1):
            by_kernel, by_bias = gradients[number]
            np.matmul(way, values[number].swapaxes(-1, -2), out=by_kernel)
            # a product, which is faster than a sum; of one strength, as all of them
            np.matmul(way, ones, out=by_bias)
            if number == 0 and self._learns_scales:
                products = np.multiply(by_kernel, unscaled, out=scratch.array("by scale", by_kernel.shape, self.dtype))
                products.sum(axis=-2, out=gradient[:, self.layout.scales])
                gradient[:, self.layout.scales] *= self._paces > 0  # whose scales stay has no moments of them either
                by_kernel *= weights[:, None, self.layout.scales]
            if factors:
                by_kernel *= factors[number]
            if number:
                below = scratch.array(("way", number - 1), slopes[number - 1].shape, self.dtype)
                np.matmul(kernels[number].swapaxes(-1, -2), way, out=below)
                below *= slopes[number - 1]
                way = below

    def _scaled(self, kernel: np.ndarray, weights: np.ndarray, scratch: Scratch) -> np.ndarray:
        """Multiply the first kernels [S, units, d] by the scales of the inputs."""
        out = scratch.array("scaled kernel", kernel.shape, self.dtype)
        return np.multiply(kernel, weights[:, None, self.layout.scales], out=out)

    def _perturbed(
        self, kernels: list[np.ndarray], key: Words, scratch: Scratch
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Drop weights: what the step sees in place of the kernels, and the factors by which they were multiplied."""
        if self._weight_dropout is None:
            return kernels, []
        key, seen, factors = plain_noise.folded(key, 1), [], []
        for number, kernel in enumerate(kernels):
            # among the leaves of the variables a layer's bias comes before its kernel
            levels = _draw(plain_noise.folded(key, 2 * number + 1), kernel.shape[1:], scratch)
            factor = scratch.array(("kept", number), kernel.shape, self.dtype)
            self._weight_dropout(number, levels, factor, scratch)
            seen.append(np.multiply(kernel, factor, out=scratch.array(("kernel", number), kernel.shape, self.dtype)))
            factors.append(factor)
        return seen, factors

    def _drop_units(self, values: np.ndarray, slope: np.ndarray, number: int, key: Words, scratch: Scratch) -> None:
        if self._unit_dropout is None:
            return
        levels = _draw(plain_noise.folded(key, 2 + number), values.shape[1:], scratch)
        factor = scratch.array("factor", values.shape, self.dtype)
        self._unit_dropout(number, levels, factor, scratch)
        values *= factor
        slope *= factor

    def _dropout(self, rates: np.ndarray | None, places: int) -> Callable[..., None] | None:
        """Return ``f(place, levels, out, scratch)``, which writes 0 for what is dropped, else 1 / (1 - rate)."""
        if rates is None:
            return None
        thresholds, inverse = (a.T[:, :, None, None] for a in kept_levels(rates, places))

        def write(place: int, levels: np.ndarray, out: np.ndarray, scratch: Scratch) -> None:
            kept = scratch.array("is kept", out.shape, bool)
            np.less(levels, thresholds[place], out=kept)
            np.copyto(out, kept)
            out *= inverse[place]

        return write

    def _move(
        self,
        weights: np.ndarray,
        gradient: np.ndarray,
        means: np.ndarray,
        squares: np.ndarray,
        count: int,
        rates: np.ndarray,
        scratch: Scratch,
    ) -> None:
        """Take Adam's step and the regularizers': L2 is in the gradient, decay before the step, L1 after it."""
        root = math.sqrt((1 - B2) / (1 - B2**count))
        per_unit = rates * self.dtype.type(1 / root)  # of the gradient's moments, as they are kept
        pace = per_unit * self.dtype.type((1 - B1) / (1 - B1**count))
        for piece in self._pieces:
            w, g, mean, square = (a[:, piece.columns] for a in (weights, gradient, means, squares))
            other = scratch.array("other", w.shape, self.dtype)
            if piece.l2 is not None:
                g += np.multiply(w, piece.l2, out=other)
            mean *= B1
            mean += g
            np.multiply(g, g, out=g)
            square *= B2
            square += g
            np.sqrt(square, out=other)
            other += EPSILON / root
            if piece.decay is not None:
                w *= 1 - rates * piece.decay
            np.divide(mean, other, out=g)
            g *= pace if piece.pace is None else pace * piece.pace
            w -= g
            if piece.l1 is not None:
                _soft_threshold(w, np.divide(per_unit * piece.l1, other, out=other), g)

        if self._groups is not None:
            self._shrink_inputs(self._groups, weights, squares, root, rates)

    def _shrink_inputs(
        self, groups: InputGroups, weights: np.ndarray, squares: np.ndarray, root: float, rates: np.ndarray
    ) -> None:
        """Pull whole columns to zero, in the first kernels of the networks whose strength is above it."""
        columns, shape = self.layout.kernels[0], (len(self._shrunk), *self.layout.shapes[0])
        kernels, bend = (a[self._shrunk, columns].reshape(shape) for a in (weights, squares))
        np.sqrt(bend, out=bend)
        bend *= self.dtype.type(root)
        bend += self.dtype.type(EPSILON)
        groups.shrink(kernels, bend, rates[self._shrunk] * self._thresholds)
        weights[self._shrunk, columns] = kernels.reshape(len(self._shrunk), -1)

    def _cut(self, acting: Mapping[str, np.ndarray]) -> list[_Piece]:
        """Columns in which every network has one strength, few enough for the cache."""
        names = {"l1": acting.get("l1"), "l2": acting.get("l2"), "decay": acting.get("weight_decay")}
        if names["l2"] is not None:
            names["l2"] = 2 * names["l2"]  # the derivative's
        kernels, biases = self.layout.kernels, self.layout.biases
        by_layer = any(values is not None and values.ndim == 2 for values in names.values())
        places = list(kernels) if by_layer else [slice(0, kernels[-1].stop)]
        pieces = []
        for place, columns in enumerate(places):
            here = {name: _column(values, place) for name, values in names.items() if values is not None}
            pieces += [_Piece(part, **here) for part in self._chunks(columns)]
        pieces += [_Piece(part) for part in self._chunks(slice(biases[0].start, biases[-1].stop))]
        if self._learns_scales:
            pieces.append(_Piece(self.layout.scales, pace=self._paces))
        return pieces

    def _chunks(self, columns: slice) -> list[slice]:
        width = max(LEAST_WIDTH, CHUNK // len(self.rates))
        return [slice(at, min(at + width, columns.stop)) for at in range(columns.start, columns.stop, width)]


def kept_levels(rates: np.ndarray, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Return below which level of noise a unit or weight stays, and by what it is then multiplied, both [S, places].

    `rates` are [S] or [S, places]. As whole numbers, ``level < threshold`` is ``noise < 1 - rate`` of the fractions.
    """
    keep = np.broadcast_to((1 - rates).reshape(len(rates), -1), (len(rates), places))
    return np.ceil(keep.astype(float) * LEVELS).astype(np.uint32), 1 / keep


def _column(values: np.ndarray, place: int) -> np.ndarray:
    return values[:, [place]] if values.ndim == 2 else values[:, None]


def _draw(key: Words, shape: tuple[int, ...], scratch: Scratch) -> np.ndarray:
    """Draw noise of one network's shape, the same for all strengths."""
    count = math.prod(shape)
    out, other = (scratch.array(name, (count,), np.uint32) for name in ("levels", "mixing"))
    return plain_noise.draw_levels(key, scratch.positions(count), out, other).reshape(shape)


def _soft_threshold(kernel: np.ndarray, threshold: np.ndarray, scratch: np.ndarray) -> None:
    np.abs(kernel, out=scratch)
    scratch -= threshold
    np.maximum(scratch, 0, out=scratch)
    np.copysign(scratch, kernel, out=kernel)

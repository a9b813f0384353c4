from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras
from fitwell.keras import convolutions
from fitwell.keras.convolutions import PATCH_BYTES, batched_call, networks_at_once, patch_elements
from keras import layers

# layer, its arguments, shape of its inputs
CASES: list[tuple[type, dict[str, Any], tuple[int, ...]]] = [
    (layers.Conv1D, {"filters": 3, "kernel_size": 3}, (2, 9, 2)),
    (layers.Conv1D, {"filters": 3, "kernel_size": 4, "strides": 2, "padding": "same"}, (2, 9, 2)),
    (layers.Conv1D, {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, (2, 9, 2)),
    (layers.Conv1D, {"filters": 3, "kernel_size": 3, "padding": "causal", "strides": 2}, (2, 9, 2)),
    (layers.Conv1D, {"filters": 3, "kernel_size": 3, "data_format": "channels_first"}, (2, 2, 9)),
    (
        layers.Conv1D,
        {"filters": 3, "kernel_size": 3, "padding": "causal", "data_format": "channels_first"},
        (2, 2, 9),
    ),
    (layers.Conv2D, {"filters": 3, "kernel_size": 3, "activation": "relu"}, (2, 6, 7, 2)),
    (layers.Conv2D, {"filters": 3, "kernel_size": 1, "use_bias": False}, (2, 6, 7, 2)),
    (layers.Conv2D, {"filters": 3, "kernel_size": (2, 4), "strides": (3, 2), "padding": "same"}, (2, 6, 7, 2)),
    (layers.Conv2D, {"filters": 3, "kernel_size": (2, 3), "strides": (1, 3)}, (2, 6, 8, 2)),
    (layers.Conv2D, {"filters": 3, "kernel_size": 3, "padding": "same", "dilation_rate": (2, 1)}, (2, 6, 7, 2)),
    (layers.Conv2D, {"filters": 6, "kernel_size": 3, "groups": 2, "padding": "same"}, (2, 6, 7, 4)),
    (layers.Conv2D, {"filters": 6, "kernel_size": 2, "groups": 3, "strides": 2}, (2, 6, 7, 3)),
    (
        layers.Conv2D,
        {"filters": 4, "kernel_size": 3, "groups": 2, "data_format": "channels_first", "activation": "softmax"},
        (2, 4, 6, 7),
    ),
    (layers.Conv3D, {"filters": 3, "kernel_size": 2, "strides": 2, "padding": "same"}, (2, 5, 4, 3, 2)),
    (layers.Conv3D, {"filters": 3, "kernel_size": (1, 2, 3), "data_format": "channels_first"}, (2, 2, 3, 4, 5)),
    (layers.DepthwiseConv1D, {"kernel_size": 3, "depth_multiplier": 2, "strides": 2}, (2, 9, 3)),
    (layers.DepthwiseConv1D, {"kernel_size": 3, "padding": "same", "dilation_rate": 2}, (2, 9, 3)),
    (layers.DepthwiseConv2D, {"kernel_size": (2, 3), "depth_multiplier": 3, "padding": "same"}, (2, 6, 7, 2)),
    (layers.DepthwiseConv2D, {"kernel_size": 3, "strides": 2, "activation": "tanh"}, (2, 6, 7, 2)),
    (
        layers.DepthwiseConv2D,
        {"kernel_size": 3, "depth_multiplier": 2, "data_format": "channels_first"},
        (2, 2, 6, 7),
    ),
    (layers.SeparableConv1D, {"filters": 3, "kernel_size": 3, "depth_multiplier": 2}, (2, 9, 2)),
    (layers.SeparableConv2D, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 6, 7, 2)),
    (layers.SeparableConv2D, {"filters": 3, "kernel_size": 2, "data_format": "channels_first"}, (2, 2, 6, 7)),
    (layers.MaxPooling1D, {"pool_size": 3}, (2, 8, 3)),
    (layers.MaxPooling2D, {"pool_size": (2, 3)}, (2, 6, 7, 2)),
    (layers.MaxPooling2D, {"pool_size": 2, "data_format": "channels_first"}, (2, 2, 5, 6)),
    (layers.MaxPooling3D, {"pool_size": 2}, (2, 5, 4, 3, 2)),
]
NAMES = [f"{kind.__name__}-{'-'.join(str(value) for value in options.values())}" for kind, options, _ in CASES]


def built(kind: type, options: dict[str, Any], shape: tuple[int, ...], dtype: str) -> Any:
    """Random weights, the bias too: zeros would hide a bias left out."""
    layer = kind(dtype=dtype, **options)
    for name in ("kernel_initializer", "depthwise_initializer", "pointwise_initializer"):
        if hasattr(layer, name):
            setattr(layer, name, keras.initializers.Zeros())  # random ones would be compiled for each shape
    layer.build(shape)
    rng = np.random.default_rng(0)
    for variable in layer.weights:
        variable.assign(rng.normal(size=variable.shape).astype(dtype))
    return layer


def weights(layer: Any) -> list[jax.Array]:
    return [jnp.asarray(variable.value) for variable in layer.trainable_variables]


def apply(layer: Any, call: Callable[[Any], Any], own: list[Any], inputs: Any) -> Any:
    """Call with these variables, as `stateless_call` does."""
    with keras.StatelessScope(state_mapping=list(zip(layer.trainable_variables, own, strict=True))):
        return call(inputs)


def values_and_gradients(layer: Any, call: Callable[[Any], Any], own: list[Any], inputs: Any) -> Any:
    """Outputs, and gradients of a sum of them, each weighted otherwise, by variables and inputs."""
    outputs, pull = jax.vjp(lambda own, x: apply(layer, call, own, x), own, inputs)
    return outputs, pull(jnp.cos(jnp.arange(outputs.size, dtype=outputs.dtype)).reshape(outputs.shape))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without optimization: most of these tests' time is compilation."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def agree(kind: type, options: dict[str, Any], shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> None:
    """Fail unless the layer's own call and ours are equal in values and all gradients."""
    layer = built(kind, options, shape, dtype)
    call = batched_call(layer)
    assert call is not None
    # rounded and cut off at zero: many values are equal, as after a ReLU
    inputs = np.random.default_rng(seed).normal(size=shape).round(1).clip(0).astype(dtype)
    both = compiled(lambda own, x: [values_and_gradients(layer, each, own, x) for each in (layer.call, call)])
    expected, found = both(weights(layer), inputs)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    found, expected = jax.device_get((found, expected))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max())))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("kind", "options", "shape"), CASES, ids=NAMES)
def test_equal_to_keras_in_float64(kind: type, options: dict[str, Any], shape: tuple[int, ...], seed: int) -> None:
    """Values and gradients by inputs, kernels and bias are those of the layer's own call."""
    agree(kind, options, shape, seed=seed)


@pytest.mark.parametrize(("kind", "options", "shape"), CASES[::9], ids=NAMES[::9])
def test_equal_to_keras_in_float32(kind: type, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    """The same in the precision that networks train in, of the same dtype."""
    agree(kind, options, shape, "float32")


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=6)
def test_equal_to_keras_for_any_shape(data: st.DataObject) -> None:
    """Lengths, kernels, strides, dilations and paddings agree, odd and even, and kernels as wide as the inputs."""
    size = data.draw(st.integers(1, 5))
    dilated = data.draw(st.booleans())  # Keras allows strides or dilation, not both
    options = {
        "filters": data.draw(st.integers(1, 3)),
        "kernel_size": size,
        "strides": 1 if dilated else data.draw(st.integers(1, 4)),
        "dilation_rate": data.draw(st.integers(1, 3)) if dilated else 1,
        "padding": data.draw(st.sampled_from(["valid", "same", "causal"])),
    }
    length = (size - 1) * options["dilation_rate"] + 1 + data.draw(st.integers(0, 6))
    shape = (data.draw(st.integers(1, 2)), length, data.draw(st.integers(1, 3)))
    with jax.enable_x64(True):
        agree(layers.Conv1D, options, shape)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("number", [6, 11, 18, 22], ids=lambda number: NAMES[number])
def test_lifted_twice_equals_a_loop(number: int) -> None:
    """Under two nested `vmap`s, the inputs shared by the inner one, each network gets what it gets alone."""
    kind, options, shape = CASES[number]
    layer = built(kind, options, shape, "float64")
    call = batched_call(layer)
    assert call is not None
    rng = np.random.default_rng(1)
    own = [rng.normal(size=(2, 3, *variable.shape)) for variable in layer.trainable_variables]
    inputs = rng.normal(size=(2, *shape))
    lifted = jax.vmap(lambda v, x: values_and_gradients(layer, call, v, x), (0, None))
    together = compiled(jax.vmap(lifted, 0))(own, inputs)
    alone = compiled(lambda v, x: values_and_gradients(layer, layer.call, v, x))
    for r, g in np.ndindex(2, 3):
        expected = alone([value[r, g] for value in own], inputs[r])
        mine = jax.tree.map(lambda value, r=r, g=g: value[r, g], together)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11), mine, expected)


def test_mixed_precision_casts_as_keras_does() -> None:
    """In the layer's own ``__call__`` the weights are cast as Keras casts them: bfloat16 from float32 variables."""
    layer = built(layers.Conv2D, {"filters": 3, "kernel_size": 3}, (2, 6, 7, 2), "float32")
    mixed: Any = layers.Conv2D(3, 3, dtype="mixed_bfloat16")
    mixed.build((2, 6, 7, 2))
    mixed.set_weights(layer.get_weights())
    inputs = np.random.default_rng(0).normal(size=(2, 6, 7, 2)).astype("float32")
    expected = mixed(inputs)
    mixed.call = batched_call(mixed)
    found = mixed(inputs)
    assert found.dtype == expected.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype("float32"), expected.astype("float32"), rtol=0.02, atol=0.05)


def test_the_largest_of_a_window_with_nan_is_nan() -> None:
    """A diverged network stays visible behind a pooling, wherever in the window the NaN stands."""
    layer = layers.MaxPooling1D(3)
    call = batched_call(layer)
    assert call is not None
    for place in range(3):
        inputs = np.arange(6, dtype="float32").reshape(1, 6, 1)
        inputs[0, place] = np.nan
        np.testing.assert_array_equal(call(inputs), layer.call(inputs))
        assert np.isnan(call(inputs)[0, 0, 0])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("number", [1, 8, 22], ids=lambda number: NAMES[number])
def test_a_padding_moved_by_one_is_seen(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deliberate break: the same padding with its odd cell on the other side does not pass."""
    honest = convolutions._pads
    monkeypatch.setattr(convolutions, "_pads", lambda *args: [(high, low) for low, high in honest(*args)])
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*CASES[number])


@pytest.mark.usefixtures("float64")
def test_a_gradient_to_another_of_equal_values_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deliberate break: the last instead of the first of equal values gives the same pooling, not its gradient."""
    monkeypatch.setattr(convolutions, "_larger", lambda a, b: jnp.where(b >= a, b, a))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(layers.MaxPooling2D, {"pool_size": 2}, (2, 6, 7, 2))


class OwnConvolution(layers.Conv2D):
    """Calls otherwise than its parent."""

    def call(self, inputs: Any) -> Any:
        """Give twice what its parent does."""
        return keras.ops.multiply(2, super().call(inputs))


@pytest.mark.parametrize(
    "layer",
    [
        OwnConvolution(2, 3),
        layers.Conv2DTranspose(2, 3),
        layers.Dense(2),
        layers.AveragePooling2D(2),
        layers.MaxPooling2D(3, strides=2),
        layers.MaxPooling2D(2, padding="same"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_none_for_what_is_not_known(layer: Any) -> None:
    """A class of its own may call otherwise; transposed convolutions and overlapping windows stay Keras's."""
    assert batched_call(layer) is None
    assert patch_elements(layer, (2, 6, 6, 2)) == 0


def test_patches_are_counted() -> None:
    """32 rows, 11 by 11 places, 9 offsets of 16 channels, wherever the channels stand."""
    count = 32 * 11 * 11 * 9 * 16
    assert patch_elements(layers.Conv2D(32, 3), (32, 13, 13, 16)) == count
    assert patch_elements(layers.Conv2D(32, 3, data_format="channels_first"), (32, 16, 13, 13)) == count


def test_as_many_networks_at_once_as_the_cache_holds() -> None:
    """No more patches than the bound, never less than one network, and any number without patches."""
    assert networks_at_once(PATCH_BYTES // 4 // 3) == 3
    assert networks_at_once(PATCH_BYTES // 4 // 3, itemsize=8) == 1
    assert networks_at_once(PATCH_BYTES) == 1
    assert networks_at_once(0) == PATCH_BYTES

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fitwell.keras.layers
import keras
from fitwell.errors import InputError
from fitwell.keras.layers import Dense, Dropout

Make = Callable[..., Any]
BAD_RATES = [-0.1, -1e-50, 1, 1.2, 0.99999999, float("nan"), float("inf"), "half", None, True, np.True_, [0.1]]
DENSE = pytest.param(Dense, "dropout_rate", id="Dense")
DROPOUT = pytest.param(Dropout, "rate", id="Dropout")


def make(kind: Make, rate: float, **options: Any) -> Any:
    """One layer of either kind."""
    return kind(3, dropout_rate=rate, **options) if kind is Dense else kind(rate, **options)


def built_dense(rate: float, rows: int = 20, units: int = 30, **options: Any) -> Any:
    """A layer without bias whose kernel has no zero."""
    layer = Dense(units, use_bias=False, dropout_rate=rate, **{"seed": 0, **options})
    layer.build((None, rows))
    layer.set_weights([np.random.default_rng(0).uniform(1, 2, (rows, units)) * np.where(np.arange(units) % 2, 1, -1)])
    return layer


def kernel_seen(layer: Any) -> np.ndarray:
    """The kernel that one training step sees: the layer's output for the rows of the identity."""
    return np.asarray(layer(np.eye(layer.kernel.shape[0], dtype=layer.dtype), training=True))


def state_of(layer: Any) -> list[Any]:
    return [variable.value for variable in layer.non_trainable_variables]


def outputs_of_steps(layer: Any, inputs: np.ndarray, steps: int) -> np.ndarray:
    """Outputs [steps, ...] of so many training steps in a row."""
    trainable = [variable.value for variable in layer.trainable_variables]

    def step(state: list[Any], _: None) -> tuple[list[Any], Any]:
        outputs, state = layer.stateless_call(trainable, state, inputs, training=True)
        return state, outputs

    return np.asarray(jax.jit(lambda state: jax.lax.scan(step, state, length=steps)[1])(state_of(layer)))


def assert_share(dropped: np.ndarray, rate: float) -> None:
    """The share of what was dropped is `rate` within four standard errors of a binomial share."""
    assert abs(dropped.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / dropped.size)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_the_share_of_weights_set_to_zero(rate: float) -> None:
    """A rate of 0.1 zeroes 10 % of the kernel in a training step, all weights alike."""
    dropped = outputs_of_steps(built_dense(rate), np.eye(20, dtype=np.float32), 200) == 0
    assert_share(dropped, rate)
    # each weight's own share over the steps: 600 weights, so five standard errors
    assert np.abs(dropped.mean(axis=0) - rate).max() < 5 * np.sqrt(rate * (1 - rate) / 200)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_the_share_of_units_set_to_zero(rate: float) -> None:
    """A rate of 0.1 zeroes 10 % of the units in a training step."""
    assert_share(outputs_of_steps(Dropout(rate, seed=0), np.ones((20, 30), np.float32), 200) == 0, rate)


def test_the_share_would_show_another_rate() -> None:
    """The counterpart: a rate of 0.11 does not pass for one of 0.1."""
    with pytest.raises(AssertionError):
        assert_share(outputs_of_steps(built_dense(0.11), np.eye(20, dtype=np.float32), 200) == 0, 0.1)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_expected_output_is_that_of_the_whole_kernel(rate: float) -> None:
    """Averaged over steps, training gives what inference gives; without the scaling it would not."""
    layer = built_dense(rate)
    rows = np.random.default_rng(1).normal(size=(4, 20)).astype(np.float32)
    outputs = outputs_of_steps(layer, rows, 2000)
    error = outputs.std(axis=0) / np.sqrt(len(outputs))
    exact = np.asarray(layer(rows))
    # 120 outputs: four and a half standard errors
    assert np.all(np.abs(outputs.mean(axis=0) - exact) < 4.5 * error)
    assert not np.all(np.abs((1 - rate) * outputs.mean(axis=0) - exact) < 4.5 * error)


def test_gradients_flow_only_through_kept_weights() -> None:
    """A dropped weight's gradient is exactly zero, a kept one's is the scaled one."""
    layer, twin = built_dense(0.4), built_dense(0.4)
    rows = np.random.default_rng(1).uniform(1, 2, (4, 20)).astype(np.float32)
    state = state_of(layer)
    gradient = jax.grad(lambda kernel: layer.stateless_call([kernel], state, rows, training=True)[0].sum())(
        layer.kernel.value
    )
    kept = kernel_seen(twin) != 0
    assert 0 < kept.mean() < 1
    assert np.all(np.asarray(gradient)[~kept] == 0)
    expected = np.broadcast_to(rows.sum(axis=0)[:, None] / 0.6, kept.shape)
    np.testing.assert_allclose(np.asarray(gradient)[kept], expected[kept], rtol=1e-5)


@pytest.mark.parametrize("training", [None, False])
def test_inference_uses_all_weights(training: bool | None) -> None:
    """Outside of training, a layer of any rate gives the bits of plain Keras."""
    layer, plain = built_dense(0.7), keras.layers.Dense(30, use_bias=False)
    rows = np.random.default_rng(1).normal(size=(4, 20)).astype(np.float32)
    plain.build((None, 20))
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(rows, training=training), plain(rows))
    np.testing.assert_array_equal(Dropout(0.7)(rows, training=training), rows)


@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((5, 4), "float32", {"activation": "tanh"}),
        ((2, 3, 4), "float32", {"use_bias": False}),
        ((2, 3, 2, 4), "mixed_bfloat16", {"activation": "tanh"}),
        ((5, 4), "float16", {}),
    ],
)
def test_a_rate_of_zero_is_plain_keras(shape: tuple[int, ...], dtype: str, options: dict[str, Any]) -> None:
    """A rate of zero gives the bits of plain Keras in training, for every rank and type of number."""
    rows = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    layer, plain = Dense(3, dtype=dtype, **options), keras.layers.Dense(3, dtype=dtype, **options)
    expected = plain(rows)
    layer.build(shape)
    layer.set_weights(plain.get_weights())
    for training in (True, False):
        found = layer(rows, training=training)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    half = rows.astype(np.float16)
    np.testing.assert_array_equal(Dropout(0, dtype="float16")(half, training=True), half)


def fitted(layers: list[keras.layers.Layer], weights: list[np.ndarray] | None = None) -> list[np.ndarray]:
    """Weights after five epochs of plain Keras."""
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(40, 17)).astype(np.float32), rng.normal(size=(40, 3)).astype(np.float32)
    model: Any = keras.Sequential([keras.Input((17,)), *layers])
    model.set_weights(weights or [rng.normal(size=w.shape).astype(np.float32) / 4 for w in model.get_weights()])
    model.compile("adam", "mse")
    model.fit(rows, targets, epochs=5, batch_size=20, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
def test_a_fit_with_rate_zero_is_the_fit_of_plain_keras() -> None:
    """Five epochs with rates of zero give the bits of plain Keras; a rate of 0.1 gives others."""
    plain = fitted([keras.layers.Dense(9, "relu"), keras.layers.Dense(3)])
    ours = fitted([Dense(9, "relu"), Dropout(0.0), Dense(3)])
    other = fitted([Dense(9, "relu", dropout_rate=0.1), Dense(3)])
    for a, b, c in zip(plain, ours, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@given(
    rate=st.floats(0, 0.9990234375, width=16),
    shape=st.sampled_from([(1, 1), (1, 7), (7, 1), (5, 4)]),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=40)
def test_weights_are_zero_or_exactly_scaled(rate: float, shape: tuple[int, int], seed: int) -> None:
    """For every rate and shape, a step sees each weight as zero or as itself times 1 / (1 - rate), to the bit."""
    layer = built_dense(rate, *shape, seed=seed)
    seen, scale = kernel_seen(layer), np.float32(1) / (np.float32(1) - np.float32(rate))
    np.testing.assert_array_equal(seen[seen != 0], (layer.get_weights()[0] * scale)[seen != 0])
    dropped = np.asarray(Dropout(rate, seed=seed)(layer.get_weights()[0], training=True))
    np.testing.assert_array_equal(dropped, seen)


def test_wide_numbers_are_scaled_in_their_own_precision(float64: None) -> None:  # noqa: ARG001
    """A float64 layer scales by 1 / (1 - rate) in float64, not by a float32's rounding of it."""
    layer = built_dense(0.1, dtype="float64")
    seen = kernel_seen(layer)
    scaled = layer.get_weights()[0] * (1 / (1 - 0.1))
    np.testing.assert_allclose(seen[seen != 0], scaled[seen != 0], rtol=1e-15)
    assert layer.get_config()["dropout_rate"] == 0.1


def test_narrow_numbers_do_not_round_the_rate() -> None:
    """A bfloat16 layer, whose 0.002 would be lost in 1 - 0.002, still drops its 0.2 %."""
    layer = built_dense(0.002, 100, 100, dtype="bfloat16")
    assert layer.kernel.dtype == "bfloat16"
    assert_share(outputs_of_steps(layer, np.eye(100, dtype=np.float32), 20) == 0, 0.002)


def test_whole_numbers_are_scaled_too() -> None:
    """Units of an integer type are not rounded after the scaling."""
    assert set(np.unique(Dropout(0.2, seed=0)(np.ones((9, 9), np.int32), training=True))) == {0, 1.25}


def test_each_step_has_its_own_mask_and_each_seed_its_own_masks() -> None:
    """Two steps differ, two seeds differ, and a seed's masks come again."""
    layer, twin = built_dense(0.5, seed=7), built_dense(0.5, seed=7)
    steps = [kernel_seen(layer) for _ in range(2)]
    assert not np.array_equal(steps[0], steps[1])
    assert not np.array_equal(kernel_seen(built_dense(0.5, seed=8)), steps[0])
    for step in steps:
        np.testing.assert_array_equal(kernel_seen(twin), step)


def test_a_larger_rate_drops_a_superset() -> None:
    """The noise is that of the seed alone, so that rates are compared on the same draw."""
    kept = [kernel_seen(built_dense(rate)) != 0 for rate in (0.2, 0.5, 0.8)]
    assert np.all(kept[0] >= kept[1])
    assert np.all(kept[1] >= kept[2])


def test_all_inputs_of_a_step_see_the_same_kernel() -> None:
    """Inputs of any rank are multiplied by the one masked kernel, then come bias and activation."""
    rows = np.random.default_rng(1).normal(size=(2, 5, 3, 20)).astype(np.float32)
    expected = np.tanh(rows @ kernel_seen(built_dense(0.5)) + 0.5)
    layer = Dense(30, "tanh", bias_initializer=keras.initializers.Constant(0.5), dropout_rate=0.5, seed=0)
    layer.build(rows.shape)
    layer.set_weights([*built_dense(0.5).get_weights(), layer.get_weights()[1]])
    np.testing.assert_allclose(layer(rows, training=True), expected, rtol=1e-4, atol=1e-6)


def test_lora_trains_on_the_masked_sum() -> None:
    """With LoRA, weights of the sum are dropped, and the layer still runs."""
    layer = built_dense(0.5)
    layer.enable_lora(2)
    assert_share(kernel_seen(layer) == 0, 0.5)


@pytest.mark.parametrize("noise_shape", [(None, 1, 6), [5, 1, 6], (5, 1, None)])
def test_units_of_one_mask_fall_together(noise_shape: Any) -> None:
    """A noise shape of one step gives all steps of a sequence one mask."""
    seen = np.asarray(Dropout(0.5, noise_shape=noise_shape, seed=0)(np.ones((5, 4, 6), np.float32), training=True))
    np.testing.assert_array_equal(seen, np.broadcast_to(seen[:, :1], seen.shape))
    assert 0 < (seen == 0).mean() < 1


@pytest.mark.parametrize("noise_shape", ["ab", 3, (0, 2), (True, 2), (1.5,)])
def test_a_bad_noise_shape_is_named(noise_shape: Any) -> None:
    """What is no sequence of sizes is refused."""
    with pytest.raises(InputError) as caught:
        Dropout(0.5, noise_shape=noise_shape)
    expected = f"'noise_shape' must be a sequence of sizes, None for that of the input. Got {noise_shape!r}."
    assert str(caught.value) == expected


@pytest.mark.parametrize("bad", BAD_RATES, ids=repr)
@pytest.mark.parametrize(("kind", "argument"), [DENSE, DROPOUT])
def test_a_bad_rate_is_named(kind: Make, argument: str, bad: Any) -> None:
    """What is no number in [0, 1) is refused in one sentence, and the layer's rate stays."""
    sentence = f"'{argument}' must lie in [0, 1). Got {bad!r}."
    with pytest.raises(InputError) as caught:
        make(kind, bad)
    assert str(caught.value) == sentence
    layer = make(kind, 0.25)
    with pytest.raises(InputError) as caught:
        setattr(layer, argument, bad)
    assert str(caught.value) == sentence
    assert float(getattr(layer, argument)) == 0.25


@pytest.mark.parametrize("good", [0, 0.5, np.float32(0.5), np.array(0.25), np.int64(0)], ids=repr)
@pytest.mark.parametrize(("kind", "argument"), [DENSE, DROPOUT])
def test_numbers_of_all_kinds_are_rates(kind: Make, argument: str, good: Any) -> None:
    """Python's and NumPy's numbers are rates."""
    assert make(kind, good).get_config()[argument] == float(good)


def mean_output(_targets: Any, outputs: Any) -> Any:
    """A loss whose gradient in a kernel of zeros is the mask."""
    return keras.ops.mean(outputs, axis=-1)


def training_model(layer: Any) -> Any:
    """A compiled model in which a dropped weight, or a weight of a dropped unit, stays at zero."""
    after = [] if isinstance(layer, Dense) else [keras.layers.Dense(1, kernel_initializer="zeros")]
    model = keras.Sequential([keras.Input((3000,)), layer, *after])
    model.compile(keras.optimizers.SGD(1.0), mean_output)
    return model


def fit_and_see_dropped(model: Any) -> np.ndarray:
    """Fit one step from zero and say which weights did not move."""
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.fit(np.ones((1, 3000), np.float32), np.zeros((1, 1), np.float32), verbose=0)
    return model.get_weights()[0] == 0


@pytest.mark.parametrize(("kind", "argument"), [DENSE, DROPOUT])
@pytest.mark.parametrize("how", ["set", "assign"])
def test_a_changed_rate_acts_in_a_compiled_fit(kind: Make, argument: str, how: str) -> None:
    """After a fit with 0.1, a rate of 0.6 drops 60 %, without compiling anew."""
    layer = make(kind, 0.1, seed=0)
    model = training_model(layer)
    assert_share(fit_and_see_dropped(model), 0.1)
    compiled = model.train_function
    if how == "set":
        setattr(layer, argument, 0.6)
    else:
        getattr(layer, argument).assign(0.6)
    assert_share(fit_and_see_dropped(model), 0.6)
    assert model.train_function is compiled


def test_the_trap_is_real() -> None:
    """The counterpart: the rate of Keras's own Dropout is compiled in, and a change of it does nothing."""
    layer = keras.layers.Dropout(0.1, seed=0)
    model = training_model(layer)
    assert_share(fit_and_see_dropped(model), 0.1)
    layer.rate = 0.6
    unchanged = fit_and_see_dropped(model)
    assert_share(unchanged, 0.1)
    with pytest.raises(AssertionError):
        assert_share(unchanged, 0.6)


class SetAtBatchEnd(keras.callbacks.Callback):
    """Set the first layer's rate in the middle of an epoch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """After each batch."""
        model: Any = self.model
        model.layers[0].dropout_rate = 0.6


def test_a_callback_changes_the_rate_within_an_epoch() -> None:
    """Set through the callback's `model`, the rate of the next batch is another, and `fit` does not undo it."""
    model = training_model(Dense(3, dropout_rate=0.0, seed=0))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    rows = np.ones((2, 3000), np.float32)
    model.fit(rows, np.zeros((2, 1)), batch_size=1, callbacks=[SetAtBatchEnd()], verbose=0)
    assert_share(np.isclose(model.get_weights()[0], -1 / 3), 0.6)  # moved by the first batch only
    assert model.layers[0].get_config()["dropout_rate"] == 0.6


def small_model(dense: float = 0.3, dropout: float = 0.2) -> Any:
    """A functional model with both layers."""
    inputs = keras.Input((4,))
    hidden = Dense(6, "relu", kernel_regularizer="l2", dropout_rate=dense, seed=1, name="hidden")(inputs)
    outputs = Dense(2, dropout_rate=dense, name="last")(Dropout(dropout, seed=2, name="dropout")(hidden))
    return keras.Model(inputs, outputs)


def rates_of(model: Any) -> list[float]:
    return [
        model.get_layer("hidden").get_config()["dropout_rate"],
        model.get_layer("dropout").get_config()["rate"],
        model.get_layer("last").get_config()["dropout_rate"],
    ]


ROWS = np.random.default_rng(3).normal(size=(8, 4)).astype(np.float32)


def changed_model() -> Any:
    """A fitted model whose rates were changed after it was made."""
    model = small_model()
    model.compile("adam", "mse")
    model.fit(ROWS, np.ones((8, 2)), verbose=0)
    model.get_layer("hidden").dropout_rate = 0.1
    model.get_layer("dropout").rate = 0.45
    return model


@pytest.mark.slow
def test_files_keep_the_rates_of_the_moment(tmp_path: Path) -> None:
    """A `.keras` file gives back the changed rates, the weights and the bits of a prediction, and trains on."""
    model = changed_model()
    assert rates_of(model) == [0.1, 0.45, 0.3]
    model.save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras")
    assert rates_of(loaded) == rates_of(model)
    np.testing.assert_array_equal(loaded.predict(ROWS, verbose=0), model.predict(ROWS, verbose=0))
    loaded.fit(ROWS, np.ones((8, 2)), verbose=0)
    assert type(loaded.get_layer("hidden")) is Dense


def test_clones_have_the_rates_of_the_moment() -> None:
    """`clone_model` makes layers of the changed rates, each with a variable of its own."""
    model = changed_model()
    clone: Any = keras.models.clone_model(model)
    assert rates_of(clone) == rates_of(model)
    clone.get_layer("dropout").rate = 0.0
    assert rates_of(model) == [0.1, 0.45, 0.3]


def test_weights_are_those_of_plain_keras(tmp_path: Path) -> None:
    """Lists and files of weights fit plain Keras in both directions and leave rates alone."""
    layers = [keras.layers.Dense(6, "relu", name="hidden"), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    plain: Any = keras.Sequential([keras.Input((4,)), *layers])
    ours = small_model()
    ours.set_weights(plain.get_weights())
    np.testing.assert_array_equal(ours.predict(ROWS, verbose=0), plain.predict(ROWS, verbose=0))
    changed = changed_model()
    changed.save_weights(tmp_path / "ours.weights.h5")
    ours.load_weights(tmp_path / "ours.weights.h5")
    plain.load_weights(tmp_path / "ours.weights.h5")
    np.testing.assert_array_equal(plain.predict(ROWS, verbose=0), changed.predict(ROWS, verbose=0))
    plain.save_weights(tmp_path / "plain.weights.h5")
    ours.load_weights(tmp_path / "plain.weights.h5")
    assert rates_of(ours) == [0.3, 0.2, 0.3]


def test_the_rate_is_state_but_no_weight() -> None:
    """Compiled steps take the rate as an argument (`variables`); weights are kernel and bias."""
    layer = built_dense(0.5)
    assert [id(w) for w in layer.weights] == [id(layer.kernel)]
    assert any(v is layer.dropout_rate for v in layer.non_trainable_variables)
    assert not any(v is layer.dropout_rate for v in layer.trainable_variables)
    dropout = Dropout(0.5)
    assert not dropout.weights
    assert any(v is dropout.rate for v in dropout.non_trainable_variables)
    paths = [v.path for v in small_model().variables]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize(
    "layer",
    [
        Dense(
            3, "gelu", False, kernel_initializer="ones", kernel_regularizer="l1", kernel_constraint="non_neg", seed=4
        ),
        Dense(3, bias_regularizer="l2", activity_regularizer="l2", dropout_rate=0.15, dtype="mixed_bfloat16", name="a"),
        Dropout(0.35, noise_shape=(None, 1, 4), seed=5, name="b"),
    ],
    ids=["dense", "mixed", "dropout"],
)
def test_configurations_come_back(layer: keras.layers.Layer) -> None:
    """A layer made of a layer's configuration has that configuration, also through Keras's registry."""
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    entry: Any = keras.saving.serialize_keras_object(layer)
    assert entry["registered_name"] == f"fitwell>{type(layer).__name__}"
    loaded: Any = keras.saving.deserialize_keras_object(entry)
    assert type(loaded) is type(layer)
    assert loaded.get_config() == config


def test_a_model_hands_training_down() -> None:
    """`training` of the model's call reaches the layers; without it a call is inference."""
    model = small_model(dense=0.9, dropout=0.9)
    np.testing.assert_array_equal(model(ROWS), model(ROWS, training=False))
    assert not np.array_equal(model(ROWS, training=True), model(ROWS))


@pytest.mark.parametrize(("kind", "argument"), [DENSE, DROPOUT])
def test_one_program_serves_a_stack_of_rates(kind: Make, argument: str) -> None:
    """`stateless_call` under `vmap` over rates gives each rate what a layer of that rate gives."""
    rates, inputs = np.array([0.0, 0.1, 0.5, 0.9], np.float32), np.eye(4, dtype=np.float32)
    layer = make(kind, 0.0, seed=0)
    layer(inputs)
    rate = getattr(layer, argument)
    trainable = [v.value for v in layer.trainable_variables]
    state = [rates if v is rate else v.value for v in layer.non_trainable_variables]
    axes = [0 if v is rate else None for v in layer.non_trainable_variables]
    found = jax.jit(
        jax.vmap(lambda one: layer.stateless_call(trainable, one, inputs, training=True)[0], in_axes=(axes,))
    )(state)
    for value, outputs in zip(rates, found, strict=True):
        alone = make(kind, value, seed=0)
        alone.build(inputs.shape)
        alone.set_weights(layer.get_weights())
        np.testing.assert_array_equal(outputs, alone(inputs, training=True))


def test_masks_of_sequences_pass_through() -> None:
    """A layer after Dropout sees the mask of the steps before it."""
    values = np.arange(1.0, 13.0, dtype=np.float32).reshape(2, 3, 2)
    values[:, 2] = 0
    layers = [keras.layers.Masking(), Dropout(0.5), keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((3, 2)), *layers])
    np.testing.assert_allclose(model(values), values[:, :2].mean(axis=1), rtol=1e-6)


def test_the_examples_run() -> None:
    """The examples of the documentation give what they say."""
    done = doctest.testmod(fitwell.keras.layers)
    assert done.attempted > 0
    assert done.failed == 0

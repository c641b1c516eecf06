"""Gradients of `sepconv.keras`'s layers and training with them, against Keras's own, on the backend that KERAS_BACKEND names."""

import functools

import numpy as np
import pytest
from keras_own import BACKEND, NAMES, THEIRS, arguments_of, array, gradients, libraries, model_of, pair, tensor

pytestmark = [pytest.mark.filterwarnings(f"ignore:::{module}") for module in THEIRS]
FORMATS = ("channels_last", "channels_first")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("activation", [None, "silu"])
def test_outputs_and_gradients_are_keras_own(name, data_format, activation):
    rng = np.random.RandomState(NAMES.index(name))
    arguments = {"kernel_size": 1 if name.startswith("Conv") else 3, "data_format": data_format, "activation": activation}
    arguments |= {"strides": 2, "padding": "same"} if activation else {"use_bias": False}
    arguments |= {} if name.startswith("Conv") else {"depth_multiplier": 2}
    arguments |= {} if name.startswith("Depthwise") else {"filters": 5}
    shape = (2, 3, *(7, 6)[: 2 if name.endswith("2D") else 1])
    shape = shape if data_format == "channels_first" else (shape[0], *shape[2:], shape[1])
    theirs, ours = pair(name, arguments, shape, rng)
    x = rng.standard_normal(shape).astype(np.float32)
    y = array(theirs(tensor(x)))
    np.testing.assert_allclose(array(ours(tensor(x))), y, rtol=1e-5, atol=1e-5)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    found, right = gradients(ours, x, dy), gradients(theirs, x, dy)
    assert len(found) == len(right) == 1 + len(theirs.weights)
    for mine, other in zip(found, right, strict=True):
        assert mine.dtype == other.dtype and mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("name", NAMES[:3])
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_gradients_in_mixed_precision(name, dtype):
    """Beside Keras's in float32: with JAX Keras's own layers have none."""
    rng = np.random.RandomState(200)
    arguments = {"kernel_size": 1 if name.startswith("Conv") else 3} | ({} if "Depthwise" in name else {"filters": 4})
    theirs, _ = pair(name, arguments, (2, 6, 5, 3), rng)
    ours = getattr(libraries()[1], name)(**arguments, dtype=dtype)
    ours.build((2, 6, 5, 3))
    ours.set_weights(theirs.get_weights())
    compute = dtype.removeprefix("mixed_")
    x = array(tensor(rng.standard_normal((2, 6, 5, 3)).astype(np.float32), compute))
    dy = array(tensor(rng.standard_normal(theirs.compute_output_shape(x.shape)).astype(np.float32), compute))
    found, right = gradients(ours, x, dy), gradients(theirs, x.astype(np.float32), dy.astype(np.float32))
    assert found[0].dtype.name == compute
    for gradient, other in zip(found, right, strict=True):
        assert gradient.shape == other.shape
        room = {"float16": 2.0**-7, "bfloat16": 2.0**-4}[compute]
        np.testing.assert_allclose(gradient.astype(np.float64), other, rtol=0, atol=room * max(1, np.abs(other).max()))


@pytest.mark.parametrize(
    "arguments, shape",
    [
        ({}, (4, 5, 6, 3)),
        ({"axis": 1, "scale": False}, (4, 3, 5, 6)),
        ({"axis": -1, "center": False, "momentum": 0.5}, (4, 7, 3)),
        ({"axis": 1, "epsilon": 0.1}, (6, 3)),
        ({"axis": 2}, (4, 3, 5, 2)),
        ({"dtype": "mixed_bfloat16"}, (4, 5, 6, 3)),
        ({"trainable": False}, (4, 5, 6, 3)),
    ],
    ids=repr,
)
def test_batch_normalization(arguments, shape):
    """With PyTorch by its fused kernel, with others by Keras's own code."""
    keras, mine = libraries()
    rng = np.random.RandomState(900)
    layers = [library.BatchNormalization(**arguments, name="norm") for library in (keras.layers, mine)]
    assert layers[0].get_config() == layers[1].get_config()
    half = "dtype" in arguments
    x, dy = (array(tensor(rng.standard_normal(shape).astype(np.float32) + 2, "bfloat16" if half else None)) for _ in range(2))
    for layer in layers:
        layer.build(shape)
        layer.set_weights([np.abs(np.random.RandomState(1).standard_normal(w.shape)) + 0.5 for w in layer.weights])
    room = {"rtol": 0.02, "atol": 0.05} if half else {"rtol": 1e-4, "atol": 1e-4}
    for training in (True, False):
        found, right = (gradients(functools.partial(layer, training=training), x, dy, of=layer) for layer in reversed(layers))
        y, expected = (array(layer(tensor(x), training=training)) for layer in reversed(layers))
        assert y.dtype == expected.dtype
        for a, b in zip((y, *found, *layers[1].get_weights()), (expected, *right, *layers[0].get_weights()), strict=True):
            np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), **room)


@pytest.mark.filterwarnings("ignore:::numpy")  # the moments of nothing
@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (2, 0, 8, 3), (0, 3)], ids=repr)
@pytest.mark.parametrize("axis", [-1, 1])
def test_batch_normalization_of_nothing(shape, axis):
    keras, mine = libraries()
    axis = axis if shape[axis] else -1
    layers = [library.BatchNormalization(axis=axis) for library in (mine, keras.layers)]
    for training in (False, True):
        y, expected = (array(layer(tensor(np.ones(shape, np.float32)), training=training)) for layer in layers)
        assert y.shape == expected.shape == shape and y.dtype == expected.dtype
    for a, b in zip(layers[0].get_weights(), layers[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batch_normalization_with_a_mask_is_keras_own():
    keras, mine = libraries()
    x = tensor(np.random.RandomState(901).standard_normal((4, 7, 3)).astype(np.float32))
    mask = tensor(np.arange(28).reshape(4, 7) % 3 > 0)
    y, expected = (array(library.BatchNormalization()(x, training=True, mask=mask)) for library in (mine, keras.layers))
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("seed", range(12))
def test_gradients_of_random_layers(seed):
    """Whatever Keras's own does on this backend: of random layers, by the adjoint and by what is linear in the weights."""
    rng = np.random.RandomState(100 + seed)
    name = NAMES[seed % 6]
    arguments, shape = arguments_of(rng, name)
    _, ours = pair(name, arguments, shape, rng)
    x = rng.standard_normal(shape).astype(np.float32)
    y = array(ours(tensor(x))).astype(np.float64)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    of_input, *of_weights = gradients(ours, x, dy)
    bias = array(ours.bias).astype(np.float64) if ours.use_bias else np.zeros(1)
    linear = y - (bias.reshape(-1, *(1,) * ours.rank) if ours.data_format == "channels_first" else bias)
    room = 1e-4 * (np.abs(linear) * np.abs(dy)).sum() + 1e-4
    assert abs((dy * linear).sum() - (of_input.astype(np.float64) * x).sum()) < room
    for weight, gradient in zip(ours.weights, of_weights, strict=True):
        value = array(weight).astype(np.float64)
        expected = (dy * (linear if weight.name != "bias" else y - linear)).sum()
        assert abs(expected - (gradient * value).sum()) < room + 1e-4 * np.abs(gradient * value).sum()


@pytest.mark.parametrize("optimizer, rate", [("SGD", 0.05), ("Adam", 1e-3)])
@pytest.mark.parametrize("data_format", FORMATS)
def test_fifty_steps_of_training_have_the_same_losses(optimizer, rate, data_format):
    keras, ours = libraries()
    keras.utils.set_random_seed(0)
    rng = np.random.RandomState(700)
    x, y = rng.standard_normal((16, 12, 12, 3)).astype(np.float32), rng.randint(0, 4, 16)
    x = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    theirs, mine = (model_of(library, keras.layers, data_format=data_format) for library in (keras.layers, ours))
    mine.set_weights(theirs.get_weights())
    losses = []
    for model in (theirs, mine):
        model.compile(getattr(keras.optimizers, optimizer)(rate), "sparse_categorical_crossentropy")
        losses.append([float(model.train_on_batch(x, y)) for _ in range(50)])
    assert losses[0][-1] < 0.98 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_frozen_layers_stay_and_others_train():
    keras, ours = libraries()
    model = model_of(ours, keras.layers)
    model.layers[1].trainable = model.layers[5].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = [layer.get_weights() for layer in model.layers]
    model.fit(np.random.RandomState(8).standard_normal((8, 12, 12, 3)), np.arange(8) % 4, batch_size=4, epochs=2, verbose=0)
    for number, (layer, old) in enumerate(zip(model.layers, before, strict=True)):
        same = all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), old, strict=True))
        assert same == (number in (1, 5) or not old)


def test_models_compile():
    """With XLA or torch.compile where our layers say that they allow it; else Keras goes on without."""
    keras, ours = libraries()
    layer = ours.DepthwiseConv2D(3)
    assert layer.supports_jit == (BACKEND != "tensorflow")
    if BACKEND == "torch":
        return  # inductor wants a compiler; the operator's own tests cover torch.compile
    model = keras.Sequential([keras.Input((6, 6, 2)), layer, keras.layers.GlobalAveragePooling2D()])
    x, y = np.ones((4, 6, 6, 2), np.float32), np.ones((4, 2), np.float32)
    right = model.predict_on_batch(x)
    model.compile("sgd", "mse", jit_compile=True)
    assert model.jit_compile == layer.supports_jit
    np.testing.assert_allclose(model.predict(x, verbose=0), right, rtol=1e-6)
    model.fit(x, y, verbose=0)

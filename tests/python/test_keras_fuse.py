"""Accelerated models compute in few passes where they predict, and nobody can tell but by the time."""

import copy

import numpy as np
import pytest
from keras_own import BACKEND, THEIRS, TRAINS, array, gradients, libraries, tensor

pytestmark = [pytest.mark.filterwarnings(f"ignore:::{module}") for module in THEIRS]


def layers_of(rank, data_format):
    """Keras's layers of this rank and order, by short names."""
    layers = libraries()[0].layers
    order, axis = {"data_format": data_format}, 1 if data_format == "channels_first" else -1

    def named(name):
        return getattr(layers, f"{name}{rank}D")

    return {
        "pad": lambda **options: named("ZeroPadding")(
            ((0, 1),) * 2 if rank == 2 else (0, 1), **(order if rank == 2 else {}), **options
        ),
        "dw": lambda **options: named("DepthwiseConv")(3, **{"padding": "same", **order, **options}),
        "sep": lambda **options: named("SeparableConv")(5, 3, **{"padding": "same", **order, **options}),
        "pw": lambda **options: named("Conv")(4, 1, **order, **options),
        "bn": lambda **options: layers.BatchNormalization(**{"axis": axis, **options}),
        "relu": lambda **options: layers.ReLU(**options),
        "act": lambda **options: layers.Activation(**options),
    }


def sequence_of(steps, rank=2, data_format="channels_last", **everywhere):
    """The output of a model, and its input, from names of layers or pairs of these and arguments."""
    keras = libraries()[0]
    short = layers_of(rank, data_format)
    shape = (3, *(9, 8)[:rank]) if data_format == "channels_first" else (*(9, 8)[:rank], 3)
    x = inputs = keras.Input(shape, dtype=everywhere.get("dtype", "float32").removeprefix("mixed_"))
    for step in steps:
        name, options = (step, {}) if isinstance(step, str) else step
        x = short[name](**options, **everywhere)(x)
    return keras.Model(inputs, x)


def randomize(model):
    rng = np.random.RandomState(1)
    model.set_weights(
        [rng.uniform(0.3, 1.2, w.shape) * (1 if "variance" in w.name else rng.choice([-1, 1])) for w in model.weights]
    )


def two(model):
    """`model` accelerated, and a copy of that which calls layers one by one."""
    keras, ours = libraries()
    randomize(model)
    fused = ours.accelerate(model)[0]
    plain = keras.models.clone_model(fused)
    plain.set_weights(model.get_weights())
    return fused, plain


def data(model, batch=2):
    shape = (batch, *model.input_shape[1:])
    return np.random.RandomState(0).standard_normal(shape).astype(model.inputs[0].dtype)


@pytest.fixture
def passes(monkeypatch):
    """Grows by one with every convolution."""
    found = []
    on = libraries()[1]._layers.on
    convolve = on.convolve
    monkeypatch.setattr(on, "convolve", lambda *a, **o: found.append(o) or convolve(*a, **o))
    return found


def close(found, expected):
    """Within what roundings of float32 come to, which is what Keras normalises in, here and there."""
    np.testing.assert_allclose(found, expected, 0, 2e-5 * np.abs(expected).max())


def outputs(passes, model, x, **options):
    """What a model predicts, and in how many convolutions."""
    passes.clear()
    y = array(model(tensor(x), **options))
    return y, len(passes)


BLOCK = ("dw", "bn", ("relu", {"max_value": 6.0}), "pw", "bn", ("relu", {"max_value": 6}))
# Layers, and how many passes they take.
ONE_PASS = {
    "block": (BLOCK, 1),
    "biasless": ((("dw", {"use_bias": False}), "bn", ("act", {"activation": "silu"}), ("pw", {"use_bias": False}), "bn"), 1),
    "strided": (("pad", ("dw", {"strides": 2, "padding": "valid"}), "bn", "relu", "pw"), 1),
    "padded_separable": (("pad", ("sep", {"padding": "valid", "activation": "relu"})), 1),
    "separable": (("sep", "bn", ("act", {"activation": "tanh"}), ("sep", {"depth_multiplier": 2}), "bn"), 2),
    "inverted": (("pw", "bn", ("relu", {"max_value": 6.0}), ("dw", {"depth_multiplier": 2}), "bn", "relu", "pw", "bn"), 2),
    "no_norms": (("dw", ("act", {"activation": "gelu"}), ("pw", {"activation": "relu"})), 1),
    "partial_norms": (("dw", ("bn", {"scale": False, "epsilon": 0.1}), "pw", ("bn", {"center": False}), "relu"), 1),
    "own_activation": ((("dw", {"activation": "relu"}), "pw", "relu"), 1),
}


@pytest.mark.parametrize("rank, data_format", [(2, "channels_last"), (2, "channels_first"), (1, "channels_last")])
@pytest.mark.parametrize("name", ONE_PASS)
def test_one_pass(passes, name, rank, data_format):
    steps, count = ONE_PASS[name]
    fused, plain = two(sequence_of(steps, rank, data_format))
    x = data(fused)
    expected, one_by_one = outputs(passes, plain, x)
    found, together = outputs(passes, fused, x)
    assert (together, one_by_one) == (count, convolutions(steps))
    close(found, expected)


def convolutions(steps):
    return sum((step if isinstance(step, str) else step[0]) in ("dw", "pw", "sep") for step in steps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict(passes, dtype):
    fused, plain = two(sequence_of(BLOCK, dtype=dtype))
    x = data(fused)
    (found, count), (expected, _) = outputs(passes, fused, x, training=False), outputs(passes, plain, x, training=False)
    assert count == 1 and found.dtype == dtype
    close(found, expected)
    if dtype == "float32":  # for `predict`, Keras makes it of all that comes
        np.testing.assert_array_equal(fused.predict(x, verbose=0), found)


def test_training(passes):
    fused, plain = two(sequence_of(BLOCK))
    x = data(fused)
    (found, count), (expected, _) = outputs(passes, fused, x, training=True), outputs(passes, plain, x, training=True)
    assert count == 2
    np.testing.assert_array_equal(found, expected)
    for ours, theirs in zip(fused.weights, plain.weights, strict=True):  # moving statistics
        np.testing.assert_array_equal(array(ours), array(theirs))


def test_mode_of_an_outer_call(passes):
    keras = libraries()[0]
    fused, _ = two(sequence_of(BLOCK))

    class Outer(keras.Model):
        def call(self, x, training=None):
            return fused.call(x)  # inherits `training`

    x = data(fused)
    assert [outputs(passes, Outer(), x, training=training)[1] for training in (True, False, None)] == [2, 1, 1]


# Models that keep apart what the sequence alone would have in one pass: what is done to it, and how many passes there are.


def branched(model):
    keras = libraries()[0]
    return keras.Model(model.inputs, [model.layers[1].output, model.output])


def called_twice(model):
    keras = libraries()[0]
    _, first, *others = model.layers
    x = first(first(model.inputs[0]))
    for layer in others:
        x = layer(x)
    return keras.Model(model.inputs, x)


def read_twice(model):
    keras = libraries()[0]
    return keras.Model(model.inputs, keras.layers.Concatenate()([model.output, model.layers[2].output]))


def always_training(model):
    keras = libraries()[0]
    _, first, norm, *others = model.layers
    x = norm(first(model.inputs[0]), training=True)
    for layer in others:
        x = layer(x)
    return keras.Model(model.inputs, x)


@pytest.mark.parametrize("change, count", [(branched, 2), (called_twice, 3), (read_twice, 2), (always_training, 2)])
def test_what_others_read(passes, change, count):
    fused, plain = two(change(sequence_of(("dw", "bn", "relu", "pw", "bn"))))
    x = data(fused)
    (found, together), (expected, _) = outputs_of_all(passes, fused, x), outputs_of_all(passes, plain, x)
    assert together == count
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs)


def outputs_of_all(passes, model, x):
    passes.clear()
    found = model(tensor(x))
    return [array(y) for y in (found if isinstance(found, list) else [found])], len(passes)


SEPARATE = {
    "other_limit": ("dw", ("relu", {"max_value": 5.0}), "pw"),
    "slope": ("dw", ("relu", {"negative_slope": 0.5}), "pw"),
    "softmax": ("dw", ("act", {"activation": "softmax"}), "pw"),
    "other_axis": ("dw", ("bn", {"axis": 1}), "pw"),
    "activation_first": (("dw", {"activation": "relu"}), "bn", "pw"),
    "same_after_zeros": ("pad", "dw"),
    "regularized": (("dw", {"activity_regularizer": "l2"}), "pw"),
    "strided": ("dw", ("pw", {"strides": 2})),
    "other_dtype": ("dw", ("bn", {"dtype": "float64"}), "pw"),
    "half": (("dw", {"dtype": "float16"}), ("relu", {"dtype": "float16"}), ("pw", {"dtype": "float16"})),
    "unknown_activation": (("dw", {"activation": "sigmoid"}), "pw"),
}


@pytest.mark.parametrize("name", SEPARATE)
def test_what_stays_apart(passes, name):
    steps = SEPARATE[name]
    fused, plain = two(sequence_of(steps))
    x = data(fused)
    (found, count), (expected, one_by_one) = outputs(passes, fused, x), outputs(passes, plain, x)
    assert count == one_by_one == convolutions(steps)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal([array(loss) for loss in fused.losses], [array(loss) for loss in plain.losses])
    assert len(fused.losses) == (name == "regularized")


def test_subclasses(passes):
    keras = libraries()[0]

    class Doubled(keras.layers.ReLU):
        def call(self, inputs):
            return 2 * super().call(inputs)

    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 1)(Doubled(name="doubled")(keras.layers.DepthwiseConv2D(3)(inputs)))
    fused, plain = two(keras.Model(inputs, x))
    (found, count), (expected, _) = (outputs(passes, model, data(fused)) for model in (fused, plain))
    assert count == 2
    np.testing.assert_array_equal(found, expected)


def test_mask(passes):
    keras = libraries()[0]
    inputs = keras.Input((6, 3))
    x = keras.layers.Masking()(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.Conv1D(4, 1)(x))
    fused, _ = two(keras.Model(inputs, x))
    if not TRAINS:
        return  # NumPy's arrays carry no masks
    with pytest.warns(UserWarning, match="does not support masking"):
        fused(tensor(data(fused)))


def test_other_calls_of_the_layers(passes):
    keras = libraries()[0]
    fused, plain = two(sequence_of(BLOCK))
    x = data(fused)
    expected = array(plain.layers[2](plain.layers[1](tensor(x))))
    np.testing.assert_array_equal(array(fused.layers[2](fused.layers[1](tensor(x)))), expected)
    features = keras.Model(fused.inputs, fused.layers[2].output)
    np.testing.assert_array_equal(array(features(tensor(x))), expected)
    assert outputs(passes, fused, x)[1] == 1


def test_changes_count(passes):
    keras = libraries()[0]
    fused, plain = two(sequence_of(BLOCK))
    x = data(fused)
    before, _ = outputs(passes, fused, x)
    for variable, other in zip(fused.variables, plain.variables, strict=True):
        for v in (variable, other):
            v.assign(array(v) * 0.75 + 0.1)
        (found, count), (expected, _) = outputs(passes, fused, x), outputs(passes, plain, x)
        assert count == 1
        close(found, expected)
    assert np.abs(found - before).max() > 0.01
    for model in (fused, plain):
        model.layers[4].activation = keras.activations.tanh  # of the 1x1, before the second norm
    (found, count), (expected, _) = outputs(passes, fused, x), outputs(passes, plain, x)
    assert count == 1
    close(found, expected)
    fused.layers[3].call = plain.layers[3].call = lambda inputs: inputs * 2.0
    (found, count), (expected, _) = outputs(passes, fused, x), outputs(passes, plain, x)
    assert count == 2
    close(found, expected)


def test_unusual_inputs(passes):
    fused, plain = two(sequence_of(BLOCK))
    assert outputs(passes, fused, data(fused, 0))[0].shape == outputs(passes, plain, data(plain, 0))[0].shape == (0, 9, 8, 4)
    with pytest.raises(ValueError, match="incompatible with the layer"):
        fused(tensor(np.zeros((2, 9, 8, 5), np.float32)))
    with pytest.raises(ValueError, match="incompatible with the layer"):
        fused.call(tensor(np.zeros((2, 9, 8, 5), np.float32)))  # which checks no channels


def test_mixed_precision(passes):
    keras = libraries()[0]
    fused, plain = two(sequence_of(BLOCK, dtype="mixed_bfloat16") if BACKEND == "torch" else sequence_of(BLOCK, dtype="float16"))
    x = np.random.RandomState(0).standard_normal((2, 9, 8, 3)).astype(np.float32)
    found, expected = (keras.ops.convert_to_numpy(keras.ops.cast(model(tensor(x)), "float32")) for model in (fused, plain))
    np.testing.assert_array_equal(found, expected)
    assert len(passes) == 4
    # Layers of one precision in a model of another.
    inner, _ = two(sequence_of(BLOCK))
    inputs = keras.Input((9, 8, 3), dtype="float32")
    outer = keras.Model(inputs, inner(inputs))
    outer.dtype_policy = keras.DTypePolicy("mixed_bfloat16" if BACKEND == "torch" else "mixed_float16")
    assert outputs(passes, outer, x)[1] == 2


def test_nested_sequential_and_files(passes, tmp_path):
    keras, ours = libraries()
    small = layers_of(2, "channels_last")
    inner = keras.Sequential([keras.Input((9, 8, 4)), small["dw"](), small["bn"](), small["relu"](), small["pw"]()], name="inner")
    inputs = keras.Input((9, 8, 3))
    model = keras.Model(inputs, inner(small["bn"]()(small["pw"]()(inputs))))
    fused, plain = two(model)
    x = data(fused)
    (found, count), (expected, one_by_one) = outputs(passes, fused, x), outputs(passes, plain, x)
    assert (count, one_by_one) == (2, 3)
    close(found, expected)
    for again, passed in ((copy.deepcopy(fused), 3), (keras.models.clone_model(fused), 3)):
        again.set_weights(model.get_weights())
        assert outputs(passes, again, x)[1] == passed
    fused.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    faster, swapped = ours.accelerate(loaded)
    assert not swapped
    (again, count) = outputs(passes, faster, x)
    assert count == 2
    np.testing.assert_array_equal(again, found)
    back = ours.restore(fused)
    assert "_run_through_graph" in vars(fused) and not any("_run_through_graph" in vars(part) for part in (back, *back.layers))


if BACKEND == "torch":
    import torch

    def test_gradients(passes):
        """Of a model that is called without training, as in fine-tuning."""
        fused, plain = two(sequence_of(BLOCK))
        x = data(fused)
        dy = np.random.RandomState(2).standard_normal((2, 9, 8, 4)).astype(np.float32)
        found, expected = (gradients(lambda x, m=model: m(x, training=False), x, dy, model) for model in (fused, plain))
        assert len(passes) == 3
        for ours, theirs in zip(found, expected, strict=True):
            close(ours, theirs)

    def test_hooks(passes):
        fused, plain = two(sequence_of(BLOCK))
        x, seen = data(fused), []
        hook = fused.layers[2].register_forward_hook(lambda module, inputs, output: seen.append(output))
        outputs(passes, fused, x)
        assert len(passes) == 2
        np.testing.assert_array_equal(array(seen[0]), array(plain.layers[2](plain.layers[1](tensor(x)))))
        hook.remove()
        assert outputs(passes, fused, x)[1] == 1
        hook = torch.nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None)
        try:
            assert outputs(passes, fused, x)[1] == 2
        finally:
            hook.remove()

    def test_autocast(passes):
        fused, plain = two(sequence_of(BLOCK))
        x = tensor(data(fused))
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            found, expected = fused(x), plain(x)
        assert found.dtype == expected.dtype and len(passes) == 4
        assert torch.equal(found, expected)

    def test_export(passes):
        fused, plain = two(sequence_of(BLOCK))
        x = tensor(data(fused))
        program = torch.export.export(fused, (x,), {"training": False})
        assert [node.target for node in program.graph.nodes].count(torch.ops.sepconv.convolve.default) == 1
        torch.testing.assert_close(program.module()(x, training=False), plain(x, training=False), rtol=1e-4, atol=1e-4)

"""`sepconv.keras.accelerate` and `restore`: whole models change over and back."""

import doctest
import importlib

import numpy as np
import pytest
from keras_own import BACKEND, THEIRS, TRAINS, array, libraries, model_of, tensor
from pages import blocks

pytestmark = [pytest.mark.filterwarnings(f"ignore:::{module}") for module in THEIRS]


def block(x, filters, strides, number):
    """One of MobileNet's."""
    layers = libraries()[0].layers
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"depthwise_{number}")(x)
    x = layers.BatchNormalization(name=f"depthwise_norm_{number}")(x)
    x = layers.ReLU(6.0, name=f"depthwise_relu_{number}")(x)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise_{number}")(x)
    x = layers.BatchNormalization(name=f"pointwise_norm_{number}")(x)
    return layers.ReLU(6.0, name=f"pointwise_relu_{number}")(x)


def mobile(stem=True):
    """A small MobileNet with a nested model, a layer shared by it and the outer one, and a layer that is called twice."""
    keras = libraries()[0]
    layers = keras.layers
    shared = layers.SeparableConv2D(8, 3, padding="same", activation="silu", name="shared")
    inner_input = keras.Input((6, 6, 8), name="inner_input")
    inner = keras.Model(inner_input, block(shared(inner_input), 8, 1, 2), name="inner")
    inputs = keras.Input((12, 12, 3), name="image")
    # NumPy's backend has no other convolutions without JAX.
    first = layers.Conv2D(4, 3, padding="same", name="stem") if stem else layers.SeparableConv2D(4, 3, padding="same", name="stem")
    x = block(first(inputs), 8, 2, 1)
    x = layers.Add(name="add")([shared(x), inner(shared(x))])
    x = layers.GroupNormalization(2, name="group_norm")(x)
    tail = keras.Sequential([layers.Dropout(0.25, name="drop"), layers.Conv2D(8, 1, name="mix")], name="tail")
    x = layers.GlobalAveragePooling2D(name="pool")(tail(x) * 2.0)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="top")(x), name="mobile")


NORMS = ["depthwise_norm_1", "pointwise_norm_1", "inner/depthwise_norm_2", "inner/pointwise_norm_2"] if BACKEND == "torch" else []
SWAPPED = {"depthwise_1", "pointwise_1", "shared", "inner/depthwise_2", "inner/pointwise_2", "tail/mix", *NORMS}


def data(n=8):
    rng = np.random.RandomState(0)
    return rng.standard_normal((n, 12, 12, 3)).astype(np.float32), rng.randint(0, 4, n)


def randomize(model):
    rng = np.random.RandomState(1)
    model.set_weights([np.abs(rng.standard_normal(w.shape)) / 2 + 0.1 for w in model.weights])


def same_weights(left, right):
    left_paths, right_paths = ([w.path for w in model.variables if w.name != "seed_generator_state"] for model in (left, right))
    assert left_paths == right_paths
    assert [w.trainable for w in left.variables] == [w.trainable for w in right.variables]
    for a, b in zip(left.variables, right.variables, strict=True):
        np.testing.assert_array_equal(array(a), array(b))


def test_there_and_back():
    keras, ours = libraries()
    model = mobile(stem=TRAINS)
    randomize(model)
    config = model.get_config()
    faster, swapped = ours.accelerate(model)
    assert set(swapped) == SWAPPED | (set() if TRAINS else {"stem"}) and len(swapped) == len(set(swapped))
    assert type(faster) is type(model) and faster.name == "mobile"
    assert [layer.name for layer in faster.layers] == [layer.name for layer in model.layers]
    for path in swapped:
        layer, old = faster, model
        for name in path.split("/"):
            layer, old = layer.get_layer(name), old.get_layer(name)
        assert type(layer).__module__ == "sepconv.keras" and layer.get_config() == old.get_config()
    assert faster.get_layer("inner").get_layer("shared") is faster.get_layer("shared")
    assert faster.get_layer("shared") is not model.get_layer("shared")
    same_weights(faster, model)
    back = ours.restore(faster)
    assert back.get_config() == model.get_config() == config
    same_weights(back, model)
    x, _ = data()
    y = faster.predict(x, verbose=0)
    if TRAINS:
        np.testing.assert_allclose(y, model.predict(x, verbose=0), rtol=1e-4, atol=1e-6)
    again, names = ours.accelerate(faster)
    assert names == [] and np.array_equal(again.predict(x, verbose=0), y)


def test_inputs_keep_the_names_of_their_layers():
    keras, ours = libraries()
    first = keras.Input((6, 6, 2))
    inner = keras.Model(first, keras.layers.DepthwiseConv2D(3)(first))
    inputs = [keras.Input((6, 6, 2)), keras.Input((6, 6, 2), name="second")]
    model = keras.Model(inputs, [inner(inputs[0]), keras.layers.SeparableConv2D(2, 3)(inputs[1])])
    faster, _ = ours.accelerate(model)
    for left, right in ((model, faster), (inner, faster.get_layer(inner.name))):
        assert [layer.name for layer in right.layers] == [layer.name for layer in left.layers]
    assert ours.restore(faster).get_config() == model.get_config()


def test_what_is_frozen_stays_frozen():
    _, ours = libraries()
    model = mobile(stem=False)
    model.get_layer("inner").trainable = False
    model.get_layer("inner").get_layer("depthwise_2").trainable = True
    model.get_layer("tail").trainable = False
    model.get_layer("top").kernel.trainable = False
    faster, _ = ours.accelerate(model)
    same_weights(faster, model)
    for name in ("inner", "shared", "tail", "top", "stem"):
        assert faster.get_layer(name).trainable == model.get_layer(name).trainable, name
    assert [w.path for w in faster.trainable_weights] == [w.path for w in model.trainable_weights]


def test_the_copy_shares_nothing_with_the_model():
    _, ours = libraries()
    model = mobile(stem=False)
    faster, _ = ours.accelerate(model)
    kept = model.get_weights()
    faster.set_weights([w * 0 + 3 for w in faster.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), kept, strict=True))


def loss_of_ones_own(y, p):
    ops = libraries()[0].ops
    return -ops.log(ops.take_along_axis(p, ops.cast(ops.reshape(y, (-1, 1)), "int32"), axis=1))[:, 0]


def test_compile_settings_and_the_optimizers_state_come_along():
    keras, ours = libraries()
    model = model_of(keras.layers, keras.layers)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 100), clipnorm=1.0)
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
    model.compile(optimizer, loss_of_ones_own, metrics=["accuracy", metric], steps_per_execution=1)
    x, y = data()
    if TRAINS:
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    faster, _ = ours.accelerate(model)
    assert faster.compiled and model.compiled
    assert faster.optimizer is not model.optimizer and faster.optimizer.get_config() == model.optimizer.get_config()
    assert faster.loss is loss_of_ones_own and faster.run_eagerly == model.run_eagerly
    mine = faster._compile_config.config["metrics"]
    assert mine[0] == "accuracy" and mine[1] is not metric and mine[1].get_config() == metric.get_config()
    if not TRAINS:
        return
    for a, b in zip(model.optimizer.variables, faster.optimizer.variables, strict=True):
        np.testing.assert_array_equal(array(a), array(b))
    assert int(array(faster.optimizer.iterations)) == 4

    def step(model):
        return [float(value) for value in model.train_on_batch(x, y)]

    for _ in range(5):
        np.testing.assert_allclose(step(faster), step(model), rtol=1e-4)
    back = ours.restore(faster)
    assert int(array(back.optimizer.iterations)) == 9
    np.testing.assert_allclose(step(back), step(faster), rtol=1e-4)
    assert faster.evaluate(x, y, verbose=0)[1] >= 0


@pytest.mark.parametrize("first", [True, False])
def test_layers_may_be_frozen_and_unfrozen_after_compile(first):
    """Of a nested model, that has settings of its own, too."""
    keras, ours = libraries()
    inner = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.SeparableConv2D(4, 3, name="inner_conv")], name="inner")
    model = keras.Sequential([inner, keras.layers.Conv2D(4, 1, name="conv"), keras.layers.GlobalAveragePooling2D()])
    model.get_layer("conv").trainable = first
    x, y = data()
    target = np.ones((len(x), 10, 10, 4), np.float32)
    inner.compile("adam", "mse")
    model.compile(keras.optimizers.Adam(0.01), loss_of_ones_own)
    if TRAINS:
        inner.train_on_batch(x, target)
        model.train_on_batch(x, y)
    else:
        for part in (inner, model):
            part.optimizer.build(part.trainable_variables)
    model.get_layer("conv").trainable = not first
    inner.get_layer("inner_conv").pointwise_kernel.trainable = False
    for change in (ours.accelerate, ours.restore):
        copied = change(model)
        copied = copied[0] if isinstance(copied, tuple) else copied
        for old, new in ((model, copied), (inner, copied.get_layer("inner"))):
            assert len(new.optimizer.variables) == len(old.optimizer.variables) and new.optimizer.built
            for a, b in zip(old.optimizer.variables, new.optimizer.variables, strict=True):
                np.testing.assert_array_equal(array(a), array(b))
            followed = [v.path for v in new.optimizer._trainable_variables]
            assert followed == [v.path for v in old.optimizer._trainable_variables]
            assert {id(v) for v in new.optimizer._trainable_variables} <= {id(v) for v in new.variables}
    if TRAINS:
        model.get_layer("conv").trainable = first
        inner.get_layer("inner_conv").pointwise_kernel.trainable = True
        faster, _ = ours.accelerate(model)
        for _ in range(3):
            np.testing.assert_allclose(faster.train_on_batch(x, y), model.train_on_batch(x, y), rtol=1e-4)


def test_an_optimizer_of_variables_that_are_gone_starts_anew():
    keras, ours = libraries()
    model = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.SeparableConv2D(4, 3), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.pop()
    faster, _ = ours.accelerate(model)
    assert not faster.optimizer.built and faster.compiled


def test_a_model_compiled_for_xla_trains_afterwards():
    keras, ours = libraries()
    model = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.SeparableConv2D(3, 3), keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse", jit_compile=BACKEND in ("jax", "tensorflow"))
    faster, swapped = ours.accelerate(model)
    assert swapped == ["separable_conv2d"] or swapped[0].startswith("separable_conv2d_")
    assert faster.jit_compile == (BACKEND == "jax")
    if TRAINS:
        faster.fit(np.ones((4, 8, 8, 2)), np.ones((4, 3)), verbose=0)


def test_sequential_models_built_or_not():
    keras, ours = libraries()
    layers = [keras.layers.SeparableConv2D(4, 3, name="a"), keras.layers.DepthwiseConv2D(3, name="b", activation=lambda y: y * 2)]
    model = keras.Sequential(layers, name="net")
    faster, swapped = ours.accelerate(model)
    assert swapped == ["a", "b"] and not faster.built and type(faster) is keras.Sequential and faster.name == "net"
    x = tensor(np.random.RandomState(0).standard_normal((2, 9, 9, 3)).astype(np.float32))
    y = faster(x)
    assert tuple(y.shape) == (2, 5, 5, 4)
    again = ours.restore(faster)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in layers]
    assert again.layers[1].activation is layers[1].activation
    same_weights(again, faster)
    if TRAINS:
        np.testing.assert_allclose(array(again(x)), array(y), rtol=1e-5, atol=1e-6)


def test_what_is_left_alone():
    keras, ours = libraries()

    class Mine(keras.layers.SeparableConv2D):
        pass

    wide = keras.layers.Conv2D(4, 3, name="wide")
    grouped = keras.layers.Conv2D(4, 1, groups=2, name="grouped")
    timed = keras.layers.TimeDistributed(keras.layers.DepthwiseConv2D(1), name="timed")
    x = inputs = keras.Input((8, 8, 4))
    x = keras.layers.Reshape((1, 4, 4, 4))(Mine(4, 1, name="mine")(grouped(wide(inputs)))[:, :4, :4])
    model = keras.Model(inputs, timed(x))
    faster, swapped = ours.accelerate(model)
    assert swapped == []
    assert [type(layer) for layer in faster.layers] == [type(layer) for layer in model.layers]


def test_attributes_that_configurations_do_not_hold():
    """A regularizer without a name, initializers with seeds, dtype policies, LoRA."""
    keras, ours = libraries()
    layers = [
        keras.layers.Conv2D(4, 1, lora_rank=2, dtype="mixed_bfloat16", name="a"),
        keras.layers.DepthwiseConv2D(3, depthwise_regularizer=lambda w: 0.5 * keras.ops.sum(w * w), dtype="float32", name="b"),
        keras.layers.SeparableConv2D(2, 3, pointwise_initializer=keras.initializers.HeNormal(3), autocast=True, name="c"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    model.layers[0].lora_kernel_b.assign(np.ones((2, 4)))
    faster, swapped = ours.accelerate(model)
    assert swapped == ["a", "b", "c"]
    same_weights(faster, model)
    assert [layer.dtype_policy.name for layer in faster.layers] == ["mixed_bfloat16", "float32", "float32"]
    np.testing.assert_allclose([array(loss) for loss in faster.losses], [array(loss) for loss in model.losses], rtol=1e-5)
    assert faster.layers[0].lora_enabled and faster.layers[2].pointwise_initializer.seed == 3
    np.testing.assert_array_equal(array(faster.layers[0].kernel), array(model.layers[0].kernel))


def test_what_lora_is_multiplied_by():
    keras, ours = libraries()
    conv, dense = keras.layers.Conv2D(4, 1, name="conv"), keras.layers.Dense(3, name="dense")
    model = keras.Sequential([keras.Input((4, 4, 3)), conv, keras.Sequential([dense], name="inner")])
    conv.enable_lora(2, lora_alpha=5)
    dense.enable_lora(2, lora_alpha=7)
    for layer in (conv, dense):
        layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    faster, swapped = ours.accelerate(model)
    assert swapped == ["conv"]
    back = ours.restore(faster)
    for copied in (faster, back):
        for old, new in ((conv, copied.get_layer("conv")), (dense, copied.get_layer("inner").get_layer("dense"))):
            assert new.lora_alpha == old.lora_alpha
            np.testing.assert_array_equal(array(new.kernel), array(old.kernel))
    x = tensor(np.random.RandomState(0).standard_normal((2, 4, 4, 3)).astype(np.float32))
    if TRAINS:
        np.testing.assert_allclose(array(faster(x)), array(model(x)), rtol=1e-4, atol=1e-5)


FACTOR = 3.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's backend finds shapes with arrays of whatever the memory held
def test_functions_of_ones_own_in_other_layers():
    """By the objects: a lambda made from its code again would lack FACTOR."""
    keras, ours = libraries()
    shift = 2.0

    def local(v):
        return v * FACTOR + shift

    def names(function):
        def local(v):
            return function(v) - 1.0

        return local

    class Own(keras.layers.Layer):
        """With a function of its own layer's, which isn't for another."""

        def __init__(self, scale=2.0, **kwargs):
            super().__init__(**kwargs)
            self.scale = scale
            self.function = lambda v: v * self.scale

        def call(self, v):
            return self.function(v)

    layers = [
        keras.layers.DepthwiseConv2D(3, name="d"),
        keras.layers.Lambda(lambda v: v * FACTOR + shift, output_shape=lambda shape: shape),
        keras.layers.Activation(local),
        keras.layers.Dense(3, activation=local, kernel_regularizer=names(local)),
        keras.layers.Dense(3, activation=lambda v: v / FACTOR),
        keras.layers.TimeDistributed(keras.layers.Lambda(lambda v: v - FACTOR)),
        Own(name="own"),
    ]
    model = keras.Sequential([keras.Input((6, 6, 3)), *layers])
    faster, swapped = ours.accelerate(model)
    assert swapped == ["d"]
    own = faster.get_layer("own")
    own.scale = 5.0
    assert float(own.function(1.0)) == 5.0
    own.scale = 2.0
    for old, new in zip(model.layers[1:5], faster.layers[1:5], strict=True):
        for key in ("function", "_output_shape", "activation", "kernel_regularizer"):
            assert getattr(new, key, None) is getattr(old, key, None), (old.name, key)
    assert faster.layers[5].layer.function is layers[5].layer.function and faster.layers[5].layer is not layers[5].layer
    x = np.random.RandomState(0).standard_normal((2, 6, 6, 3)).astype(np.float32)
    if TRAINS:
        np.testing.assert_allclose(array(faster(tensor(x))), array(model(tensor(x))), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="[Uu]nsafe|disallowed"):  # as before
        keras.layers.Lambda.from_config(layers[1].get_config())


def test_layers_that_cannot_be_copied_are_named():
    keras, ours = libraries()

    class Needy(keras.layers.Layer):
        def __init__(self, thing, **kwargs):
            super().__init__(**kwargs)

        def call(self, x):
            return x

        def get_config(self):
            return super().get_config()

    model = keras.Sequential([keras.Input((4, 4, 2)), Needy(object(), name="poor")])
    with pytest.raises(
        TypeError, match=r"`model` argument must have layers .* Needy 'poor' is not: give Needy .*Received: \w+Error: "
    ):
        ours.accelerate(model)


def test_models_without_a_graph_are_refused():
    keras, ours = libraries()

    class Subclassed(keras.Model):
        def call(self, x):
            return x

    class Functional(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    class Row(keras.Sequential):
        pass

    class Fixed(keras.Model):
        def __init__(self):
            inputs = keras.Input((4, 4, 2))
            super().__init__(inputs, keras.layers.DepthwiseConv2D(3)(inputs))

    for wrong in (Subclassed(), keras.layers.DepthwiseConv2D(3), None, "model"):
        for function in (ours.accelerate, ours.restore):
            with pytest.raises(
                TypeError, match=r"`model` argument must be a keras\.Sequential or a functional keras\.Model\. Received"
            ):
                function(wrong)
    row = Row([keras.Input((4, 4, 2)), keras.layers.DepthwiseConv2D(3)])
    for wrong in (Fixed(), row, keras.Sequential([keras.Input((4, 4, 2)), row])):
        message = (
            r"must be keras\.Sequential itself, or a functional model of a class whose constructor takes `inputs` and `outputs`"
        )
        with pytest.raises(TypeError, match=message):
            ours.accelerate(wrong)
    inputs = keras.Input((4, 4, 2))
    model = Functional(inputs, keras.layers.DepthwiseConv2D(3, name="d")(inputs))
    faster, swapped = ours.accelerate(model)
    assert type(faster) is Functional and swapped == ["d"]


def test_accelerated_models_are_saved_and_loaded(tmp_path):
    keras, ours = libraries()
    model, _ = ours.accelerate(model_of(keras.layers, keras.layers))
    if TRAINS:
        model.compile("adam", "sparse_categorical_crossentropy")
        model.train_on_batch(*data())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    same_weights(again, model)
    plain = ours.restore(again)
    plain.save(tmp_path / "plain.keras")
    assert "sepconv" not in str(keras.saving.load_model(tmp_path / "plain.keras").get_config())


@pytest.mark.parametrize("number", range(len(blocks(of="sepconv.keras"))))
def test_examples_of_the_pages(number, tmp_path, monkeypatch):
    libraries()
    monkeypatch.chdir(tmp_path)
    name, code = blocks(of="sepconv.keras")[number]
    exec(compile(code, f"{name}, example {number}", "exec"), {})


@pytest.mark.parametrize("name", ["sepconv.keras", "sepconv.keras._swap"])
def test_docstring_examples(name):
    libraries()
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted and outcome.failed == 0

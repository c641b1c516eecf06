"""The layers against the Keras that is installed, over random configurations, files and refusals; see conftest.py."""

import functools
import os
import warnings

import numpy as np
import pytest
from keras_cases import ACTIVATIONS, LAYERS, check, draw, evaluate, gradients_of_keras, plain, recorded, undrawn

import sepconv
from sepconv.layers import deserialize, serialize

# Keras's own warnings, and those of what it is made of, aren't ours to heed.
pytestmark = [pytest.mark.filterwarnings(f"ignore:::{module}") for module in (r"keras\.", r"jax\.", r"h5py\.")]

DTYPES = ("float32", "float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64")
SMOOTH = [name for name in ACTIVATIONS if name not in ("hard_shrink", "glu")]
MILD = ("relu", "tanh", "sigmoid", "softmax", "gelu", "silu")
INITIALIZERS = ("glorot_uniform", "he_normal", "lecun_uniform", "random_normal", "truncated_normal", "ones")
REGULARIZERS = (None, "l1", "l2", {"class_name": "L1L2", "config": {"l1": 0.5, "l2": 0.125}})
CONSTRAINTS = (
    None,
    "non_neg",
    "unit_norm",
    {"class_name": "MaxNorm", "config": {"max_value": 0.5, "axis": [0, 1]}},
    "min_max_norm",
)


@functools.cache
def keras():
    """Keras, imported when the first test asks for it and not while the tests of others are collected."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras as module
    return module


def array(tensor):
    return keras().ops.convert_to_numpy(tensor)


def pick(rng, choices):
    return choices[rng.randint(len(choices))]


def roles(name):
    return ("depthwise", "pointwise", "bias") if name.startswith("Separable") else ("depthwise", "bias")


def objects(rng, name):
    """Random initializers, regularizers and constraints."""
    chosen = {"activity_regularizer": pick(rng, REGULARIZERS)}
    for role in roles(name):
        chosen[f"{role}_initializer"] = pick(rng, INITIALIZERS)
        chosen[f"{role}_regularizer"] = pick(rng, REGULARIZERS)
        chosen[f"{role}_constraint"] = pick(rng, CONSTRAINTS[:-1] if role == "bias" else CONSTRAINTS)
        if role == "bias" and isinstance(chosen["bias_constraint"], dict):
            chosen["bias_constraint"] = "max_norm"
    return chosen


def pair(name, arguments, shape, rng):
    """Keras's layer and ours of the same arguments, with the same random weights."""
    arguments = arguments | undrawn(name)
    theirs = getattr(keras().layers, name)(**arguments, name="layer")
    ours = getattr(sepconv.layers, name)(**arguments, name="layer")
    theirs.build(shape)
    ours.build(shape)
    weights = [rng.standard_normal(w.shape) / 2 for w in ours.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return theirs, ours


def narrow(weights):
    """As Keras on JAX keeps, computes and gives float64: as float32."""
    return weights.astype(np.float32) if weights.dtype == np.float64 else weights


def kept_by_keras(ours):
    return [narrow(w) for w in ours.get_weights()]


def equal(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("seed", range(200))
def test_random_layers(seed):
    rng = np.random.RandomState(seed)
    name = LAYERS[seed % 4]
    arguments, shape = draw(rng, name, channels=6)
    arguments["dtype"] = pick(rng, DTYPES)
    half = arguments["dtype"] not in ("float32", "float64")
    if seed % 3 == 0:
        arguments["activation"] = pick(rng, MILD if half else SMOOTH)
    theirs, ours = pair(name, arguments, shape, rng)
    equal(kept_by_keras(ours), theirs.get_weights())
    x = rng.standard_normal(shape)
    y, expected = ours(x.astype(np.float32)), array(theirs(x.astype(np.float32)))
    assert y.dtype.name == arguments["dtype"].removeprefix("mixed_") == ours.compute_dtype
    assert expected.dtype == narrow(y).dtype
    check(ours, x.astype(np.float32).astype(expected.dtype).astype(np.float64), y, expected)
    assert tuple(ours.compute_output_shape(shape)) == tuple(theirs.compute_output_shape(shape)) == y.shape
    unknown = tuple(None if axis not in (1 if arguments["data_format"] == "channels_first" else len(shape) - 1,) else n
                    for axis, n in enumerate(shape))  # fmt: skip
    assert tuple(ours.compute_output_shape(unknown)) == tuple(theirs.compute_output_shape(unknown))


@pytest.mark.parametrize("seed", range(80))
def test_random_configurations_go_both_ways(seed):
    rng = np.random.RandomState(1000 + seed)
    name = LAYERS[seed % 4]
    arguments, shape = draw(rng, name)
    arguments |= objects(rng, name) | {"dtype": pick(rng, DTYPES), "activation": pick(rng, [None, "hard_shrink", *SMOOTH])}
    arguments["trainable"] = bool(rng.randint(2))
    theirs = getattr(keras().layers, name)(**arguments, name="layer")
    if seed // 4 % 4 == 0:
        theirs.build(shape)
    form = plain(keras().layers.serialize(theirs))
    ours = deserialize(form)
    assert plain(serialize(ours)) == form
    back = keras().layers.deserialize(plain(serialize(ours)))
    assert type(back) is type(theirs) and plain(keras().layers.serialize(back)) == form
    assert type(theirs).from_config(ours.get_config()).get_config() == theirs.get_config()
    for variable, other in zip(ours.weights, theirs.weights, strict=True):
        assert (variable.name, variable.path, variable.shape) == (other.name, other.path, tuple(other.shape))
        assert (variable.dtype.name, variable.trainable) == (other.dtype, other.trainable)
    assert ours.built == theirs.built and ours.get_build_config() == (
        theirs.get_build_config() and {"input_shape": tuple(theirs.get_build_config()["input_shape"])}
    )
    if ours.built:
        assert ours.count_params() == theirs.count_params()


@pytest.mark.parametrize("seed", range(24))
def test_losses_and_what_is_trainable(seed):
    rng = np.random.RandomState(2000 + seed)
    name = LAYERS[seed % 4]
    arguments, shape = draw(rng, name, largest_kernel=3, spread=3)
    theirs, ours = pair(name, arguments | objects(rng, name), shape, rng)

    def agree():
        np.testing.assert_allclose(ours.losses, [float(loss) for loss in theirs.losses], rtol=1e-5)
        for which in ("weights", "trainable_weights", "non_trainable_weights"):
            assert [w.path for w in getattr(ours, which)] == [w.path for w in getattr(theirs, which)]
        assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]

    x = rng.standard_normal(shape).astype(np.float32)
    agree()
    ours(x), theirs(x)
    agree()
    for value in (False, True):
        ours.trainable = theirs.trainable = value
        assert ours.trainable is theirs.trainable is value
        agree()
    ours.weights[0].trainable = theirs.weights[0].trainable = False
    agree()
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        if mine.constraint is not None:
            expected = array(other.constraint(other.value))
            np.testing.assert_allclose(mine.constraint(mine.numpy()), expected, rtol=2e-6, atol=1e-7)


def test_losses_of_models():
    def model(library, **kwargs):
        regularized = library.layers.SeparableConv2D(
            4, 3, depthwise_regularizer="l2", depthwise_initializer="ones", bias_regularizer="l1"
        )
        last = library.layers.Activation("relu", activity_regularizer="l2")
        return library.Sequential([library.Input((8, 8, 3)), regularized, last], **kwargs)

    x = np.random.RandomState(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
    for kwargs in ({}, {"trainable": False}):
        theirs, ours = model(keras(), **kwargs), model(sepconv, **kwargs)
        ours.set_weights(theirs.get_weights())
        for _ in range(2):
            np.testing.assert_allclose(ours.losses, [float(loss) for loss in theirs.losses], rtol=1e-5)
            ours(x), theirs(x)
        for made in (theirs, ours):
            made.trainable = False
            made.add((sepconv if made is ours else keras()).layers.DepthwiseConv2D(3, depthwise_regularizer="l2"))
            made(x)
        np.testing.assert_allclose(ours.losses, [float(loss) for loss in theirs.losses], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_models_of_integers(dtype):
    theirs = keras().Sequential([keras().Input((8, 8, 3), dtype=dtype, name="x"), keras().layers.SeparableConv2D(4, 3, name="s")])
    form = plain(theirs.get_config())
    ours = sepconv.Sequential.from_config(form)
    assert plain(ours.get_config()) == {**form, "name": ours.name}
    assert plain(keras().Sequential.from_config(plain(ours.get_config())).get_config()) == form
    assert ours(np.ones((1, 8, 8, 3), dtype)).dtype == np.float32


def keras_objects():
    """Arguments that are Keras's own objects."""
    k = keras()
    activations = (k.layers.ReLU(6.0), k.layers.ReLU(2.0, 0.25, 0.5), k.layers.LeakyReLU(), k.layers.ELU(), k.layers.Softmax())
    yield from ({"activation": a} for a in (*activations, k.activations.gelu))
    yield from ({"depthwise_initializer": i} for i in (k.initializers.HeNormal(), k.initializers.Constant(0.5)))
    yield {"bias_regularizer": k.regularizers.L2(0.25), "activity_regularizer": k.regularizers.L1L2(0.5, 0.25)}
    yield {"depthwise_constraint": k.constraints.MaxNorm(1, [0, 1])}


def test_keras_own_objects_are_written_as_keras_writes_them():
    for arguments in keras_objects():
        theirs = keras().layers.SeparableConv2D(4, 3, name="layer", **arguments).get_config()
        ours = sepconv.SeparableConv2D(4, 3, name="layer", **arguments)
        assert plain(ours.get_config()) == plain(theirs)
        again = sepconv.SeparableConv2D.from_config(plain(ours.get_config()))
        for key, value in arguments.items():
            assert type(getattr(again, key)).__module__.split(".")[0] in ("sepconv", "functools", "builtins"), value
        x = np.random.RandomState(0).standard_normal((1, 8, 8, 3)).astype(np.float32)
        ours(x)
        again.build(x.shape)
        again.set_weights(ours.get_weights())
        np.testing.assert_allclose(again(x), ours(x), rtol=1e-5, atol=1e-6)


def model_of(rng, rank, dtypes):
    """A random model of ours, of `rank` axes, with random weights."""
    made = [sepconv.Input((*(int(n) for n in rng.randint(14, 20, rank)), 3), name="given")]
    for index, dtype in enumerate(dtypes):
        kind = pick(rng, ("SeparableConv", "DepthwiseConv", "Activation"))
        if kind == "Activation":
            made.append(sepconv.Activation(pick(rng, MILD), dtype=dtype, name=f"n{index}"))
            continue
        arguments, _ = draw(rng, f"{kind}{rank}D", largest_kernel=3, multiplier=2)
        arguments |= undrawn(kind) | {"padding": "same", "data_format": "channels_last", "trainable": bool(rng.randint(2))}
        made.append(getattr(sepconv, f"{kind}{rank}D")(**arguments, dtype=dtype, name=f"n{index}"))
    model = sepconv.Sequential(made, name="net")
    model.set_weights([rng.standard_normal(w.shape) / 2 for w in model.weights])
    return model


@pytest.mark.parametrize("seed", range(16))
def test_models_and_their_files_go_both_ways(seed, tmp_path):
    rng = np.random.RandomState(3000 + seed)
    dtypes = ["float32"] * 4 if seed % 2 else [pick(rng, DTYPES[:-1]) for _ in range(5)]
    ours = model_of(rng, 1 + seed // 2 % 2, dtypes)
    form = plain(sepconv.models.serialize(ours))
    theirs = keras().saving.deserialize_keras_object(form)
    assert type(theirs) is keras().Sequential
    again = plain(keras().saving.serialize_keras_object(theirs))
    again.pop("compile_config", None)
    assert again == form
    assert plain(sepconv.models.serialize(sepconv.models.deserialize(again))) == form
    # Our file, read by Keras.
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    equal(theirs.get_weights(), ours.get_weights())
    assert [w.path.split("/")[-2:] for w in theirs.weights] == [w.path.split("/") for w in ours.weights]
    # Keras's file, read by us.
    changed = [w + np.asarray(1, w.dtype) for w in theirs.get_weights()]
    theirs.set_weights(changed)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    equal(ours.get_weights(), changed)
    x = rng.standard_normal((2, *ours.input_shape[1:])).astype(np.float32)
    y, expected = ours(x).astype(np.float64), array(theirs(x)).astype(np.float64)
    # Rounding adds up from layer to layer.
    room = 1e-4 if set(dtypes) == {"float32"} else 0.1
    np.testing.assert_allclose(y, expected, rtol=room, atol=room * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "mixed_bfloat16"])
def test_a_lone_layers_file(name, dtype, tmp_path):
    rng = np.random.RandomState(4000)
    arguments, shape = draw(rng, name)
    theirs, ours = pair(name, arguments | {"dtype": dtype}, shape, rng)
    model = keras().Sequential([keras().Input(batch_shape=shape, dtype="float32"), theirs])
    kept = kept_by_keras(ours)
    ours.save_weights(tmp_path / "ours.weights.h5")
    model.set_weights([w * 0 for w in kept])
    model.load_weights(tmp_path / "ours.weights.h5")
    equal(model.get_weights(), kept)
    model.save_weights(tmp_path / "theirs.weights.h5")
    ours.set_weights([w * 0 for w in kept])
    ours.load_weights(tmp_path / "theirs.weights.h5")
    equal(kept_by_keras(ours), kept)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_are_set_and_refused_alike(name):
    rng = np.random.RandomState(5000)
    arguments, shape = draw(rng, name)
    theirs, ours = pair(name, arguments | {"use_bias": True}, shape, rng)
    kept = theirs.get_weights()
    for wrong in (
        [],
        kept[:-1],
        [*kept, kept[0]],
        [w[..., None] for w in kept],
        [kept[0][:0], *kept[1:]],
        [*kept[:-1], kept[-1][1:]],
    ):
        for layer in (theirs, ours):
            with pytest.raises(ValueError, match="weight"):
                layer.set_weights(wrong)
            equal(layer.get_weights(), kept)
    for right in (kept, [w.astype(np.float64) * 2 for w in kept], [np.ones(w.shape, np.int64) for w in kept]):
        theirs.set_weights(right)
        ours.set_weights(right)
        equal(ours.get_weights(), theirs.get_weights())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    x = np.random.RandomState(6000).standard_normal((3, 5, 4)).astype(np.float32) * 3
    theirs = keras().layers.Activation(name, name="a")
    ours = deserialize(plain(keras().layers.serialize(theirs)))
    assert plain(ours.get_config()) == plain(theirs.get_config())
    np.testing.assert_allclose(ours(x), array(theirs(x)), rtol=2e-6, atol=1e-6)
    assert list(ours.compute_output_shape((3, 5, 4))) == list(array(theirs(x)).shape)


REFUSALS = recorded("refusals")


@pytest.mark.parametrize("row", REFUSALS, ids=[f"{row[0]}: {row[1][:90]}" for row in REFUSALS])
def test_refusals(row):
    """The table of refusals, with this Keras."""
    kind, expression, _, _ = row
    for library, error in ((keras(), Exception), (sepconv, (ValueError, TypeError))):
        if kind == "both" or (kind == "refused here") == (library is sepconv):
            with pytest.raises(error):
                evaluate(expression, library)
        else:
            evaluate(expression, library)


def test_the_recording_is_of_this_keras():
    """Of the configurations at least: other versions may add keys, and then the recording is to be made anew."""
    for expression, form, _ in recorded("configs"):
        assert plain(keras().layers.serialize(evaluate(expression, keras()))) == form


@pytest.mark.parametrize("seed", range(40))
def test_gradients_of_random_layers(seed):
    rng = np.random.RandomState(5000 + seed)
    name = LAYERS[seed % 4]
    arguments, shape = draw(rng, name, largest_kernel=4, channels=6)
    arguments |= {role: value for role, value in objects(rng, name).items() if role.endswith("regularizer")}
    arguments["activation"] = pick(rng, [n for n in SMOOTH if n not in ("soft_shrink", "sparsemax")])
    theirs, ours = pair(name, arguments, shape, rng)
    ours.trainable = theirs.trainable = seed % 5 > 0
    x = rng.standard_normal(shape).astype(np.float32)
    y, pullback = ours.vjp(x)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    losses = float(seed % 3)
    expected, gradients = gradients_of_keras(theirs, x, dy, losses), pullback(dy, losses=losses)
    found = [gradients.input, *gradients.weights]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-5 * max(1, np.abs(b).max()))


def test_training_goes_the_same_way():
    """Fifty steps of gradient descent with momentum and constraints, from the same weights and data."""
    arguments = {"filters": 6, "kernel_size": 3, "padding": "same", "activation": "tanh", "depthwise_constraint": "unit_norm"}
    arguments["pointwise_regularizer"] = {"class_name": "L2", "config": {"l2": 0.001}}
    rng = np.random.RandomState(1)
    theirs, ours = pair("SeparableConv2D", arguments, (8, 10, 9, 4), rng)
    optimizer = keras().optimizers.SGD(0.02, momentum=0.9)
    optimizer.build(theirs.trainable_variables)
    velocity = [np.zeros(w.shape, np.float32) for w in ours.trainable_weights]
    target = rng.standard_normal((8, 10, 9, 6)).astype(np.float32)
    x = rng.standard_normal((8, 10, 9, 4)).astype(np.float32)
    histories = [], []
    for _ in range(50):
        y, pullback = ours.vjp(x, input=False)
        histories[0].append(float(((y - target) ** 2).mean()) + sum(ours.losses))
        for place, gradient in enumerate(pullback(2 * (y - target) / y.size, losses=1.0).weights):
            velocity[place] = 0.9 * velocity[place] - 0.02 * gradient
            ours.trainable_weights[place].assign_add(velocity[place])
        ours.apply_constraints()
        z = array(theirs(x))
        histories[1].append(float(((z - target) ** 2).mean()) + float(sum(theirs.losses)))
        found = gradients_of_keras(theirs, x, 2 * (z - target) / z.size, 1.0)[1:]
        optimizer.apply([keras().ops.convert_to_tensor(g) for g in found], theirs.trainable_variables)
        for variable in theirs.trainable_variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
    np.testing.assert_allclose(*histories, rtol=1e-4)
    assert histories[0][-1] < histories[0][0]

"""The layers against what Keras answered, as tests/golden/record.py has recorded it. No Keras is needed."""

import json

import numpy as np
import pytest
from keras_cases import ACTIVATIONS, CURVED, GOLDEN, LAYERS, PIECEWISE, check, check_gradients, evaluate, plain, recorded, tapes

import sepconv
from sepconv.layers import deserialize, serialize


def ids(rows):
    return [str(row[0])[:90] for row in rows]


CONFIGS, MODELS, OBJECTS, SHAPES = recorded("configs"), recorded("models"), recorded("objects"), recorded("shapes")
REFUSALS, DRAWN, CASES = recorded("refusals"), recorded("drawn"), recorded("layers")


# Outputs.


def read_layers():
    """(row, input, weights, output) of every recorded layer."""
    tape = tapes("layers")
    for row in CASES:
        _, _, shape, largest, weights, output, _ = row
        scales = [1] * (len(weights) + 1) if largest else [32] + [64] * len(weights)
        x, *values = (tape["given"].take(s).astype(np.float32) / c for s, c in zip((shape, *weights), scales, strict=True))
        yield row, x, values, tape["exact" if largest else "rounded"].take(output)
    assert all(t.ended for t in tape.values())


READ = list(read_layers())


def case_id(read):
    name, arguments, shape, largest, *_ = read[0]
    kind = "exact" if largest else "rounded"
    return f"{name}-{arguments.get('activation')}-{arguments.get('dtype', 'float32')}-{kind}-{'x'.join(map(str, shape))}"


@pytest.mark.parametrize("read", READ, ids=case_id)
def test_a_layer_computes_what_keras_computes(read):
    (name, arguments, shape, largest, weight_shapes, output_shape, dtype), x, weights, expected = read
    layer = getattr(sepconv.layers, name)(**arguments, name="layer")
    layer.build(shape)
    assert [list(w.shape) for w in layer.weights] == weight_shapes
    layer.set_weights(weights)
    y = layer(x)
    assert list(y.shape) == output_shape and y.dtype.name == dtype == layer.compute_dtype
    assert list(layer.compute_output_shape(shape)) == output_shape
    if largest:
        assert np.array_equal(y.astype(np.float32), expected)
    else:
        check(layer, x, y, expected)


def test_the_recording_covers_the_arguments():
    for name in LAYERS:
        rows = [row for row in CASES if row[0] == name]
        seen = {
            key: {json.dumps(row[1].get(key)) for row in rows} for key in ("padding", "data_format", "use_bias", "depth_multiplier")
        }
        assert {key: len(values) for key, values in seen.items()} == {
            "padding": 2,
            "data_format": 2,
            "use_bias": 2,
            "depth_multiplier": 4,
        }
        for axis in range(2 if name.endswith("2D") else 1):
            assert {row[1]["kernel_size"][axis] for row in rows} == set(range(1, 8))
            assert {row[1]["strides"][axis] for row in rows} == {row[1]["dilation_rate"][axis] for row in rows} == {1, 2, 3}
        assert any(max(row[1]["strides"]) > 1 and max(row[1]["dilation_rate"]) > 1 for row in rows)
        assert {row[1].get("activation") for row in rows} == {None, *ACTIVATIONS}
        dtypes = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}
        assert {row[1].get("dtype") for row in rows} >= dtypes
        for key in ("kernel_size", "strides", "dilation_rate") if name.endswith("2D") else ():
            assert any(row[1][key][0] != row[1][key][1] for row in rows)
    outputs = [expected for _, _, _, expected in READ]
    assert sum(np.count_nonzero(y) for y in outputs) > 0.7 * sum(y.size for y in outputs)


# Gradients.


def read_gradients():
    """(row, input, gradient of the output, weights, gradients of input and weights) of every recorded case."""
    tape = tapes("gradients")
    for row in recorded("gradients"):
        _, _, shape, largest, weights, output, _ = row
        x, dy, *values = (tape["given"].take(s) / (1 if largest else 64) for s in (shape, output, *weights))
        yield row, x, dy, values, [tape["exact" if largest else "rounded"].take(s) for s in (shape, *weights)]
    assert all(t.ended for t in tape.values())


GRADIENTS = list(read_gradients())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "read", GRADIENTS, ids=lambda read: f"{read[0][0]}-{read[0][1]['activation']}-{'x'.join(map(str, read[0][2]))}"
)
def test_a_layers_gradients_are_those_of_keras(read, dtype):
    (name, arguments, _, largest, _, _, keras_dtype), x, dy, weights, expected = read
    layer = getattr(sepconv.layers, name)(**arguments, dtype=dtype, weights=weights)
    y, pullback = layer.vjp(x.astype(dtype))
    assert y.shape == dy.shape
    gradients = pullback(dy.astype(dtype))
    found = [gradients.input, *gradients.weights]
    if largest:
        assert len(found) == len(expected) and all(map(np.array_equal, found, expected))
    else:
        check_gradients(layer, x, dy, found, expected, keras_dtype)


def test_the_recording_of_gradients_covers_the_arguments():
    for name in LAYERS:
        rows = [row for row, *_ in GRADIENTS if row[0] == name]
        seen = {
            key: {row[1][key] for row in rows} for key in ("padding", "data_format", "use_bias", "depth_multiplier", "activation")
        }
        assert seen == {
            "padding": {"valid", "same", *(["causal"] if name == "SeparableConv1D" else [])},
            "data_format": {"channels_first", "channels_last"},
            "use_bias": {True, False},
            "depth_multiplier": {1, 2},
            "activation": {*PIECEWISE, *CURVED},
        }
        for axis in range(2 if name.endswith("2D") else 1):
            for key in ("strides", "dilation_rate", "kernel_size"):
                assert {row[1][key][axis] for row in rows} == {1, 2, 3}
    gradients = [g for *_, expected in GRADIENTS for g in expected]
    assert sum(map(np.count_nonzero, gradients)) > 0.5 * sum(g.size for g in gradients)


# Losses.


def test_losses():
    given = tapes("losses")["given"]
    seen = 0
    for name, arguments, shape, before, after in recorded("losses"):
        layer = getattr(sepconv.layers, name)(**arguments, name="layer")
        layer.build(shape)
        x, *weights = (given.take(s).astype(np.float32) for s in (shape, *(w.shape for w in layer.weights)))
        layer.set_weights(weights)
        # 16-bit activity losses are sums in 16 bits in Keras.
        room = 1e-6 if layer.compute_dtype == "float32" else 3e-3
        np.testing.assert_allclose(layer.losses, before, rtol=1e-6)
        layer(x)
        np.testing.assert_allclose(layer.losses, after, rtol=room)
        seen += len(after)
    assert given.ended and seen > 50


# Configurations.


def single(form):
    """`form` with its floats rounded to float32: Keras keeps the factors of its regularizers so, as 0.009999999776 for 0.01."""
    if isinstance(form, dict):
        return {key: single(value) for key, value in form.items()}
    if isinstance(form, (list, tuple)):
        return [single(value) for value in form]
    return float(np.float32(form)) if isinstance(form, float) else form


@pytest.mark.parametrize("row", CONFIGS, ids=ids(CONFIGS))
def test_a_layers_configuration_is_keras_own(row):
    expression, form, weights = row
    layer = evaluate(expression, sepconv)
    assert single(serialize(layer)) == single(form) and list(layer.get_config()) == list(form["config"])
    assert [[w.name, w.path, list(w.shape), w.dtype.name, w.trainable] for w in layer.weights] == weights
    other = deserialize(form)
    assert type(other) is type(layer) and plain(serialize(other)) == form
    assert plain(type(layer).from_config(form["config"]).get_config()) == form["config"]
    assert [[w.name, w.path, list(w.shape), w.dtype.name, w.trainable] for w in other.weights] == weights


@pytest.mark.parametrize("row", MODELS, ids=ids(MODELS))
def test_a_models_configuration_is_keras_own(row):
    expression, form, paths = row
    for model in (evaluate(expression, sepconv), sepconv.models.deserialize(form)):
        assert plain(sepconv.models.serialize(model)) == form
        # In Keras the path begins with the model's name, if the layer was built in one.
        assert [w.path.split("/")[-2:] for w in model.weights] == [path.split("/")[-2:] for path in paths]


@pytest.mark.parametrize("row", OBJECTS, ids=ids(OBJECTS))
def test_an_objects_serial_form_is_keras_own(row):
    expression, form = row
    registry = getattr(sepconv, expression.split(".")[0])
    value = evaluate(expression, sepconv)
    assert single(registry.serialize(value)) == single(form)
    other = registry.deserialize(form)
    assert type(other) is type(value) and plain(registry.serialize(other)) == form
    assert plain(registry.serialize(registry.get(form))) == form
    assert single(value.get_config()) == single(form["config"])


# Shapes and refusals.


@pytest.mark.parametrize("row", SHAPES, ids=ids(SHAPES))
def test_output_shapes(row):
    expression, expected = row
    if expected is None:
        with pytest.raises(ValueError, match="Received"):
            evaluate(expression, sepconv)
    else:
        shape = evaluate(expression, sepconv)
        assert isinstance(shape, tuple) and list(shape) == expected


@pytest.mark.parametrize("row", REFUSALS, ids=[f"{row[0]}: {row[1][:90]}" for row in REFUSALS])
def test_what_keras_refuses_is_refused(row):
    kind, expression, word, error = row
    assert (error is None) == (kind == "refused here")
    if kind == "allowed here":
        evaluate(expression, sepconv)
        return
    with pytest.raises((ValueError, TypeError)) as caught:
        evaluate(expression, sepconv)
    # Not by accident: the refusal is ours, and names the argument.
    assert word in str(caught.value)
    assert "unsupported operand" not in str(caught.value) and "not supported between" not in str(caught.value)


# Functions.


@pytest.mark.parametrize("index", range(5), ids=["activations", "kernel", "matrix", "vector", "initializers"])
def test_functions(index):
    tape = tapes("functions")
    for number, (shape, answers) in enumerate(recorded("functions")):
        x = tape["inputs"].take(shape)
        for expression, output_shape in answers:
            expected = tape["outputs"].take(output_shape)
            if number == index:
                value = np.asarray(evaluate(expression, sepconv, x=x))
                np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-6, err_msg=expression)
    assert all(t.ended for t in tape.values())


def test_activation_layers_are_the_functions():
    x = tapes("functions")["inputs"].take(recorded("functions")[0][0])
    for name in ACTIVATIONS:
        assert np.array_equal(sepconv.Activation(name)(x), sepconv.activations.get(name)(x))


@pytest.mark.parametrize("row", DRAWN, ids=[f"{row[0]}{row[1]}" for row in DRAWN])
def test_random_initializers_draw_from_keras_distributions(row):
    expression, shape, (least, greatest, mean, deviation) = row
    value = np.asarray(evaluate(expression, sepconv, shape=tuple(shape)), np.float64)
    assert list(value.shape) == shape and value.dtype == np.float64
    assert abs(value.std() / deviation - 1) < 0.06
    assert abs(value.mean() - mean) < 0.1 * deviation
    # Uniform numbers come close to their limits; the others have tails.
    room = 0.15 if "niform" in expression else 1.5
    for bound, extreme in ((least, value.min()), (greatest, value.max())):
        assert abs(bound - extreme) < room * deviation


# Files.


def test_a_weights_file_that_keras_wrote():
    expression, shape = recorded("file")
    model = evaluate(expression, sepconv)
    model.load_weights(GOLDEN / "model.weights.h5")
    tape = tapes("file")
    for variable in model.weights:
        value = tape["values"].take(variable.shape).astype(np.float32) / 64
        assert np.array_equal(variable.numpy().astype(np.float32), value), variable.path
    x = tape["values"].take((2, 9, 8, 3)).astype(np.float32) / 32
    y = model(x).astype(np.float32)
    assert list(y.shape) == shape
    expected = tape["outputs"].take(shape)
    np.testing.assert_allclose(y, expected, rtol=0.02, atol=0.02 * np.abs(expected).max())
    assert all(t.ended for t in tape.values())


def test_a_lone_layer_reads_the_file_of_a_model_of_one(tmp_path):
    layer = sepconv.SeparableConv2D(4, 3, input_shape=(8, 8, 3), name="stem")
    sepconv.Sequential([layer]).save_weights(tmp_path / "w.weights.h5")
    twin = sepconv.SeparableConv2D(4, 3, input_shape=(8, 8, 3), name="twin")
    twin.load_weights(tmp_path / "w.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(twin.get_weights(), layer.get_weights(), strict=True))


def test_the_recording_is_small():
    files = [path for path in GOLDEN.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000

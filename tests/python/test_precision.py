"""`precision="bfloat16"`: of `sepconv.options` and of the ops, never of a configuration."""

import json
import threading

import numpy as np
import pytest

import sepconv
from sepconv import _runtime, ops


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


X = normal(2, 9, 10, 37)
DEPTHWISE, POINTWISE = normal(3, 3, 37, 2, seed=1), normal(1, 1, 74, 19, seed=2)


def test_contexts_nest_and_reset():
    assert _runtime.products() == "default"
    with sepconv.options(precision="bfloat16"):
        assert _runtime.products() == "bfloat16" and _runtime.products("default") == "default"
        with sepconv.options(num_threads=2):
            assert _runtime.products() == "bfloat16"
            with sepconv.options(precision="default"):
                assert _runtime.products() == "default" and _runtime.threads() == 2
            assert _runtime.products() == "bfloat16"
    assert _runtime.products() == "default"
    with pytest.raises(KeyError), sepconv.options(precision="bfloat16"):
        raise KeyError
    assert _runtime.products() == "default"


def test_the_context_is_of_one_thread():
    seen = []
    with sepconv.options(precision="bfloat16"):
        thread = threading.Thread(target=lambda: seen.append(_runtime.products()))
        thread.start()
        thread.join()
    assert seen == ["default"]


@pytest.mark.parametrize("value", ["float16", "bf16", "", 16, True, np.float32])
def test_other_values_are_refused(value):
    with (
        pytest.raises(ValueError, match=r"`precision`.*'default', 'bfloat16'.*Received: precision="),
        sepconv.options(precision=value),
    ):
        pass
    with pytest.raises(ValueError, match=r"`precision`.*Received: precision="):
        ops.separable_conv(X, DEPTHWISE, POINTWISE, precision=value)
    assert _runtime.products() == "default"


def test_a_refused_option_changes_none():
    with pytest.raises(ValueError, match="`precision`"), sepconv.options(num_threads=3, precision="half"):
        pass
    assert _runtime.most_threads() is None


def exact(rows, weights):
    """In float64, and the documented bound of the error."""
    rows, weights = rows.astype(np.float64), weights.astype(np.float64)
    bound = 2**-8 * (2 + 2**-8) + len(weights) * 2**-23
    return rows @ weights, bound * (abs(rows) @ abs(weights))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("channels, filters", [(1, 5), (2, 3), (37, 19), (300, 64), (1001, 9)])
def test_the_error_stays_within_the_bound(channels, filters, data_format):
    x, kernel = normal(1, 6, 17, channels), normal(1, 1, channels, filters, seed=3)
    depthwise = normal(3, 3, channels, 1, seed=4)
    rows = ops.depthwise_conv(x, depthwise)
    given = x if data_format == "channels_last" else np.ascontiguousarray(np.moveaxis(x, -1, 1))
    y = ops.separable_conv(given, depthwise, kernel, data_format=data_format, precision="bfloat16")
    y = y if data_format == "channels_last" else np.moveaxis(y, 1, -1)
    expected, bound = exact(rows, kernel[0, 0])
    assert np.all(abs(y - expected) <= bound)
    assert np.max(abs(y - expected)) > 2**-12 * np.max(abs(expected))  # it is another precision
    expected, bound = exact(x, kernel[0, 0])
    assert np.all(abs(ops.pointwise_conv(x, kernel, precision="bfloat16") - expected) <= bound)


def test_keyword_context_and_layer_agree():
    layer = sepconv.SeparableConv2D(19, 3, depth_multiplier=2, use_bias=False, input_shape=(None, None, 37))
    layer.set_weights([DEPTHWISE, POINTWISE])
    y = ops.separable_conv(X, DEPTHWISE, POINTWISE, precision="bfloat16")
    plain = ops.separable_conv(X, DEPTHWISE, POINTWISE)
    assert not np.array_equal(y, plain)
    out = np.empty_like(y)
    for _ in range(2):  # calls that are recalled, too
        with sepconv.options(precision="bfloat16"):
            assert np.array_equal(layer(X), y) and np.array_equal(layer(X, out), y) and np.array_equal(out, y)
            assert np.array_equal(ops.separable_conv(X, DEPTHWISE, POINTWISE), y)
            assert np.array_equal(ops.separable_conv(X, DEPTHWISE, POINTWISE, precision="default"), plain)
            assert layer.explain(X.shape)["precision"] == "bfloat16"
        assert np.array_equal(layer(X), plain)
        assert layer.explain(X.shape)["precision"] == "float32"


def test_weights_that_change_are_rounded_anew():
    layer = sepconv.SeparableConv2D(4, 1, input_shape=(None, None, 37))
    with sepconv.options(precision="bfloat16"):
        before = layer(X)
        layer.pointwise_kernel *= 2
        assert np.array_equal(layer(X), 2 * before)


def test_variables_are_packed_for_each_precision():
    kernel = sepconv.Variable(POINTWISE, name="kernel")
    x = normal(1, 4, 5, 74)
    wanted = {p: ops.pointwise_conv(x, POINTWISE, precision=p) for p in ("default", "bfloat16")}
    for precision in ("default", "bfloat16", "default", "bfloat16"):
        assert np.array_equal(ops.pointwise_conv(x, kernel, precision=precision), wanted[precision])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_storage_of_16_bits_rounds_once_more(dtype):
    layer = sepconv.SeparableConv2D(19, 3, depth_multiplier=2, use_bias=False, dtype=dtype, input_shape=(None, None, 37))
    layer.set_weights([DEPTHWISE, POINTWISE])
    x = X.astype(layer(X).dtype)
    with sepconv.options(precision="bfloat16"):
        y = layer(x)
    weights = [np.asarray(w).astype(np.float32) for w in layer.get_weights()]
    wide = ops.separable_conv(x.astype(np.float32), *weights, precision="bfloat16")
    assert np.array_equal(y, wide.astype(y.dtype))


def test_float64_is_refused():
    layer = sepconv.SeparableConv2D(2, 3, dtype="float64")
    x = np.ones((1, 5, 5, 3))
    message = r"`precision` argument must be 'default' where the computation is in float64. Received: precision='bfloat16'"
    with sepconv.options(precision="bfloat16"):
        with pytest.raises(ValueError, match=message):
            layer(x)
        with pytest.raises(ValueError, match=message):
            layer.vjp(x)
        with pytest.raises(ValueError, match=message):
            ops.pointwise_conv(x, np.ones((1, 1, 3, 2)))
    with pytest.raises(ValueError, match=message):
        ops.pointwise_conv(x, np.ones((1, 1, 3, 2)), precision="bfloat16")
    assert layer(x).dtype == np.float64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_depthwise_convolutions_take_no_notice(dtype):
    layer, x = sepconv.DepthwiseConv2D(3, dtype=dtype), X.astype(dtype)
    plain = layer(x)
    with sepconv.options(precision="bfloat16"):
        assert np.array_equal(layer(x), plain)
        assert layer.explain(X.shape)["precision"] == dtype
    kernel = DEPTHWISE.astype(dtype)
    assert np.array_equal(ops.depthwise_conv(x, kernel, precision="bfloat16"), ops.depthwise_conv(x, kernel))


def test_no_configuration_holds_it():
    with sepconv.options(precision="bfloat16"):
        layer = sepconv.SeparableConv2D(2, 3, name="same")
        model = sepconv.Sequential([sepconv.Input((8, 8, 3)), layer], name="model")
        config = json.dumps(model.get_config())
    assert "precision" not in config
    assert config == json.dumps(model.get_config())
    with pytest.raises(TypeError, match="precision"):
        sepconv.SeparableConv2D(2, 3, precision="bfloat16")


@pytest.mark.parametrize("activation", ["linear", "silu"])
def test_gradients_are_those_of_the_default(activation):
    layer = sepconv.SeparableConv2D(19, 3, depth_multiplier=2, activation=activation, input_shape=(None, None, 37))
    plain, pullback = layer.vjp(X)
    dy = normal(*plain.shape, seed=5)
    with sepconv.options(precision="bfloat16"):
        y, rounded = layer.vjp(X)
        assert np.array_equal(y, layer(X)) and not np.array_equal(y, plain)
    for a, b in zip((pullback(dy).input, *pullback(dy).weights), (rounded(dy).input, *rounded(dy).weights), strict=True):
        if activation == "linear":  # whose derivative doesn't depend on the output
            assert np.array_equal(a, b)
        else:
            assert np.allclose(a, b, rtol=0.05, atol=0.05 * np.max(abs(a)))
    y, rounded = ops.pointwise_conv_vjp(X, normal(1, 1, 37, 5), precision="bfloat16")
    assert np.array_equal(y, ops.pointwise_conv(X, normal(1, 1, 37, 5), precision="bfloat16"))


def test_activations_of_whole_outputs_follow():
    y = ops.pointwise_conv(X, normal(1, 1, 37, 6), precision="bfloat16")
    softmax = ops.pointwise_conv(X, normal(1, 1, 37, 6), precision="bfloat16", activation="softmax")
    assert np.array_equal(softmax, sepconv.activations.softmax(y))


def test_bits_do_not_depend_on_threads_or_the_instruction_set():
    x, kernel = normal(1, 20, 21, 65), normal(1, 1, 65, 40)
    y = ops.pointwise_conv(x, kernel, precision="bfloat16", num_threads=1)
    assert np.array_equal(ops.pointwise_conv(x, kernel, precision="bfloat16", num_threads=4), y)
    for isa in sepconv._core.isas():
        strides = tuple(s // 4 for s in x.strides)
        plan = sepconv._core.Plan(
            op="pointwise",
            dtype="float32",
            input_shape=x.shape,
            input_strides=strides,
            kernel=(1, 1),
            strides=(1, 1),
            dilation=(1, 1),
            padding=((0, 0), (0, 0)),
            multiplier=1,
            filters=40,
            output_strides=tuple(s // 4 for s in y.strides),
            isa=isa,
            precision="bfloat16",
        )
        out = np.empty_like(y)
        plan.run(plan.pack(None, None, kernel[0, 0], None), x, out)
        assert np.array_equal(out, y), isa

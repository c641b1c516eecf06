import inspect
import itertools

import numpy as np
import pytest
import reference

from sepconv.layers import DepthwiseConv1D, DepthwiseConv2D, SeparableConv2D

RNG = np.random.default_rng(8)


def test_signature_is_keras_then_ours():
    names = [
        "kernel_size",
        "strides",
        "padding",
        "depth_multiplier",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "depthwise_constraint",
        "bias_constraint",
        "input_shape",
        "batch_input_shape",
        "batch_size",
        "dtype",
        "name",
        "trainable",
        "weights",
        "autocast",
    ]
    for cls, one in ((DepthwiseConv2D, (1, 1)), (DepthwiseConv1D, 1)):
        parameters = inspect.signature(cls).parameters
        assert list(parameters) == names
        assert [n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY] == names[15:]
        assert parameters["strides"].default == parameters["dilation_rate"].default == one
        assert parameters["depth_multiplier"].default == 1 and parameters["use_bias"].default is True


@pytest.mark.parametrize(
    "padding, data_format, use_bias", list(itertools.product(["valid", "same"], ["channels_last", "channels_first"], [True, False]))
)
@pytest.mark.parametrize(
    "strides, dilation", [((1, 1), (1, 1)), ((2, 2), (1, 1)), ((3, 1), (1, 1)), ((1, 1), (2, 3)), ((2, 3), (1, 2))]
)
def test_every_combination_is_exact(strides, dilation, padding, data_format, use_bias):
    for kernel, channels, multiplier in (((3, 3), 3, 1), ((2, 5), 4, 3), ((1, 1), 1, 1), ((4, 1), 17, 2)):
        shape = (2, 11, 13, channels) if data_format == "channels_last" else (2, channels, 11, 13)
        layer = DepthwiseConv2D(kernel, strides, padding, multiplier, data_format, dilation, None, use_bias)
        layer.build(shape)
        layer.set_weights([reference.integers(RNG, w.shape) for w in layer.weights])
        x = reference.integers(RNG, shape)
        assert layer(x).shape == layer.compute_output_shape(shape)
        assert np.array_equal(layer(x), reference.of_layer(layer, x))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding, stride, dilation", [("valid", 1, 1), ("same", 2, 1), ("same", 1, 3), ("valid", 2, 2)])
def test_one_axis(padding, data_format, stride, dilation):
    shape = (2, 14, 3) if data_format == "channels_last" else (2, 3, 14)
    layer = DepthwiseConv1D(4, stride, padding, 2, data_format, dilation, input_shape=shape[1:])
    layer.set_weights([reference.integers(RNG, w.shape) for w in layer.weights])
    x = reference.integers(RNG, shape)
    assert np.array_equal(layer(x), reference.of_layer(layer, x))


def test_weights_have_keras_names_shapes_and_order():
    layer = DepthwiseConv2D((2, 3), depth_multiplier=2, name="dw", input_shape=(9, 9, 4))
    assert [(w.path, w.shape) for w in layer.weights] == [("dw/kernel", (2, 3, 4, 2)), ("dw/bias", (8,))]
    assert layer.kernel is layer.weights[0] and layer.bias is layer.weights[1]
    assert [w.shape for w in DepthwiseConv1D(3, input_shape=(9, 4)).weights] == [(3, 4, 1), (4,)]
    assert DepthwiseConv1D(3, use_bias=False, input_shape=(9, 4)).bias is None


def test_output_channel_is_channel_times_multiplier_plus_m():
    kernel = np.array([[[[1, 10], [100, 1000]]]], np.float32)
    layer = DepthwiseConv2D(1, depth_multiplier=2, use_bias=False, input_shape=(1, 1, 2), weights=[kernel])
    assert layer(np.array([[[[2, 3]]]], np.float32)).ravel().tolist() == [2, 20, 300, 3000]


def test_causal_is_of_separable_conv_1d_only():
    for cls in (DepthwiseConv1D, DepthwiseConv2D):
        with pytest.raises(ValueError, match="`padding`.*causal"):
            cls(3, padding="causal")


def test_config_keys_are_keras():
    assert list(DepthwiseConv2D(3).get_config()) == [
        "name",
        "trainable",
        "dtype",
        "depth_multiplier",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "depthwise_constraint",
        "bias_constraint",
    ]


def test_explain_names_no_multiply():
    plan = DepthwiseConv2D(3).explain((1, 8, 8, 3))
    assert plan["lanes"] == "none" and "kernel" not in plan and plan["gather_lanes"] in ("channels", "pixels", "outputs")
    assert "kernel" in SeparableConv2D(4, 3).explain((1, 8, 8, 3))

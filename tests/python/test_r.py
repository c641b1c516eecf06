import inspect

import numpy as np
import pytest
import reference

import sepconv
from sepconv.layers import r

FUNCTIONS = {
    r.layer_separable_conv_2d: (sepconv.SeparableConv2D, (4.0, [2.0, 5.0]), (1, 8, 9, 3)),
    r.layer_separable_conv_1d: (sepconv.SeparableConv1D, (4.0, [2.0]), (1, 8, 3)),
    r.layer_depthwise_conv_2d: (sepconv.DepthwiseConv2D, ([2.0, 5.0],), (1, 8, 9, 3)),
    r.layer_depthwise_conv_1d: (sepconv.DepthwiseConv1D, ([2.0],), (1, 8, 3)),
}


@pytest.fixture(params=FUNCTIONS, ids=lambda f: f.__name__)
def case(request):
    return request.param, *FUNCTIONS[request.param]


def test_parameters_of_the_page_in_its_order():
    page = [
        "object",
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "depth_multiplier",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "pointwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "pointwise_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "depthwise_constraint",
        "pointwise_constraint",
        "bias_constraint",
        "input_shape",
        "batch_input_shape",
        "batch_size",
        "dtype",
        "name",
        "trainable",
        "weights",
    ]
    parameters = inspect.signature(sepconv.layer_separable_conv_2d).parameters
    assert list(parameters) == page and parameters["trainable"].default is None
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for f in FUNCTIONS for p in inspect.signature(f).parameters.values())


def test_none_gives_the_layer(case):
    function, cls, arguments, _ = case
    for layer in (
        function(None, *arguments),
        function(object=None, **dict(zip(_names(function), arguments))),
        function(**dict(zip(_names(function), arguments))),
    ):
        assert type(layer) is cls and layer.trainable is True
    assert function.__name__ in function.__doc__ and "rows, columns" in function.__doc__


def _names(function):
    return list(inspect.signature(function).parameters)[1:]


def test_an_array_gives_the_output(case):
    function, cls, arguments, shape = case
    x = reference.integers(np.random.default_rng(0), shape)
    y = function(x, *arguments, use_bias=False, depthwise_initializer="ones")
    assert type(y) is np.ndarray and y.shape == cls(*arguments).compute_output_shape(shape)


def test_a_model_gets_the_layer_and_is_returned(case):
    function, cls, arguments, _ = case
    model = sepconv.Sequential()
    assert function(model, *arguments) is model
    assert [type(layer) for layer in model.layers] == [cls]


@pytest.mark.parametrize("wrong", [32, 32.0, np.int64(32), np.float64(32), np.array(32.0), "valid", (1, 2), [1.0], {}, np.zeros])
def test_anything_else_says_what_to_write(case, wrong):
    function = case[0]
    with pytest.raises(TypeError, match=rf"`object`.*write {function.__name__}\(None, .*Received: object="):
        function(wrong, 3)


def test_missing_and_unknown_arguments_are_named():
    with pytest.raises(TypeError, match="layer_separable_conv_2d.*filters"):
        sepconv.layer_separable_conv_2d(None)
    with pytest.raises(TypeError, match="layer_separable_conv_2d.*nonsense"):
        sepconv.layer_separable_conv_2d(None, 3, 3, nonsense=1)


def test_everything_by_position_as_reticulate_sends_it():
    """Whole floats, lists of floats and Fortran-ordered float64 arrays everywhere; the kernel is rows, columns."""
    rng = np.random.default_rng(3)
    x = np.asfortranarray(reference.integers(rng, (2, 7, 9, 3), np.float64))
    weights = [np.asfortranarray(reference.integers(rng, s, np.float64)) for s in ((2, 5, 3, 2), (1, 1, 6, 4), (4,))]
    arguments = (
        [
            4.0,
            [2.0, 5.0],
            [1.0, 2.0],
            "same",
            "channels_last",
            [1.0, 1.0],
            2.0,
            "relu",
            True,
            "glorot_uniform",
            "he_normal",
            "zeros",
        ]
        + ["l2", None, None, None, "non_neg", None, None]
        + [[7.0, 9.0, 3.0], None, 2.0, "float32", "conv", None, weights]
    )
    layer = sepconv.layer_separable_conv_2d(None, *arguments)
    assert (
        layer.kernel_size == (2, 5) and layer.strides == (1, 2) and layer.name == "conv" and layer.built and layer.trainable is True
    )
    assert layer.get_build_config() == {"input_shape": (2, 7, 9, 3)}
    y = layer(x)
    assert y.dtype == np.float32
    assert np.array_equal(y, reference.of_layer(layer, x, lambda v: np.maximum(v, 0)))
    assert np.array_equal(sepconv.layer_separable_conv_2d(x, *arguments), y)
    model = sepconv.layer_separable_conv_2d(sepconv.Sequential(), *arguments)
    assert np.array_equal(model(x), y)


def test_trainable_may_be_given():
    assert sepconv.layer_separable_conv_2d(None, 3, 3, trainable=False).trainable is False
    with pytest.raises(ValueError, match="`trainable`"):
        sepconv.layer_separable_conv_2d(None, 3, 3, trainable=1.0)

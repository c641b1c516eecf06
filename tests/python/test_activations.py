import copy
import pickle
from functools import partial

import numpy as np
import pytest

import sepconv
from sepconv import SeparableConv2D, activations
from sepconv.activations import ELU, LeakyReLU, ReLU, Softmax, core_form, deserialize, get, serialize
from sepconv.layers import Activation

NAMES = """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid log_softmax mish relu
relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink threshold""".split()
X = np.random.default_rng(0).standard_normal((2, 6, 7, 4)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_keras(name):
    function = get(name)
    assert function is getattr(activations, name) is deserialize(name) and function.__name__ == name and function.__doc__
    assert serialize(function) == name
    assert get({"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}) is function
    assert pickle.loads(pickle.dumps(function)) is function is copy.deepcopy(function)


def test_aliases_none_and_callables():
    assert get("swish") is activations.silu is activations.swish and serialize(get("hard_swish")) == "hard_silu"
    assert get(None) is activations.linear is deserialize(None)
    for function in (np.tanh, lambda x: x, partial(activations.elu, alpha=2.0), ReLU(6.0)):
        assert get(function) is function
    assert all(hasattr(activations, name) for name in activations.__all__)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("threshold", "glu")])
def test_a_layer_gives_the_bits_of_the_function(name):
    layer = SeparableConv2D(5, 3, activation=name, input_shape=(6, 7, 4))
    linear = SeparableConv2D(5, 3, weights=layer.get_weights())
    assert np.array_equal(layer(X), get(name)(linear(X)), equal_nan=True)
    assert np.array_equal(Activation(name)(X), get(name)(X))


FACTORIES = [
    (ReLU(), {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}),
    (ReLU(6.0), {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}),
    (ReLU(2, 0.25, 0.5), {"max_value": 2, "negative_slope": 0.25, "threshold": 0.5}),
    (LeakyReLU(), {"negative_slope": 0.3}),
    (ELU(0.5), {"alpha": 0.5}),
    (Softmax(1), {"axis": 1}),
]
CLASSES = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "softmax": "Softmax"}


@pytest.mark.parametrize("function, config", FACTORIES, ids=str)
def test_layers_of_keras_as_functions(function, config):
    name = CLASSES[function.func.__name__]
    written = serialize(function)
    assert written == {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}
    assert list(written["config"]) == list(config)
    whole = {**written, "config": {"name": "a", "trainable": True, "dtype": "float32", **config}}
    for other in (get(written), deserialize(whole), get({"class_name": name, "config": config}), copy.deepcopy(function)):
        assert serialize(other) == written and core_form(other) == core_form(function)
        assert np.array_equal(other(X), function(X))
    assert serialize(pickle.loads(pickle.dumps(function))) == written
    layer = SeparableConv2D(5, 3, activation=function, name="a")
    assert layer.get_config()["activation"] == written
    assert eval(repr(layer), {**vars(activations), **vars(sepconv)}).get_config() == layer.get_config()
    assert SeparableConv2D.from_config(layer.get_config()).get_config() == layer.get_config()


def test_forms_of_tf_keras():
    assert serialize(get({"class_name": "LeakyReLU", "config": {"alpha": 0.1}}))["config"] == {"negative_slope": 0.1}
    assert core_form(get({"class_name": "ReLU", "config": {"max_value": 6.0}})) == ("relu6", ())
    with pytest.raises(TypeError, match="theta"):
        get({"class_name": "ReLU", "config": {"theta": 1.0}})
    with pytest.raises(ValueError, match="`max_value`"):
        get({"class_name": "ReLU", "config": {"max_value": -1.0}})
    for name in ("ReLU", "LeakyReLU", "Softmax"):  # as in Keras 3, these are no names
        with pytest.raises(ValueError, match=f"activation {name!r} is not known. The names are relu, "):
            get(name)
    for name in ("PReLU", "ThresholdedReLU"):
        with pytest.raises(ValueError, match=f"activation {name!r} is not known"):
            get({"module": "keras.layers", "class_name": name, "config": {}})


def test_parameters_by_partial():
    function = partial(activations.relu, max_value=3.0)
    layer = SeparableConv2D(5, 3, activation=function, input_shape=(6, 7, 4))
    linear = SeparableConv2D(5, 3, weights=layer.get_weights())
    assert np.array_equal(layer(X), np.clip(linear(X), 0, 3))
    assert layer.get_config()["activation"]["config"] == {"max_value": 3.0, "negative_slope": 0.0, "threshold": 0.0}
    assert serialize(partial(activations.leaky_relu))["config"] == {"negative_slope": 0.2}
    for function in (partial(activations.gelu, approximate=True), partial(activations.relu, X), partial(max, 1)):
        with pytest.raises(ValueError, match="can't be written"):
            serialize(function)
    with pytest.raises(ValueError, match="`alpha`"):
        SeparableConv2D(5, 3, activation=partial(activations.elu, alpha="a"))
    with pytest.raises(ValueError, match="`threshold`"):
        SeparableConv2D(5, 3, activation="threshold")
    threshold = partial(activations.threshold, threshold=0.5, default_value=-1.0)
    assert np.array_equal(Activation(threshold)(X), np.where(X > 0.5, X, np.float32(-1)))


def test_a_stranger_with_our_name_is_not_written_as_ours():
    def relu(x):
        return x

    with pytest.raises(ValueError, match="under the name of ours, 'relu': rename it. Received: a function of"):
        serialize(relu)
    with pytest.raises(ValueError, match="'tanh'"):
        serialize(np.tanh)
    relu.__module__ = "keras.src.activations.activations"
    assert serialize(relu) == "relu"


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="`activation` argument: the activation 'Relu' is not known.*Received: 'Relu'"):
        SeparableConv2D(5, 3, activation="Relu")
    with pytest.raises(TypeError, match="`activation` argument: an activation must be a name"):
        SeparableConv2D(5, 3, activation=3)

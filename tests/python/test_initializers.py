import copy
import json
import pickle

import ml_dtypes
import numpy as np
import pytest

import sepconv
from sepconv import DepthwiseConv2D, SeparableConv2D, initializers
from sepconv.initializers import deserialize, get, serialize

SCALED = {"seed": None, "input_axes": None, "output_axes": None}
# As Keras 3.15.1 writes them.
WRITTEN = {
    "Zeros()": {},
    "Ones()": {},
    "Constant(2)": {"value": 2},
    "Identity()": {},
    "STFT()": {"side": "real", "window": "hann", "periodic": False, "scaling": "density"},
    "STFT('imag', None, None, True)": {"side": "imag", "window": None, "periodic": True, "scaling": None},
    **{f"{name}()": SCALED for name in "GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform".split()},
    "HeNormal(seed=3)": {**SCALED, "seed": 3},
    "GlorotUniform(input_axes=[0], output_axes=[1])": {"seed": None, "input_axes": [0], "output_axes": [1]},
    "VarianceScaling()": {"seed": None, "scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", "input_axes": None, "output_axes": None},
    "VarianceScaling(2, 'fan_out', 'Normal', 5)": {"seed": 5, "scale": 2, "mode": "fan_out", "distribution": "truncated_normal", "input_axes": None, "output_axes": None},
    "Orthogonal(2.0)": {"seed": None, "gain": 2.0},
    "RandomNormal()": {"seed": None, "mean": 0.0, "stddev": 0.05},
    "RandomUniform(seed=1)": {"seed": 1, "minval": -0.05, "maxval": 0.05},
    "TruncatedNormal(0.5, 0.25)": {"seed": None, "mean": 0.5, "stddev": 0.25},
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_written_forms_come_back(text):
    initializer, config = eval(text, vars(initializers)), WRITTEN[text]
    name = text.split("(")[0]
    written = serialize(initializer)
    assert written == {"module": "keras.initializers", "class_name": name, "config": config, "registered_name": None}
    assert list(written) == ["module", "class_name", "config", "registered_name"] and list(written["config"]) == list(config)
    copies = [
        get(written),
        deserialize(json.loads(json.dumps(written))),
        copy.deepcopy(initializer),
        pickle.loads(pickle.dumps(initializer)),
    ]
    copies += [
        eval(repr(initializer), vars(initializers)),
        get({"class_name": name, "config": config}),
        initializer.clone(),
        get(initializer),
    ]
    for other in copies:
        assert type(other) is type(initializer) and serialize(other) == written


NAMES = {
    "constant": "Constant", "identity": "Identity", "IdentityInitializer": "Identity", "ones": "Ones", "one": "Ones", "zeros": "Zeros",
    "zero": "Zeros", "stft": "STFT", "STFT": "STFT", "STFTInitializer": "STFT", "glorot_normal": "GlorotNormal",
    "glorot_uniform": "GlorotUniform", "he_normal": "HeNormal", "he_uniform": "HeUniform", "lecun_normal": "LecunNormal",
    "lecun_uniform": "LecunUniform", "orthogonal": "Orthogonal", "OrthogonalInitializer": "Orthogonal", "random_normal": "RandomNormal",
    "normal": "RandomNormal", "random_uniform": "RandomUniform", "uniform": "RandomUniform", "truncated_normal": "TruncatedNormal",
    "variance_scaling": "VarianceScaling", "GlorotUniform": "GlorotUniform", "VarianceScaling": "VarianceScaling",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert type(get(name)).__name__ == type(deserialize(name)).__name__ == type(get({"class_name": name})).__name__ == NAMES[name]
    assert getattr(initializers, name, type(get(name))) is type(get(name))


def test_public_names():
    assert all(getattr(initializers, name).__doc__ for name in initializers.__all__)
    assert type(get(initializers.HeNormal)) is initializers.HeNormal and get(None) is None
    assert initializers.set_random_seed is sepconv.set_random_seed


def test_keys_that_tensorflow_1_wrote():
    assert type(get({"class_name": "Zeros", "config": {"dtype": "float32"}})) is initializers.Zeros
    assert get({"class_name": "HeNormal", "config": {"seed": 2, "dtype": "float32"}}).seed == 2


@pytest.mark.parametrize("name", sorted(set(NAMES.values()) - {"Identity", "STFT"}))
@pytest.mark.parametrize("dtype", [None, "float16", np.float32, np.dtype("float64"), "bfloat16"], ids=str)
def test_shapes_and_dtypes(name, dtype):
    y = get(name)((3, 3, 4, 2), dtype)
    assert y.shape == (3, 3, 4, 2) and y.dtype == (ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype or "float32"))
    assert (
        get(name)([2, 3]).shape == (2, 3)
        and get(name)((0, 3)).shape == (0, 3)
        and get(name)(shape=(2, 0), dtype="float64").size == 0
    )
    for wrong in ((None, 3), 3, "ab", (2.5, 1), (-1, 2)):
        with pytest.raises(ValueError, match="`shape`.*Received"):
            get(name)(wrong)
    with pytest.raises(ValueError, match="`dtype`"):
        get(name)((2, 3), "int32")


def test_arrays_are_initializers_of_their_own_shape():
    kernel = np.arange(18.0).reshape(3, 3, 2, 1)
    layer = DepthwiseConv2D(3, depthwise_initializer=kernel, input_shape=(4, 4, 2))
    kernel[...] = 0
    assert (
        layer.get_weights()[0].ravel().tolist() == list(range(18)) and layer.depthwise_initializer((3, 3, 2, 1)).dtype == np.float32
    )
    with pytest.raises(ValueError, match=r"`value`.*shape of the weight, \(3, 3, 3, 1\). Received: shape=\(3, 3, 2, 1\)"):
        DepthwiseConv2D(3, depthwise_initializer=kernel, input_shape=(4, 4, 3))
    config = json.loads(json.dumps(layer.get_config()))
    other = DepthwiseConv2D.from_config(config)
    assert other.get_config() == layer.get_config()
    other.build((None, 4, 4, 2))
    assert np.array_equal(other.get_weights()[0], layer.get_weights()[0])
    assert eval(repr(layer), {**vars(initializers), **vars(sepconv)}).get_weights()[0].tolist() == layer.get_weights()[0].tolist()


def test_functions_are_called_with_shape_and_dtype():
    def half(shape, dtype):
        return np.full(shape, 0.5, dtype)

    layer = SeparableConv2D(2, 1, depthwise_initializer=half, dtype="float64", input_shape=(2, 2, 3))
    assert get(half) is half and (layer.get_weights()[0] == 0.5).all()
    assert layer.get_config()["depthwise_initializer"]["config"] == "half"


def test_set_random_seed_makes_a_layer_again():
    def weights():
        sepconv.set_random_seed(12)
        return [
            w.tobytes()
            for name in ("he_normal", "orthogonal")
            for w in SeparableConv2D(4, 3, depthwise_initializer=name, input_shape=(5, 5, 3)).get_weights()
        ]

    assert weights() == weights()


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="`bias_initializer` argument: the initializer 'nope' is not known.*glorot_uniform"):
        SeparableConv2D(4, 3, bias_initializer="nope")
    for wrong in (3, np.float32(3), [1.0]):
        with pytest.raises(TypeError, match="`bias_initializer` argument: an initializer must be"):
            SeparableConv2D(4, 3, bias_initializer=wrong)


class Tensor:
    """What another library has for an array."""

    def __init__(self, values):
        self.values = np.asarray(values, np.float32)

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_other_libraries_arrays_and_variables_are_initializers_too():
    variable = sepconv.Variable([4.0, 5.0], name="v")
    for value, expected in ((Tensor([1, 2]), [1, 2]), (variable, [4, 5])):
        layer = DepthwiseConv2D(1, bias_initializer=value, input_shape=(4, 4, 2))
        assert layer.bias.numpy().tolist() == expected
        assert DepthwiseConv2D.from_config(layer.get_config()).bias_initializer((2,)).tolist() == expected
    assert initializers.Constant(Tensor([1, 2]))((2,)).tolist() == [1, 2]
    with pytest.raises(ValueError, match="shape of the weight"):
        DepthwiseConv2D(1, bias_initializer=Tensor([1, 2, 3]), input_shape=(4, 4, 2))
    with pytest.raises(TypeError, match="`bias_initializer` argument.*masked"):
        DepthwiseConv2D(1, bias_initializer=np.ma.ones(2))


@pytest.mark.parametrize("dtype", [complex, bool, "U1", "M8[s]", object])
def test_what_a_function_returns_must_be_real(dtype):
    with pytest.raises(TypeError, match="`bias_initializer` argument must be made of real numbers.*dtype="):
        SeparableConv2D(2, 1, bias_initializer=lambda shape, _: np.zeros(shape, dtype), input_shape=(2, 2, 3))

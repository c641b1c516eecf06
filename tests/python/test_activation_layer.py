import numpy as np
import pytest

from sepconv.layers import Activation, deserialize, serialize


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5, 6), (0, 3)])
def test_any_shape(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    layer = Activation("relu")
    assert np.array_equal(layer(x), np.maximum(x, 0)) and layer(x).shape == shape == layer.compute_output_shape(shape)
    assert layer.weights == [] and layer.losses == []


def test_the_input_is_left_alone():
    for activation in ("relu", "softmax", lambda x: np.negative(x, out=x)):
        x = np.array([[-1.0, 2.0]], np.float32)
        y = Activation(activation)(x)
        assert x.tolist() == [[-1, 2]] and not np.shares_memory(x, y)


def test_views_dtypes_and_out():
    x = np.arange(-6.0, 6.0).reshape(3, 4)
    layer = Activation("relu")
    expected = np.maximum(x, 0)
    for view in (x, x.astype(">f4"), x[::-1][::-1], np.asfortranarray(x), x.astype(int), x.tolist()):
        y = layer(view)
        assert y.dtype == np.float32 and y.flags.c_contiguous and np.array_equal(y, expected)
    out = np.empty((3, 9), np.float32)[:, 2:6]
    assert layer(x, out) is out and np.array_equal(out, expected)
    with pytest.raises(ValueError, match="`out`"):
        layer(x, np.empty((3, 4)))
    y = np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match="`out`.*overlap"):
        layer(y, out=y)
    assert Activation("relu", dtype="float64")(x).dtype == np.float64


def test_core_and_python_activations_and_the_setter():
    x = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    layer = Activation("softmax")
    e = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(layer(x), e / e.sum(), rtol=1e-6)
    layer.activation = "glu"
    assert layer(x).shape == (1, 2) == layer.compute_output_shape((1, 4))
    layer.activation = None
    assert np.array_equal(layer(x), x) and layer.get_config()["activation"] == "linear"
    layer.activation = lambda a: a[:, :1]
    with pytest.raises(ValueError, match="`activation`"):
        layer(x)


def test_activity_loss():
    layer = Activation("linear", activity_regularizer=lambda y: float(y.sum()))
    layer(np.ones((4, 3), np.float32))
    assert layer.losses == [3.0]


def test_config():
    layer = Activation("relu", name="a", activity_regularizer="l2")
    assert list(layer.get_config()) == ["name", "trainable", "dtype", "activity_regularizer", "activation"]
    assert list(Activation("relu").get_config()) == ["name", "trainable", "dtype", "activation"]
    other = deserialize(serialize(layer))
    assert isinstance(other, Activation) and other.get_config() == layer.get_config()
    assert repr(Activation("tanh")) == "Activation('tanh')"
    with pytest.raises((ValueError, TypeError), match="Relu"):
        Activation("Relu")

import json

import numpy as np
import pytest

import sepconv
from sepconv import Input, SeparableConv2D, Sequential


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "shape", lambda: Input()),
        (ValueError, "shape", lambda: Input((3,), batch_shape=(None, 3))),
        (ValueError, "batch_size", lambda: Input((3,), batch_size=2.5)),
        (ValueError, "shape", lambda: Input((3, -1))),
        (ValueError, "`dtype`.*'uint8'.*Received", lambda: Input((3,), dtype="bool")),
        (ValueError, "`dtype`.*Received", lambda: Input((3,), dtype=np.ones(2))),
        (ValueError, "`name`.*Received", lambda: Input((3,), name="a/b")),
        (TypeError, "`config`.*Received", lambda: Input.from_config(None)),
        (ValueError, "shape", lambda: Input.from_config({})),
    ],
)
def test_errors_name_what_is_wrong(error, message, make):
    with pytest.raises(error, match=message):
        make()


def test_shapes_have_a_batch_axis():
    assert Input((9, None, 3)).batch_shape == (None, 9, None, 3) == Input(batch_shape=[None, 9, None, 3]).batch_shape
    assert Input((9, 8, 3), 2).batch_shape == (2, 9, 8, 3)
    assert repr(Input((3,), name="image")) == "Input(batch_shape=(None, 3), name='image')"


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64", np.uint8, np.dtype("uint8")])
def test_an_input_may_be_of_integers(dtype):
    name = np.dtype(dtype).name
    model = Sequential([Input((9, 8, 3), dtype=dtype, name="image"), SeparableConv2D(4, 3)])
    assert f"dtype={name!r}" in repr(model)
    config = json.loads(json.dumps(model.get_config()))
    assert config["layers"][0]["config"]["dtype"] == name
    again = Sequential.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    assert again(np.ones((1, 9, 8, 3), dtype)).dtype == np.float32


def test_it_is_read_and_written_as_a_layer():
    assert sepconv.layers.Input is sepconv.layers.InputLayer is sepconv.Input is Input
    form = sepconv.layers.serialize(Input((9, None, 3), 2, name="image"))
    assert form["class_name"] == "InputLayer"
    assert sepconv.layers.serialize(sepconv.layers.deserialize(json.loads(json.dumps(form))))["config"] == form["config"]

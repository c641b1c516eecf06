import json

import numpy as np
import pytest

import sepconv
from sepconv import layers
from sepconv.layers import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D, deserialize, serialize


@pytest.fixture
def layer():
    return SeparableConv2D(4, 3, activation="relu", input_shape=(6, 7, 3))


def double(x):
    return x * 2


KEYS = [
    "name",
    "trainable",
    "dtype",
    "depth_multiplier",
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "data_format",
    "dilation_rate",
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
]


def test_config_has_keras_keys_in_keras_order():
    assert list(SeparableConv2D(4, 3).get_config()) == KEYS
    moved = [*KEYS[:3], "activity_regularizer", *(k for k in KEYS[3:] if k != "activity_regularizer")]
    assert list(SeparableConv2D(4, 3, activity_regularizer="l2").get_config()) == moved


EXAMPLES = [
    SeparableConv2D(
        4,
        (3, 5),
        (1, 2),
        "same",
        "channels_first",
        2,
        3,
        "gelu",
        False,
        "he_normal",
        dtype="mixed_float16",
        name="x",
        trainable=False,
    ),
    SeparableConv1D(4, 3, padding="causal", depthwise_regularizer="l2", pointwise_constraint="non_neg", activity_regularizer="l1"),
    DepthwiseConv2D(
        3, depth_multiplier=2, depthwise_constraint={"class_name": "MaxNorm", "config": {"max_value": 1, "axis": [0, 1, 2]}}
    ),
    DepthwiseConv1D(3, activation=None),
]


@pytest.mark.parametrize("layer", EXAMPLES, ids=repr)
def test_configs_round_trip(layer):
    config = layer.get_config()
    other = type(layer).from_config(config)
    assert other.get_config() == config and list(other.get_config()) == list(config)
    assert type(layer).from_config(json.loads(json.dumps(config))).get_config() == config


@pytest.mark.parametrize("layer", EXAMPLES, ids=repr)
def test_repr_is_the_call_that_makes_it(layer):
    text = repr(layer)
    names = {**vars(layers), **vars(sepconv.regularizers), **vars(sepconv.constraints), **vars(sepconv.initializers)}
    other = eval(text, names)
    assert repr(other) == text
    mine, its = layer.get_config(), other.get_config()
    if layer.auto_named:
        del mine["name"], its["name"]
    assert mine == its


def test_repr_leaves_defaults_out_and_shows_the_built_shape():
    assert repr(SeparableConv2D(4, 3)) == "SeparableConv2D(4, (3, 3))"
    layer = SeparableConv2D(4, 3, (1, 1), "SAME", activation="relu", data_format="channels_last", name="a", input_shape=(8, 8, 3))
    assert (
        repr(layer) == "SeparableConv2D(4, (3, 3), padding='same', activation='relu', batch_input_shape=(None, 8, 8, 3), name='a')"
    )
    assert "double" in repr(DepthwiseConv2D(3, activation=double))
    windowless = DepthwiseConv2D(3, depthwise_initializer=sepconv.initializers.STFT(window=None))
    assert "depthwise_initializer=STFT(" in repr(windowless) and "window=None" in repr(windowless)


TF_KERAS = {
    "groups": 1,
    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
    "kernel_regularizer": None,
    "kernel_constraint": None,
}


def test_tf_keras_configs_are_accepted():
    config = SeparableConv2D(4, 3).get_config()
    config.update(TF_KERAS, dtype="float32", batch_input_shape=[None, 8, 8, 3], strides=[1, 1], kernel_size=[3, 3])
    config["depthwise_initializer"] = {"class_name": "GlorotUniform", "config": {"seed": None}}
    layer = SeparableConv2D.from_config(config)
    assert layer.built and list(layer.get_config()) == KEYS
    assert DepthwiseConv2D.from_config({"kernel_size": [3, 3], "groups": 1}).kernel_size == (3, 3)


@pytest.mark.parametrize(
    "extra",
    [
        {"groups": 2},
        {"kernel_initializer": "he_normal"},
        {"kernel_initializer": {"class_name": "Zeros", "config": {}}},
        {"kernel_regularizer": "l2"},
        {"kernel_constraint": {"class_name": "NonNeg"}},
        {"bogus": 1},
        {"weights": []},
    ],
    ids=repr,
)
def test_other_keys_are_refused_by_name(extra):
    with pytest.raises(ValueError, match=next(iter(extra))):
        SeparableConv2D.from_config({"filters": 4, "kernel_size": 3, **extra})


def test_config_must_be_a_dictionary():
    with pytest.raises(TypeError, match="`config`"):
        SeparableConv2D.from_config([1])


def test_custom_objects():
    config = SeparableConv2D(4, 3, activation=double, name="c").get_config()
    assert SeparableConv2D.from_config(config, {"double": double}).activation is double
    assert SeparableConv2D.from_config(config, custom_objects={"double": double}).get_config() == config
    with pytest.raises(ValueError, match="double"):
        SeparableConv2D.from_config(config)


@pytest.mark.parametrize("layer", EXAMPLES, ids=repr)
def test_serialize_and_deserialize(layer):
    config = serialize(layer)
    assert list(config) == ["module", "class_name", "config", "registered_name"]
    assert config["module"] == "keras.layers" and config["class_name"] == type(layer).__name__ and config["registered_name"] is None
    other = deserialize(json.loads(json.dumps(config)))
    assert type(other) is type(layer) and other.get_config() == layer.get_config()


def test_build_config_builds(layer):
    config = serialize(layer)
    assert config["build_config"] == {"input_shape": (None, 6, 7, 3)}
    assert deserialize(json.loads(json.dumps(config))).get_build_config() == layer.get_build_config()


@pytest.mark.parametrize(
    "change",
    [
        {"class_name": "Conv2D"},
        {"class_name": "os.system"},
        {"module": "os"},
        {"registered_name": "mine>Layer"},
        {"class_name": None},
    ],
)
def test_unknown_classes_are_refused_by_name(layer, change):
    with pytest.raises(ValueError, match="custom_objects.*Received: class_name"):
        deserialize({**serialize(layer), **change})


def test_custom_classes_and_malformed_configs(layer):
    class Mine(SeparableConv2D):
        pass

    config = serialize(Mine(4, 3, name="m"))
    with pytest.raises(ValueError, match="Mine"):
        deserialize(config)
    assert type(deserialize(config, {"Mine": Mine})) is Mine
    for wrong in (None, [], {}, {"class_name": "SeparableConv2D"}, "SeparableConv2D"):
        with pytest.raises(TypeError, match="`config`"):
            deserialize(wrong)
    with pytest.raises(TypeError, match="`layer`"):
        serialize("layer")
    assert (
        type(deserialize({"class_name": "SeparableConvolution2D", "config": {"filters": 1, "kernel_size": 1}})) is SeparableConv2D
    )


@pytest.mark.parametrize(
    "wrong", [5, {"A": 5}, {"A": double}, {"A": sepconv.initializers.Zeros}, {"A": "SeparableConv2D"}], ids=repr
)
def test_custom_objects_must_be_layers_by_name(wrong):
    with pytest.raises(TypeError, match="`custom_objects`.*Received"):
        deserialize({"class_name": "A", "config": {}}, wrong)
    with pytest.raises(TypeError, match="`custom_objects`.*Received"):
        SeparableConv2D.from_config({"filters": 4, "kernel_size": 3}, 5)


@pytest.mark.parametrize("wrong", [[1], 5, "x", {"input_shape": 5}, {"input_shape": [None, 9, 9]}], ids=repr)
def test_a_wrong_build_config_is_refused_by_name(layer, wrong):
    with pytest.raises((TypeError, ValueError), match="`build_config`.*Received"):
        deserialize({**serialize(layer), "build_config": wrong})


# What makes a layer fail, and the argument that its message names.
WRONG = [
    ("depthwise_initializer", lambda **k: SeparableConv2D(4, 3, input_shape=(8, 8, 3), **k), np.ones((3, 3))),
    ("pointwise_initializer", lambda **k: SeparableConv2D(4, 3, input_shape=(8, 8, 3), **k), "identity"),
    ("pointwise_initializer", lambda **k: SeparableConv2D(4, 3, input_shape=(8, 8, 3), **k), "stft"),
    ("bias_initializer", lambda **k: SeparableConv2D(4, 3, input_shape=(8, 8, 3), **k), "orthogonal"),
    ("bias_initializer", lambda **k: SeparableConv2D.from_config({"filters": 4, "kernel_size": 3, **k}), "nope"),
    (
        "activity_regularizer",
        lambda **k: SeparableConv2D.from_config({"filters": 4, "kernel_size": 3, **k}),
        {"class_name": "nope"},
    ),
    ("activation", lambda **k: SeparableConv2D(4, 3, **k), "threshold"),
    ("activation", lambda **k: SeparableConv2D(4, 3, **k), sepconv.activations.ReLU(max_value=-1)),
    ("activation", lambda **k: sepconv.Activation(**k), "threshold"),
    ("depthwise_regularizer", lambda **k: SeparableConv2D(4, 3, input_shape=(8, 8, 3), **k).losses, "orthogonal_regularizer"),
    ("pointwise_regularizer", lambda **k: SeparableConv2D(4, 3, input_shape=(8, 8, 3), **k).losses, lambda w: w),
    ("depthwise_regularizer", lambda **k: DepthwiseConv2D(3, input_shape=(8, 8, 3), **k).losses, lambda w: 1j),
    ("activity_regularizer", lambda **k: SeparableConv2D(4, 3, **k)(np.ones((1, 8, 8, 3))), lambda y: y),
    ("bias_constraint", lambda **k: SeparableConv2D(4, 3, input_shape=(8, 8, 3), **k).bias.constraint(np.ones(4)), lambda w: w[1:]),
]


@pytest.mark.parametrize("name, make, value", WRONG, ids=[f"{name}-{value!r}"[:60] for name, _, value in WRONG])
def test_messages_name_the_argument_of_the_layer(name, make, value):
    with pytest.raises((TypeError, ValueError), match=f"The `{name}` argument.*Received"):
        make(**{name: value})


def test_a_subclass_of_an_error_is_named_too():
    def decode(shape, dtype):
        return b"\xff".decode()

    with pytest.raises(ValueError, match="The `bias_initializer` argument: .*decode"):
        SeparableConv2D(4, 3, input_shape=(8, 8, 3), bias_initializer=decode)


class Extra(SeparableConv2D):
    """As Keras's users write one."""

    def __init__(self, filters, kernel_size, extra=1, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.extra = extra

    def get_config(self):
        return {**super().get_config(), "extra": self.extra}


class Popping(Extra):
    """With an argument that no signature shows, and Keras's declaration of `from_config`."""

    def __init__(self, *args, **kwargs):
        self.shown = kwargs.pop("shown", False)
        super().__init__(*args, **kwargs)

    def get_config(self):
        return {**super().get_config(), "shown": self.shown}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Private(SeparableConv2D):
    def __init__(self, width, **kwargs):
        self._width = width
        super().__init__(width * 2, **kwargs)


def test_subclasses_come_back_from_their_configuration():
    for layer in (Extra(4, 3, extra=5, activation="relu"), Popping(4, 3, extra=5, shown=True)):
        config = json.loads(json.dumps(layer.get_config()))
        again = type(layer).from_config(config)
        assert type(again) is type(layer) and again.extra == 5 and json.loads(json.dumps(again.get_config())) == config
        form = json.loads(json.dumps(serialize(layer)))
        assert deserialize(form, {type(layer).__name__: type(layer)}).get_config() == layer.get_config()
        model = sepconv.Sequential([sepconv.Input((8, 8, 3)), layer])
        twin = sepconv.models.deserialize(sepconv.models.serialize(model), {type(layer).__name__: type(layer)})
        assert twin.layers[0].extra == 5
    with pytest.raises(TypeError, match="bogus"):
        Extra.from_config({**Extra(4, 3).get_config(), "bogus": 1})
    with pytest.raises(ValueError, match="`bias_initializer`"):
        Extra.from_config({**Extra(4, 3).get_config(), "bias_initializer": "nope"})


def test_custom_objects_reach_a_subclass_that_does_not_ask_for_them():
    form = serialize(Popping(4, 3, activation=double))
    assert deserialize(form, {"Popping": Popping, "double": double}).activation is double
    with pytest.raises(ValueError, match="`activation`.*double"):
        deserialize(form, {"Popping": Popping})


def test_the_repr_of_a_subclass():
    assert repr(Extra(4, 3)) == "Extra(4, (3, 3))"
    assert repr(Extra(4, 3, extra=2, padding="same", name="e")) == "Extra(4, (3, 3), extra=2, padding='same', name='e')"
    assert repr(Popping(4, 3, 7)) == "Popping(4, (3, 3), extra=7)"
    # It never fails: neither where arguments are kept under other names, nor before there are any.
    assert repr(Private(2, kernel_size=3, name="p")) == "<Private name='p'>"
    assert repr(Extra.__new__(Extra)) == "<Extra name=None>"
    assert repr(Extra(4, 3, extra=np.ones(3), name="e")) == "<Extra name='e'>"
    with pytest.raises(ValueError, match="<Private name='p'>"):
        twins = [Private(2, kernel_size=3, name="p"), Private(2, kernel_size=3, name="p")]
        sepconv.Sequential(twins)

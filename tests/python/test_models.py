import copy
import json
import pickle
import sys

import numpy as np
import pytest

import sepconv
from sepconv import Activation, DepthwiseConv2D, Input, SeparableConv2D, Sequential, models

RNG = np.random.default_rng(5)
X = RNG.standard_normal((5, 9, 8, 3), dtype=np.float32)


def stack(**kwargs):
    return Sequential(
        [
            Input((9, 8, 3), name="image"),
            SeparableConv2D(6, 3, padding="same", name="first", depthwise_regularizer="l2"),
            Activation("relu", name="act"),
            DepthwiseConv2D(3, depth_multiplier=2, name="second"),
            SeparableConv2D(4, 3, strides=2, name="third", activity_regularizer="l2"),
        ],
        **kwargs,
    )


def test_the_output_of_a_layer_is_the_input_of_the_next():
    model = stack()
    y = X
    for layer in model.layers:
        y = layer(y)
    np.testing.assert_array_equal(model(X), y)
    assert y.shape == model.compute_output_shape(X.shape) == (5, 3, 2, 4) and y.std() > 0


def test_call_takes_out_training_and_threads():
    model, out = stack(), np.zeros((5, 3, 2, 4), np.float32)
    assert model(X, out, training=True, num_threads=1) is out
    np.testing.assert_array_equal(out, model(X))
    with pytest.raises(ValueError, match="num_threads"):
        model(X, num_threads=0)


def test_shapes_and_building():
    model = stack()
    assert model.built and model.input_shape == (None, 9, 8, 3) and model.output_shape == (None, 3, 2, 4)
    late = Sequential([SeparableConv2D(4, 3), Activation("relu")])
    assert not late.built and late.weights == [] and late.get_weights() == []
    for name in ("input_shape", "output_shape"):
        with pytest.raises(AttributeError, match="yet"):
            getattr(late, name)
    with pytest.raises(ValueError, match="isn't built"):
        late.count_params()
    late.build((None, 9, 8, 3))
    assert late.built and late.output_shape == (None, 7, 6, 4) and late.count_params() == 27 + 12 + 4
    called = Sequential([SeparableConv2D(4, 3)])
    called(X)
    assert called.input_shape == (None, 9, 8, 3) and called.output_shape == (None, 7, 6, 4)
    declared = Sequential([SeparableConv2D(4, 3, input_shape=(9, 8, 3))])
    assert declared.built and declared.input_shape == (None, 9, 8, 3)
    assert called(X[:, :5, :4]).shape == (5, 3, 2, 4)
    called.build()


def test_add_and_pop():
    model = Sequential()
    model.add(Input((9, 8, 3)))
    model.add(SeparableConv2D(4, 3))
    model.add(Activation("relu"))
    assert model.built and len(model.layers) == 2
    popped = model.pop()
    assert isinstance(popped, Activation) and model.output_shape == (None, 7, 6, 4)
    model.layers.clear()
    assert len(model.layers) == 1
    model.pop()
    with pytest.raises(IndexError, match="has none"):
        model.pop()
    with pytest.raises(AttributeError):
        model.output_shape  # noqa: B018


def test_a_layer_that_does_not_fit_leaves_the_model_as_it_was():
    model = stack()
    before = model.layers
    with pytest.raises(ValueError, match="too small"):
        model.add(SeparableConv2D(2, 5))
    with pytest.raises(ValueError, match="channels"):
        model.add(SeparableConv2D(2, 1, input_shape=(3, 2, 9)))
    assert model.layers == before and model.output_shape == (None, 3, 2, 4)


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "'act'", lambda: stack().add(Activation("relu", name="act"))),
        (ValueError, "Input", lambda: stack().add(Input((3, 2, 4)))),
        (ValueError, "Input", lambda: Sequential([Activation("relu"), Input((3,))])),
        (TypeError, "layer", lambda: Sequential([lambda x: x])),
        (TypeError, "layer", lambda: Sequential([SeparableConv2D])),
        (TypeError, "layers", lambda: Sequential("abc")),
        (TypeError, "layers", lambda: Sequential(3)),
        (ValueError, "trainable", lambda: Sequential(trainable=1)),
        (ValueError, "name", lambda: Sequential(name="a/b")),
        (ValueError, "no layers", lambda: Sequential()(X)),
        (ValueError, "no layers", lambda: Sequential().build((None, 3))),
        (ValueError, "input_shape", lambda: Sequential([SeparableConv2D(2, 3)]).build()),
        (ValueError, "weights", lambda: stack().set_weights([np.zeros(3)])),
        (ValueError, "batch_size", lambda: stack().predict(X, batch_size=0)),
        (ValueError, "verbose", lambda: stack().predict(X, verbose=3)),
        (ValueError, "verbose", lambda: stack().predict(X, verbose="yes")),
        (ValueError, "`x`", lambda: stack().predict(3.0)),
    ],
)
def test_errors_name_what_is_wrong(error, message, make):
    with pytest.raises(error, match=message):
        make()


def test_names_are_unique_and_counted_by_class():
    assert Sequential().name.startswith("sequential") and Sequential().name != Sequential().name
    assert Sequential(name="mine").name == "mine" and Input((3,)).name.startswith("input_layer")


def test_weights_in_order_and_all_or_nothing():
    model = stack()
    assert [v.path for v in model.weights][:4] == [
        "first/depthwise_kernel",
        "first/pointwise_kernel",
        "first/bias",
        "second/kernel",
    ]
    kept = model.get_weights()
    model.set_weights([w + 1 for w in kept])
    assert all((a == b + 1).all() for a, b in zip(model.get_weights(), kept))
    bad = [w * 0 for w in kept]
    bad[-1] = np.zeros(5)
    with pytest.raises(ValueError, match="third/bias"):
        model.set_weights(bad)
    assert all((a == b + 1).all() for a, b in zip(model.get_weights(), kept))


def test_trainable_reaches_the_layers_when_set():
    model = stack(trainable=False)
    assert model.layers[0].trainable and model.trainable_weights == [] and len(model.non_trainable_weights) == 8
    model.trainable = True
    assert len(model.trainable_weights) == 8 and model.non_trainable_weights == []
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 5 and len(model.non_trainable_weights) == 3
    model.trainable = False
    assert not any(layer.trainable for layer in model.layers)


def test_losses_are_those_of_the_layers():
    model = stack()
    y = model(X)
    activity = 0.01 * float((y.astype(np.float64) ** 2).sum()) / len(X)
    kernel = 0.01 * float((model.layers[0].get_weights()[0].astype(np.float64) ** 2).sum())
    np.testing.assert_allclose(model.losses, [activity, kernel], rtol=1e-5)  # activities first
    model.layers[0].trainable = False
    np.testing.assert_allclose(model.losses, [activity], rtol=1e-5)


def test_a_model_that_is_not_trainable_has_no_losses_of_weights():
    model = stack(trainable=False)
    assert model.layers[0].trainable and model.losses == []
    model(X)
    assert len(model.losses) == 1
    model = Sequential([Input((9, 8, 3))])
    model.trainable = False
    model.add(SeparableConv2D(4, 3, bias_regularizer="l2", bias_initializer="ones"))
    assert model.losses == []
    model.trainable = True
    assert len(model.losses) == 1


@pytest.mark.parametrize("batch_size", [1, 2, 5, 32, None])
def test_predict_does_not_depend_on_the_batches(batch_size):
    model = stack()
    np.testing.assert_array_equal(model.predict(X, batch_size=batch_size), model(X))


def test_predict_takes_lists_and_no_inputs():
    model = stack()
    np.testing.assert_array_equal(model.predict(X.tolist(), 2, 0), model(X))
    assert model.predict(X[:0]).shape == (0, 3, 2, 4)


def test_predict_is_silent_where_nobody_looks(capsys):
    stack().predict(X, batch_size=2)
    assert capsys.readouterr() == ("", "")


def test_predict_shows_what_it_is_asked_for(capsys, monkeypatch):
    model = stack(name="net")
    model.predict(X, 2, 2)
    assert "net: 3 steps in" in capsys.readouterr().err
    for verbose in (1, True):
        model.predict(X, 2, verbose)
        assert "3/3" in capsys.readouterr().err
    model.predict(X, 2, False)
    assert capsys.readouterr().err == ""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    model.predict(X, 2, 1)
    assert capsys.readouterr().err.endswith("] 3/3\n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    model.predict(X, 2, "auto")
    assert "3/3" in capsys.readouterr().err


def test_summary_has_a_line_a_layer_and_totals(capsys):
    texts = []
    stack(name="net").summary(texts.append)
    (text,) = texts
    assert text.startswith('Model: "net"') and "first (SeparableConv2D)" in text and "(None, 7, 6, 12)" in text
    assert "Total params: 331 (1.29 KB)" in text and "Trainable params: 331" in text
    Sequential([SeparableConv2D(4, 3, name="only")]).summary()
    assert "only (SeparableConv2D)  ?" in capsys.readouterr().out


def test_the_config_is_keras_and_comes_back():
    model = stack(name="net")
    config = json.loads(json.dumps(model.get_config()))
    assert list(config) == ["name", "trainable", "dtype", "layers", "build_input_shape"]
    assert config["layers"][0] == {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_shape": [None, 9, 8, 3],
            "dtype": "float32",
            "sparse": False,
            "ragged": False,
            "name": "image",
            "optional": False,
        },
        "registered_name": None,
    }
    assert [item["class_name"] for item in config["layers"][1:3]] == ["SeparableConv2D", "Activation"]
    again = Sequential.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X), model(X))
    form = json.loads(json.dumps(models.serialize(model)))
    assert (form["module"], form["class_name"], form["build_config"]) == ("keras", "Sequential", {"input_shape": [None, 9, 8, 3]})
    assert models.deserialize(form).output_shape == model.output_shape


def test_an_unbuilt_model_has_a_config_too():
    config = Sequential([SeparableConv2D(4, 3)], trainable=False).get_config()
    assert "build_input_shape" not in config and len(config["layers"]) == 1
    again = Sequential.from_config(config)
    assert not again.built and not again.trainable
    assert Sequential.from_config({**config, "build_input_shape": [None, 9, 8, 3]}).built


def test_the_input_layer_of_tf_keras_is_understood():
    items = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 9, 8, 3], "dtype": "float32", "sparse": False, "name": "in"},
        },
        {"class_name": "SeparableConv2D", "config": {"name": "s", "filters": 4, "kernel_size": [3, 3], "groups": 1}},
    ]
    assert Sequential.from_config({"name": "old", "layers": items}).output_shape == (None, 7, 6, 4)


JUNK = (
    None,
    5,
    -1,
    True,
    "nope",
    [],
    [1],
    [None],
    {},
    {"class_name": "nope"},
    {"class_name": "Zeros", "config": [1]},
    2.5,
    (),
    b"x",
)


def places(form, path=()):
    """The path of every value in a form of dictionaries and lists."""
    yield path
    for key in form if isinstance(form, dict) else range(len(form)) if isinstance(form, (list, tuple)) else ():
        yield from places(form[key], (*path, key))


def broken(form):
    """`form` with each of its values in turn replaced by junk, or gone."""
    for path in places(form):
        for junk in (*JUNK, "gone"):
            changed = copy.deepcopy({"form": form})
            parent = changed
            for key in ("form", *path)[:-1]:
                parent = parent[key]
            last = ("form", *path)[-1]
            if junk != "gone":
                parent[last] = junk
            elif path:
                del parent[last]
            yield path, junk, changed["form"]


def test_what_is_malformed_is_refused_by_name():
    model = Sequential(
        [
            Input((9, 8, 3), name="image"),
            SeparableConv2D(
                4, 3, name="s", depthwise_regularizer="l2", activation=sepconv.activations.ReLU(6), dtype="mixed_float16"
            ),
            Activation("relu", name="a"),
        ]
    )
    form = json.loads(json.dumps(models.serialize(model)))
    seen = 0
    for path, junk, changed in broken(form):
        try:
            models.deserialize(changed)
        except (TypeError, ValueError) as error:
            seen += 1
            text = str(error)
            assert any(word in text for word in ("Received", "argument")), (path, junk, text)
            assert "object is not" not in text and "has no attribute" not in text, (path, junk, text)
    assert seen > 500


@pytest.mark.parametrize(
    "error, message, make",
    [
        (TypeError, "`config`.*'layers'.*Received", lambda: Sequential.from_config({})),
        (TypeError, "`config`.*Received", lambda: Sequential.from_config(None)),
        (TypeError, "`config`.*Received", lambda: Sequential.from_config(1)),
        (TypeError, "`config`.*Received", lambda: Sequential.from_config({"layers": None})),
        (TypeError, r"`layers\[0\]`.*Received: config=None", lambda: Sequential.from_config({"layers": [None]})),
        (TypeError, r"`layers\[0\]`.*Received", lambda: Sequential.from_config({"layers": [{"class_name": "InputLayer"}]})),
        (ValueError, "`build_input_shape`.*Received", lambda: Sequential.from_config({"layers": [], "build_input_shape": 3})),
        (TypeError, "`custom_objects`.*Received", lambda: Sequential.from_config({"layers": []}, 5)),
        (TypeError, "`config`.*Received", lambda: models.deserialize(None)),
        (TypeError, "`config`.*Received", lambda: models.deserialize({"class_name": "Sequential"})),
        (
            TypeError,
            "`custom_objects`.*Received",
            lambda: models.deserialize({"class_name": "Sequential", "config": {"layers": []}}, 5),
        ),
    ],
)
def test_malformed_models_are_refused_by_name(error, message, make):
    with pytest.raises(error, match=message):
        make()


def test_layers_that_we_do_not_have_are_named():
    item = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}, "registered_name": None}
    with pytest.raises(ValueError, match="Dense"):
        Sequential.from_config({"name": "m", "layers": [item]})
    with pytest.raises(ValueError, match="Functional"):
        models.deserialize({"class_name": "Functional", "config": {}})
    with pytest.raises(ValueError, match="sparse"):
        Input.from_config({"batch_shape": [None, 3], "sparse": True})


def test_custom_objects_are_found_and_nothing_else():
    def triple(x):
        return 3 * x

    model = Sequential([Input((9, 8, 3)), Activation(triple)])
    config = model.get_config()
    again = Sequential.from_config(config, custom_objects={"triple": triple})
    np.testing.assert_array_equal(again(X), 3 * X)
    with pytest.raises(ValueError, match="triple"):
        Sequential.from_config(config)


@pytest.mark.parametrize("copier", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
def test_pickle_and_deepcopy_are_independent(copier):
    model = stack()
    expected = model(X)
    twin = copier(model)
    model.set_weights([w * 0 for w in model.get_weights()])
    np.testing.assert_array_equal(twin(X), expected)
    assert twin.name == model.name and twin.input_shape == model.input_shape


def test_copy_shares_variables_but_not_the_stack():
    model = stack()
    twin = copy.copy(model)
    assert all(a is b for a, b in zip(twin.weights, model.weights))
    twin.pop()
    assert len(model.layers) == 4 and len(twin.layers) == 3


def test_repr_is_the_call_that_makes_it():
    model = stack(name="net")
    names = {"Sequential": Sequential, "Input": Input, "SeparableConv2D": SeparableConv2D, "Activation": Activation}
    text = repr(model).replace("depthwise_regularizer=", "depthwise_regularizer=sepconv.regularizers.")
    text = text.replace("activity_regularizer=", "activity_regularizer=sepconv.regularizers.")
    again = eval(text, {**names, "DepthwiseConv2D": DepthwiseConv2D, "sepconv": sepconv})
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert again.output_shape == model.output_shape and repr(Sequential(name="e")) == "Sequential(name='e')"


def test_files_come_back(tmp_path):
    model = stack()
    model.save_weights(tmp_path / "w.npz")
    other = stack()
    other.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(other(X), model(X))

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

from sepconv.layers import DepthwiseConv1D, DepthwiseConv2D, SeparableConv2D
from sepconv.layers.base import auto_name

X = np.random.default_rng(1).standard_normal((4, 6, 7, 3)).astype(np.float32)
MAKERS = [lambda **k: SeparableConv2D(4, 3, **k), lambda **k: DepthwiseConv2D(3, depth_multiplier=2, **k)]


@pytest.fixture
def layer():
    return SeparableConv2D(4, 3, activation="relu", input_shape=(6, 7, 3))


def double(x):
    return x * 2


# Names.


def test_automatic_names_count_and_given_ones_do_not():
    class TestWidget(SeparableConv2D):
        pass

    names = [TestWidget(1, 1).name, TestWidget(1, 1, name="mine").name, TestWidget(1, 1).name]
    assert names == ["test_widget", "mine", "test_widget_1"]
    first = SeparableConv2D(1, 1).name
    assert first.startswith("separable_conv2d")
    assert DepthwiseConv1D(1).name.startswith("depthwise_conv1d")
    assert auto_name("ReLU").startswith("re_lu")


def test_automatic_names_are_unique_over_threads():
    names = []
    threads = [threading.Thread(target=lambda: names.extend(auto_name("Racer") for _ in range(200))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(names)) == 1600


# Building.


@pytest.mark.parametrize(
    "arguments, shape",
    [
        ({"input_shape": (6, 7, 3)}, (None, 6, 7, 3)),
        ({"input_shape": [6.0, None, 3.0]}, (None, 6, None, 3)),
        ({"input_shape": (6, 7, 3), "batch_size": 2}, (2, 6, 7, 3)),
        ({"batch_input_shape": (5, 6, 7, 3), "input_shape": (9, 9, 9), "batch_size": 2}, (5, 6, 7, 3)),
    ],
)
def test_a_declared_shape_builds(arguments, shape):
    layer = SeparableConv2D(4, 3, **arguments)
    assert layer.built and layer.get_build_config() == {"input_shape": shape}
    assert layer(X).shape == (4, 4, 5, 4)  # the batch size isn't enforced
    assert not set(arguments) & set(layer.get_config())


def test_batch_size_alone_builds_nothing():
    layer = SeparableConv2D(4, 3, batch_size=2)
    assert not layer.built and layer.get_build_config() is None and layer.weights == []


def test_weights_are_applied_after_build_and_forgotten(layer):
    weights = layer.get_weights()
    for other in (SeparableConv2D(4, 3, weights=weights, input_shape=(6, 7, 3)), SeparableConv2D(4, 3, weights=weights)):
        other(X)
        assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), weights))
        assert "weights" not in other.get_config()
    for wrong in (weights[:2], [np.zeros(3)] * 3, weights[::-1]):
        with pytest.raises(ValueError, match=r"`weights(\[0\])?` argument"):
            SeparableConv2D(4, 3, weights=wrong, input_shape=(6, 7, 3))
    unbuilt = SeparableConv2D(4, 3, weights=weights[:2])
    with pytest.raises(ValueError, match="`weights`"):
        unbuilt(X)
    assert not unbuilt.built and unbuilt.weights == []


def test_building_again_changes_nothing_or_refuses(layer):
    weights = layer.weights
    layer.build((None, 9, 9, 3))
    assert all(a is b for a, b in zip(layer.weights, weights))
    with pytest.raises(ValueError, match="3 channels"):
        layer.build((None, 6, 7, 4))
    with pytest.raises(ValueError, match="`input_shape`"):
        layer.build(3)


def test_build_from_config(layer):
    other = SeparableConv2D(4, 3)
    other.build_from_config(None)
    assert not other.built
    other.build_from_config(layer.get_build_config())
    assert other.get_build_config() == layer.get_build_config()


def test_attributes_of_unbuilt_layers_say_so():
    layer = SeparableConv2D(4, 3, use_bias=False)
    with pytest.raises(AttributeError, match="depthwise_kernel.*build"):
        _ = layer.depthwise_kernel
    with pytest.raises(ValueError, match="build"):
        layer.count_params()


def test_the_first_call_of_many_threads_builds_once():
    for _ in range(20):
        calls, results = [], []

        def initializer(shape, dtype):
            calls.append(shape)
            return np.random.default_rng().standard_normal(shape).astype(dtype)

        layer = SeparableConv2D(4, 3, depthwise_initializer=initializer)
        barrier = threading.Barrier(8)

        def work():
            barrier.wait()
            results.append(layer(X))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(calls) == 1 and len(results) == 8 and all(np.array_equal(r, results[0]) for r in results)


# Attributes.


def test_geometry_is_read_only(layer):
    for key in (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "depth_multiplier",
        "use_bias",
        "depthwise_initializer",
        "bias_regularizer",
        "dtype_policy",
        "autocast",
        "name",
        "dtype",
        "compute_dtype",
        "built",
        "weights",
        "losses",
    ):
        with pytest.raises(AttributeError):
            setattr(layer, key, getattr(layer, key))
    assert layer.filters == 4


def test_activation_may_be_set(layer):
    y = layer(X)
    layer.activation = "linear"
    z = layer(X)
    assert (z < 0).any() and np.array_equal(np.maximum(z, 0), y)
    layer.activation = double
    assert np.array_equal(layer(X), z * 2) and layer.activation is double
    layer.activation = None
    assert layer.get_config()["activation"] == "linear"
    with pytest.raises((ValueError, TypeError), match="`activation`"):
        layer.activation = "Relu"


def test_trainable_may_be_set():
    layer = SeparableConv2D(4, 3, depthwise_regularizer="l2", bias_regularizer="l2", input_shape=(6, 7, 3))
    assert len(layer.trainable_weights) == 3
    assert layer.non_trainable_weights == [] and len(layer.losses) == 2
    layer.trainable = False
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 3 and layer.losses == []
    assert not any(w.trainable for w in layer.weights)
    layer.trainable = True
    layer.bias.trainable = False
    assert [w.name for w in layer.trainable_weights] == ["depthwise_kernel", "pointwise_kernel"] and [
        w.name for w in layer.non_trainable_weights
    ] == ["bias"]
    assert len(layer.losses) == 1
    with pytest.raises(ValueError, match="`trainable`"):
        layer.trainable = 1


# Weights.


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.assign(w.numpy() + 1),
        lambda w: w.assign_add(np.ones(w.shape)),
        lambda w: w.assign_sub(np.ones(w.shape)),
        lambda w: w.__iadd__(1),
        lambda w: w.__imul__(3),
    ],
)
@pytest.mark.parametrize("maker", MAKERS)
def test_no_result_is_stale(maker, change):
    layer = maker(input_shape=(6, 7, 3))
    layer.set_weights([np.full(w.shape, 2) for w in layer.weights])
    for index in range(len(layer.weights)):
        before = layer(X)
        change(layer.weights[index])
        after = layer(X)
        assert not np.array_equal(before, after)
        fresh = maker(weights=layer.get_weights())
        assert np.array_equal(fresh(X), after)


def test_setting_the_attribute_assigns(layer):
    before, kernel = layer(X), layer.depthwise_kernel
    layer.depthwise_kernel = np.zeros((3, 3, 3, 1))
    assert layer.depthwise_kernel is kernel and not layer(X).any()
    layer.depthwise_kernel -= 1
    layer.depthwise_kernel += np.ones((3, 1, 1, 1))
    assert layer.depthwise_kernel is kernel and not layer(X).any() and before.any()
    layer.bias = [1, 2, 3, 4]
    assert layer(X)[0, 0, 0].tolist() == [1, 2, 3, 4]
    for key, value in (("depthwise_kernel", np.zeros((3, 3, 1, 3))), ("bias", 0.0), ("pointwise_kernel", np.zeros((3, 4)))):
        with pytest.raises(ValueError, match=f"`{key}` argument .*separable.*/{key}"):
            setattr(layer, key, value)
    with pytest.raises(AttributeError, match="use_bias=False"):
        SeparableConv2D(4, 3, use_bias=False, input_shape=(6, 7, 3)).bias = [0] * 4


def test_get_weights_copies(layer):
    copies = layer.get_weights()
    copies[0][...] = 0
    assert copies[0].flags.writeable and layer.depthwise_kernel.numpy().any()


def test_set_weights_is_all_or_nothing(layer):
    good = layer.get_weights()
    for wrong in ([], good[:2], [*good, good[0]], [good[0], good[1], np.zeros(5)], [good[0] + 1, good[1], np.zeros((4, 1))]):
        with pytest.raises(ValueError, match=r"`weights(\[2\])?` argument"):
            layer.set_weights(wrong)
    for wrong in (None, 3, "abc", {}, [good[0] + 1, good[1], [True] * 4], [good[0] + 1, good[1] * 1j, good[2]]):
        with pytest.raises(TypeError, match=r"`weights(\[[12]\])?` argument"):
            layer.set_weights(wrong)
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), good))
    layer.set_weights(tuple(np.asfortranarray(w.astype(np.float64)) for w in good))
    assert all(np.array_equal(a, b) and b.dtype == np.float32 for a, b in zip(good, layer.get_weights()))
    unbuilt = SeparableConv2D(4, 3)
    unbuilt.set_weights([])
    with pytest.raises(ValueError, match="0 arrays"):
        unbuilt.set_weights(good)


def test_a_call_sees_all_of_the_old_or_all_of_the_new():
    layer = DepthwiseConv2D(1, input_shape=(2, 2, 1))
    x = np.ones((1, 2, 2, 1), np.float32)
    pairs = [[np.full((1, 1, 1, 1), n), np.full(1, -n)] for n in (1.0, 1000.0)]
    layer.set_weights(pairs[0])
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set():
            seen.append(layer(x).ravel()[0])
            kernel, bias = layer.get_weights()
            seen.append(kernel.item() + bias.item())

    readers = [threading.Thread(target=read) for _ in range(3)]
    for t in readers:
        t.start()
    for n in range(1000):
        layer.set_weights(pairs[n % 2])
    stop.set()
    for t in readers:
        t.join()
    assert seen and set(seen) == {0.0}


def test_initializers_get_shape_and_dtype_and_must_return_that_shape():
    seen = []

    def initializer(shape, dtype):
        seen.append((shape, dtype))
        return np.zeros(shape)

    SeparableConv2D(4, 3, pointwise_initializer=initializer, dtype="float64", input_shape=(6, 7, 3))
    assert seen == [((1, 1, 3, 4), "float64")]
    for wrong in (lambda shape, dtype: 0.0, lambda shape, dtype: np.zeros(shape[::-1]), lambda shape, dtype: np.zeros((2, *shape))):
        with pytest.raises(ValueError, match=r"`depthwise_initializer`.*\(3, 3, 3, 1\).*Received: shape="):
            SeparableConv2D(4, 3, depthwise_initializer=wrong, input_shape=(6, 7, 3))


def test_no_initializer_means_glorot_uniform():
    layer = SeparableConv2D(64, 3, depthwise_initializer=None, input_shape=(6, 7, 32))
    limit = (6 / (32 * 9 + 9)) ** 0.5
    kernel = layer.depthwise_kernel.numpy()
    assert 0.9 * limit < abs(kernel).max() <= limit and layer.get_config()["depthwise_initializer"] is None


def test_weights_beyond_all_memory_are_refused():
    with pytest.raises(ValueError, match="`pointwise_kernel`.*bytes"):
        SeparableConv2D(2**62, 3, input_shape=(6, 7, 3))


def test_running_out_of_memory_leaves_the_layer_usable(layer):
    y = layer(X)
    with pytest.raises(MemoryError):
        layer(np.broadcast_to(X[:1, :1, :1], (1, 2**24, 2**22, 3)))
    assert np.array_equal(layer(X), y)


# Losses.


def test_losses_have_keras_order_and_scale():
    layer = SeparableConv2D(
        2,
        1,
        activity_regularizer="l1",
        depthwise_regularizer="l2",
        pointwise_regularizer=lambda w: np.sum(w),
        bias_regularizer="l2",
        input_shape=(2, 2, 3),
    )
    layer.set_weights([np.full((1, 1, 3, 1), 2.0), np.full((1, 1, 3, 2), 3.0), np.full(2, 1.0)])
    weight_losses = [pytest.approx(0.01 * 3 * 4), pytest.approx(18), pytest.approx(0.02)]
    assert layer.losses == weight_losses
    layer(np.ones((5, 2, 2, 3), np.float32))
    assert layer.losses == [pytest.approx(0.01 * 8 * 19, rel=1e-5), *weight_losses]
    layer(np.zeros((1, 2, 2, 3), np.float32))
    assert layer.losses[0] == pytest.approx(0.01 * 8, rel=1e-5)
    layer(np.zeros((0, 2, 2, 3), np.float32))
    assert layer.losses[0] == 0
    layer.trainable = False
    assert layer.losses == [0]


@pytest.mark.parametrize("function", [lambda w: w, lambda w: np.ones(1), lambda w: True, lambda w: 1j, lambda w: None])
def test_a_regularizer_must_return_a_scalar(function):
    layer = SeparableConv2D(2, 1, depthwise_regularizer=function, input_shape=(2, 2, 3))
    with pytest.raises(ValueError, match="`depthwise_regularizer` argument must be .* real scalar. Received"):
        _ = layer.losses
    with pytest.raises(ValueError, match="`activity_regularizer` argument must be .* real scalar. Received"):
        SeparableConv2D(2, 1, activity_regularizer=function)(X)


# Copies.


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_deep_copies_are_apart(maker, duplicate):
    layer = maker(activation="softmax", input_shape=(6, 7, 3), activity_regularizer="l2")
    y = layer(X)
    other = duplicate(layer)
    assert other.get_config() == layer.get_config() and other.losses == layer.losses and np.array_equal(other(X), y)
    other.weights[0].assign_add(1)
    assert np.array_equal(layer(X), y) and not np.array_equal(other(X), y)
    with pytest.raises(ValueError):
        other.weights[0].numpy().setflags(write=True)
    unbuilt = duplicate(maker())
    assert not unbuilt.built and unbuilt(X).shape == y.shape


def test_shallow_copies_share_variables(layer):
    other = copy.copy(layer)
    assert all(a is b for a, b in zip(other.weights, layer.weights))
    other.depthwise_kernel = np.zeros((3, 3, 3, 1))
    assert np.array_equal(other(X), layer(X))
    other.activation = double
    assert layer.activation is not double
    unbuilt = SeparableConv2D(4, 3)
    other = copy.copy(unbuilt)
    other(X)
    assert not unbuilt.built


def test_a_lambda_survives_deepcopy():
    layer = SeparableConv2D(4, 3, activation=lambda x: x + 1, input_shape=(6, 7, 3))
    assert np.array_equal(copy.deepcopy(layer)(X), layer(X))


def test_layers_are_freed_at_once():
    layer = SeparableConv2D(4, 3)
    layer(X)
    gc.disable()  # no cycle may keep a layer, and with it its weights, alive
    try:
        reference = weakref.ref(layer)
        del layer
        assert reference() is None
    finally:
        gc.enable()


def test_training_is_accepted_and_ignored(layer):
    assert np.array_equal(layer(X, training=True), layer(inputs=X, training=False))
    with pytest.raises(TypeError):
        layer(X, None, True)


class NeedsGradient:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


class ByDlpack:
    def __init__(self, array):
        self.array = np.ascontiguousarray(array)

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (np.ma.array([1, 2, 3, 4.0], mask=True), "masked"),
        ([np.ma.masked, 2, 3, 4.0], "masked"),
        (NeedsGradient(), "detach"),
        ([[1], [2, 3]], "NumPy array first"),
        (np.zeros(4, "M8[s]"), "real numbers"),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:Creating an ndarray from ragged")
def test_weights_are_taken_as_inputs_are(layer, wrong, message):
    kept = layer.get_weights()
    for name, assign in (
        ("bias", lambda: setattr(layer, "bias", wrong)),
        (r"weights\[2\]", lambda: layer.set_weights([*kept[:2], wrong])),
        (r"weights\[2\]", lambda: SeparableConv2D(4, 3, input_shape=(6, 7, 3), weights=[*kept[:2], wrong])),
        ("bias_initializer", lambda: SeparableConv2D(4, 3, input_shape=(6, 7, 3), bias_initializer=lambda *_: wrong)),
    ):
        with pytest.raises(TypeError, match=f"`{name}` argument .*{message}"):
            assign()
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), kept))


def test_weights_come_by_dlpack_too(layer):
    layer.set_weights([ByDlpack(w * 2) for w in layer.get_weights()])
    layer.bias = ByDlpack(np.arange(4.0))
    assert layer.get_weights()[2].tolist() == [0, 1, 2, 3]


def test_the_activity_regularizer_may_be_set_and_is_resolved(layer):
    layer.activity_regularizer = "l2"
    y = layer(X)
    assert layer.losses == pytest.approx([0.01 * np.square(y.astype(float)).sum() / len(X)], rel=1e-5)
    assert layer.get_config()["activity_regularizer"]["class_name"] == "L2"
    layer.activity_regularizer = None
    assert layer.losses == []
    with pytest.raises(ValueError, match="`activity_regularizer` argument"):
        layer.activity_regularizer = "nope"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(layer, protocol):
    other = pickle.loads(pickle.dumps(layer, protocol))
    assert np.array_equal(other(X), layer(X)) and other.dtype_policy == layer.dtype_policy

"""What arrays callers bring: strides, alignment, byte order, dtypes, aliasing, degenerate sizes."""

import itertools

import numpy as np
import pytest
import reference

import sepconv
from sepconv import DepthwiseConv2D, SeparableConv1D, SeparableConv2D

RNG = np.random.default_rng(16)
SHAPE = (2, 9, 10, 5)


@pytest.fixture(scope="module", params=["channels_last", "channels_first"])
def data_format(request):
    return request.param


@pytest.fixture(scope="module", params=["separable", "depthwise"])
def layer(request, data_format):
    shape = SHAPE if data_format == "channels_last" else (2, 5, 9, 10)
    if request.param == "separable":
        return SeparableConv2D(7, 3, padding="same", activation="tanh", data_format=data_format, batch_input_shape=shape)
    return DepthwiseConv2D(
        (2, 3), strides=2, depth_multiplier=2, activation="sigmoid", data_format=data_format, batch_input_shape=shape
    )


@pytest.fixture(scope="module")
def plain():
    return SeparableConv2D(7, 3, padding="same", activation="tanh", batch_input_shape=SHAPE)


def strided(x, order, steps, offset):
    """An array equal to `x` whose axes lie in memory in `order`, each with its step (negative: backwards), `offset` bytes in."""
    sizes = [x.shape[a] * abs(steps[a]) for a in order]
    memory = np.zeros(int(np.prod(sizes)) * x.itemsize + offset, np.uint8)[offset:]
    base = memory[: int(np.prod(sizes)) * x.itemsize].view(x.dtype).reshape(sizes).transpose(np.argsort(order))
    view = base[tuple(slice(None, None, s) for s in steps)]
    view[...] = x
    return view


def test_every_order_and_direction_gives_the_same_bits(layer):
    x = RNG.standard_normal(layer.get_build_config()["input_shape"]).astype(np.float32)
    y = layer(x)
    cases = itertools.product(
        itertools.permutations(range(4)),
        [(1, 1, 1, 1), (-1, 1, 1, 1), (1, -1, -1, 1), (1, 1, 1, -1), (2, 1, 1, 1), (1, 2, -3, 1), (1, 1, 1, 2), (-2, -1, -2, -3)],
    )
    count = 0
    for order, steps in cases:
        view = strided(x, order, steps, 0)
        assert np.array_equal(layer(view), y), (order, steps)
        count += 1
    assert count == 192


def test_every_byte_offset_gives_the_same_bits(layer):
    x = RNG.standard_normal(layer.get_build_config()["input_shape"]).astype(np.float32)
    y = layer(x)
    for offset in range(64):
        assert np.array_equal(layer(strided(x, (0, 1, 2, 3), (1, 1, 1, 1), offset)), y), offset
        if offset % 4 == 0:
            out = np.zeros(y.nbytes + offset, np.uint8)[offset:].view(np.float32).reshape(y.shape)
            assert layer(x, out) is out and np.array_equal(out, y), offset


@pytest.mark.parametrize("axis", range(4))
def test_broadcast_axes(layer, axis):
    shape = layer.get_build_config()["input_shape"]
    x = np.broadcast_to(RNG.standard_normal([1 if a == axis else n for a, n in enumerate(shape)]).astype(np.float32), shape)
    assert x.strides[axis] == 0
    assert np.array_equal(layer(x), layer(x.copy()))


@pytest.mark.parametrize("dtype", ["f8", "f2", ">f4", ">f8", "<f4", "i1", "u1", "i8", "u8", ">i2", "g"])
def test_real_dtypes_are_converted(plain, dtype):
    x = RNG.integers(0, 9, SHAPE).astype(dtype)
    y = plain(x)
    assert y.dtype == np.float32 and np.array_equal(y, plain(x.astype(np.float32)))


@pytest.mark.parametrize("dtype", [bool, complex, object, "M8[s]", "m8[s]", "S1", "U1"])
def test_other_dtypes_are_refused_by_name(plain, dtype):
    with pytest.raises(TypeError, match="`inputs`.*Received: dtype="):
        plain(np.zeros(SHAPE, dtype))


def test_read_only_inputs_and_outputs(plain):
    x = RNG.standard_normal(SHAPE).astype(np.float32)
    y = plain(x)
    x.setflags(write=False)
    assert np.array_equal(plain(x), y)
    y.setflags(write=False)
    with pytest.raises(ValueError, match="`out`.*writeable"):
        plain(x, out=y)


@pytest.mark.parametrize("activation", [None, "gelu", "softmax"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("filters", [1, 5, 33])
def test_outputs_are_contiguous_along_channels_or_rows(data_format, activation, dtype, filters):
    layer = SeparableConv2D(filters, 3, data_format=data_format, activation=activation, dtype=dtype)
    x = RNG.standard_normal((2, 7, 20, 5) if data_format == "channels_last" else (2, 5, 7, 20)).astype(dtype)
    y = layer(x)
    to, back = ((0, 3, 1, 2), (0, 2, 3, 1)) if data_format == "channels_last" else ((0, 2, 3, 1), (0, 3, 1, 2))
    out = np.full(y.transpose(to).shape, 7, dtype).transpose(back)
    for _ in range(2):  # the second call finds what the first has prepared
        assert layer(x, out=out) is out and np.array_equal(out, y)
        out[...] = 7
    if filters == 1:
        return  # an axis of one entry is contiguous
    neither = np.empty(y.shape[::-1], dtype).T
    with pytest.raises(
        ValueError, match=f"`out`.*contiguous along axis {'3 or 2' if data_format == 'channels_last' else '1 or 3'}"
    ):
        layer(x, out=neither)


def test_an_output_over_the_input_is_refused_and_nothing_is_written():
    layer = DepthwiseConv2D(1, use_bias=False, batch_input_shape=SHAPE)
    x = RNG.standard_normal(SHAPE).astype(np.float32)
    for view in (x, x[:1], x[..., ::-1], np.broadcast_to(x[:1], SHAPE)):
        before = x.copy()
        out = x[:1] if len(view) == 1 else x
        with pytest.raises(ValueError, match="`out`.*overlap"):
            layer(view, out=out)
        assert np.array_equal(x, before)


def test_inputs_and_weights_are_left_alone():
    x = RNG.standard_normal(SHAPE).astype(np.float32)
    layer = SeparableConv2D(3, 3, activation=lambda y: np.multiply(y, 0, out=y), batch_input_shape=SHAPE)
    before, weights = x.copy(), layer.get_weights()
    layer(x)
    assert np.array_equal(x, before) and all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), weights))


def test_results_are_apart(plain):
    x = RNG.standard_normal(SHAPE).astype(np.float32)
    y = plain(x)
    z = y.copy()
    kept = [plain(x) for _ in range(4)]
    kept[0][...] = 0
    assert np.array_equal(y, z) and all(np.array_equal(k, z) for k in kept[1:])


@pytest.mark.parametrize("elements", [2**17 - 1, 2**17, 2**20])
def test_results_of_every_size_are_writeable_and_whole(elements):
    layer = DepthwiseConv2D(1, use_bias=False, weights=[np.full((1, 1, 1, 1), 2.0)])
    x = np.arange(elements, dtype=np.float32).reshape(1, 1, -1, 1)
    results = [layer(x) for _ in range(5)]
    for y in results:
        assert y.flags.c_contiguous and y.flags.writeable and np.array_equal(y, 2 * x)
    view = results[0][0, 0, 5:10]
    del results
    layer(np.zeros_like(x))
    assert view.ravel().tolist() == [10, 12, 14, 16, 18]


def test_empty_inputs(data_format):
    def shape(n, h, w, c):
        return (n, h, w, c) if data_format == "channels_last" else (n, c, h, w)

    same = SeparableConv2D(4, 3, padding="same", strides=2, data_format=data_format)
    valid = SeparableConv2D(4, 3, data_format=data_format)
    for n, h, w in ((0, 8, 8), (2, 0, 8), (2, 8, 0), (0, 0, 0)):
        y = same(np.zeros(shape(n, h, w, 3), np.float32))
        assert y.shape == shape(n, (h + 1) // 2, (w + 1) // 2, 4)
    assert valid(np.zeros(shape(0, 8, 8, 3), np.float32)).shape == shape(0, 6, 6, 4)
    for h, w in ((0, 8), (8, 0), (2, 8)):
        with pytest.raises(ValueError, match="too small"):
            valid(np.zeros(shape(1, h, w, 3), np.float32))
    with pytest.raises(ValueError, match="channels"):
        same(np.zeros(shape(1, 8, 8, 0), np.float32))
    assert SeparableConv1D(4, 3, padding="causal")(np.zeros((2, 0, 3), np.float32)).shape == (2, 0, 4)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    "size, kernel, strides, dilation",
    [
        ((1, 1), (1, 1), (1, 1), (1, 1)),
        ((1, 1), (5, 5), (1, 1), (1, 1)),
        ((5, 4), (2, 1), (7, 9), (1, 1)),
        ((3, 3), (2, 2), (1, 1), (2, 2)),
        ((1, 30), (1, 1), (4, 7), (5, 5)),
        ((2, 2), (7, 3), (3, 2), (4, 1)),
    ],
)
def test_degenerate_sizes(padding, size, kernel, strides, dilation):
    layer = SeparableConv2D(3, kernel, strides, padding, dilation_rate=dilation)
    x = reference.integers(RNG, (2, *size, 2))
    if padding == "valid" and any(n < d * (k - 1) + 1 for n, k, d in zip(size, kernel, dilation)):
        with pytest.raises(ValueError, match="too small"):
            layer(x)
        return
    layer.build(x.shape)
    layer.set_weights([reference.integers(RNG, w.shape) for w in layer.weights])
    assert np.array_equal(layer(x), reference.of_layer(layer, x))


def test_a_shape_whose_size_overflows_is_refused():
    x = np.broadcast_to(np.float32(1), (2**20, 2**20, 2**20, 1))
    layer = SeparableConv2D(4, 1, batch_input_shape=(None, 1, 1, 1))
    with pytest.raises(ValueError, match=r"`input_shape` argument must be smaller.*Received: input shape=\(1048576, "):
        layer(x)
    assert layer(np.ones((1, 1, 1, 1), np.float32)).shape == (1, 1, 1, 4)


X, HUGE = np.ones((2, 8, 8, 3), np.float32), 2**62


@pytest.mark.parametrize(
    "argument, call",
    [
        ("dilation_rate", lambda: SeparableConv1D(2, 3, dilation_rate=HUGE, padding="causal")(X[0])),
        ("dilation_rate", lambda: SeparableConv2D(2, 3, dilation_rate=HUGE, padding="same")(X)),
        ("dilation_rate", lambda: SeparableConv2D(2, 3, dilation_rate=HUGE // 2, padding="same")(X)),
        (
            "dilation_rate",
            lambda: SeparableConv2D(2, 3, dilation_rate=HUGE // 8, padding="same")(X),
        ),  # positions fit, addresses don't
        ("padding", lambda: sepconv.ops.depthwise_conv(X, np.ones((3, 3, 3, 1)), padding=((HUGE, HUGE), (0, 0)))),
        ("padding", lambda: sepconv.ops.depthwise_conv(X, np.ones((3, 3, 3, 1)), padding=((2**31, 0), (2**31, 0)))),
        ("input_shape", lambda: DepthwiseConv2D(3).explain((1, 2**31, 2**31, 3))),
        ("input_shape", lambda: DepthwiseConv2D(3).explain((HUGE, 8, 8, 3))),
        ("input_shape", lambda: DepthwiseConv2D(3, input_shape=(8, 8, HUGE))),
        ("kernel_size", lambda: DepthwiseConv2D(2**31, input_shape=(None, None, 3))),
        ("depth_multiplier", lambda: SeparableConv2D(4, 3, depth_multiplier=2**56, input_shape=(8, 8, 3))),
        ("depth_multiplier", lambda: SeparableConv2D(4, 3, depth_multiplier=2**59).explain(X.shape)),
        ("filters", lambda: SeparableConv2D(2**59, 3, input_shape=(8, 8, 3))),
        ("filters", lambda: SeparableConv2D(HUGE, 3).explain(X.shape)),
    ],
)
def test_a_size_that_64_bits_cannot_count_is_refused_by_name(argument, call):
    with pytest.raises(ValueError, match=f"The `{argument}` argument must be smaller.*Received: .*{argument.split('_')[0]}"):
        call()


def test_the_largest_sizes_that_can_be_counted_are_taken():
    assert SeparableConv2D(2, 3, strides=2 * HUGE - 1, padding="same")(X).shape == (
        2,
        1,
        1,
        2,
    )  # one output has no neighbour either
    assert DepthwiseConv2D(1, dilation_rate=2 * HUGE - 1)(X).shape == X.shape  # one tap has no neighbour to be away from
    assert DepthwiseConv2D(3).explain((1, 2**40, 4, 3))["output_shape"] == (1, 2**40 - 2, 2, 3)

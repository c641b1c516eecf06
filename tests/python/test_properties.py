"""Laws that every convolution obeys, over the argument space. Data are small whole numbers where a law adds, so that equality is exact.

SEPCONV_EXAMPLES=10000 pytest tests/python/test_properties.py runs the long form.
"""

import os
from dataclasses import dataclass

import numpy as np
import reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sepconv import DepthwiseConv2D, SeparableConv1D, SeparableConv2D, ops

law = settings(
    max_examples=int(os.environ.get("SEPCONV_EXAMPLES", "500")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


@dataclass
class Problem:
    kernel: tuple
    strides: tuple
    dilation: tuple
    padding: str
    channels: int
    multiplier: int
    filters: int
    batch: int
    size: tuple
    seed: int

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def geometry(self, **changes):
        return {"strides": self.strides, "dilation_rate": self.dilation, "padding": self.padding, **changes}

    def input(self, dtype=np.float32):
        return reference.integers(self.rng, (self.batch, *self.size, self.channels), dtype)

    def weights(self):
        shapes = ((*self.kernel, self.channels, self.multiplier), (1, 1, self.channels * self.multiplier, self.filters))
        return [reference.integers(self.rng, s) for s in shapes]

    def layer(self, weights=None, bias=None, **changes):
        weights = self.weights() if weights is None else weights
        arguments = {**self.geometry(), "depth_multiplier": self.multiplier, "use_bias": bias is not None, **changes}
        return SeparableConv2D(self.filters, self.kernel, weights=[*weights, *([] if bias is None else [bias])], **arguments)

    def depthwise(self, kernel, **changes):
        return DepthwiseConv2D(
            kernel.shape[:2], depth_multiplier=kernel.shape[3], use_bias=False, weights=[kernel], **{**self.geometry(), **changes}
        )


def pairs(largest):
    return st.tuples(st.integers(1, largest), st.integers(1, largest))


@st.composite
def problems(draw, strides=3, dilation=3, padding=("valid", "same"), multiplier=3, batch=(0, 3)):
    kernel, dilations = draw(pairs(4)), draw(pairs(dilation))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    return Problem(
        kernel=kernel,
        strides=draw(pairs(strides)),
        dilation=dilations,
        padding=draw(st.sampled_from(padding)),
        channels=draw(st.one_of(st.integers(1, 9), st.integers(10, 35))),
        multiplier=draw(st.integers(1, multiplier)),
        filters=draw(st.one_of(st.integers(1, 9), st.integers(10, 35))),
        batch=draw(st.integers(*batch)),
        size=tuple(e + draw(st.integers(0, 7)) for e in extent),
        seed=draw(st.integers(0, 2**32)),
    )


def equal(a, b):
    return a.shape == b.shape and np.array_equal(a, b)


@law
@given(problems(), st.booleans(), st.sampled_from(["channels_last", "channels_first"]))
def test_it_is_the_reference(p, use_bias, data_format):
    layer = p.layer(bias=reference.integers(p.rng, p.filters) if use_bias else None, data_format=data_format, activation="relu")
    x = p.input()
    x = x if data_format == "channels_last" else np.ascontiguousarray(np.moveaxis(x, -1, 1))
    y = layer(x)
    assert equal(y, reference.of_layer(layer, x, lambda v: np.maximum(v, 0)))
    assert y.shape == layer.compute_output_shape(x.shape)


@law
@given(problems(), st.integers(-3, 3), st.integers(-3, 3))
def test_linear_in_the_input(p, a, b):
    layer, x, z = p.layer(), p.input(), p.input()
    assert equal(layer(a * x + b * z), a * layer(x) + b * layer(z))


@law
@given(problems())
def test_linear_in_each_kernel(p):
    x, (d, w), (e, v) = p.input(), p.weights(), p.weights()
    assert equal(p.layer([d + e, w])(x), p.layer([d, w])(x) + p.layer([e, w])(x))
    assert equal(p.layer([d, w + v])(x), p.layer([d, w])(x) + p.layer([d, v])(x))


@law
@given(problems())
def test_the_bias_is_added_to_every_pixel(p):
    x, weights, bias = p.input(), p.weights(), reference.integers(p.rng, p.filters)
    assert equal(p.layer(weights, bias)(x), p.layer(weights)(x) + bias)


@law
@given(problems(padding=("valid",)))
def test_shifting_the_input_by_the_stride_shifts_the_output_by_one(p):
    p.size = tuple(n + s for n, s in zip(p.size, p.strides))
    layer, x = p.layer(), p.input()
    assert equal(layer(x[:, p.strides[0] :, p.strides[1] :]), layer(x)[:, 1:, 1:])


@law
@given(problems())
def test_the_order_of_channels_and_filters_is_immaterial(p):
    x, (d, w) = p.input(), p.weights()
    order, filters = p.rng.permutation(p.channels), p.rng.permutation(p.filters)
    rows = w.reshape(1, 1, p.channels, p.multiplier, p.filters)[:, :, order].reshape(w.shape)
    assert equal(p.layer([d[:, :, order], rows])(x[..., order]), p.layer([d, w])(x))
    assert equal(p.layer([d, w[..., filters]])(x), p.layer([d, w])(x)[..., filters])


@law
@given(problems(strides=1, padding=("valid",), batch=(1, 1)))
def test_the_answer_to_an_impulse_is_the_kernel_reversed(p):
    kernel = p.weights()[0]
    reach = [(k - 1) * d for k, d in zip(p.kernel, p.dilation)]
    x = np.zeros((1, 2 * reach[0] + 1, 2 * reach[1] + 1, p.channels), np.float32)
    x[0, reach[0], reach[1]] = 1
    y = p.depthwise(kernel)(x)[0]
    assert equal(y[:: p.dilation[0], :: p.dilation[1]], kernel[::-1, ::-1].reshape(*p.kernel, -1))
    assert np.count_nonzero(y) == np.count_nonzero(kernel)


@law
@given(problems())
def test_depthwise_then_pointwise_is_separable(p):
    x, (d, w) = p.input(), p.weights()
    assert equal(ops.pointwise_conv(p.depthwise(d)(x), w), p.layer([d, w])(x))


@law
@given(problems(dilation=2))
def test_separable_is_the_dense_convolution_with_the_product_kernel(p):
    x, (d, w) = p.input(), p.weights()
    dense = np.einsum("ijcm,cmf->ijcf", d, w.reshape(p.channels, p.multiplier, p.filters))
    # A dense kernel is a depthwise one with a multiplier of all filters, summed over channels.
    y = reference.depthwise(x, dense, p.strides, p.dilation, p.padding)
    assert equal(p.layer([d, w])(x), y.reshape(*y.shape[:-1], p.channels, p.filters).sum(axis=-2))


@law
@given(problems(strides=1))
def test_valid_is_the_inside_of_same(p):
    x, weights = p.input(), p.weights()
    before = [(k - 1) * d // 2 for k, d in zip(p.kernel, p.dilation)]
    valid, same = p.layer(weights, padding="valid")(x), p.layer(weights, padding="same")(x)
    assert equal(same[:, before[0] : before[0] + valid.shape[1], before[1] : before[1] + valid.shape[2]], valid)


@law
@given(problems(padding=("same",)))
def test_same_is_valid_of_the_padded_input(p):
    x, weights = p.input(), p.weights()
    pads = [reference._pad(*axis, "same") for axis in zip(p.size, p.kernel, p.strides, p.dilation)]
    assert equal(p.layer(weights)(x), p.layer(weights, padding="valid")(np.pad(x, ((0, 0), *pads, (0, 0)))))


@law
@given(problems(padding=("valid",)))
def test_a_stride_skips(p):
    x, weights = p.input(), p.weights()
    assert equal(p.layer(weights)(x), p.layer(weights, strides=1)(x)[:, :: p.strides[0], :: p.strides[1]])


@law
@given(problems())
def test_dilation_is_a_kernel_with_holes(p):
    x, (d, w) = p.input(), p.weights()
    holes = np.zeros((*((k - 1) * r + 1 for k, r in zip(p.kernel, p.dilation)), *d.shape[2:]), np.float32)
    holes[:: p.dilation[0], :: p.dilation[1]] = d
    other = SeparableConv2D(
        p.filters, holes.shape[:2], p.strides, p.padding, depth_multiplier=p.multiplier, use_bias=False, weights=[holes, w]
    )
    assert equal(p.layer([d, w])(x), other(x))


@law
@given(problems())
def test_a_multiplier_is_several_filters_interleaved(p):
    x, kernel = p.input(), p.weights()[0]
    parts = [p.depthwise(kernel[..., m : m + 1])(x) for m in range(p.multiplier)]
    y = p.depthwise(kernel)(x)
    assert equal(y, np.stack(parts, axis=-1).reshape(y.shape))


@law
@given(problems())
def test_rows_and_columns_may_change_places(p):
    x, (d, w) = p.input(), p.weights()
    turned = SeparableConv2D(
        p.filters,
        p.kernel[::-1],
        p.strides[::-1],
        p.padding,
        None,
        p.dilation[::-1],
        p.multiplier,
        use_bias=False,
        weights=[d.swapaxes(0, 1), w],
    )
    assert equal(turned(x.swapaxes(1, 2)).swapaxes(1, 2), p.layer([d, w])(x))


@law
@given(problems())
def test_one_axis_is_an_image_of_one_row(p):
    d, w = p.weights()
    x = p.input()[:, 0]
    line = SeparableConv1D(
        p.filters, p.kernel[1], p.strides[1], p.padding, None, p.dilation[1], p.multiplier, use_bias=False, weights=[d[0], w[0]]
    )
    p.kernel, p.strides, p.dilation = ((1, pair[1]) for pair in (p.kernel, p.strides, p.dilation))
    assert equal(line(x), p.layer([d[:1], w])(x[:, None])[:, 0])


# Laws about bits: the data are not whole numbers.


@law
@given(problems(batch=(1, 3)), st.sampled_from(["relu", "tanh", "linear"]))
def test_batch_layout_threads_and_strides_do_not_change_a_bit(p, activation):
    x = p.rng.standard_normal((p.batch, *p.size, p.channels), np.float32)
    weights = [p.rng.standard_normal(w.shape, np.float32) for w in p.weights()]
    layer = p.layer(weights, activation=activation)
    first = p.layer(weights, activation=activation, data_format="channels_first")
    y = layer(x)
    assert equal(np.concatenate([layer(x[n : n + 1]) for n in range(p.batch)]), y)
    assert equal(np.moveaxis(first(np.ascontiguousarray(np.moveaxis(x, -1, 1))), 1, -1), y)
    assert equal(layer(x, num_threads=3), y)
    assert equal(layer(np.asfortranarray(x)), y)
    assert equal(layer(np.ascontiguousarray(x[:, ::-1, ::-1])[:, ::-1, ::-1]), y)


@law
@given(problems())
def test_configs_and_shapes_agree_with_calls(p):
    layer = p.layer()
    y = layer(p.input())
    assert y.shape == layer.compute_output_shape((p.batch, *p.size, p.channels)) and y.dtype == np.float32
    unknown = layer.compute_output_shape((None, None, None, p.channels))
    assert unknown == (None, None, None, p.filters)
    assert SeparableConv2D.from_config(layer.get_config()).get_config() == layer.get_config()

"""The operator of sepconv.torch: results and gradients against torch's own convolutions, in every order of memory."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

import sepconv
from sepconv.torch import _ops

pytestmark = pytest.mark.usefixtures("one_thread")

LINEAR = ("linear", ())
F64 = torch.float64


def draw(*shape, dtype=F64, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, dtype=F64, generator=generator).to(dtype).requires_grad_()


def weights(channels=3, multiplier=2, filters=5, kernel=(3, 2), dtype=F64):
    """In Keras's shapes: depthwise kernel and bias, pointwise kernel and bias."""
    depth, ones = channels * multiplier, (1,) * len(kernel)
    shapes = ((*kernel, channels, multiplier), (depth,), (*ones, depth, filters), (filters,))
    return tuple(draw(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes))


def plain(x, depthwise, depthwise_bias, pointwise, bias, *, strides=(1, 1), pads=((0, 0), (0, 0)), dilation=(1, 1)):
    """The same of a channels_first `x` by torch's convolutions."""
    x = functional.pad(x, [n for pair in reversed(pads) for n in pair])
    conv = functional.conv2d if x.dim() == 4 else functional.conv1d
    if depthwise is not None:
        kernel = depthwise.movedim((-2, -1), (0, 1)).flatten(0, 1).unsqueeze(1)
        last = pointwise is None
        x = conv(x, kernel, bias if last else depthwise_bias, strides, 0, dilation, groups=x.shape[1])
    if pointwise is not None:
        steps = strides if depthwise is None else 1
        x = conv(x, pointwise.movedim((-1, -2), (0, 1)), bias, steps)
    return x


def options(rank=2, **changed):
    return {"strides": (1,) * rank, "padding": "valid", "dilation": (1,) * rank, "data_format": "channels_first"} | changed


def permuted(x, *axes):
    """`x` in the same order of axes, with the memory in the order `axes`."""
    return x.permute(axes).contiguous().permute(*map(axes.index, range(x.dim()))).detach().requires_grad_()


GEOMETRIES = [
    {},
    {"strides": (2, 1), "padding": ((1, 0), (2, 3))},
    {"strides": (1, 3), "padding": ((2, 2), (0, 0)), "dilation": (2, 1)},
    {"strides": (2, 3), "padding": ((3, 1), (0, 2)), "dilation": (3, 2)},
]
PARTS = {"separable": (0, 1, 2, 3), "no biases": (0, 2), "depthwise": (0, 3), "pointwise": (2, 3), "bare": (0,)}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results_and_gradients_are_those_of_torch(geometry, parts):
    x = draw(2, 3, 9, 8)
    given = [w if i in PARTS[parts] else None for i, w in enumerate(weights())]
    if given[0] is None:
        given[2] = draw(1, 1, 3, 5)
        geometry = geometry | {"padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    if parts == "depthwise":
        given[3] = weights()[1]
    geometry = {"padding": ((0, 0), (0, 0))} | geometry
    ours = _ops.convolve(x, *given, **options(**geometry))
    theirs = plain(x, *given, pads=geometry["padding"], **{k: v for k, v in geometry.items() if k != "padding"})
    torch.testing.assert_close(ours, theirs)
    asked = [t for t in (x, *given) if t is not None]
    dy = draw(*ours.shape, seed=9).detach()
    for a, b in zip(torch.autograd.grad(ours, asked, dy), torch.autograd.grad(theirs, asked, dy)):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("rank", [1, 2])
def test_orders_of_memory_give_the_same_bits_and_are_kept(rank):
    kernel, spatial = (3, 2)[:rank], (7, 6)[:rank]
    given, first, last = weights(kernel=kernel), draw(2, 3, *spatial), draw(2, 3, *spatial)
    to_last, to_first = (0, *range(2, rank + 2), 1), (0, rank + 1, *range(1, rank + 1))
    wanted = _ops.convolve(first, *given, **options(rank))
    gradient = torch.autograd.grad(wanted.sum(), (first, *given))
    for format in ("channels_first", "channels_last"):
        for axes in (tuple(range(rank + 2)), to_last, to_first):
            x = first if format == "channels_first" else first.permute(to_last)
            x = permuted(x, *axes)
            y = _ops.convolve(x, *given, **options(rank, data_format=format))
            found = torch.autograd.grad(y.sum(), (x, *given))
            assert y.permute(axes).is_contiguous() or axes in ((to_first,) if format == "channels_first" else (to_last,))
            back = (lambda t: t) if format == "channels_first" else (lambda t: t.permute(to_first))
            assert torch.equal(back(y), wanted) and torch.equal(back(found[0]), gradient[0]), (format, axes)
            assert all(map(torch.equal, found[1:], gradient[1:]))
    assert last.shape == first.shape


@pytest.mark.parametrize("activation", [("relu", ()), ("silu", ()), ("relu", (0.1, float("inf"), 0.0)), ("tanh", ()), ("mish", ())])
def test_activations_differentiate(activation):
    x, given = draw(2, 3, 5, 4), weights()
    both = {"activation": activation, "depthwise_activation": activation}
    assert torch.autograd.gradcheck(lambda *t: _ops.convolve(*t, **options(**both)), (x, *given))
    assert torch.autograd.gradcheck(
        lambda x, k, b: _ops.convolve(x, k, None, None, b, **options(activation=activation)), (x, *given[:2])
    )


@pytest.mark.parametrize("keeps, multiplier, channels", [("linear", 1, 3), ("relu", 2, 0), ("silu", 2, 3)])
def test_the_operator_is_sound_for_compilers(keeps, multiplier, channels):
    form = _ops.form((1, 2), "same", (1, 1), "channels_first", (keeps, ()), ("relu", ()), channels)
    given = list(weights(multiplier=multiplier))
    if channels:
        given[0], given[2] = draw(3 * multiplier, 1, 3, 2), draw(5, 3 * multiplier, 1, 1)
    for x in (draw(2, 3, 5, 4), permuted(draw(2, 3, 5, 4), 0, 2, 3, 1)):
        torch.library.opcheck(torch.ops.sepconv.convolve.default, (x, *given, form, True))
        y, kept = torch.ops.sepconv.convolve(x, *given, form, True)
        kept = {"linear": None, "relu": y, "silu": kept}[keeps]
        arguments = [None if t is None else t.detach() for t in (torch.ones_like(y), x, *given, kept)]
        torch.library.opcheck(torch.ops.sepconv.convolve_backward.default, (*arguments, form, [True] * 5))


def test_only_what_is_wanted_is_computed():
    tensors = (draw(1, 3, 6, 6), *weights())
    everything = torch.autograd.grad(_ops.convolve(*tensors, **options()).sum(), tensors)
    for subset in itertools.chain.from_iterable(itertools.combinations(range(5), n) for n in (1, 2, 4)):
        given = [t.detach().requires_grad_(i in subset) for i, t in enumerate(tensors)]
        found = torch.autograd.grad(_ops.convolve(*given, **options()).sum(), [given[i] for i in subset])
        assert all(torch.equal(f, everything[i]) for f, i in zip(found, subset))
    none = torch.ops.sepconv.convolve_backward(
        torch.ones(1, 5, 4, 5, dtype=F64), *tensors, None, _ops.form((1, 1), "valid", (1, 1), "channels_first"), [False] * 5
    )
    assert [g.numel() for g in none] == [0] * 5


def test_the_result_is_that_of_ops():
    x, given = draw(2, 7, 6, 3, dtype=torch.float32), weights(dtype=torch.float32)
    arrays = [t.detach().numpy() for t in (x, *given)]
    wanted = sepconv.ops.separable_conv(
        arrays[0], arrays[1], arrays[3], padding="same", bias=arrays[4], depthwise_bias=arrays[2], activation="gelu"
    )
    y = _ops.convolve(x, *given, **options(padding="same", data_format="channels_last", activation=("gelu", ())))
    assert np.array_equal(y.detach().numpy(), wanted)


def test_products_in_bfloat16_are_an_option_of_the_context():
    x, (depthwise, _, pointwise, _) = draw(1, 6, 6, 3, dtype=torch.float32), weights(dtype=torch.float32)
    options = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "data_format": "channels_last"}
    with sepconv.options(precision="bfloat16"):
        y = _ops.convolve(x, depthwise, None, pointwise, None, **options)
    arrays = [t.detach().numpy() for t in (x, depthwise, pointwise)]
    assert np.array_equal(y.detach().numpy(), sepconv.ops.separable_conv(*arrays, precision="bfloat16"))
    assert not np.array_equal(y.detach().numpy(), sepconv.ops.separable_conv(*arrays))

"""The layers of sepconv.torch beside torch's own: arguments, formats, strides, weights."""

import copy
import io
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch_cases import F64, images, pair, results, same, seeded

import sepconv.torch
from sepconv.torch import DepthwiseConv2d, SeparableConv2d, _kernels

pytestmark = pytest.mark.usefixtures("one_thread")

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


# Arguments: kernel, stride, padding, dilation, multiplier, bias.
GEOMETRY = [
    (kernel, stride, padding, dilation, multiplier, bias)
    for kernel, stride, padding, dilation, multiplier, bias in itertools.product(
        [1, 3, (2, 3), (4, 1)], [1, 2, (3, 1)], [0, 1, (2, 0), "valid", "same"], [1, 2, (1, 3)], [2, 1], [True, False]
    )
    if padding != "same" or stride == 1
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_results_are_those_of_torch_over_all_arguments():
    for i, (kernel, stride, padding, dilation, multiplier, bias) in enumerate(GEOMETRY):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "bias": bias, "dtype": F64}
        x = images(2, 3, 11, 10, format=(torch.contiguous_format, torch.channels_last)[i % 2], grad=i % 3 > 0)
        ours = seeded(SeparableConv2d, 3, 5, kernel, depth_multiplier=multiplier, **options)
        theirs = seeded(pair, 3, 5, kernel, multiplier=multiplier, **options)
        same(results(ours, x), results(theirs, x))
        ours = seeded(DepthwiseConv2d, 3, kernel, depth_multiplier=multiplier, **options)
        theirs = seeded(nn.Conv2d, 3, 3 * multiplier, kernel, groups=3, **options)
        same(results(ours, x), results(theirs, x))
    assert len(GEOMETRY) > 600


@pytest.mark.parametrize("stride", [1, 2, (3, 2)])
@pytest.mark.parametrize("size", [7, 8, 9])
def test_same_keras_is_the_rule_of_keras(stride, size):
    layer = DepthwiseConv2d(2, (3, 4), stride, "same_keras", 1 if stride != 1 else 2, dtype=F64)
    x = images(1, 2, size, size + 1)
    kernel, bias = layer.weight.detach().numpy().transpose(2, 3, 0, 1), layer.bias.detach().numpy()
    wanted = sepconv.ops.depthwise_conv(
        x.detach().numpy(), kernel, stride, "same", "channels_first", dilation_rate=layer.dilation, bias=bias
    )
    assert np.array_equal(layer(x).detach().numpy(), wanted)
    assert torch.autograd.gradcheck(layer, x)


ACTIVATIONS = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.3), nn.ELU(0.7), nn.CELU(1.5), nn.SELU(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Mish(),
    nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Sigmoid(), nn.LogSigmoid(), nn.Tanh(), nn.Softsign(), nn.Identity(),
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_activations_are_those_of_torch(activation):
    ours = seeded(SeparableConv2d, 3, 4, 3, activation=activation, dtype=F64)
    theirs = nn.Sequential(seeded(pair, 3, 4, 3, dtype=F64), activation)
    x = (3 * images(2, 3, 6, 5, grad=False)).requires_grad_()
    same(results(ours, x), results(theirs, x))


def test_activations_by_name_and_function():
    x = images(1, 2, 4, 4)
    for given in ("silu", sepconv.activations.silu, nn.SiLU()):
        layer = seeded(DepthwiseConv2d, 2, 3, activation=given, dtype=F64)
        assert layer.activation == ("silu", ()) and "activation=silu" in repr(layer)
        torch.testing.assert_close(layer(x), nn.functional.silu(seeded(DepthwiseConv2d, 2, 3, dtype=F64)(x)))


@pytest.mark.parametrize("activation", [None, "relu", "silu"])
def test_gradcheck(activation):
    x = images(2, 2, 5, 4)
    for layer in (
        SeparableConv2d(2, 3, 3, 2, 1, depth_multiplier=2, activation=activation, dtype=F64),
        DepthwiseConv2d(2, 2, 1, "same", activation=activation, dtype=F64),
    ):
        parameters = dict(layer.named_parameters())
        assert torch.autograd.gradcheck(
            lambda x, *values: torch.func.functional_call(layer, dict(zip(parameters, values)), x), (x, *parameters.values())
        )


# Formats and strides.


def test_memory_formats_give_the_same_bits_and_are_kept():
    layer = SeparableConv2d(8, 6, 3, stride=2, padding=1, activation="silu")
    first = results(layer, images(2, 8, 9, 7, dtype=torch.float32))
    last = results(layer, images(2, 8, 9, 7, dtype=torch.float32, format=torch.channels_last))
    assert all(map(torch.equal, first, last))
    for format in (torch.contiguous_format, torch.channels_last):
        assert layer(images(2, 8, 9, 7, dtype=torch.float32, format=format)).is_contiguous(memory_format=format)
    moved = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    assert all(map(torch.equal, first, results(moved, images(2, 8, 9, 7, dtype=torch.float32))))


def test_single_channels_and_pixels_keep_their_format():
    for shape in ((2, 1, 5, 4), (2, 3, 1, 1), (1, 1, 1, 1), (2, 3, 5, 1)):
        for format in (torch.contiguous_format, torch.channels_last):
            x = images(*shape, dtype=torch.float32, format=format)
            ours, theirs = SeparableConv2d(shape[1], 8, 3, padding=2), pair(shape[1], 8, 3, padding=2)
            theirs.load_state_dict(ours.state_dict())
            same(results(ours, x), results(theirs, x), **CLOSE)
            assert ours(x).stride() == theirs(x).stride(), (shape, format)


def test_no_copy_is_made_of_tensors():
    x = images(1, 4, 6, 6, dtype=torch.float32)
    seen = []
    layer = DepthwiseConv2d(4, 3)
    original = sepconv._plans.Convolution.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernels, "_calls", _kernels.Calls())  # none is like another test's
        patch.setattr(sepconv._plans.Convolution, "run", lambda *a: seen.append((a, original(*a))) or seen[-1][1])
        y = layer(x)
        z = layer(x.detach().to(memory_format=torch.channels_last))
    (_, _, array, _, _, state), result = seen[0]
    assert array.ctypes.data == x.data_ptr() and result.ctypes.data == y.data_ptr()
    assert state.arrays[0].ctypes.data == layer.weight.data_ptr() and state.arrays[3].ctypes.data == layer.bias.data_ptr()
    assert seen[1][1].ctypes.data == z.data_ptr() and seen[1][1].flags.c_contiguous


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, :, ::2, 1:],
        lambda x: x.flip(2)[:, 2:5],
        lambda x: x.transpose(2, 3),
        lambda x: x[:, :1].expand(-1, 3, -1, -1),
        lambda x: x[0, 0, 0, 0].expand(2, 3, 9, 9),
        lambda x: x.permute(1, 0, 2, 3)[:, :2].permute(1, 0, 2, 3),
        lambda x: x.to(memory_format=torch.channels_last)[:, 1:4, 1:],
        lambda x: torch.complex(x, x).conj().imag,  # with the bit of negative numbers set
    ],
)
def test_inputs_of_any_strides(view):
    x = images(2, 6, 9, 8)
    channels = view(x).shape[1]
    ours, theirs = (seeded(make, channels, 4, 3, stride=2, padding=1, dtype=F64) for make in (SeparableConv2d, pair))
    same(results(lambda_model(ours, view), x), results(lambda_model(theirs, view), x))


def lambda_model(model, view):
    class Viewed(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(view(x))

    return Viewed()


def test_a_gradient_of_any_strides():
    layer, x = SeparableConv2d(3, 4, 3, dtype=F64), images(2, 3, 6, 5)
    wanted = torch.autograd.grad(layer(x), (x, layer.pointwise.weight), torch.ones(2, 4, 4, 3, dtype=F64))
    found = torch.autograd.grad(layer(x).sum(), (x, layer.pointwise.weight))  # broadcast from a number
    assert all(map(torch.equal, wanted, found))


def test_images_without_a_batch_and_batches_without_an_image():
    for make in (lambda: SeparableConv2d(3, 4, 3), lambda: DepthwiseConv2d(3, 3)):
        layer, x = make(), images(2, 3, 6, 5, dtype=torch.float32)
        assert torch.equal(layer(x[1]), layer(x)[1]) and layer(x[1]).dim() == 3
        empty = images(0, 3, 6, 5, dtype=torch.float32)
        y = layer(empty)
        assert y.shape[0] == 0 and y.shape[2:] == (4, 3)
        y.sum().backward()
        assert empty.grad.shape == empty.shape and all(not p.grad.any() for p in layer.parameters())


# Weights.


def test_initial_weights_are_those_of_torch():
    for make, other in (
        (lambda: SeparableConv2d(4, 6, 3, depth_multiplier=2), lambda: pair(4, 6, 3, multiplier=2)),
        (lambda: DepthwiseConv2d(4, 3, depth_multiplier=2), lambda: nn.Conv2d(4, 8, 3, groups=4)),
    ):
        ours, theirs = seeded(make).state_dict(), seeded(other).state_dict()
        assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_states_load_both_ways():
    ours, theirs = SeparableConv2d(4, 6, 3, depth_multiplier=2), pair(4, 6, 3, multiplier=2)
    assert {name: tuple(p.shape) for name, p in ours.named_parameters()} == {
        "depthwise.weight": (8, 1, 3, 3), "pointwise.weight": (6, 8, 1, 1), "pointwise.bias": (6,),
    }  # fmt: skip
    x = images(1, 4, 5, 5, dtype=torch.float32)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))
    theirs[0].weight.data.normal_()
    ours.depthwise.load_state_dict(theirs[0].state_dict())
    torch.testing.assert_close(ours(x), theirs(x))
    other = pair(4, 6, 3, multiplier=2)
    other.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), other(x))


EDITS = [
    lambda p: p.data.mul_(2),
    lambda p: p.data.copy_(torch.ones_like(p)),
    lambda p: setattr(p, "data", p.data + 1),
    lambda p: p.detach().numpy().__setitem__(..., 3),
    lambda p: p.detach().fill_(2),
    lambda p: torch.optim.SGD([p], 0.1).step(setattr(p, "grad", torch.ones_like(p))),
]


@pytest.mark.parametrize("edit", range(len(EDITS)))
def test_a_weight_is_never_stale(edit):
    layer, x = SeparableConv2d(3, 4, 3), images(1, 3, 6, 6, dtype=torch.float32, grad=False)
    for parameter in layer.parameters():
        before = layer(x)
        EDITS[edit](parameter)
        after, other = layer(x), pair(3, 4, 3)
        other.load_state_dict(layer.state_dict())
        assert not torch.equal(before, after)
        torch.testing.assert_close(after, other(x), **CLOSE)


def test_a_weight_edited_before_the_gradient_is_an_error():
    layer, x = SeparableConv2d(3, 4, 3), images(1, 3, 6, 6, dtype=torch.float32)
    y = layer(x)
    with torch.no_grad():
        layer.pointwise.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_some_parameters_only():
    layer, x = SeparableConv2d(3, 4, 3, activation="tanh"), images(1, 3, 6, 6, dtype=torch.float32)
    wanted = results(layer, x)[1:]
    for asked in itertools.product([False, True], repeat=4):
        tensors = [x.detach(), *layer.parameters()]
        for tensor, flag in zip(tensors, asked):
            tensor.requires_grad_(flag)
        y = layer(tensors[0])
        assert y.requires_grad == any(asked)
        if any(asked):
            weights = torch.arange(y.numel()).sin().reshape(y.shape)
            found = torch.autograd.grad((y * weights).sum(), [t for t in tensors if t.requires_grad])
            assert all(map(torch.equal, found, itertools.compress(wanted, asked)))


def test_copies_pickles_and_files(tmp_path):
    x = images(1, 3, 6, 6, dtype=torch.float32)
    for layer in (
        SeparableConv2d(3, 4, 3, padding="same_keras", stride=2, activation="gelu"),
        DepthwiseConv2d(3, 3, padding="same"),
    ):
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(file, weights_only=False)):
            assert repr(other) == repr(layer) and torch.equal(other(x), layer(x))
            assert other.state_dict().keys() == layer.state_dict().keys() and other is not layer
        torch.save(layer.state_dict(), tmp_path / "state.pt")
        layer.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


def test_repr():
    layer = SeparableConv2d(3, 4, (3, 5), stride=2, padding="same_keras", activation="relu")
    assert repr(layer).startswith(
        "SeparableConv2d(\n  padding='same_keras', activation=relu\n  (depthwise): Conv2d(3, 3, kernel_size=(3, 5)"
    )
    assert (
        repr(DepthwiseConv2d(3, 3, padding=1))
        == "DepthwiseConv2d(3, 3, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=3)"
    )


def test_hooks_and_parametrizations():
    layer, x = SeparableConv2d(3, 4, 3), images(1, 3, 6, 6, dtype=torch.float32)
    seen = []
    layer.register_forward_hook(lambda module, args, y: seen.append(y.shape))
    layer.register_full_backward_hook(lambda module, into, out: seen.append(into[0].shape))
    layer(x).sum().backward()
    assert seen == [(1, 4, 4, 4), (1, 3, 6, 6)]

    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    plain = layer(x) - layer.pointwise.bias[:, None, None]
    parametrize.register_parametrization(layer.depthwise, "weight", Double())
    torch.testing.assert_close(layer(x) - layer.pointwise.bias[:, None, None], 2 * plain, **CLOSE)
    layer(x).sum().backward()
    assert layer.depthwise.parametrizations.weight.original.grad.abs().sum() > 0

"""The layers and models of sepconv.torch whose attributes, weights and hooks change after they are made, and what they are folded in."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch_cases import F64, images

from sepconv.torch import DepthwiseConv2d, SeparableConv2d, accelerate

pytestmark = pytest.mark.usefixtures("one_thread")


def weight(*shape):
    return nn.Parameter(images(*shape))


def set_weight(index, *shape):
    return lambda model: setattr(model[index], "weight", weight(*shape))


def set_groups(index, groups, *shape):
    def change(model):
        model[index].groups = groups
        set_weight(index, *shape)(model)

    return change


CHANGES = {
    "circular": lambda model: setattr(model[0], "padding_mode", "circular"),
    "reflect": lambda model: setattr(model[1], "padding_mode", "reflect"),
    "groups": set_groups(0, 2, 8, 2, 3, 3),
    "dense": set_groups(0, 1, 8, 4, 3, 3),
    "second axis": set_weight(0, 8, 2, 3, 3),
    "kernel": set_weight(0, 8, 1, 5, 4),
    "outputs": set_weight(0, 4, 1, 3, 3),
    "not 1x1": set_weight(1, 6, 8, 3, 3),
    "groups of the 1x1": set_groups(1, 2, 6, 4, 1, 1),
    "stride of the 1x1": lambda model: setattr(model[1], "stride", (2, 2)),
    "filters": set_weight(1, 2, 8, 1, 1),
    "bias": lambda model: setattr(model[1], "bias", weight(3)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("alone", [True, False])
def test_what_an_accelerated_model_becomes(change, alone):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, groups=4), nn.Conv2d(8, 6, 1)).double()
    ours = copy.deepcopy(plain)
    accelerate(ours)
    for model in (plain, ours):
        CHANGES[change](model)
    if alone:
        plain, ours = (nn.ModuleList(model) for model in (plain, ours))
    x, found = images(2, 4, 7, 6), []
    for model in (plain, ours):
        try:
            y = model[1](model[0](x)) if alone else model(x)
            found.append([y, *torch.autograd.grad(y.sin().sum(), [x, *model.parameters()])])
        except RuntimeError as error:
            found.append(str(error))
    assert type(found[0]) is type(found[1])
    if isinstance(found[0], str):
        assert found[0] == found[1]
    else:
        torch.testing.assert_close(*found)


@pytest.mark.parametrize(
    "name, shape, message",
    [
        ("depthwise.weight", (8, 2, 3, 3), r"`depthwise.weight` argument must be of shape \(a multiple of 4, 1, rows, columns\)"),
        ("depthwise.weight", (6, 1, 3, 3), r"Received: shape=\(6, 1, 3, 3\)"),
        ("depthwise.weight", (4, 1, 3), "`depthwise.weight`"),
        ("pointwise.weight", (6, 8, 3, 3), r"`pointwise.weight` argument must be of shape \(out_channels, 8, 1, 1\)"),
        ("pointwise.weight", (6, 4, 1, 1), "`pointwise.weight`"),
    ],
)
def test_weights_that_are_refused(name, shape, message):
    layer, x = SeparableConv2d(4, 6, 3, depth_multiplier=2, dtype=F64), images(1, 4, 6, 6)
    part, _, attribute = name.partition(".")
    setattr(getattr(layer, part), attribute, weight(*shape))
    with pytest.raises(ValueError, match=message):
        layer(x)
    if part == "depthwise":
        alone = DepthwiseConv2d(4, 3, depth_multiplier=2, dtype=F64)
        alone.weight = weight(*shape)
        with pytest.raises(ValueError, match=message):
            alone(x)


@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning")
def test_a_trace_refuses_other_channels():
    traced = torch.jit.trace(DepthwiseConv2d(4, 3, depth_multiplier=2, dtype=F64), images(1, 4, 6, 6, grad=False))
    with pytest.raises(RuntimeError, match="`input` argument must be of 4 channels"):
        traced(images(1, 2, 6, 6, grad=False))


@pytest.mark.parametrize("dtype, bound", [(torch.float16, 6e-4), (torch.bfloat16, 2.8e-3)])
def test_normalisations_of_16_bits_are_folded_in_32(dtype, bound):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1, bias=False), nn.BatchNorm2d(6)
    ).eval()
    for norm in (model[1], model[4]):
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.data.uniform_(0.5, 1.5)
        norm.running_var.data.mul_(1e-5)  # factors in whose roundings 16 bits are lost
    ours, x = model.to(dtype), images(2, 8, 9, 9).to(dtype)
    wanted = copy.deepcopy(ours).to(F64)(x.to(F64))
    accelerate(ours)
    y = ours(x)
    assert y.dtype == dtype and (y.to(F64) - wanted).abs().max() < bound * wanted.abs().max()
    y.sum().backward()
    assert all(p.grad.dtype == dtype for p in ours.parameters())


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "hook",
    [
        lambda m: prune.l1_unstructured(m, "weight", 0.5),
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        lambda m: m.register_forward_hook(lambda module, args, y: 2 * y),
        lambda m: m.register_forward_pre_hook(lambda module, args: None),
        lambda m: m.register_full_backward_hook(lambda module, into, out: None),
    ],
)
def test_hooks_of_children_are_refused(hook):
    x = images(1, 4, 6, 6)
    for name in ("depthwise", "pointwise"):
        layer = SeparableConv2d(4, 6, 3, dtype=F64)
        hook(getattr(layer, name))
        with pytest.raises(RuntimeError, match=f"`{name}` of a SeparableConv2d has hooks.*torch.nn.utils.parametrize"):
            layer(x)
    alone = DepthwiseConv2d(4, 3, dtype=F64)
    hook(alone)
    alone(x).sum().backward()


def test_a_parametrization_computes_once_a_call():
    calls = []

    class Counted(nn.Module):
        def forward(self, weight):
            calls.append(weight.shape)
            return 2 * weight

    accelerated = nn.Conv2d(4, 4, 3, groups=4)
    accelerate(accelerated)
    for module, part in ((SeparableConv2d(4, 6, 3), "depthwise"), (DepthwiseConv2d(4, 3), ""), (accelerated, "")):
        nn.utils.parametrize.register_parametrization(module.get_submodule(part), "weight", Counted())
        calls.clear()
        module(images(1, 4, 6, 6, dtype=torch.float32))
        assert len(calls) == 1
    layer = SeparableConv2d(4, 6, 3)
    parametrizations.spectral_norm(layer.pointwise)
    layer(images(1, 4, 6, 6, dtype=torch.float32)).sum().backward()


def test_autocast_leaves_float64_alone():
    for layer in (SeparableConv2d(4, 6, 3), DepthwiseConv2d(4, 3)):
        with torch.autocast("cpu", torch.bfloat16):
            with pytest.raises(TypeError, match="`input` argument must be of the dtype of the weights, torch.float32"):
                layer(images(1, 4, 6, 6))
            with pytest.raises(TypeError, match="`input` argument must be of the dtype of the weights, torch.float64"):
                copy.deepcopy(layer).double()(images(1, 4, 6, 6, dtype=torch.float32))
            assert layer(images(1, 4, 6, 6, dtype=torch.float16)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 2},
        {"padding": 2},
        {"dilation": 2},
        {"stride": [2, 1]},
        {"padding": [2, 0]},
        {"dilation": [1, 2]},
        {"padding": (2,)},
        {"stride": np.int64(2), "padding": np.int64(1), "dilation": (np.int64(1), np.int64(3))},
    ],
    ids=str,
)
def test_geometry_in_all_that_torch_takes(change):
    # Sizes that no other test has, since forms are kept.
    plain = nn.Sequential(nn.Conv2d(np.int64(7), 14, np.int64(3), padding=1, groups=7), nn.ReLU(), nn.Conv2d(14, 5, 1)).to(F64)
    ours = copy.deepcopy(plain)
    accelerate(ours)
    for model in (plain, ours):
        for key, value in change.items():
            setattr(model[0], key, value)
    x = images(2, 7, 9, 10)
    for one, other in ((ours[0], plain[0]), (ours, plain)):
        torch.testing.assert_close(one(x), other(x))

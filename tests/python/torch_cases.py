"""What the tests of sepconv.torch share: torch's own layers with the same arguments, images, results with gradients."""

import torch
from torch import nn

F64 = torch.float64


def pair(channels, filters, kernel, stride=1, padding=0, dilation=1, multiplier=1, bias=True, dtype=None):
    """What a SeparableConv2d of these arguments computes, by torch."""
    depth = channels * multiplier
    first = nn.Conv2d(channels, depth, kernel, stride, padding, dilation, groups=channels, bias=False, dtype=dtype)
    second = nn.Conv2d(depth, filters, 1, bias=bias, dtype=dtype)
    model = nn.Sequential()
    model.add_module("depthwise", first)
    model.add_module("pointwise", second)
    return model


def seeded(make, *arguments, **options):
    torch.manual_seed(0)
    return make(*arguments, **options)


def images(*shape, dtype=F64, format=torch.contiguous_format, grad=True):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, dtype=F64, generator=generator).to(dtype).contiguous(memory_format=format).requires_grad_(grad)


def results(model, x):
    """The output and all gradients of a weighted sum of it. A call like the last takes another way, to the same bits."""
    first, again = once(model, x), once(model, x)
    for a, b in zip(first, again):
        assert a.equal(b) and a.stride() == b.stride()
    return again


def once(model, x):
    y = model(x)
    tensors = [x, *model.parameters()] if x.requires_grad else list(model.parameters())
    weights = torch.arange(y.numel()).sin().reshape(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), tensors)]


def same(ours, theirs, **tolerance):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, **tolerance)

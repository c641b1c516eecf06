"""Packs that are used again: nothing that changes weights goes unseen, and nothing is left behind."""

import copy
import ctypes
import gc
import pickle

import pytest
import torch
from torch import nn
from torch_cases import F64, images

import sepconv
from sepconv.torch import DepthwiseConv2d, SeparableConv2d, _kept, _kernels, accelerate


@pytest.fixture
def packed(monkeypatch):
    """Weights that were packed."""
    made = []
    original = _kernels.state_of
    monkeypatch.setattr(_kernels, "state_of", lambda *arguments: made.append(1) or original(*arguments))
    return made


def pair():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 1)).to(F64)


def block():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False)
    )
    for norm in (model[1], model[4]):
        for tensor in (*norm.parameters(), norm.running_mean, norm.running_var):
            tensor.data.uniform_(0.5, 1.5)
    return model.to(F64).eval()


def ours_and_plain(kind):
    """A model of ours, and one of PyTorch's with the same parameters."""
    if kind == "separable":
        layer = SeparableConv2d(4, 4, 3, dtype=F64)
        return layer, nn.Sequential(layer.depthwise, layer.pointwise)
    if kind == "depthwise":
        layer = DepthwiseConv2d(4, 3, dtype=F64)
        plain = nn.Conv2d(4, 4, 3, groups=4)
        plain.weight, plain.bias = layer.weight, layer.bias
        return layer, plain
    plain = pair() if kind == "pair" else block()
    ours = copy.deepcopy(plain)
    for mine, other in zip(ours.modules(), plain.modules()):
        mine._parameters, mine._buffers = other._parameters, other._buffers
    accelerate(ours)
    return ours, plain


KINDS = ("separable", "depthwise", "pair", "block")


def by_address(tensor):
    ctypes.c_ubyte.from_address(tensor.data_ptr() + 6).value ^= 0x08  # one bit of its first number


def by_set(tensor):
    with torch.no_grad():
        tensor.set_(tensor.detach() * 2)


ROUTES = {
    "in place": lambda t: t.detach().mul_(2),
    "data in place": lambda t: t.data.add_(1),
    "data": lambda t: setattr(t, "data", t.data * 3),
    "data of NumPy": lambda t: t.data.numpy().__imul__(2),
    "one number": lambda t: t.data.view(-1)[-1:].add_(1),
    "address": by_address,
    "set_": by_set,
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_change_is_seen(kind, route):
    ours, plain = ours_and_plain(kind)
    x = images(2, 4, 6, 5, grad=False)
    with torch.no_grad():
        for name, tensor in plain.state_dict(keep_vars=True).items():
            if tensor.dtype == F64:
                before = ours(x)
                ROUTES[route](tensor)
                after = ours(x)
                torch.testing.assert_close(after, plain(x), msg=name)
                assert not torch.equal(before, after), name


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_change_is_packed_once(kind, packed):
    ours, plain = ours_and_plain(kind)
    x = images(2, 4, 6, 5, grad=False)
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(ours(x), plain(x))
        assert len(packed) == 1
        for tensor in plain.parameters():
            tensor.data = tensor.data.clone()  # elsewhere, and the same
        ours(x), ours(x[0])
        assert len(packed) == 1
    x.requires_grad_()
    torch.autograd.grad(ours(x).sum(), x)
    assert len(packed) > 1


def test_eps_shape_and_strides_are_seen():
    ours, plain = ours_and_plain("block")
    x = images(1, 4, 6, 5, grad=False)
    with torch.no_grad():
        ours(x)
        for model in (ours, plain):
            model[1].eps = model[4].eps = 0.5
        torch.testing.assert_close(ours(x), plain(x))
        weight = plain[3].weight
        weight.data = weight.data.transpose(0, 1)  # the same memory, another matrix
        torch.testing.assert_close(ours(x), plain(x))
        for model in (ours, plain):
            model[0].padding = model[0].dilation = (2, 2)
        torch.testing.assert_close(ours(x), plain(x))


def test_weights_whose_bytes_do_not_compare():
    x = images(1, 4, 6, 5, grad=False)
    for change in (
        lambda w: w[:1].expand(w.shape),
        lambda w: torch.cat((w, w), 1)[:, ::2],
        lambda w: torch.complex(w, -w).conj().imag,
    ):
        ours, plain = ours_and_plain("separable")
        with torch.no_grad():
            weight = plain[1].weight
            weight.data = change(weight.data.fill_(1))
            for _ in range(2):
                torch.testing.assert_close(ours(x), plain(x))
            weight.data[-1, -1] = 3  # which lies where a dense tensor has no number
            torch.testing.assert_close(ours(x), plain(x))


def test_it_depends_on_nothing_outside():
    """A pack that a new image needs is made of the weights as they are now, not of memory that once was theirs."""
    ours, plain = ours_and_plain("pair")
    with torch.no_grad():
        ours(images(1, 4, 6, 5, grad=False))
        old = [tensor.data for tensor in plain.parameters()]
        for tensor in plain.parameters():
            tensor.data = tensor.data.clone()
        for tensor in old:
            tensor.zero_()
        x = images(1, 4, 60, 50, grad=False).contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(ours(x), plain(x))


def test_dtypes_precisions_and_modes_side_by_side(packed):
    ours, plain = ours_and_plain("separable")
    ours.float()
    x = images(1, 4, 6, 5, grad=False).float()
    with torch.inference_mode():
        first = ours(x)
    with torch.no_grad():
        with sepconv.options(precision="bfloat16"):
            rounded = ours(x)
        assert not torch.equal(rounded, first)
        with torch.autocast("cpu", torch.bfloat16):
            assert ours(x).dtype == torch.bfloat16
        assert len(packed) == 3 and torch.equal(ours(x), first) and len(packed) == 3
        torch.testing.assert_close(ours.double()(x.double()), plain.double()(x.double()))


@pytest.mark.parametrize("kind", KINDS)
def test_modules_know_nothing_of_it(kind):
    ours, _ = ours_and_plain(kind)
    before, held = [set(vars(module)) for module in ours.modules()], len(_kept._kept)
    x = images(1, 4, 6, 5, grad=False)
    with torch.no_grad():
        y = ours(x)
        assert len(_kept._kept) == held + 1
        assert [set(vars(module)) for module in ours.modules()] == before
        for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
            assert torch.equal(other(x), y)
    del ours, other, _
    gc.collect()
    assert len(_kept._kept) == held

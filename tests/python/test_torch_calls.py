"""Calls like the last of `sepconv.torch`: the same bits as the first of its kind gave, whatever the numbers are now."""

import gc
import random

import pytest
import torch

from sepconv import _core
from sepconv.torch import _kernels, _ops

pytestmark = pytest.mark.usefixtures("one_thread")

FORMATS = (torch.contiguous_format, torch.channels_last)
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
WEIGHTS = "depthwise", "depthwise_bias", "pointwise", "bias"


def random_call(some):
    """Tensors and the form of a call: of each operator, in PyTorch's order and Keras's."""
    op, pytorch = some.choice(("separable", "depthwise", "pointwise")), some.random() < 0.7
    channels, filters = some.choice((1, 2, 3, 8, 17, 32)), some.choice((1, 4, 9, 16, 33))
    plain = op == "pointwise"
    multiplier, step = (1, 1) if plain else (some.choice((1, 1, 2, 3)), some.randint(1, 2))
    kernel = (1, 1) if plain else (some.randint(1, 4), some.randint(1, 4))
    depth, dtype = channels * multiplier, some.choice(DTYPES)
    sums = torch.float64 if dtype is torch.float64 else torch.float32
    of_weights = some.choice((sums, sums, dtype))

    def tensor(*shape, dtype=of_weights):
        return torch.tensor([some.gauss(0, 1) for _ in range(torch.Size(shape).numel())], dtype=dtype).reshape(shape)

    weights = dict.fromkeys(WEIGHTS)
    if not plain:
        weights["depthwise"] = tensor(*((depth, 1, *kernel) if pytorch else (*kernel, channels, multiplier)))
    if op != "depthwise":
        weights["pointwise"] = tensor(*((filters, depth, 1, 1) if pytorch else (1, 1, depth, filters)))
    if op == "separable" and some.random() < 0.5:
        weights["depthwise_bias"] = tensor(depth)
    if some.random() < 0.5:
        weights["bias"] = tensor(depth if op == "depthwise" else filters)
    last = not pytorch and some.random() < 0.5
    sizes = (some.randint(7, 9), some.randint(7, 9))
    x = tensor(some.randint(1, 3), *((*sizes, channels) if last else (channels, *sizes)), dtype=dtype)
    x = x.contiguous(memory_format=some.choice(FORMATS))
    x = x[:, :, 1:] if some.random() < 0.2 else x
    form = _ops.form(
        (step, step),
        some.choice(("same", "valid")),
        (1, 1) if step > 1 else (some.randint(1, 2), 1),
        "channels_last" if last else "channels_first",
        (some.choice(("linear", "relu", "silu", "tanh")), ()),
        (some.choice(("linear", "relu6")) if op == "separable" else "linear", ()),
        channels if pytorch else 0,
    )
    return x, list(weights.values()), form


def step(x, weights, form, wanted, up):
    """The output and the gradients of what is `wanted`."""
    tensors = [t if t is None else t.detach().requires_grad_(asked) for t, asked in zip((x, *weights), wanted, strict=True)]
    y = _ops.call(tensors[0], tensors[1:], form)
    inputs = [t for t in tensors if t is not None and t.requires_grad]
    return [y.detach(), *(torch.autograd.grad(y, inputs, up(y)) if inputs and y.numel() else ())]


def steps(t):
    return [step for step, size in zip(t.stride(), t.shape, strict=True) if size > 1]


def gradient(y):
    return torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(y.dtype)


UPS = (
    gradient,
    lambda y: gradient(y).contiguous(memory_format=FORMATS[1]),
    lambda y: torch.ones((), dtype=y.dtype).expand(y.shape),
)


@pytest.mark.parametrize("seed", range(200))
def test_other_numbers_and_the_same_bits(seed, monkeypatch):
    some = random.Random(seed)
    x, weights, form = random_call(some)
    for _ in range(4):
        arguments = x, weights, form, [some.random() < 0.7 for _ in range(5)], some.choice(UPS)
        found = step(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(_kernels.Calls, "like", lambda *_: _kernels.Memory(*_core.tensor_calls()))
            expected = step(*arguments)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
            assert steps(ours) == steps(theirs)
        x = x.mul_(0.5) if some.random() < 0.5 else (x * -0.5)  # where they are, and elsewhere
        weights = [None if w is None else w.mul_(-0.75) if some.random() < 0.5 else w.flip(0).clone() for w in weights]


class Asked:
    """Calls that tell whether they were like an earlier one."""

    def __init__(self):
        self.calls, self.known = _kernels.Memory(*_core.tensor_calls()), []
        self.keep = self.calls.keep

    def _ask(self, function, tensors):
        found = function(*tensors)
        self.known.append(found is not None)
        return found

    def forward(self, *tensors):
        return self._ask(self.calls.forward, tensors)

    def backward(self, *tensors):
        return self._ask(self.calls.backward, tensors)


@pytest.fixture
def asked(monkeypatch):
    calls = Asked()
    monkeypatch.setattr(_kernels.Calls, "like", lambda *_: calls)
    return calls


def layer(channels=8, dtype=torch.float32, grad=True):
    shapes = (channels, 1, 3, 3), (channels,), (16, channels, 1, 1), (16,)
    weights = [torch.ones(shape, dtype=dtype, requires_grad=grad) for shape in shapes]
    return weights, _ops.form((1, 1), "same", (1, 1), "channels_first", channels=channels)


def test_a_second_call_is_known_and_a_new_one_is_not(asked):
    weights, form = layer()
    x = torch.ones(2, 8, 5, 6, requires_grad=True)
    for n in range(3):
        y = _ops.call(x, weights, form)
        y.backward(torch.ones_like(y))
        assert asked.known == [n > 0, True]  # the second pass finds what the first kept
        asked.known.clear()
    for other in (x[:1], x[:, :, 1:], x.to(memory_format=torch.channels_last), x.transpose(2, 3)):
        y = _ops.call(other, weights, form)
        assert asked.known == [False]
        torch.testing.assert_close(_ops.call(other, weights, form), y, rtol=0, atol=0)
        assert asked.known == [False, True]
        asked.known.clear()
    _ops.call(x, [weights[0], None, *weights[2:]], form)
    assert asked.known == [False]


def test_numbers_that_are_not_where_the_core_reads_go_the_long_way(asked):
    weights, form = layer(grad=False)
    unaligned = torch.frombuffer(bytearray(4 * 240 + 1), dtype=torch.float32, offset=1, count=240).reshape(1, 8, 5, 6).fill_(0.5)
    negative = torch._neg_view(torch.full((1, 8, 5, 6), -0.5))
    gaps = [*weights[:3], torch.ones(32)[::2]]
    expected = _ops.call(torch.full((1, 8, 5, 6), 0.5), weights, form)
    for x, some in ((unaligned, weights), (negative, weights), (expected.new_full((1, 8, 5, 6), 0.5), gaps)):
        for _ in range(2):
            torch.testing.assert_close(_ops.call(x, some, form), expected, rtol=0, atol=0)
    assert asked.known == [False, *[False, False], *[True, True], *[False, False]]  # the negative is a copy, like the first


def test_results_have_memory_of_their_own():
    weights, form = layer()
    x = torch.ones(1, 8, 5, 6, requires_grad=True)
    outputs = [_ops.call(x, weights, form) for _ in range(3)]
    kept = [y.detach().clone() for y in outputs]
    del outputs[0]
    gc.collect()
    _ops.call(x, weights, form).detach().fill_(7)
    for y, before in zip(outputs, kept[1:], strict=True):
        assert y.equal(before)
    assert not outputs[0].detach().numpy().flags.owndata and outputs[0].is_contiguous()


def test_capsules_are_checked():
    forward, backward, _ = _core.tensor_calls()
    nothing = [None] * 5
    with pytest.raises(TypeError, match="5 arguments"):
        forward()
    with pytest.raises(TypeError, match="8 arguments"):
        backward(*nothing)
    with pytest.raises(ValueError, match="PyCapsule"):
        forward("a tensor", *nothing[1:])
    assert forward(*nothing) is None

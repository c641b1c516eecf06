"""sepconv.torch.accelerate: what it swaps, what it leaves, and that a model goes on as before."""

import copy
import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from sepconv.torch import DepthwiseConv2d, SeparableConv2d, _ops, accelerate

pytestmark = pytest.mark.usefixtures("one_thread")

F64 = torch.float64


@pytest.fixture
def calls(monkeypatch):
    """The operator's calls: of how many convolutions, and with which activations."""
    made = []
    original = _ops.call

    def call(x, weights, form):
        made.append(("d" if weights[0] is not None else "") + ("p" if weights[2] is not None else ""))
        return original(x, weights, form)

    monkeypatch.setattr(_ops, "call", call)
    return made


class ConvNorm(nn.Sequential):
    """As torchvision writes it: a sequence of its own class."""

    def __init__(self, channels, filters, kernel, stride=1, groups=1):
        convolution = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(filters), nn.ReLU6(inplace=True))


class Inverted(nn.Module):
    """A block of MobileNet v2."""

    def __init__(self, channels, filters, stride, expansion):
        super().__init__()
        self.residual = stride == 1 and channels == filters
        depth = channels * expansion
        self.conv = nn.Sequential(
            ConvNorm(channels, depth, 1), ConvNorm(depth, depth, 3, stride, depth), nn.Conv2d(depth, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(ConvNorm(3, 8, 3, 2), Inverted(8, 8, 1, 2), Inverted(8, 12, 2, 3), Inverted(12, 12, 1, 2))
        self.tail = nn.Conv2d(12, 12, 3, groups=12)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        return self.head(self.tail(self.features(x)).relu().mean((2, 3)))


SWAPPED = [f"features.{i}.conv.{name}" for i in (1, 2, 3) for name in ("1.0", "2")] + ["tail"]


def block(channels=4, filters=6, dtype=F64):
    """A block of MobileNet v1, whose normalisations say something."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(channels, 2 * channels, 3, 2, 1, groups=channels), nn.BatchNorm2d(2 * channels), nn.SiLU(),
        nn.Conv2d(2 * channels, filters, 1), nn.BatchNorm2d(filters), nn.ReLU(),
    ).to(dtype)  # fmt: skip
    for norm in (model[1], model[4]):
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.data.uniform_(0.5, 1.5)
    return model


def images(*shape, dtype=F64):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(1)).to(dtype)


def twins(model):
    other = copy.deepcopy(model)
    return model, other, accelerate(other)


def same(plain, ours, x, **tolerance):
    """Outputs, gradients, and what a pass leaves in buffers."""
    x = [x.clone().requires_grad_() for _ in range(2)]
    y = [model(given) for model, given in zip((plain, ours), x)]
    torch.testing.assert_close(*y, **tolerance)
    for model, out in zip((plain, ours), y):
        model.zero_grad()
        out.square().sum().backward()
    torch.testing.assert_close(x[0].grad, x[1].grad, **tolerance)
    for a, b in zip(plain.parameters(), ours.parameters()):
        torch.testing.assert_close(a.grad, b.grad, **tolerance)
    for a, b in zip(plain.buffers(), ours.buffers()):
        torch.testing.assert_close(a, b, **tolerance)


# In place.


def test_names_objects_and_keys():
    model = Network()
    before = dict(model.named_modules())
    parameters, state = dict(model.named_parameters()), model.state_dict()
    text = repr(model)
    assert accelerate(model) == SWAPPED
    assert dict(model.named_modules()) == before and repr(model) == text
    assert all(parameter is parameters[name] for name, parameter in model.named_parameters())
    assert list(model.state_dict()) == list(state)
    assert accelerate(model) == []


def test_a_model_may_be_one_convolution():
    model = nn.Conv2d(4, 8, 3, groups=4)
    plain, ours, names = twins(model)
    assert names == [""] and isinstance(ours, nn.Conv2d)
    same(plain.double(), ours.double(), images(2, 4, 6, 6))


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_training_and_evaluation_go_as_before(format):
    torch.manual_seed(0)
    plain, ours, _ = twins(Network().to(F64, memory_format=format))
    x, labels = images(32, 3, 24, 24).contiguous(memory_format=format), torch.arange(32) % 5
    losses = []
    for model in (plain, ours):
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        losses.append([])
        for step in range(50):
            model.train()
            loss = nn.functional.cross_entropy(model(x[step % 2 :: 2]), labels[step % 2 :: 2])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
            if step % 10 == 9:
                with torch.no_grad():
                    losses[-1].append(nn.functional.cross_entropy(model.eval()(x), labels).item())
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert losses[0][-1] < losses[0][0]
    ours.load_state_dict(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(ours(x), plain(x), rtol=1e-4, atol=1e-5)
    plain.load_state_dict(ours.state_dict())


def test_an_optimizer_goes_on():
    model = block()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    accelerate(model)
    before = [p.clone() for p in model.parameters()]
    model(images(2, 4, 6, 6)).square().sum().backward()
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters()) if b.grad.abs().max() > 1e-6)


# What one pass takes.


def test_one_pass_in_evaluation_two_in_training(calls):
    plain, ours, names = twins(block())
    assert names == ["0", "3"]
    x = images(2, 4, 9, 8)
    for mode, wanted in ((True, ["d", "p"]), (False, ["dp"]), (True, ["d", "p"])):
        plain.train(mode), ours.train(mode)
        calls.clear()
        same(plain, ours, x)
        assert calls == wanted


@pytest.mark.parametrize(
    "members, training, evaluation",
    [
        ("dp", ["dp"], ["dp"]),
        ("dap", ["dp"], ["dp"]),
        ("dnp", ["d", "p"], ["dp"]),
        ("dnapna", ["d", "p"], ["dp"]),
        ("dana", ["d"], ["d"]),
        ("dxp", ["d"], ["d"]),
        ("pdnadnap", ["d", "d", "p"], ["d", "dp"]),
        ("ddpp", ["d", "dp"], ["d", "dp"]),
        ("d(nap)na", ["d", "p"], ["dp"]),
        ("(d(n))(p)", ["d", "p"], ["dp"]),
        ("naa", [], []),
    ],
)
def test_what_stands_in_a_sequence(members, training, evaluation, calls):
    made = {
        "d": lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4), "p": lambda: nn.Conv2d(4, 4, 1), "n": lambda: nn.BatchNorm2d(4),
        "a": lambda: nn.Hardswish(), "x": lambda: nn.MaxPool2d(3, 1, 1),
    }  # fmt: skip

    def sequence(letters):
        found = []
        for letter in letters:
            if letter == ")":
                break
            found.append(sequence(letters) if letter == "(" else made[letter]())
        return nn.Sequential(*found)

    torch.manual_seed(0)
    model = sequence(iter(members)).double()
    for norm in filter(lambda m: isinstance(m, nn.BatchNorm2d), model.modules()):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    plain, ours, _ = twins(model)
    for mode, wanted in ((True, training), (False, evaluation)):
        plain.train(mode), ours.train(mode)
        calls.clear()
        same(plain, ours, images(2, 4, 6, 5))
        assert calls == wanted


@pytest.mark.parametrize("change", ["statistics", "weight", "bias", "eps", "affine", "gone"])
def test_normalisation_is_read_afresh(change):
    model = block()
    if change == "affine":
        model[1] = nn.BatchNorm2d(8, affine=False).double()
    if change == "gone":
        model[1] = nn.BatchNorm2d(8, track_running_stats=False).double()
    plain, ours, _ = twins(model.eval())
    x = images(2, 4, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), plain(x))
        before = ours(x)
        for model in (plain, ours):
            norm = model[1]
            if change == "statistics":
                norm.train()(model[0](x))
                norm.eval()
            elif change == "eps":
                norm.eps = 0.3
            elif change in ("weight", "bias"):
                getattr(norm, change).data.mul_(2)
        torch.testing.assert_close(ours(x), plain(x))
        assert torch.equal(ours(x), before) == (change in ("affine", "gone"))


def test_frozen_normalisation_passes_gradients(calls):
    plain, ours, _ = twins(block())
    for model in (plain, ours):
        for norm in (model[1], model[4]):
            norm.eval()
    same(plain, ours, images(2, 4, 6, 6))
    assert calls == ["dp"]
    ours[1].train()
    plain[1].train()
    calls.clear()
    same(plain, ours, images(2, 4, 6, 6))
    assert calls == ["d", "p"]


def test_parts_of_a_sequence_can_be_called(calls):
    plain, ours, _ = twins(block().eval())
    x = images(2, 4, 6, 6)
    for end in range(1, 7):
        torch.testing.assert_close(ours[:end](x), plain[:end](x))
    y, z = x, x
    for a, b in zip(ours, plain):
        y, z = a(y), b(z)
    torch.testing.assert_close(y, z)
    ours[2] = plain[2] = nn.Tanh()
    ours.append(nn.Flatten()), plain.append(nn.Flatten())
    torch.testing.assert_close(ours(x), plain(x))


def test_geometry_that_changes_later():
    plain, ours, _ = twins(block().eval())
    for model in (plain, ours):
        model[0].stride, model[0].dilation, model[0].padding = (1, 1), (2, 2), (2, 2)
    torch.testing.assert_close(ours(images(1, 4, 8, 8)), plain(images(1, 4, 8, 8)))


def test_hooks_see_what_they_saw(calls):
    plain, ours, _ = twins(block().eval())
    x, seen = images(1, 4, 6, 6), {}
    for where in range(6):
        for name, model in (("plain", plain), ("ours", ours)):
            handles = [
                model[where].register_forward_hook(lambda m, args, y, name=name: seen.__setitem__(name, (*args, y))),
                model[where].register_full_backward_hook(
                    lambda m, into, out, name=name: seen.__setitem__(name + "b", (*into, *out))
                ),
            ]
            given = x.clone().requires_grad_()
            model(given).square().sum().backward()
            for handle in handles:
                handle.remove()
        for key in ("", "b"):
            for a, b in zip(seen["plain" + key], seen["ours" + key]):
                torch.testing.assert_close(a, b)
    calls.clear()
    ours(x)
    assert calls == ["dp"]
    with nn.modules.module.register_module_forward_hook(lambda m, args, y: None):
        calls.clear()
        ours(x)
    assert calls == ["d", "p"]


# What is left alone.


class Own(nn.Conv2d):
    pass


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", groups=4),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(1, 4, 3),
        nn.Conv2d(4, 4, 3, groups=4, dtype=torch.complex64),
        Own(4, 4, 3, groups=4),
        nn.Conv1d(4, 4, 3, groups=4),
        nn.ConvTranspose2d(4, 4, 3, groups=4),
        nn.LazyConv2d(4, 3, groups=4),
        DepthwiseConv2d(4, 3),
        SeparableConv2d(4, 4, 3),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
    ],
    ids=repr,
)
def test_others_are_left_alone(module):
    kinds = [type(m) for m in module.modules()]
    assert accelerate(nn.ModuleDict({"it": module})) == [] and [type(m) for m in module.modules()] == kinds


@pytest.mark.parametrize(
    "second",
    [
        nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 1, stride=2), nn.Conv2d(4, 4, 1, padding=1), nn.Conv2d(4, 4, 3, padding=1),
        Own(4, 4, 1),
    ],
    ids=repr,
)  # fmt: skip
def test_only_a_1x1_is_fused(second, calls):
    plain, ours, names = twins(nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", groups=4), copy.deepcopy(second)).double())
    assert names == ["0"]
    same(plain, ours, images(1, 4, 6, 6))
    assert calls == ["d"]


def test_words_of_padding_and_a_1x1_whose_padding_is_a_word(calls):
    for word in ("same", "valid"):
        model = nn.Sequential(nn.Conv2d(4, 8, (3, 2), padding=word, dilation=2, groups=4), nn.Conv2d(8, 4, 1, padding=word))
        plain, ours, names = twins(model.double())
        same(plain, ours, images(1, 4, 7, 6))
        assert names == ["0", "1"]
    assert calls == ["dp", "dp"]


def test_shared_modules_and_modules_elsewhere():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
            self.pointwise = nn.Conv2d(4, 4, 1)
            self.first = nn.Sequential(self.depthwise, self.pointwise)
            self.second = nn.Sequential(self.depthwise, nn.ReLU(), self.depthwise, self.pointwise)

        def forward(self, x):
            return self.second(self.first(x)) + self.pointwise(self.depthwise(x))

    plain, ours, names = twins(Shared().double())
    assert names == ["depthwise", "pointwise"] and ours.first[0] is ours.depthwise is ours.second[2]
    same(plain, ours, images(2, 4, 6, 6))


def test_a_sequence_with_a_forward_of_its_own_keeps_it():
    class Twice(nn.Sequential):
        def forward(self, x):
            return 2 * super().forward(x)

    plain, ours, names = twins(nn.Sequential(Twice(*block()), nn.ReLU()).eval())
    assert names == ["0.0"] and type(ours[0]) is Twice
    same(plain, ours, images(1, 4, 6, 6))
    model = block()
    model.forward = lambda x: x
    assert accelerate(model) == ["0"] and model(3) == 3


def test_what_we_have_no_kernels_for_goes_its_old_way(calls):
    plain, ours, _ = twins(block(dtype=torch.float32).eval())
    empty = images(0, 4, 6, 6, dtype=torch.float32)
    assert ours(empty).shape == plain(empty).shape == (0, 6, 3, 3)
    for wrong in (images(1, 5, 6, 6, dtype=torch.float32), images(1, 4, 6, 6)):
        with pytest.raises(RuntimeError) as theirs:
            plain(wrong)
        with pytest.raises(RuntimeError) as error:
            ours(wrong)
        assert str(error.value) == str(theirs.value)
    assert calls == []
    same(plain.double(), ours.double(), images(2, 4, 6, 6))
    moved = copy.deepcopy(ours).to("meta")
    assert moved(torch.empty(2, 4, 6, 6, device="meta", dtype=F64)).is_meta


def test_autocast():
    plain, ours, _ = twins(block(dtype=torch.float32).eval())
    x = images(2, 4, 6, 6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        a, b = plain(x), ours(x)
    assert a.dtype == b.dtype == torch.bfloat16
    torch.testing.assert_close(a.float(), b.float(), rtol=0.05, atol=0.05)


def test_parametrizations_added_later(calls):
    class Half(nn.Module):
        def forward(self, weight):
            return weight / 2

    plain, ours, _ = twins(block().eval())
    for model in (plain, ours):
        parametrize.register_parametrization(model[0], "weight", Half())
    same(plain, ours, images(2, 4, 6, 6))
    model = block()
    parametrize.register_parametrization(model[0], "weight", Half())
    assert accelerate(model) == []


# Copies, files, compilers.


def test_copies_pickles_and_files():
    model = Network().eval()
    x = images(2, 3, 16, 16, dtype=torch.float32)
    accelerate(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(file, weights_only=False)):
        assert torch.equal(other(x), model(x)) and repr(other) == repr(model)
        assert [type(m) for m in other.modules()] == [type(m) for m in model.modules()]
        assert accelerate(other) == [] and isinstance(other.features[1].conv[1], ConvNorm)
    named = nn.Sequential(OrderedDict(depthwise=nn.Conv2d(3, 3, 3, groups=3), pointwise=nn.Conv2d(3, 4, 1)))
    layer = SeparableConv2d(3, 4, 3)
    named.depthwise.bias = None
    accelerate(named)
    layer.load_state_dict(named.state_dict())
    torch.testing.assert_close(layer(x), named(x))


@pytest.mark.parametrize("mode", [True, False])
def test_compiled(mode):
    model = Inverted(4, 4, 1, 2).train(mode)
    accelerate(model)
    x = images(2, 4, 8, 8, dtype=torch.float32).requires_grad_()
    other = copy.deepcopy(model)
    y, z = torch.compile(model, backend="aot_eager", fullgraph=True)(x), other(x)
    torch.testing.assert_close(y, z)
    for a, b in zip(torch.autograd.grad(y.sum(), x), torch.autograd.grad(z.sum(), x)):
        torch.testing.assert_close(a, b)


def test_what_is_no_model():
    with pytest.raises(TypeError, match="`model` argument must be a torch.nn.Module. Received: model=3"):
        accelerate(3)

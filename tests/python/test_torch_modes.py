"""The layers of sepconv.torch under everything that PyTorch puts around a layer: dtypes, modes, threads, compilers; and their errors."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch_cases import F64, images, pair, results, seeded

import sepconv.torch
from sepconv.torch import DepthwiseConv2d, SeparableConv2d

pytestmark = pytest.mark.usefixtures("one_thread")


# Dtypes, modes, threads, compilers.


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 4e-3), (torch.bfloat16, 3e-2), (torch.float32, 1e-5)])
def test_dtypes(dtype, tolerance):
    ours, theirs = (seeded(make, 8, 6, 3, padding=1).to(F64) for make in (SeparableConv2d, pair))
    x = images(2, 8, 6, 5)
    found, wanted = results(ours.to(dtype), x.detach().to(dtype).requires_grad_()), results(theirs, x)
    for a, b in zip(found, wanted):
        assert a.dtype == dtype and (a.double() - b).abs().max() < 4 * tolerance * b.abs().max()


def test_autocast():
    ours, theirs = (seeded(make, 8, 6, 3, padding=1) for make in (SeparableConv2d, pair))
    x = images(2, 8, 6, 5, dtype=torch.float32)
    wanted = results(theirs, x)
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(x)
        assert y.dtype == theirs(x).dtype == torch.bfloat16 and ours(x.bfloat16()).dtype == torch.bfloat16
        assert DepthwiseConv2d(8, 3)(x).dtype == torch.bfloat16
        found = results(ours, x)
    for a, b, tensor in zip(found[1:], wanted[1:], (x, *ours.parameters())):
        assert a.dtype == tensor.dtype == torch.float32 and (a - b).abs().max() < 0.05 * b.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        doubled = SeparableConv2d(2, 2, 3, dtype=F64)
        assert doubled(images(1, 2, 4, 4)).dtype == F64


def test_without_gradients():
    layer, x = SeparableConv2d(3, 4, 3, activation="silu"), images(1, 3, 6, 6, dtype=torch.float32)
    wanted = layer(x)
    with torch.no_grad():
        y = layer(x)
        assert torch.equal(y, wanted) and not y.requires_grad
    with torch.inference_mode():
        y = layer(x)
        assert torch.equal(y, wanted) and y.is_inference()


def test_threads_are_those_of_torch(monkeypatch):
    layer, x = SeparableConv2d(3, 4, (5, 4), dilation=(1, 2)), images(1, 3, 9, 9, dtype=torch.float32)
    asked = []
    original = sepconv._plans.Spec.plan
    monkeypatch.setattr(sepconv._plans.Spec, "plan", lambda self, *a: asked.append(a[-1]) or original(self, *a))
    for threads in (3, 1):
        torch.set_num_threads(threads)
        layer(x[:, :, :5]).sum().backward()
        layer(x).sum().backward()
    assert asked == [3, 3, 1, 1]


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_compiled_as_one_operator(format):
    layers = nn.Sequential(SeparableConv2d(4, 6, 3, padding="same", activation="silu"), DepthwiseConv2d(6, 3, 2, activation="relu"))
    x = images(2, 4, 9, 8, dtype=torch.float32, format=format)
    operators = []

    def backend(graph, inputs):
        operators.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    torch.compile(layers, backend=backend, fullgraph=True)(x)
    assert operators.count("sepconv.convolve.default") == 2 and not [name for name in operators if "conv2d" in name]
    compiled = torch.compile(layers, backend="aot_eager", fullgraph=True)
    assert all(map(torch.equal, results(compiled, x), results(layers, x)))
    with torch.no_grad():
        assert torch.equal(compiled(x), layers(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(compiled(x), layers(x))


def test_compiled_with_sizes_that_change():
    layer = SeparableConv2d(4, 6, 3, stride=2, padding="same_keras")
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    for batch, size in ((2, 8), (3, 9), (1, 12)):
        x = images(batch, 4, size, size + 1, dtype=torch.float32)
        assert all(map(torch.equal, results(compiled, x), results(layer, x)))


def test_shapes_without_numbers():
    layer = SeparableConv2d(4, 6, 3, stride=2, padding=1, device="meta")
    y = layer(torch.empty(2, 4, 9, 8, device="meta"))
    assert y.shape == (2, 6, 5, 4) and y.is_meta
    filled = layer.to_empty(device="cpu")
    for child in filled.children():
        child.reset_parameters()
    assert filled(images(2, 4, 9, 8, dtype=torch.float32)).isfinite().all()
    with FakeTensorMode() as mode:
        x = mode.from_tensor(images(2, 4, 9, 8, dtype=torch.float32, format=torch.channels_last, grad=False))
        y = SeparableConv2d(4, 6, 3)(x)
        assert y.shape == (2, 6, 7, 6) and y.is_contiguous(memory_format=torch.channels_last)


def test_checkpoints_and_transforms():
    layer, x = SeparableConv2d(3, 4, 3, dtype=F64), images(2, 3, 6, 5)
    plain = torch.autograd.grad(layer(x).sum(), x)[0]
    with pytest.raises(RuntimeError, match="convolution of sepconv can't be differentiated by torch.func.grad"):
        torch.func.grad(lambda x: layer(x).sum())(x.detach())
    y = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], plain)


def test_training_goes_as_with_the_layers_of_torch():
    def network(make):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), make(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            make(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
        )  # fmt: skip

    generator = torch.Generator().manual_seed(2)
    x = torch.randn(64, 1, 12, 12, generator=generator)
    labels = torch.randint(4, (64,), generator=generator)
    losses = []
    for make in (SeparableConv2d, pair):
        model = network(make)
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        losses.append([])
        for step in range(50):
            batch = slice(step % 4 * 16, step % 4 * 16 + 16)
            loss = nn.functional.cross_entropy(model(x[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert np.abs(np.subtract(*losses)).max() < 1e-4 and losses[0][-1] < losses[0][0]


# Errors.


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"in_channels": 0}, "`in_channels` argument must be a strictly positive integer. Received: in_channels=0"),
        ({"out_channels": 2.5}, "`out_channels`"),
        ({"kernel_size": (3, 3, 3)}, "`kernel_size` argument must be an integer or a tuple of 2 integers"),
        ({"stride": 0}, "`stride`"),
        ({"dilation": "a"}, "`dilation`"),
        ({"depth_multiplier": None}, "`depth_multiplier`"),
        ({"padding": -1}, "`padding`"),
        ({"padding": "full"}, "`padding` argument must be one of 'valid', 'same', 'same_keras'. Received: padding='full'"),
        ({"padding": "same", "stride": (1, 2)}, "'same_keras' where a stride is larger than 1"),
        ({"activation": "softmax"}, "`activation` argument must be elementwise"),
        ({"activation": nn.Softplus()}, "`activation`"),
        ({"activation": "nosuch"}, "`activation`"),
        ({"dtype": torch.int32}, "`dtype` argument must be one of torch.float32"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SeparableConv2d(**{"in_channels": 3, "out_channels": 4, "kernel_size": 3} | arguments)
    if "out_channels" not in arguments:
        with pytest.raises(ValueError, match=re.escape(message)):
            DepthwiseConv2d(**{"in_channels": 3, "kernel_size": 3} | arguments)


def test_inputs_that_are_refused():
    for layer in (SeparableConv2d(3, 4, 3), DepthwiseConv2d(3, 3)):
        for shape in ((2, 4, 5, 5), (3, 5), (1, 2, 3, 5, 5)):
            with pytest.raises(ValueError, match=r"`input` argument must be of shape \(batch, 3, height, width\)"):
                layer(torch.zeros(shape))
        with pytest.raises(TypeError, match=r"`input` argument must be a torch.Tensor. Received: input=array"):
            layer(np.zeros((2, 3, 5, 5), np.float32))
        with pytest.raises(TypeError, match="`input` argument must be of the dtype of the weights, torch.float32"):
            layer(torch.zeros(2, 3, 5, 5, dtype=F64))
        with pytest.raises(ValueError, match="too small"):
            layer(torch.zeros(2, 3, 2, 5))
        with pytest.raises(TypeError, match=r"`input` argument must be a dense tensor"):
            layer(torch.zeros(2, 3, 5, 5).to_sparse())
        with pytest.raises(TypeError, match=r"`input` argument must be a dense tensor"):
            layer(torch.zeros(2, 3, 5, 5).to_mkldnn())


def test_other_devices_are_refused():
    with FakeTensorMode(), pytest.raises(TypeError, match="`input` argument must be a tensor on the CPU.*Received: input='cuda:0'"):
        SeparableConv2d(3, 4, 3)(torch.empty(1, 3, 5, 5, device="cuda"))


def test_tensors_of_two_devices_are_refused():
    with pytest.raises(TypeError, match="`depthwise` argument must be on the device of the input, cpu. Received: depthwise='meta'"):
        SeparableConv2d(3, 4, 3, device="meta")(torch.zeros(1, 3, 5, 5))
    with pytest.raises(TypeError, match="`depthwise` argument must be on the device of the input, meta. Received: depthwise='cpu'"):
        SeparableConv2d(3, 4, 3)(torch.zeros(1, 3, 5, 5, device="meta"))


def test_second_derivatives_are_refused():
    layer, x = SeparableConv2d(3, 4, 3), images(1, 3, 6, 6, dtype=torch.float32)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="can be differentiated once only"):
        gradient.sum().backward()

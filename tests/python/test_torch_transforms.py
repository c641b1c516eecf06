"""The layers of sepconv.torch in traces and exports, and under the transforms of torch.func and forward-mode differentiation."""

import io

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch_cases import images, pair

from sepconv.torch import DepthwiseConv2d, SeparableConv2d, accelerate

pytestmark = pytest.mark.usefixtures("one_thread")

F32 = torch.float32


def accelerated():
    model = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.SiLU(), nn.Conv2d(6, 4, 1), nn.SiLU()).eval()
    accelerate(model)
    return model


MAKERS = [
    accelerated,
    lambda: SeparableConv2d(3, 4, 3, stride=2, padding="same_keras", activation="silu"),
    lambda: DepthwiseConv2d(3, 3, activation="silu"),
]


@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("frozen", [True, False])
def test_traced(make, frozen):
    model = make().requires_grad_(not frozen)
    traced = torch.jit.trace(model, images(1, 3, 6, 6, dtype=F32, grad=False))  # it checks the trace
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    for other in (traced, torch.jit.load(file)):
        for shape in ((2, 3, 9, 8), (1, 3, 6, 6)):
            x = images(*shape, dtype=F32)
            y = other(x)
            assert torch.equal(y, model(x))
            assert all(map(torch.equal, torch.autograd.grad(y.sum(), x), torch.autograd.grad(model(x).sum(), x)))
            with torch.no_grad():
                assert torch.equal(other(x), y)
    with torch.no_grad():
        next(model.parameters()).mul_(2)
        assert torch.equal(traced(x), model(x))  # its parameters aren't constants


@pytest.mark.parametrize("make", MAKERS)
def test_exported(make):
    model, x = make(), images(2, 3, 9, 8, dtype=F32, grad=False)
    program = torch.export.export(model, (x,), dynamic_shapes=(dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO),))
    assert "sepconv.convolve" in program.graph_module.code
    for given in (x, images(3, 3, 7, 12, dtype=F32, grad=False)):
        assert torch.equal(program.module()(given), model(given))


@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning")
def test_models_of_scripts_and_symbolic_traces():
    model, x = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.Conv2d(6, 4, 1)), images(1, 3, 6, 6, dtype=F32)
    scripted, symbolic = torch.jit.script(model), torch.fx.symbolic_trace(model)
    assert accelerate(scripted) == [] and accelerate(symbolic) == ["0"]
    for other in (scripted, symbolic):
        torch.testing.assert_close(other(x), model(x))
    for ours in (SeparableConv2d(3, 4, 3), DepthwiseConv2d(3, 3), accelerated()):
        with pytest.raises(RuntimeError):
            torch.jit.script(ours)
        with pytest.raises(torch.fx.proxy.TraceError):
            torch.fx.symbolic_trace(ours)


@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("frozen", [True, False])
def test_tangents_are_refused_and_never_lost(frozen):
    x = images(1, 3, 6, 6, dtype=F32, grad=False)
    for make in MAKERS:
        model = make().requires_grad_(not frozen)
        traced = torch.jit.trace(model, x)
        weights = {name: p.detach() for name, p in model.named_parameters()}
        for function in (
            lambda: torch.func.jvp(model, (x,), (x,)),
            lambda: torch.func.jacfwd(model)(x),
            lambda: torch.func.jvp(torch.func.vmap(model), (x[None],), (x[None],)),
            lambda: torch.func.jvp(lambda w: torch.func.functional_call(model, w, x), (weights,), (weights,)),
            lambda: torch.func.jvp(traced, (x,), (x,)),
        ):
            with pytest.raises(RuntimeError):
                function()
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, x)
            with pytest.raises(RuntimeError, match="no forward-mode derivative"):
                model(dual)
            with pytest.raises(RuntimeError):
                traced(dual)
            assert torch.equal(model(x), model(x.clone()))  # nothing to differentiate
    with pytest.raises(RuntimeError, match="no forward-mode derivative"):
        torch.func.jvp(model, (x,), (x,))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_vmap():
    layer, theirs = SeparableConv2d(3, 4, 3), pair(3, 4, 3)
    theirs.load_state_dict(layer.state_dict())
    x = images(5, 2, 3, 6, 6, dtype=F32, grad=False)
    with torch.no_grad():
        torch.testing.assert_close(torch.func.vmap(layer)(x), theirs(x.flatten(0, 1)).unflatten(0, (5, 2)))

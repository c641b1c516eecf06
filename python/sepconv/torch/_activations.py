"""Activations by PyTorch's modules, as the core knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from .. import activations
from .._arguments import refuse, within
from .._plans import Activation

# By exact class, since a subclass may compute something else. Softplus isn't here: PyTorch's is linear above a threshold.
_FORMS: dict[type, Callable[[Any], Activation | None]] = {
    nn.Identity: lambda m: ("linear", ()),
    nn.ReLU: lambda m: ("relu", ()),
    nn.ReLU6: lambda m: ("relu6", ()),
    nn.LeakyReLU: lambda m: ("leaky_relu", (float(m.negative_slope),)),
    nn.ELU: lambda m: ("elu", (float(m.alpha),)),
    nn.CELU: lambda m: ("celu", (float(m.alpha),)),
    nn.SELU: lambda m: ("selu", ()),
    nn.SiLU: lambda m: ("silu", ()),
    nn.GELU: lambda m: ("gelu" if m.approximate == "none" else "gelu_tanh", ()),
    nn.Mish: lambda m: ("mish", ()),
    nn.Hardswish: lambda m: ("hard_silu", ()),
    nn.Hardsigmoid: lambda m: ("hard_sigmoid", ()),
    nn.Hardtanh: lambda m: ("hard_tanh", ()) if (m.min_val, m.max_val) == (-1, 1) else None,
    nn.Sigmoid: lambda m: ("sigmoid", ()),
    nn.LogSigmoid: lambda m: ("log_sigmoid", ()),
    nn.Tanh: lambda m: ("tanh", ()),
    nn.Softsign: lambda m: ("softsign", ()),
}


def form_of_module(module: Any) -> Activation | None:
    """The core's form of an activation module; None where it has none."""
    make = _FORMS.get(type(module))
    return None if make is None else make(module)


def form_of(activation: Any) -> Activation:
    """The core's form of a layer's argument: None, a name or function of `sepconv.activations`, or one of PyTorch's modules.

    Raises
    ------
    ValueError, TypeError
        If it is something else, or not elementwise.
    """
    form = form_of_module(activation)
    if form is None and not isinstance(activation, nn.Module):
        with within("activation"):
            form = activations.core_form(activations.get(activation))
    if form is None:
        refuse("activation", "elementwise and one of sepconv.activations, or a module like torch.nn.ReLU()", activation)
    return form

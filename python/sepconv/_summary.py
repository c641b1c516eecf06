"""The table that `Sequential.summary` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Sequential

_HEAD = ("Layer (type)", "Output Shape", "Param #")


def summary_text(model: Sequential) -> str:
    """A table of the layers, then the totals; sizes that aren't known yet are shown as `?`."""
    known = model._input is not None
    shape = model.input_shape if known else None
    rows = [_HEAD]
    for layer in model.layers:
        shape = None if shape is None else layer.compute_output_shape(shape)
        params = f"{layer.count_params():,}" if layer.built else "?"
        rows.append((f"{layer.name} ({type(layer).__name__})", "?" if shape is None else str(shape), params))
    width = [max(len(row[column]) for row in rows) for column in range(3)]
    rule = "─" * (sum(width) + 6)
    lines = [f'Model: "{model.name}"', rule]
    for row in rows:
        lines.append(f" {row[0]:<{width[0]}}  {row[1]:<{width[1]}}  {row[2]:>{width[2]}} ")
        lines.append(rule)
    if model.built:
        lines += [
            f" {label} params: {sum(v.size for v in variables):,} ({_bytes(sum(v.numpy().nbytes for v in variables))})"
            for label, variables in (
                ("Total", model.weights),
                ("Trainable", model.trainable_weights),
                ("Non-trainable", model.non_trainable_weights),
            )
        ]
    return "\n".join(lines)


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GB"

#!/usr/bin/env python3
"""Record what Keras answers, for tests/python/test_golden.py to compare with where no Keras is installed.

    pip install keras jax h5py ml_dtypes
    KERAS_BACKEND=jax python tests/golden/record.py [part ...]

It writes, beside itself, `*.json` (what was asked, and answers that are text), `*.npz` (answers that are numbers) and
`model.weights.h5`. The same Keras gives the same files. The part `layers` takes minutes, since every case is compiled.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parent.parent / "python"))

import expressions
import keras
import numpy as np
from keras_cases import (
    ACTIVATIONS,
    CURVED,
    GOLDEN,
    LAYERS,
    PIECEWISE,
    Tape,
    draw,
    evaluate,
    fractions,
    gradients_of_keras,
    integers,
    undrawn,
)

MODEL = """
Sequential([
    Input((9, 8, 3), name="x"),
    SeparableConv2D(4, 3, depth_multiplier=2, activation="relu", name="stem"),
    Activation("gelu", name="act"),
    DepthwiseConv2D((2, 3), dtype="bfloat16", name="deep"),
    SeparableConv2D(3, 1, use_bias=False, dtype="mixed_float16", name="other"),
    SeparableConv2D(2, 2, padding="same", dtype="float16", trainable=False, name="head"),
], name="net")
"""


def array(value):
    """A Keras tensor as an array that NumPy can compute with."""
    return keras.ops.convert_to_numpy(value)


def write_json(name, rows):
    """One row a line, so that a new recording is a readable diff."""
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (GOLDEN / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def write_npz(name, **tapes):
    np.savez_compressed(GOLDEN / f"{name}.npz", **{key: tape.whole() for key, tape in tapes.items()})


# Layers: outputs for random weights.


def layer_cases(rng):
    """(name of the layer, its arguments, shape of the input, largest whole number in the data or 0 for fractions)."""
    for name in LAYERS:
        for _ in range(70):
            yield name, *draw(rng, name), 3
        for dtype in ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16"):
            for _ in range(5):
                arguments, shape = draw(rng, name, largest_kernel=3, channels=2, multiplier=2, spread=3)
                yield name, {**arguments, "dtype": dtype}, shape, 1
            for _ in range(3):
                arguments, shape = draw(rng, name, largest_kernel=4, spread=2, batch=1)
                yield name, {**arguments, "dtype": dtype}, shape, 0
        for _ in range(15):
            yield name, *draw(rng, name, spread=3, batch=1), 0
        for activation in ACTIVATIONS:
            for dtype in ("float32", "float16", "bfloat16") if activation in ("relu", "gelu", "softmax", "tanh") else ("float32",):
                arguments, shape = draw(rng, name, largest_kernel=3, spread=3, channels=3, multiplier=2, batch=1)
                arguments |= {"activation": activation, "dtype": dtype}
                if activation == "glu":  # halves the last axis, which must be even
                    arguments |= {"data_format": "channels_last", "depth_multiplier": 2}
                    if "filters" in arguments:
                        arguments["filters"] = 4
                    shape = draw_shape_of(arguments, rng)
                yield name, arguments, shape, 0


def draw_shape_of(arguments, rng):
    """An input in channels_last for layers whose arguments were changed after they were drawn."""
    sizes = [
        d * (k - 1) + 1 + int(rng.randint(4)) for k, d in zip(arguments["kernel_size"], arguments["dilation_rate"], strict=True)
    ]
    return [1, *sizes, 2]


def record_layers(rng):
    rows, given, exact, rounded = [], Tape("int8"), Tape("int16"), Tape("float32")
    for name, arguments, shape, largest in layer_cases(rng):
        layer = getattr(keras.layers, name)(**arguments, **undrawn(name), name="layer")
        layer.build(shape)
        data = [integers(rng, s, largest) if largest else fractions(rng, s) for s in (shape, *(w.shape for w in layer.weights))]
        for part in data:
            given.put(part)
        # Weights of half the size of the inputs, so that activations see more than their tails.
        scales = [1] * len(data) if largest else [32] + [64] * (len(data) - 1)
        x, *weights = [part.astype(np.float32) / scale for part, scale in zip(data, scales, strict=True)]
        layer.set_weights(weights)
        y = array(layer(x))
        dtype = y.dtype.name
        (exact if largest else rounded).put(y.astype(np.float32))
        rows.append([name, arguments, shape, largest, [list(w.shape) for w in weights], list(y.shape), dtype])
    write_json("layers", rows)
    write_npz("layers", given=given, exact=exact, rounded=rounded)


# Gradients of ``sum(dy * layer(x))``, in float64 but for what Keras computes in float32 all the same: tanh.


def gradient_cases(rng):
    """As `layer_cases`. Every third SeparableConv1D is causal."""
    for name in LAYERS:
        for index, (activation, largest) in enumerate([*((a, 2) for a in PIECEWISE * 6), *((a, 0) for a in CURVED)]):
            arguments, shape = draw(rng, name, largest_kernel=3, multiplier=2)
            if name == "SeparableConv1D" and index % 3 == 0:
                arguments["padding"] = "causal"
            yield name, {**arguments, "activation": activation}, shape, largest


def record_gradients(rng):
    import jax

    rows, given, exact, rounded = [], Tape("int8"), Tape("int32"), Tape("float64")
    with jax.enable_x64(True):
        for name, arguments, shape, largest in gradient_cases(rng):
            front = 0
            own = {**arguments, **undrawn(name), "dtype": "float64"}
            if arguments["padding"] == "causal":  # Keras's layer has none, but zeros in front make it of a valid one
                front, own["padding"] = (arguments["kernel_size"][0] - 1) * arguments["dilation_rate"][0], "valid"
            axis = len(shape) - 1 if arguments["data_format"] == "channels_first" else 1
            pads = [(front if i == axis else 0, 0) for i in range(len(shape))]
            layer = getattr(keras.layers, name)(**own, name="layer")
            padded = [size + sum(pad) for size, pad in zip(shape, pads, strict=True)]
            layer.build(padded)
            output = list(layer.compute_output_shape(padded))
            data = [
                integers(rng, s, largest) if largest else fractions(rng, s)
                for s in (shape, output, *(w.shape for w in layer.weights))
            ]
            for part in data:
                given.put(part)
            x, dy, *weights = (part / (1 if largest else 64) for part in data)
            layer.set_weights(weights)
            x = np.pad(x, pads)
            dtype = array(layer(x)).dtype.name
            of_input, *of_weights = gradients_of_keras(layer, x, dy)
            for gradient in (np.take(of_input, range(front, padded[axis]), axis), *of_weights):
                (exact if largest else rounded).put(gradient)
            rows.append([name, arguments, shape, largest, [list(w.shape) for w in weights], output, dtype])
    write_json("gradients", rows)
    write_npz("gradients", given=given, exact=exact, rounded=rounded)


# Losses.


def record_losses(rng):
    rows, given = [], Tape("int8")
    choices = [None, {"class_name": "L1", "config": {"l1": 0.25}}, "l2", {"class_name": "L1L2", "config": {"l1": 0.5, "l2": 0.125}}]
    for name in LAYERS:
        roles = ["depthwise", "pointwise", "bias"] if name.startswith("Separable") else ["depthwise", "bias"]
        for index in range(12):
            arguments, shape = draw(rng, name, largest_kernel=3, spread=3)
            for role in (f"{r}_regularizer" for r in (*roles, "activity")):
                arguments[role] = choices[rng.randint(4)]
            arguments |= {"trainable": index % 4 > 0, "dtype": ("float32", "mixed_float16")[index % 3 == 0]}
            layer = getattr(keras.layers, name)(**arguments, **undrawn(name), name="layer")
            layer.build(shape)
            data = [integers(rng, s, 3) for s in (shape, *(w.shape for w in layer.weights))]
            for part in data:
                given.put(part)
            layer.set_weights(data[1:])
            before = [float(loss) for loss in layer.losses]
            layer(data[0].astype(np.float32))
            after = [float(loss) for loss in layer.losses]
            rows.append([name, arguments, shape, before, after])
    write_json("losses", rows)
    write_npz("losses", given=given)


# Configurations, weights' names, shapes.


def record_configs(_):
    rows = []
    for expression in expressions.CONFIGS:
        layer = evaluate(expression, keras)
        weights = [[w.name, w.path, list(w.shape), w.dtype, w.trainable] for w in layer.weights]
        rows.append([expression, keras.layers.serialize(layer), weights])
    write_json("configs", rows)
    rows = []
    for expression in expressions.MODELS:
        model = evaluate(expression, keras)
        form = keras.saving.serialize_keras_object(model)
        form.pop("compile_config", None)  # nothing is trained here
        rows.append([expression, form, [w.path for w in model.weights]])
    write_json("models", rows)
    write_json("objects", [[e, keras.saving.serialize_keras_object(evaluate(e, keras))] for e in expressions.OBJECTS])


def answer(expression):
    """The value of an expression, or the name of the exception and its message."""
    try:
        return evaluate(expression, keras), None
    except Exception as error:  # of whatever kind: that is what is recorded
        return None, [type(error).__name__, str(error).strip().split("\n")[0][:160]]


def record_shapes_and_refusals(_):
    # A refused shape has no answer. None stands for it.
    write_json("shapes", [[e, answer(e)[0]] for e in expressions.SHAPES])
    rows = []
    for kind, table in (
        ("both", expressions.REFUSED),
        ("allowed here", expressions.ALLOWED_HERE),
        ("refused here", expressions.REFUSED_HERE),
    ):
        for entry in table:
            expression, word = entry if isinstance(entry, tuple) else (entry, "")
            _, error = answer(expression)
            if (error is None) != (kind == "refused here"):
                print(f"not as the table {kind!r} says: {expression}: {error}", file=sys.stderr)
            rows.append([kind, expression, word, error])
    write_json("refusals", rows)


# Numbers of activations, initializers, constraints, regularizers.


def record_functions(rng):
    grid = np.concatenate(
        [np.linspace(-6, 6, 97), np.linspace(-1, 1, 17), [-30, -15, -9, 9, 15, 30, 1e-4, -1e-4, 0.5, -0.5, 3, -3]]
    )
    functions = [*(f"activations.get({name!r})(x)" for name in ACTIVATIONS), *expressions.FUNCTIONS]
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, 2, 4, 2), (5, 3), (6,))]
    rows, inputs, outputs = [], Tape("float32"), Tape("float32")
    for x, table in ((grid.astype(np.float32).reshape(-1, 6), functions), *((w, expressions.OF_WEIGHTS) for w in weights)):
        inputs.put(x)
        answers = []
        for expression in table:
            y = array(evaluate(expression, keras, x=keras.ops.convert_to_tensor(x)))
            outputs.put(y)
            answers.append([expression, list(y.shape)])
        rows.append([list(x.shape), answers])
    answers = []
    for expression in expressions.DETERMINISTIC:
        y = array(evaluate(expression, keras))
        outputs.put(y)
        answers.append([expression, list(y.shape)])
    rows.append([[0], answers])
    write_json("functions", rows)
    write_npz("functions", inputs=inputs, outputs=outputs)
    rows = []
    for shape in ([3, 3, 16, 16], [1, 1, 64, 48]):
        for expression in expressions.DRAWING:
            y = array(evaluate(expression, keras, shape=tuple(shape))).astype(np.float64)
            rows.append([expression, shape, [float(v) for v in (y.min(), y.max(), y.mean(), y.std())]])
    write_json("drawn", rows)


# A file of weights.


def record_file(rng):
    model = evaluate(MODEL.strip(), keras)
    values = Tape("int8")
    weights = []
    for w in model.weights:
        part = fractions(rng, w.shape)
        values.put(part)
        weights.append(part.astype(np.float32) / 64)
    model.set_weights(weights)
    x = fractions(rng, (2, 9, 8, 3))
    values.put(x)
    model.save_weights(GOLDEN / "model.weights.h5")
    y = array(model(x.astype(np.float32) / 32)).astype(np.float32)
    outputs = Tape("float32")
    outputs.put(y)
    write_json("file", [MODEL.strip().replace("\n", ""), list(y.shape)])
    write_npz("file", values=values, outputs=outputs)


PARTS = {
    "configs": record_configs,
    "answers": record_shapes_and_refusals,
    "functions": record_functions,
    "file": record_file,
    "losses": record_losses,
    "gradients": record_gradients,
    "layers": record_layers,
}


def main(parts):
    warnings.simplefilter("ignore")
    for part in parts or PARTS:
        PARTS[part](np.random.RandomState(20240229))
    write_json("about", [f"keras {keras.__version__}", f"backend {keras.backend.backend()}"])
    sizes = {path.name: path.stat().st_size for path in sorted(GOLDEN.iterdir()) if path.suffix != ".py" and path.is_file()}
    for name, size in {**sizes, "total": sum(sizes.values())}.items():
        print(f"{size:8d} {name}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""`sepconv.keras`'s layers against Keras's own, on the backend that KERAS_BACKEND names, and against the float64 reference."""

import concurrent.futures
import importlib
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from keras_cases import ACTIVATIONS
from keras_own import BACKEND, NAMES, THEIRS, TRAINS, arguments_of, array, gradients, libraries, model_of, pair, tensor
from reference import convolve

import sepconv

pytestmark = [pytest.mark.filterwarnings(f"ignore:::{module}") for module in THEIRS]


def expected(layer, x):
    """What `layer` is to compute for `x`, without its activation, and the same where nothing cancels."""

    def once(x, of):
        weights = [of(array(w).astype(np.float64)) for w in layer.weights]
        bias = weights.pop() if layer.use_bias else None
        if type(layer).__name__.startswith("Conv"):
            weights.insert(0, np.ones((1,) * layer.rank + (x.shape[1 if layer.data_format == "channels_first" else -1], 1)))
        options = {
            "strides": layer.strides,
            "dilation": layer.dilation_rate,
            "padding": layer.padding,
            "data_format": layer.data_format,
        }
        return convolve(x, weights[0], weights[1] if len(weights) > 1 else None, bias, **options)

    return once(x.astype(np.float64), lambda w: w), once(np.abs(x.astype(np.float64)), np.abs)


@pytest.mark.parametrize("seed", range(24))
def test_outputs(seed):
    rng = np.random.RandomState(seed)
    name = NAMES[seed % 6]
    arguments, shape = arguments_of(rng, name)
    theirs, ours = pair(name, arguments, shape, rng)
    x = rng.standard_normal(shape).astype(np.float32)
    y = array(ours(tensor(x)))
    right, size = expected(ours, x)
    terms = sum(np.prod(w.shape[:-1]) for w in ours.weights) + 2
    np.testing.assert_array_less(np.abs(y - right), 2.0**-24 * terms * size + 1e-30)
    assert y.dtype == np.float32 and y.shape == tuple(ours.compute_output_shape(shape)) == tuple(theirs.compute_output_shape(shape))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies(name, dtype):
    rng = np.random.RandomState(200)
    arguments = {"kernel_size": 1 if name.startswith("Conv") else 3} | ({} if "Depthwise" in name else {"filters": 4})
    shape = (2, *(6, 5)[: 2 if name.endswith("2D") else 1], 3)
    theirs, ours = pair(name, arguments | {"dtype": dtype}, shape, rng)
    x = rng.standard_normal(shape).astype(np.float32)
    y = ours(tensor(x))
    # JAX has no float64 unless it is asked for.
    compute = dtype.removeprefix("mixed_") if (dtype, BACKEND) != ("float64", "jax") else "float32"
    assert libraries()[0].backend.standardize_dtype(y.dtype) == compute
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    unit = {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(compute, 2.0**-22)
    right, size = expected(ours, x)
    np.testing.assert_array_less(np.abs(array(y).astype(np.float64) - right), 4 * unit * size)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    keras, ours = libraries()
    rng = np.random.RandomState(300)
    layer = ours.Conv2D(6, 1, activation=name)
    layer.build((2, 5, 4, 3))
    x = tensor(rng.standard_normal((2, 5, 4, 3)).astype(np.float32) * 3)
    right = ours.Conv2D(6, 1)
    right.build((2, 5, 4, 3))
    right.set_weights(layer.get_weights())
    np.testing.assert_allclose(array(layer(x)), array(keras.activations.get(name)(right(x))), rtol=1e-5, atol=1e-5)


def test_activations_of_ones_own():
    keras, ours = libraries()
    x = tensor(np.ones((1, 4, 4, 2), np.float32))
    for activation in (lambda y: y * 2, keras.layers.ReLU(0.5), keras.layers.LeakyReLU()):
        layer, plain = ours.DepthwiseConv2D(3, activation=activation), ours.DepthwiseConv2D(3)
        y = layer(x)
        plain.build(x.shape)
        plain.set_weights(layer.get_weights())
        np.testing.assert_allclose(array(y), array(activation(plain(x))), rtol=1e-6)
    plain.activation = keras.activations.exponential  # it may be set, as in Keras
    assert array(plain(x)).min() > 0


def test_sigmoid_keeps_what_losses_look_for():
    y = libraries()[1].Conv2D(1, 1, activation="sigmoid")(tensor(np.ones((1, 2, 2, 1), np.float32)))
    theirs = libraries()[0].layers.Activation("sigmoid")(tensor(np.ones((1, 2, 2, 1), np.float32)))
    assert hasattr(y, "_keras_logits") == hasattr(theirs, "_keras_logits")


@pytest.mark.parametrize("name", NAMES)
def test_all_but_the_computation_is_inherited(name):
    keras, _ = libraries()
    role = "kernel" if name.startswith("Conv") else "depthwise"
    arguments = {"kernel_size": 1, "activation": "relu", f"{role}_regularizer": "l2", "bias_constraint": "non_neg"}
    arguments |= {"activity_regularizer": keras.regularizers.L1(0.5), f"{role}_initializer": "he_normal"}
    arguments |= {} if "Depthwise" in name else {"filters": 4}
    shape = (2, *(6, 5)[: 2 if name.endswith("2D") else 1], 3)
    theirs, ours = pair(name, arguments, shape, np.random.RandomState(400))
    assert isinstance(ours, type(theirs)) and type(ours).__name__ == type(theirs).__name__
    assert ours.get_config() == theirs.get_config()
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        assert (mine.name, mine.path, mine.shape, mine.dtype) == (other.name, other.path, other.shape, other.dtype)
        assert (mine.constraint is None) == (other.constraint is None)
    x = tensor(np.random.RandomState(1).standard_normal(shape).astype(np.float32))
    ours(x)
    if TRAINS:
        theirs(x)
        np.testing.assert_allclose([array(loss) for loss in ours.losses], [array(loss) for loss in theirs.losses], rtol=1e-5)
    ours.trainable = False
    assert ours.trainable_weights == [] and len(ours.non_trainable_weights) == len(theirs.weights)
    assert type(ours)(**arguments).name.startswith(type(theirs)(**arguments).name.rstrip("_0123456789"))


def test_symbolic_calls_compute_nothing(monkeypatch):
    keras, ours = libraries()

    def fail(*args, **kwargs):
        raise AssertionError("computed")

    monkeypatch.setattr(sys.modules["sepconv.keras._layers"].on, "convolve", fail)
    for name in NAMES:
        filters = {} if "Depthwise" in name else {"filters": 4}
        layer = getattr(ours, name)(kernel_size=1, strides=2, **filters)
        spatial = (None, 9)[: layer.rank]
        y = layer(keras.KerasTensor((None, *spatial, 3)))
        assert tuple(y.shape) == (None, *(None, 5)[: layer.rank], 3 if not filters else 4)
        assert tuple(layer.call(keras.KerasTensor((None, *spatial, 3))).shape) == tuple(y.shape)
        assert len(layer.weights) == (3 if "Separable" in name else 2)


def test_a_conv_that_is_more_than_pointwise_is_refused():
    _, ours = libraries()
    for arguments in ({"kernel_size": 3}, {"kernel_size": (1, 2)}, {"groups": 2}):
        message = rf"`{next(iter(arguments))}` argument must be 1 in .*keras\.layers\.Conv2D.*Received: .*[23]"
        with pytest.raises(ValueError, match=message):
            ours.Conv2D(4, **{"kernel_size": 1} | arguments)
    with pytest.raises(ValueError, match=r"keras\.layers\.Conv1D"):
        ours.Conv1D(4, 3)
    assert ours.Conv1D(4, 1, padding="causal")(tensor(np.ones((1, 5, 2), np.float32))).shape == (1, 5, 4)


def test_inputs_that_do_not_fit_are_refused():
    keras, ours = libraries()
    layer = ours.SeparableConv2D(4, 3)
    layer(tensor(np.ones((1, 5, 5, 2), np.float32)))
    for shape in ((1, 5, 5, 3), (1, 5, 2), (1, 1, 5, 5, 2), (1, 2, 5, 2)):
        with pytest.raises(Exception):  # noqa: B017  # some errors are the backends' own
            layer(tensor(np.ones(shape, np.float32)))


def test_integers_are_converted():
    x = np.random.RandomState(500).randint(0, 256, (1, 6, 6, 3))
    layer = libraries()[1].DepthwiseConv2D(3)
    np.testing.assert_array_equal(array(layer(tensor(x, "uint8"))), array(layer(tensor(x.astype(np.float32)))))


@pytest.mark.parametrize("name", NAMES)
def test_arrays_that_nobody_has_converted(name):
    layer = getattr(libraries()[1], name)(**({} if name.startswith("Depthwise") else {"filters": 4}), kernel_size=1)
    x = np.random.RandomState(501).standard_normal((2, 6, 6)[: layer.rank + 1] + (3,)).astype(np.float32)
    y = array(layer(x))
    np.testing.assert_array_equal(array(layer.call(x)), y)
    np.testing.assert_array_equal(array(layer.stateless_call(layer.trainable_variables, layer.non_trainable_variables, x)[0]), y)


def test_weights_are_never_stale():
    _, ours = libraries()
    layer, x = ours.SeparableConv2D(4, 3), tensor(np.ones((1, 6, 6, 2), np.float32))
    y = array(layer(x))
    for factor in (2, 4):
        layer.pointwise_kernel.assign(layer.pointwise_kernel * 2)
        np.testing.assert_allclose(array(layer(x)), factor * y, rtol=1e-6)
    if BACKEND in ("torch", "numpy"):
        value = layer.pointwise_kernel.value
        (value.data if BACKEND == "torch" else value)[...] = 0  # behind Keras's back
        assert not array(layer(x)).any()


def test_options_reach_the_core(monkeypatch):
    """Wherever the backend runs it: called directly, and inside of a compiled function, which keeps those of its first call."""
    keras, ours = libraries()
    calls = []

    def right(precision):
        with sepconv.options(precision=precision):
            return sepconv.ops.separable_conv(x, *layer.get_weights()[:2])

    for name in ("prepare", "run"):
        plain = getattr(sepconv._plans.Convolution, name)

        def spy(self, *arguments, plain=plain, place=2 if name == "prepare" else 3):
            calls.append(arguments[place])
            return plain(self, *arguments)

        monkeypatch.setattr(sepconv._plans.Convolution, name, spy)
    x = np.random.RandomState(601).standard_normal((2, 6, 6, 16)).astype(np.float32)
    layer = ours.SeparableConv2D(8, 3, pointwise_initializer="he_normal")
    model = keras.Sequential([keras.Input((6, 6, 16)), layer])
    expected = {precision: right(precision) for precision in ("default", "bfloat16")}
    assert np.abs(expected["default"] - expected["bfloat16"]).max() > 1e-4
    for function in (lambda: array(layer(tensor(x))), lambda: model.predict(x, verbose=0)):
        for precision, num_threads in (("bfloat16", 3), ("default", 2)):
            calls.clear()
            with sepconv.options(precision=precision, num_threads=num_threads):
                np.testing.assert_allclose(function(), expected[precision], rtol=1e-5, atol=1e-6)
            assert BACKEND == "torch" or set(calls) == {num_threads}  # PyTorch has a number of its own
            model.compile()
    double = ours.SeparableConv2D(8, 3, dtype="float64")
    if BACKEND != "jax":  # which has no float64 unless it is asked for
        with sepconv.options(precision="bfloat16"), pytest.raises(ValueError, match="`precision` argument"):
            double(tensor(x, "float64"))


def test_what_a_context_says_holds_in_another_thread():
    x, weight = (np.random.RandomState(602).standard_normal(shape).astype(np.float32) for shape in ((1, 4, 4, 16), (1, 1, 16, 8)))
    options = {
        "strides": (1, 1),
        "padding": "valid",
        "dilation": (1, 1),
        "data_format": "channels_last",
        "activation": ("linear", ()),
    }
    host = importlib.import_module("sepconv.keras._host")
    problems = {}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for precision in ("default", "bfloat16"):
            with sepconv.options(precision=precision, num_threads=5):
                problems[precision], given = host.problem(np.float32, (None, None, weight, None), options)
                right = problems[precision].forward(x, *given)
            assert problems[precision].num_threads == 5
            np.testing.assert_array_equal(pool.submit(problems[precision].forward, x, *given).result(), right)
    assert len(set(problems.values())) == 2


def test_lora():
    keras, ours = libraries()
    layer = ours.Conv2D(4, 1, lora_rank=2)
    x = tensor(np.random.RandomState(600).standard_normal((2, 5, 5, 3)).astype(np.float32))
    layer(x)
    layer.lora_kernel_b.assign(np.ones((2, 4)))
    kernel = array(layer.kernel)
    right = np.einsum("nhwc,cf->nhwf", array(x), kernel[0, 0]) + array(layer.bias)
    np.testing.assert_allclose(array(layer(x)), right, rtol=1e-5, atol=1e-5)
    assert not np.array_equal(kernel, array(layer._kernel))
    if TRAINS:
        found = gradients(layer, array(x), np.ones(right.shape, np.float32))
        assert len(found) == 4 and all(np.abs(gradient).max() > 0 for gradient in found)


def test_files_go_both_ways(tmp_path):
    keras, ours = libraries()
    theirs, mine = (model_of(library, keras.layers) for library in (keras.layers, ours))
    mine.set_weights([np.random.RandomState(0).standard_normal(w.shape) for w in mine.weights])
    mine.save(tmp_path / "mine.keras")
    again = keras.saving.load_model(tmp_path / "mine.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in mine.layers]
    mine.save_weights(tmp_path / "mine.weights.h5")
    theirs.load_weights(tmp_path / "mine.weights.h5")
    for model in (again, theirs):
        for a, b in zip(model.get_weights(), mine.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_file_tells_what_to_import(tmp_path):
    keras, ours = libraries()
    keras.Sequential([keras.Input((6, 6, 2)), ours.DepthwiseConv2D(3)]).save(tmp_path / "m.keras")
    code = (
        "import importlib.util, sys\n"
        "import sepconv.keras._without_jax as w; w.import_keras()\n"
        "import keras\n"
        "keras.saving.get_custom_objects().clear()\n"
        "keras.saving.load_model(sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path / "m.keras"], capture_output=True, text=True)
    assert done.returncode and "make sure they are all imported" in done.stderr and "sepconv.keras" in done.stderr


def test_numpy_needs_no_jax():
    """And nothing of the stand-in is left behind."""
    code = (
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'jax' else real(name, package)\n"
        "import numpy as np, sepconv.keras, keras\n"
        "importlib.util.find_spec = real\n"
        "assert not [n for n in sys.modules if n == 'jax' or n.startswith(('jax.', 'keras.src.backend.jax'))]\n"
        "x = np.ones((1, 8, 8, 3), 'float32')\n"
        "model = keras.Sequential([sepconv.keras.SeparableConv2D(4, 3), keras.layers.ReLU(), keras.layers.GlobalAveragePooling2D()])\n"
        "assert model.predict(x, verbose=0).shape == (1, 4)\n"
        "try:\n"
        "    keras.layers.Conv2D(4, 3)(x)\n"
        "except ImportError as error:\n"
        "    assert 'needs JAX' in str(error) and 'pip install jax' in str(error), error\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_sepconv_alone_imports_no_framework():
    code = "import sys, sepconv; assert not {'keras', 'torch', 'jax', 'tensorflow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_other_backends_are_refused(monkeypatch):
    keras, _ = libraries()
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    module = sys.modules["sepconv.keras._layers"]
    with pytest.raises(ImportError, match="backends jax, numpy, tensorflow, torch. Received: openvino"):
        runpy.run_path(module.__file__, run_name=module.__name__)


def test_without_keras_the_error_says_what_to_install():
    code = "import importlib.util as u; u.find_spec = lambda *a: None; import sepconv.keras"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and 'pip install "sepconv[keras]"' in done.stderr

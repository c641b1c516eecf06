"""Calls that are put to Keras, as Python expressions: `record.py` evaluates them with Keras, the tests with sepconv."""

# Layers, whose serialized form is recorded. Each has a name, since Keras counts those it makes up.
CONFIGS = """
SeparableConv2D(4, 3, name="a")
SeparableConv2D(filters=4, kernel_size=(3, 5), strides=(2, 1), padding="SAME", data_format="Channels_First", dilation_rate=2, name="b")
SeparableConv2D(4, [3, 1], (1, 2), "same", "channels_last", (2, 3), 3, "relu", False, "he_normal", "lecun_uniform", name="c")
SeparableConv2D(4, 3, 1, "valid", None, 1, 2, None, True, "ones", "zeros", "ones", "l1", "l2", "L1L2", "l2", "max_norm", "non_neg", "unit_norm", name="c2")
SeparableConv2D(4, 3, dtype="mixed_bfloat16", trainable=False, name="d")
SeparableConv2D(4, 3, dtype="float16", activation="swish", name="e")
SeparableConv2D(4, 3, dtype="bfloat16", activation="hard_swish", name="e2")
SeparableConv2D(4, 3, dtype="float64", activation="linear", name="e3")
SeparableConv2D(4, 3, dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}, "registered_name": None}, name="e4")
built(SeparableConv2D(4, 3, activation="gelu", name="f"), None, 8, 9, 3)
built(SeparableConv2D(4, 3, depth_multiplier=2, data_format="channels_first", name="f2"), 2, 5, None, None)
SeparableConv2D(4, 3, depthwise_initializer=initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=7), bias_initializer=None, name="g")
SeparableConv2D(4, 3, pointwise_initializer=initializers.RandomNormal(0.5, 0.25, seed=1), bias_initializer=initializers.Constant(0.5), name="g2")
SeparableConv2D(4, 3, depthwise_initializer="Orthogonal", pointwise_initializer="TruncatedNormal", bias_initializer="random_uniform", name="g3")
SeparableConv2D(4, 3, depthwise_regularizer=regularizers.L1(0.25), pointwise_regularizer=regularizers.L1L2(0.5, 0.125), name="h")
SeparableConv2D(4, 3, bias_regularizer=regularizers.L2(0.5), activity_regularizer=regularizers.L2(0.25), name="h2")
SeparableConv2D(4, 3, depthwise_constraint=constraints.MaxNorm(1.5, axis=[0, 1, 2]), bias_constraint=constraints.NonNeg(), name="i")
SeparableConv2D(4, 3, pointwise_constraint=constraints.MinMaxNorm(0.25, 0.75, 0.5, [0, 1, 2]), bias_constraint=constraints.UnitNorm(), name="i2")
SeparableConvolution2D(4, 3, name="j")
SeparableConv1D(4, 3, name="k")
SeparableConv1D(4, (5,), 2, "same", "channels_first", 1, 2, "tanh", False, activity_regularizer="l1", name="l")
built(SeparableConv1D(4, 3, dilation_rate=2, bias_constraint="min_max_norm", name="l2"), None, None, 3)
DepthwiseConv2D(3, name="m")
DepthwiseConv2D((3, 5), (1, 2), "same", 2, "channels_first", (2, 1), "relu6", False, "he_uniform", None, "l2", name="n")
DepthwiseConv2D(3, 1, "valid", 1, None, 1, "softmax", True, "glorot_normal", "ones", "l1", "l2", "l1", "max_norm", "non_neg", name="n2")
built(DepthwiseConv2D(3, 2, dtype="mixed_float16", name="n3"), 4, 9, 8, 3)
DepthwiseConv1D(3, name="o")
DepthwiseConv1D([4], [3], "SAME", 3, dilation_rate=[2], activation="leaky_relu", trainable=False, name="p")
Activation("relu", name="q")
Activation("log_softmax", dtype="bfloat16", activity_regularizer="l2", name="r")
""".strip().splitlines()  # noqa: E501

MODELS = """
Sequential([Input((8, 9, 3), name="x"), SeparableConv2D(4, 3, name="a"), Activation("gelu", name="b"), DepthwiseConv2D(3, name="c")], name="net")
Sequential([Input((None, 3), name="x"), SeparableConv1D(4, 3, dtype="mixed_bfloat16", name="a"), DepthwiseConv1D(3, name="c")], name="net1")
Sequential([Input((8, 8, 2), batch_size=4, name="x"), DepthwiseConv2D(3, 2, "same", trainable=False, name="c")], name="net2")
Sequential([SeparableConv2D(4, 3, name="a"), DepthwiseConv2D(2, name="c")], name="unbuilt")
Sequential([Input((8, 8, 2), name="x"), SeparableConv2D(2, 3, name="a")], trainable=False, name="frozen")
""".strip().splitlines()  # noqa: E501

# Objects, whose serialized form is recorded.
OBJECTS = [
    *(
        f"initializers.{name}()"
        for name in "Zeros Ones GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal".split()
    ),
    *(
        f"initializers.{name}()"
        for name in "RandomNormal RandomUniform TruncatedNormal VarianceScaling Orthogonal Identity".split()
    ),
    "initializers.Constant(0.25)",
    "initializers.HeNormal(seed=3)",
    "initializers.RandomUniform(-0.5, 0.25, seed=4)",
    "initializers.TruncatedNormal(0.5, 0.25)",
    "initializers.VarianceScaling(scale=0.5, mode='fan_avg', distribution='untruncated_normal', seed=1)",
    "initializers.Orthogonal(gain=2.0, seed=5)",
    *(
        f"initializers.get({name!r})"
        for name in "zeros one normal uniform Ones he_normal HeNormal orthogonal lecun_uniform".split()
    ),
    "initializers.get({'class_name': 'Constant', 'config': {'value': 3.0}})",
    "regularizers.L1()",
    "regularizers.L1(0.5)",
    "regularizers.L2(0.25)",
    "regularizers.L1L2()",
    "regularizers.L1L2(l1=0.5, l2=0.25)",
    "regularizers.OrthogonalRegularizer()",
    "regularizers.OrthogonalRegularizer(0.5, mode='columns')",
    *(f"regularizers.get({name!r})" for name in "l1 l2 l1l2 L1 L2 L1L2".split()),
    "regularizers.get({'class_name': 'L2', 'config': {'l2': 0.5}})",
    "constraints.MaxNorm()",
    "constraints.MaxNorm(1.5, axis=[0, 1, 2])",
    "constraints.NonNeg()",
    "constraints.UnitNorm(axis=1)",
    "constraints.MinMaxNorm()",
    "constraints.MinMaxNorm(min_value=0.25, max_value=0.75, rate=0.5, axis=[0, 1])",
    *(f"constraints.get({name!r})" for name in "max_norm non_neg unit_norm min_max_norm MaxNorm NonNeg".split()),
    "constraints.get({'class_name': 'MaxNorm', 'config': {'max_value': 3, 'axis': 1}})",
]

# Functions of `x`, a float32 array of shape (rows, 6) with 0, both signs, and numbers large and small.
FUNCTIONS = [
    "activations.relu(x, negative_slope=0.25, max_value=2.0, threshold=0.5)",
    "activations.relu(x, max_value=0.5, threshold=1.0)",
    "activations.relu(x, negative_slope=0.25, max_value=1.0, threshold=3.0)",
    "activations.relu(x, max_value=3.0)",
    "activations.relu(x, threshold=1.0)",
    "activations.leaky_relu(x, negative_slope=0.3)",
    "activations.elu(x, alpha=0.5)",
    "activations.celu(x, alpha=0.5)",
    "activations.gelu(x, approximate=True)",
    "activations.hard_shrink(x, threshold=1.25)",
    "activations.soft_shrink(x, threshold=1.25)",
    "activations.squareplus(x, b=2)",
    "activations.threshold(x, 0.75, -1.0)",
    "activations.softmax(x, axis=0)",
    "activations.log_softmax(x, axis=0)",
    "activations.sparsemax(x, axis=0)",
    "activations.glu(x, axis=1)",
]

# What is computed from an array `x`: of shapes (3, 2, 4, 2), (5, 3) and (6,).
OF_WEIGHTS = [
    *(
        f"constraints.{c}(x)"
        for c in ("MaxNorm(0.5)", "NonNeg()", "UnitNorm()", "MinMaxNorm(0.25, 0.5)", "MinMaxNorm(0.1, 0.4, 0.25)")
    ),
    "constraints.MaxNorm(0.5, axis=list(range(x.ndim)))(x)",
    "constraints.UnitNorm(axis=x.ndim - 1)(x)",
    "constraints.MinMaxNorm(0.5, 1.5, 0.75, axis=list(range(x.ndim)))(x)",
    "regularizers.L1(0.25)(x)",
    "regularizers.L2(0.5)(x)",
    "regularizers.L1L2(0.25, 0.125)(x)",
    "regularizers.get('l2')(x)",
    "regularizers.get('l1')(x)",
    "regularizers.get('l1l2')(x)",
]

# Initializers that don't draw.
DETERMINISTIC = [
    "initializers.Zeros()((2, 3))",
    "initializers.Ones()((2, 3, 4))",
    "initializers.Constant(0.3)((3, 2))",
    "initializers.Identity()((3, 3))",
    "initializers.Identity(gain=2.5)((2, 4))",
]
# Those that draw: least, greatest, mean and deviation of what they give for `shape` are recorded.
DRAWING = [
    *(
        f"initializers.{name}(seed=1)(shape)"
        for name in "GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal".split()
    ),
    *(f"initializers.{name}(seed=1)(shape)" for name in "RandomNormal RandomUniform TruncatedNormal VarianceScaling".split()),
    "initializers.VarianceScaling(3.0, 'fan_out', 'untruncated_normal', seed=1)(shape)",
    "initializers.VarianceScaling(2.0, 'fan_avg', 'uniform', seed=1)(shape)",
    "initializers.Orthogonal(seed=1)(shape)",
    "initializers.Orthogonal(gain=3.0, seed=1)(shape)",
    "initializers.RandomNormal(2.0, 0.5, seed=1)(shape)",
    "initializers.RandomUniform(-1.0, 3.0, seed=1)(shape)",
    "initializers.TruncatedNormal(-1.0, 0.25, seed=1)(shape)",
]

# The shape of the output, for layers and inputs of every kind; where Keras refuses the shape, so do we.
SHAPES = (
    [
        f"{layer}(4, {kernel}, {strides}, {padding!r}, {form!r}, {dilation}).compute_output_shape({shape})"
        for layer, kernel, strides, dilation in (
            ("SeparableConv2D", 3, 1, 1),
            ("SeparableConv2D", (2, 5), (3, 2), (1, 2)),
            ("SeparableConv2D", (7, 1), (2, 4), (3, 5)),
        )
        for padding in ("valid", "same")
        for form, shapes in (
            (
                "channels_last",
                ((None, None, None, 3), (2, 9, 12, 3), (None, 19, None, 2), (0, 28, 7, 1), (1, 2, 2, 3), (1, 9, 9, None)),
            ),
            ("channels_first", ((None, 3, None, None), (2, 3, 9, 12), (None, 2, None, 21), (1, 3, 2, 2))),
        )
        for shape in shapes
    ]
    + [
        f"{layer}({kernel}, {strides}, {padding!r}, {multiplier}, {form!r}, {dilation}).compute_output_shape({shape})"
        for layer, kernel, strides, dilation, form, shapes in (
            ("DepthwiseConv2D", 3, 2, 1, "channels_last", ((None, None, None, 3), (2, 9, 12, 3), (1, 2, 2, 3))),
            ("DepthwiseConv2D", (4, 3), (2, 3), (2, 1), "channels_first", ((None, 3, None, 9), (2, 3, 9, 12), (1, 3, 2, 2))),
            ("DepthwiseConv1D", 4, 3, 2, "channels_last", ((None, None, 3), (2, 12, 3), (1, 6, 3), (1, 7, 3))),
            ("DepthwiseConv1D", 5, 2, 1, "channels_first", ((None, 3, None), (2, 3, 12), (1, 3, 4))),
        )
        for padding in ("valid", "same")
        for multiplier in (1, 3)
        for shape in shapes
    ]
    + [
        f"SeparableConv1D(4, {kernel}, {strides}, {padding!r}, dilation_rate={dilation}).compute_output_shape({shape})"
        for kernel, strides, dilation in ((1, 1, 1), (3, 2, 2), (6, 5, 3))
        for padding in ("valid", "same")
        for shape in ((None, None, 3), (2, 12, 3), (1, 5, 3), (0, 16, 3))
    ]
)

_SEP2, _SEP1, _DW2, _DW1 = "SeparableConv2D({})", "SeparableConv1D({})", "DepthwiseConv2D({})", "DepthwiseConv1D({})"
_BUILT = "built(SeparableConv2D(4, 3), 1, 8, 8, 3)"

# (expression, a word of our message): both refuse. An error at build counts, since a layer may be made before its inputs are known.
REFUSED = [
    *((f"SeparableConv2D({f}, 3)", "filters") for f in ("0", "-1", "'4'")),
    *((f"built(SeparableConv2D({f}, 3), 1, 8, 8, 3)", "filters") for f in ("None", "2.5", "(4,)", "nan")),
    *(
        (_SEP2.format(f"4, {k}"), "kernel_size")
        for k in ("0", "-1", "(3, 0)", "(3,)", "(3, 3, 3)", "None", "2.5", "'33'", "('3', '3')", "'3'")
    ),
    *((_SEP2.format(f"4, {k}"), "kernel_size") for k in ("(3, None)", "(3, 'a')", "[]", "nan", "(-3, 3)")),
    *((_SEP2.format(f"4, 3, {s}"), "strides") for s in ("0", "(1, 0)", "(1,)", "(1, 1, 1)", "None", "'11'", "(1, -2)", "2.5")),
    *(
        (_SEP2.format(f"4, 3, dilation_rate={d}"), "dilation_rate")
        for d in ("0", "(1, 0)", "(1,)", "(2, 2, 2)", "None", "'11'", "-1")
    ),
    *((_SEP2.format(f"4, 3, depth_multiplier={m}"), "depth_multiplier") for m in ("0", "-2", "'1'")),
    *((f"built(SeparableConv2D(4, 3, depth_multiplier={m}), 1, 8, 8, 3)", "depth_multiplier") for m in ("None", "1.5")),
    *((_SEP2.format(f"4, 3, padding={p}"), "padding") for p in ("'causal'", "'full'", "None", "1", "''", "b'same'")),
    ("built(SeparableConv2D(4, 3, padding=(1, 1)), 1, 8, 8, 3)", "padding"),
    *(
        (_SEP2.format(f"4, 3, data_format={f}"), "data_format")
        for f in ("'nhwc'", "'NCHW'", "1", "'channels'", "('channels_last',)")
    ),
    *(
        (_SEP2.format(f"4, 3, activation={a}"), "activation")
        for a in ("'Relu'", "'relu7'", "3", "'ReLU6'", "{'class_name': 'nope', 'config': {}}")
    ),
    ("called(SeparableConv2D(4, 3, activation='threshold'), 1, 8, 8, 3)", ""),
    *(
        (_SEP2.format(f"4, 3, {role}_{kind}={value}"), f"{role}_{kind}")
        for role in ("depthwise", "pointwise", "bias")
        for kind in ("initializer", "regularizer", "constraint")
        for value in ("'nope'", "3", "{'class_name': 'nope', 'config': {}}")
    ),
    ("SeparableConv2D(4, 3, activity_regularizer='nope')", "activity_regularizer"),
    ("built(SeparableConv2D(4, 3, depthwise_initializer=np.zeros((3, 3), 'float32')), 1, 8, 8, 3)", "shape"),
    ("built(SeparableConv2D(4, 3, depthwise_initializer='identity'), 1, 8, 8, 3)", ""),
    ("lossy(SeparableConv2D(4, 3, depthwise_regularizer='orthogonal_regularizer'), 1, 8, 8, 3)", ""),
    *((_SEP2.format(f"4, 3, trainable={t}"), "trainable") for t in ("1", "None", "'yes'")),
    *((_SEP2.format(f"4, 3, name={n}"), "name") for n in ("'a/b'", "3", "('a',)")),
    *((_SEP2.format(f"4, 3, dtype={d}"), "dtype") for d in ("'float31'", "'mixed_float32'", "'mixed'", "3.5")),
    *((_SEP2.format(f"4, 3, {word}=1"), word) for word in ("bogus", "groups", "kernel_initializer", "lora_rank")),
    ("SeparableConv2D(4)", "kernel_size"),
    ("SeparableConv2D()", "filters"),
    ("SeparableConv2D(4, 3, filters=4)", "filters"),
    *(
        (_SEP1.format(f"4, {a}"), "")
        for a in ("0", "(3, 3)", "3, 0", "3, (1, 1)", "3, 1, 'full'", "3, dilation_rate=(1, 1)", "3, depth_multiplier=0")
    ),
    *((_SEP1.format(f"{f}, 3"), "filters") for f in ("0", "-3")),
    *(
        (_DW2.format(a), "")
        for a in ("0", "(3, 3, 3)", "3, 0", "3, 1, 'causal'", "3, 1, 'valid', 0", "3, data_format='nchw'", "3, filters=2", "")
    ),
    *((_DW2.format(f"3, {word}=1"), word) for word in ("pointwise_initializer", "groups", "kernel_regularizer")),
    *(
        (_DW1.format(a), "")
        for a in ("0", "(3, 3)", "3, 0", "3, 1, 'causal'", "3, 1, 'valid', -1", "3, dilation_rate=0", "3, activation='nope'")
    ),
    ("Activation('nope')", "activation"),
    ("Activation()", "activation"),
    # Building and calling.
    *(
        (f"built(SeparableConv2D(4, 3), {shape})", "")
        for shape in ("1, 8, 3", "8, 3", "1, 1, 8, 8, 3", "1, 8, 8, None", "1, 2, 8, 3", "1, 8, 2, 3")
    ),
    *((f"built(SeparableConv1D(4, 3), {shape})", "") for shape in ("8, 3", "1, 8, 8, 3", "1, 8, None", "1, 2, 3")),
    *((f"built(DepthwiseConv2D(3), {shape})", "") for shape in ("1, 8, 3", "1, 8, 8, None", "1, 2, 8, 3")),
    ("built(SeparableConv2D(4, 3, dilation_rate=4), 1, 8, 9, 3)", ""),
    ("built(SeparableConv2D(4, 3, data_format='channels_first'), 1, 3, 2, 8)", ""),
    *((f"called({_BUILT}, {shape})", "") for shape in ("1, 8, 8, 4", "1, 8, 8", "1, 8, 8, 1", "1, 1, 8, 8, 3")),
    ("called(built(DepthwiseConv2D(3), 1, 8, 8, 3), 1, 8, 8, 2)", ""),
    ("called(built(SeparableConv1D(2, 3), 1, 8, 3), 1, 8, 2)", ""),
    *((f"called({_BUILT}, 1, 8, 8, 3, dtype={dtype!r})", "inputs") for dtype in ("bool", "complex64")),
    *((f"{_BUILT}({x})", "") for x in ("'text'", "None", "{}")),
    (f"{_BUILT}()", ""),
    # Weights.
    *((f"{_BUILT}.set_weights({w})", "weights") for w in ("[]", "[np.zeros((3, 3, 3, 1))]", "[np.zeros((3, 3, 3, 1))] * 3")),
    (f"{_BUILT}.set_weights([np.zeros((3, 3, 3, 2)), np.zeros((1, 1, 3, 4)), np.zeros(4)])", "weights"),
    (f"{_BUILT}.set_weights([np.zeros((3, 3, 3, 1)), np.zeros((1, 1, 3, 4)), np.zeros((4, 1))])", "weights"),
    ("SeparableConv2D(4, 3).set_weights([np.zeros(4)])", "weights"),
    ("SeparableConv2D(4, 3).count_params()", ""),
    (f"{_BUILT}.bias.assign(np.zeros(5))", "value"),
    (f"{_BUILT}.bias.assign(np.zeros((4, 1)))", "value"),
    # Configurations.
    ("from_config('SeparableConv2D', kernel_size=3)", "filters"),
    ("from_config('SeparableConv2D', filters=4, kernel_size=3, bogus=1)", "bogus"),
    ("from_config('DepthwiseConv2D', filters=4, kernel_size=3)", "filters"),
    ("from_config('SeparableConv2D', filters=4, kernel_size=3, activation={'class_name': 'nope', 'config': {}})", ""),
    # Objects.
    *(
        (f"regularizers.{r}", "")
        for r in ("L1(-1.0)", "L2(nan)", "L1L2(l1=-0.5)", "get('nope')", "get(3)", "OrthogonalRegularizer(mode='x')")
    ),
    *((f"constraints.get({c})", "") for c in ("'nope'", "3", "{'class_name': 'nope', 'config': {}}")),
    *((f"initializers.get({i})", "") for i in ("'nope'", "3", "{'class_name': 'nope', 'config': {}}")),
    *((f"initializers.VarianceScaling({a})", "") for a in ("scale=0.0", "scale=-1.0", "mode='fan'", "distribution='x'")),
    ("initializers.Orthogonal()((3,))", ""),
    ("initializers.Identity()((3,))", ""),
    *((f"activations.get({a})", "") for a in ("'nope'", "3", "'Relu'")),
]

# Keras refuses, or fails in the depths of its backend; here they work, for R's sake, tf_keras's, or because they make sense.
ALLOWED_HERE = [
    "SeparableConv1D(4, 3, padding='causal')",
    "SeparableConv2D(4, 3, depthwise_regularizer='l1_l2')",
    "SeparableConv2D(4, 3, depthwise_initializer='constant')",
    "SeparableConv2D(4, 3, weights=None)",
    "SeparableConv2D(4, 3, batch_input_shape=(None, 8, 8, 3))",
    "SeparableConv2D(4, 3, input_shape=(8, 8, 3), batch_size=2)",
    "built(SeparableConv2D(4.0, 3), 1, 8, 8, 3)",
    "SeparableConv2D(4, 3.0)",
    "SeparableConv2D(4, np.int64(3))",
    "built(SeparableConv2D(4, 3, depth_multiplier=1.0), 1, 8, 8, 3)",
    f"called({_BUILT}, 1, 8, 8, 3, dtype='uint8')",
    f"called({_BUILT}, 1, 8, 8, 3, dtype='int32')",
    f"{_BUILT}(np.ones((1, 8, 8, 3)).tolist())",
    "from_config('SeparableConv2D', filters=4, kernel_size=3, groups=1, kernel_regularizer=None)",
    "from_config('DepthwiseConv2D', kernel_size=3, groups=1)",
]

# Keras takes these, in silence; they are mistakes.
REFUSED_HERE = [
    ("SeparableConv2D(4, True)", "kernel_size"),
    ("SeparableConv2D(4, {3, 5})", "kernel_size"),
    ("SeparableConv2D(True, 3)", "filters"),
    ("SeparableConv2D(4, 3, dtype='int32')", "dtype"),
    (f"called({_BUILT}, 1, 2, 8, 3)", ""),
    (f"called({_BUILT}, 1, 8, 2, 3)", ""),
]

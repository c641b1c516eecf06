import copy
import pickle
import sys

import ml_dtypes
import numpy as np
import pytest

from sepconv import SeparableConv2D, _dtypes

POLICIES = {
    "float16": ("float16", "float16"),
    "bfloat16": ("bfloat16", "bfloat16"),
    "float32": ("float32", "float32"),
    "float64": ("float64", "float64"),
    "mixed_float16": ("float16", "float32"),
    "mixed_bfloat16": ("bfloat16", "float32"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_policies_and_their_dictionaries(name):
    policy = _dtypes.get(name)
    assert policy.name == name and (policy.compute_dtype, policy.variable_dtype) == POLICIES[name]
    written = _dtypes.serialize(policy)
    assert written == {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}
    assert list(written) == ["module", "class_name", "config", "registered_name"]
    assert _dtypes.get(written) == policy == eval(repr(policy), vars(_dtypes)) and hash(policy) == hash(_dtypes.get(name))
    assert _dtypes.get(policy) is policy and policy != name
    assert pickle.loads(pickle.dumps(policy)) == policy == copy.deepcopy(policy)


class Foreign:
    """A policy of Keras, as far as we look at it."""

    name = "mixed_float16"


@pytest.mark.parametrize(
    "value, name",
    [
        (None, "float32"),
        (np.float64, "float64"),
        (np.dtype("float16"), "float16"),
        (np.dtype(">f4"), "float32"),
        (ml_dtypes.bfloat16, "bfloat16"),
        (np.dtype(ml_dtypes.bfloat16), "bfloat16"),
        (Foreign(), "mixed_float16"),
        ({"class_name": "Policy", "config": {"name": "mixed_float16"}}, "mixed_float16"),
        ({"module": "keras", "class_name": "FloatDTypePolicy", "config": {"name": "bfloat16"}}, "bfloat16"),
    ],
)
def test_what_stands_for_a_policy(value, name):
    assert _dtypes.get(value).name == name


@pytest.mark.parametrize(
    "value",
    ["Float32", "float", "half", "int32", "bool", "complex64", "float31", "int8_from_float32", 3, float, int, np.int32, np.dtype("i4"), [],
     {}, {"class_name": "DTypePolicy"}, {"class_name": "DTypePolicy", "config": {"name": None}}, {"class_name": "A", "config": {"name": "float32"}}],
    ids=repr,
)  # fmt: skip
def test_others_are_refused_by_name(value):
    with pytest.raises(ValueError, match="`dtype`.*'mixed_bfloat16'.*Received"):
        _dtypes.get(value)
    with pytest.raises(ValueError, match="`dtype`"):
        SeparableConv2D(4, 3, dtype=value)


def test_a_policy_needs_a_name():
    for wrong in (None, "int8", 3, ["float32"]):
        with pytest.raises(ValueError, match="`dtype`"):
            _dtypes.DTypePolicy(wrong)


def test_numpy_dtypes():
    for name in ("float16", "float32", "float64"):
        assert _dtypes.as_numpy_dtype(name) == np.dtype(name)
    assert _dtypes.as_numpy_dtype("bfloat16") == ml_dtypes.bfloat16


def test_bfloat16_without_ml_dtypes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match=r'pip install "sepconv\[bfloat16\]"'):
        _dtypes.as_numpy_dtype("bfloat16")
    with pytest.raises(ImportError, match=r'pip install "sepconv\[bfloat16\]"'):
        SeparableConv2D(4, 3, dtype="mixed_bfloat16")


def test_what_functions_of_arrays_compute_in():
    for given, expected in [
        ("f2", "f2"),
        (">f8", "=f8"),
        ("f4", "f4"),
        ("i8", "f4"),
        ("u1", "f4"),
        (ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    ]:
        assert _dtypes.floating(np.dtype(given)) == np.dtype(expected)
    assert _dtypes.floating(np.dtype(">f8")).isnative


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_policies_pickle(protocol):
    policy = _dtypes.DTypePolicy("mixed_bfloat16")
    other = pickle.loads(pickle.dumps(policy, protocol))
    assert other == policy and other.compute_dtype == "bfloat16"

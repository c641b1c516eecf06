import numpy as np
import pytest

from sepconv import _arguments as a

NOT_INTEGERS = [True, np.True_, 2.5, float("nan"), float("inf"), "3", b"3", None, 3j, [3], {3}, object(), np.array([3])]


@pytest.mark.parametrize("value", [32, 32.0, np.int64(32), np.uint8(32), np.float32(32), np.array(32), np.array(32.0)])
def test_whole_numbers_become_int(value):
    assert a.integer(value, "filters") == 32 and type(a.integer(value, "filters")) is int


@pytest.mark.parametrize("value", [*NOT_INTEGERS, 0, -1, 2**63, 1e30])
def test_other_numbers_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"`filters`.*strictly positive integer.*Received: filters="):
        a.integer(value, "filters")


@pytest.mark.parametrize("value", [3, 3.0, (3, 3), [3, 3], [3.0, 3.0], np.array([3, 3]), np.array([3.0, 3.0]), (np.int64(3), 3.0)])
def test_pairs(value):
    assert a.integers(value, 2, "strides") == (3, 3)
    assert all(type(n) is int for n in a.integers(value, 2, "strides"))


@pytest.mark.parametrize(
    "value",
    [
        *NOT_INTEGERS[:-1],
        0,
        (1, 0),
        (1, -1),
        (1,),
        (1, 2, 3),
        "33",
        ("3", "3"),
        {3, 5},
        {3: 1, 5: 1},
        (True, True),
        (2.5, 2),
        (None, 1),
        [[1, 2]],
        [[1], [2]],
    ],
)
def test_other_pairs_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"`kernel_size`.*tuple of 2 integers.*Received: kernel_size="):
        a.integers(value, 2, "kernel_size")


def test_boolean_is_strict_and_switch_takes_0_and_1():
    assert a.boolean(True, "t") is True and a.boolean(np.False_, "t") is False
    for value in (1, 0, None, "yes"):
        with pytest.raises(ValueError, match="`t`.*boolean"):
            a.boolean(value, "t")
    assert a.switch(1, "use_bias") is True and a.switch(0.0, "use_bias") is False and a.switch(np.True_, "use_bias") is True
    for value in (2, None, "yes", np.ones(2)):
        with pytest.raises(ValueError, match="`use_bias`.*boolean"):
            a.switch(value, "use_bias")


def test_words_in_any_case():
    assert a.one_of("SAME", "padding", ("valid", "same")) == "same"
    for value in (None, 1, (1, 1), "causal", ""):
        with pytest.raises(ValueError, match="`padding`.*'valid', 'same'"):
            a.one_of(value, "padding", ("valid", "same"))
    assert a.data_format(None) == "channels_last" and a.data_format("Channels_First") == "channels_first"
    with pytest.raises(ValueError, match="`data_format`.*nhwc"):
        a.data_format("nhwc")


@pytest.mark.parametrize("value", ["", "a/b", 3, None, b"a"])
def test_names(value):
    assert a.layer_name("a b") == "a b"
    with pytest.raises(ValueError, match="`name`"):
        a.layer_name(value)


def test_shapes():
    assert a.shape([None, 28.0, np.int64(28), 3], "input_shape") == (None, 28, 28, 3)
    assert a.shape(np.array([1.0, 2.0]), "input_shape", 2) == (1, 2)
    for value in (3, "28", {28, 3}, (2.5, 3), (-1, 3), (True, 3), (2**63, 1)):
        with pytest.raises(ValueError, match="`input_shape`"):
            a.shape(value, "input_shape")
    with pytest.raises(ValueError, match="2 integers"):
        a.shape((1, 2, 3), "input_shape", 2)


def test_batch_shape_and_who_wins():
    assert a.batch_shape(None, None, None) is None
    assert a.batch_shape(None, None, 4) is None
    assert a.batch_shape((8, 3), None, None) == (None, 8, 3)
    assert a.batch_shape((8, 3), None, 4.0) == (4, 8, 3)
    assert a.batch_shape((8, 3), (2, 9, 3), 4) == (2, 9, 3)
    with pytest.raises(ValueError, match="`batch_size`"):
        a.batch_shape((8, 3), None, 2.5)


def test_what_is_too_large_is_told_the_limit():
    with pytest.raises(ValueError, match=f"`filters` argument .*at most {2**63 - 1}. Received: filters={2**63}"):
        a.integer(2**63, "filters")
    with pytest.raises(ValueError, match=f"`strides` argument .*at most {2**63 - 1}. Received"):
        a.integers((1, 2**70), 2, "strides")
    assert a.integer(2**63 - 1, "filters") == 2**63 - 1

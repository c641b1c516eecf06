import numpy as np
import pytest

from sepconv import _geometry as g


@pytest.mark.parametrize(
    "size, kernel, stride, dilation, expected",
    [
        (224, 3, 2, 1, (0, 1)),
        (28, 3, 1, 1, (1, 1)),
        (28, 4, 1, 1, (1, 2)),
        (7, 3, 2, 1, (1, 1)),
        (8, 5, 1, 3, (6, 6)),
        (1, 1, 5, 1, (0, 0)),
        (5, 2, 4, 1, (0, 1)),
    ],
)
def test_same_is_tensorflows_rule(size, kernel, stride, dilation, expected):
    assert g.pad_amounts(size, kernel, stride, dilation, "same") == expected
    assert g.output_size(size, kernel, stride, dilation, "same") == -(-size // stride)


def test_same_and_causal_give_ceil_for_every_small_problem():
    for size in range(12):
        for kernel in range(1, 6):
            for stride in range(1, 5):
                for dilation in range(1, 4):
                    for padding in ("same", "causal"):
                        assert g.output_size(size, kernel, stride, dilation, padding) == -(-size // stride)


def test_valid_counts_the_places_where_the_window_fits():
    for size in range(1, 12):
        for kernel in range(1, 5):
            for stride in range(1, 5):
                for dilation in range(1, 4):
                    places = len(np.arange(0, max(size - dilation * (kernel - 1), 0), stride))
                    assert max(g.output_size(size, kernel, stride, dilation, "valid"), 0) == places


def test_causal_and_explicit():
    assert g.pad_amounts(10, 3, 1, 2, "causal") == (4, 0)
    assert g.pad_amounts(10, 3, 1, 2, (2, 5)) == (2, 5)
    assert g.output_size(10, 3, 1, 1, (2, 5)) == 15


ARGUMENTS = {"filters": 8, "kernel": (3, 5), "strides": (2, 1), "dilation": (1, 2)}


def test_output_shape_keeps_none_and_layout():
    assert g.output_shape((None, 9, None, 3), padding="valid", data_format="channels_last", **ARGUMENTS) == (None, 4, None, 8)
    assert g.output_shape((2, None, 9, 9), padding="valid", data_format="channels_first", **ARGUMENTS) == (2, 8, 4, 1)
    assert g.output_shape((2, 9, 9, 3), padding=((1, 1), (0, 3)), data_format="channels_last", **ARGUMENTS) == (2, 5, 4, 8)


def test_too_small_inputs_are_refused_and_empty_ones_stay_empty():
    for shape in ((1, 2, 20, 3), (1, 20, 8, 3), (1, 0, 20, 3)):
        with pytest.raises(ValueError, match=r"too small.*zero or negative.*kernel_size=\(3, 5\)"):
            g.output_shape(shape, padding="valid", data_format="channels_last", **ARGUMENTS)
    assert g.output_shape((1, 0, 20, 3), padding="same", data_format="channels_last", **ARGUMENTS) == (1, 0, 20, 8)
    assert g.output_shape((0, 9, 9, 3), padding="valid", data_format="channels_last", **ARGUMENTS) == (0, 4, 1, 8)

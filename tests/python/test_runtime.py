import threading

import numpy as np
import pytest

import sepconv
from sepconv import _runtime


def test_keyword_then_context_then_environment(monkeypatch):
    monkeypatch.setattr(_runtime._core, "default_threads", lambda: 7)
    assert _runtime.threads() == 7
    with sepconv.options(num_threads=2):
        assert _runtime.threads() == 2 and _runtime.threads(5) == 5
        with sepconv.options(num_threads=3):
            assert _runtime.threads() == 3
            with sepconv.options():
                assert _runtime.threads() == 3
        assert _runtime.threads() == 2
    assert _runtime.threads() == 7


def test_the_context_ends_with_an_error_too():
    with pytest.raises(KeyError), sepconv.options(num_threads=3):
        raise KeyError
    assert _runtime.most_threads() is None


def test_the_context_is_of_one_thread():
    seen = []
    with sepconv.options(num_threads=3):
        thread = threading.Thread(target=lambda: seen.append(_runtime.most_threads()))
        thread.start()
        thread.join()
    assert seen == [None]


@pytest.mark.parametrize("value", [0, -1, 2.5, "2", True])
def test_bad_thread_counts(value):
    layer = sepconv.SeparableConv2D(2, 3)
    with pytest.raises(ValueError, match="`num_threads`"):
        layer(np.zeros((1, 4, 4, 1), np.float32), num_threads=value)
    with pytest.raises(ValueError, match="`num_threads`"), sepconv.options(num_threads=value):
        pass


def test_threads_do_not_change_results():
    layer = sepconv.SeparableConv2D(8, 3, padding="same")
    x = np.random.default_rng(0).standard_normal((2, 30, 31, 5)).astype(np.float32)
    y = layer(x, num_threads=1)
    for n in (2, 3, 8):
        assert np.array_equal(layer(x, num_threads=n), y)
        with sepconv.options(num_threads=n):
            assert np.array_equal(layer(x), y)


def test_show_config(capsys):
    config = sepconv.show_config("dicts")
    assert isinstance(config, dict) and config["version"] == sepconv.__version__
    assert capsys.readouterr().out == ""
    assert sepconv.show_config() is None
    printed = capsys.readouterr().out
    assert all(key in printed for key in config) and sepconv.__version__ in printed
    with pytest.raises(ValueError, match="`mode`"):
        sepconv.show_config("yaml")


def test_more_threads_than_32_bits_count_are_many():
    layer, x = sepconv.DepthwiseConv2D(1), np.ones((1, 2, 2, 1), np.float32)
    with sepconv.options(num_threads=2**40):
        assert np.array_equal(layer(x), layer(x, num_threads=2**62))

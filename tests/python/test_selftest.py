import sys
import time

import numpy as np
import pytest

from sepconv import _core, selftest


def test_it_passes_here_in_time(capsys):
    start = time.perf_counter()
    assert selftest.main() == 0
    assert time.perf_counter() - start < 60
    out = capsys.readouterr().out
    assert "selftest passed" in out and "FAILED" not in out
    for isa in _core.isas():
        for dtype in ("float32", "float64", "float16", "bfloat16"):
            assert f"{isa} {dtype} exact" in out and f"{isa} {dtype} activations" in out


def test_it_does_without_ml_dtypes(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.setattr(selftest, "_CASES", selftest._CASES[:2])
    assert selftest.main() == 0
    assert "bfloat16 not checked" in capsys.readouterr().out


def flawed(fault):
    """A core whose `run` spoils results by `fault(output)`."""

    class Plan:
        def __init__(self, *args, **kwargs):
            self._plan = _core.Plan(*args, **kwargs)
            self.pack, self.reference = self._plan.pack, self._plan.reference

        def run(self, pack, source, target):
            self._plan.run(pack, source, target)
            fault(target)

    class Core:
        isas, __version__ = staticmethod(_core.isas), _core.__version__

    Core.Plan = Plan
    return Core


def last_lane(y):
    y[0, -1, -1, -1] += y.dtype.type(1)


def lost_tail(y):
    y[..., -1:] = 0


def swapped(y):
    y[...] = y[:, ::-1, ::-1].copy()


def not_written(y):
    y[0, 0, 0, 0] = np.nan


@pytest.mark.parametrize("fault", [last_lane, lost_tail, swapped, not_written])
def test_a_planted_fault_is_found(monkeypatch, capsys, fault):
    monkeypatch.setattr(selftest, "_core", flawed(fault))
    assert selftest.main() == 1
    assert "FAILED" in capsys.readouterr().out


def test_one_bit_between_layouts_is_found(monkeypatch):
    def flip(y):
        if y.strides[-1] != y.itemsize and y.size > 1 and y.dtype == np.float32:
            y[0, -1, -1, -1] = np.nextafter(y[0, -1, -1, -1], np.float32(np.inf))

    monkeypatch.setattr(selftest, "_core", flawed(flip))
    tally = selftest.Tally()
    selftest._rounded(tally, _core.isas(), "float32")
    assert tally.failure is not None and "channels_first" in tally.failure


def test_an_activation_that_is_off_is_found(monkeypatch):
    def shift(y):
        y *= y.dtype.type(1.0001)

    monkeypatch.setattr(selftest, "_core", flawed(shift))
    tally = selftest.Tally()
    selftest._activations(tally, _core.isas()[0], "float32")
    assert tally.failure is not None


def test_the_cases_reach_what_they_are_for():
    cases = selftest._CASES
    assert {c.input_shape[3] % 8 for c in cases} >= {0, 1, 3, 7} and {c.multiplier for c in cases} >= {1, 2, 3, 4}
    assert any(max(c.strides) > 1 and max(c.dilation) > 1 for c in cases) and any(not isinstance(c.padding, str) for c in cases)
    for op, case in selftest._all_cases():
        x, weights = selftest._data(case, op, "float32", whole=True)
        y = selftest._run(case, op, "float32", "", "channels_last", x, weights)[1]
        assert y.size < 3 or (y != 0).mean() > 0.5, (op, case)

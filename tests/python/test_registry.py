import os
import sys

import numpy as np
import pytest

from sepconv import activations, constraints, initializers, regularizers
from sepconv._registry import Configured, Registry, axes, by_name, number

KINDS = {"activation": activations, "initializer": initializers, "regularizer": regularizers, "constraint": constraints}
NAMES = {"activation": "relu", "initializer": "HeNormal", "regularizer": "L2", "constraint": "MaxNorm"}


def mine(x):
    return x


class Mine(Configured):
    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, x, dtype=None):
        return x

    def get_config(self):
        return {"factor": self.factor}


class Bare:
    def __call__(self, x):
        return x


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


FUNCTION = {"module": "builtins", "class_name": "function", "config": "mine", "registered_name": "function"}


def test_functions_are_written_by_name_and_read_from_custom_objects(kind):
    module = KINDS[kind]
    assert module.serialize(module.get(mine)) == FUNCTION
    for config in (FUNCTION, {**FUNCTION, "config": "package>mine"}, "mine"):
        found = module.deserialize(config, custom_objects={"mine": mine})
        assert getattr(found, "function", found) is mine
        with pytest.raises(ValueError, match=rf"{kind} '(package>)?mine' is not known.*custom_objects.*Received"):
            module.deserialize(config)
    assert module.deserialize({**FUNCTION, "config": "package>mine"}, {"package>mine": mine, "mine": None}) is not None


def test_classes_are_written_by_name_and_read_from_custom_objects(kind):
    module = KINDS[kind]
    config = module.serialize(Mine(2.0))
    assert config == {"module": Mine.__module__, "class_name": "Mine", "config": {"factor": 2.0}, "registered_name": "Mine"}
    found = module.deserialize(config, {"Mine": Mine})
    found = getattr(found, "function", found)
    assert type(found) is Mine and found.factor == 2.0 and repr(found) == "Mine(factor=2.0)"
    for registered in ("package>Mine", None):
        found = module.deserialize({**config, "registered_name": registered}, {"package>Mine": Mine, "Mine": Mine})
        assert getattr(found, "function", found).factor == 2.0
    with pytest.raises(ValueError, match=f"{kind} 'Mine' is not known.*custom_objects=.'Mine'"):
        module.deserialize(config)
    assert module.deserialize({"class_name": "Bare"}, {"Bare": Bare}) is not None


def test_a_class_from_the_main_program_has_no_module(kind, monkeypatch):
    monkeypatch.setattr(Mine, "__module__", "__main__")
    assert KINDS[kind].serialize(Mine())["module"] is None


def test_custom_objects_come_first(kind):
    module, name = KINDS[kind], NAMES[kind]
    found = module.deserialize(name, {name: mine})
    assert getattr(found, "function", found) is mine
    assert module.deserialize(name, {}) is not mine and module.deserialize(name, None) is not mine
    with pytest.raises(TypeError, match="`custom_objects`"):
        module.deserialize(name, [mine])
    with pytest.raises(TypeError, match="`custom_objects`"):
        module.deserialize(name, {name: 3})


@pytest.mark.parametrize(
    "change",
    [{"class_name": "Unknown"}, {"class_name": "os.system"}, {"module": "os"}, {"module": "sepconv.layers"}, {"registered_name": "a>b"},
     {"config": "ls"}, {"config": [1]}, {"class_name": "__lambda__"}, {"class_name": "function"}, {"class_name": "function", "config": "os.system"}],
    ids=repr,
)  # fmt: skip
def test_what_is_not_known_is_refused_and_never_imported(kind, change):
    config = {"module": f"keras.{kind}s", "class_name": NAMES[kind], "config": {}, "registered_name": None, **change}
    before = set(sys.modules)
    with pytest.raises(ValueError, match=f"{kind} .*is not known.*Received"):
        KINDS[kind].deserialize(config)
    assert set(sys.modules) == before


def test_nothing_is_run(kind, tmp_path):
    path = tmp_path / "ran"
    for text in (f"__import__('os').mkdir({str(path)!r})", "os.system", "lambda: 0"):
        for config in (text, {"class_name": text}, {"class_name": "function", "config": text}, {"module": text, "class_name": "A"}):
            with pytest.raises(ValueError, match="is not known"):
                KINDS[kind].deserialize(config)
    assert not os.path.exists(path)


def test_names_of_keras_modules_are_ours(kind):
    name = NAMES[kind]
    if kind == "activation":
        assert activations.get({**FUNCTION, "config": name}) is activations.relu
        return
    for module in (None, f"keras.{kind}s", f"tf_keras.{kind}s", f"sepconv.{kind}s", "keras"):
        config = {"module": module, "class_name": name, "config": {}, "registered_name": None}
        assert type(KINDS[kind].get(config)).__name__ == name
    assert type(KINDS[kind].get({"class_name": name})).__name__ == name
    assert type(KINDS[kind].get({"class_name": name, "config": None, "registered_name": name})).__name__ == name


@pytest.mark.parametrize(
    "value", [3, 2.5, b"relu", [], (1,), True, {}, {"config": {}}, {"class_name": None}, {"class_name": 3}], ids=repr
)
def test_what_stands_for_nothing_is_refused(kind, value):
    article = "an" if kind[0] in "ai" else "a"
    with pytest.raises(TypeError, match=f"^{article} {kind} must be a name.*callable f.*Received"):
        KINDS[kind].get(value)
    with pytest.raises(TypeError, match=f"{kind} must be"):
        KINDS[kind].deserialize(value)


def test_names_have_keras_case(kind):
    for name in (NAMES[kind].upper() + "_", "", " relu", "Relu", "RELU", "maxnorm", "l1_L2", "henormal"):
        with pytest.raises(ValueError, match=f"{kind} {name!r} is not known. The names are"):
            KINDS[kind].get(name)


def test_a_class_stands_for_its_instance(kind):
    found = KINDS[kind].get(Mine)
    assert type(getattr(found, "function", found)) is Mine


def test_what_has_no_name_can_not_be_written(kind):
    for value in (lambda x: x, Bare(), np.tanh, Mine().get_config):
        with pytest.raises(ValueError, match=f"The {kind} .*|.*under the name of ours"):
            KINDS[kind].serialize(value)


def test_none_is_nothing(kind):
    assert KINDS[kind].serialize(None) is None
    if kind != "activation":
        assert KINDS[kind].get(None) is None is KINDS[kind].deserialize(None)


def test_wrong_options_are_pythons_own_error():
    with pytest.raises(TypeError, match="bogus"):
        regularizers.get({"class_name": "L2", "config": {"bogus": 1}})


def test_a_registry_of_its_own():
    registry = Registry("widget", by_name(Mine), "f()")
    assert set(registry.objects) == {"mine", "Mine"}
    assert registry.get("mine").factor == 1.0 and registry.serialize(Mine(3))["module"] == "keras.widgets"
    with pytest.raises(TypeError, match="a widget must be a name, .* callable f()"):
        registry.get(3)
    assert Configured().get_config() == {} and repr(Configured()) == "Configured()"
    assert type(Configured.from_config({})) is Configured


def test_names_in_snake_case():
    names = by_name(*(type(n, (), {}) for n in ("L1L2", "MinMaxNorm", "STFT", "HeNormal")))
    assert set(names) == {"l1l2", "L1L2", "min_max_norm", "MinMaxNorm", "stft", "STFT", "he_normal", "HeNormal"}


def test_numbers():
    for value, expected in ((2, int), (2.5, float), (np.float32(2), float), (np.int8(2), int), (np.array(2.0), float)):
        assert type(number(value, "n")) is expected
    for wrong in (None, "1", True, np.True_, 1j, float("nan"), float("inf"), [1], np.ones(1)):
        with pytest.raises(ValueError, match="`n`.*finite number. Received"):
            number(wrong, "n")
    with pytest.raises(ValueError, match="`n`.*at least 0"):
        number(-1e-9, "n", 0)


def test_axes():
    assert axes(1.0, "axis") == 1 and axes((0, np.int64(-1)), "axis") == [0, -1]
    for wrong in (None, 0.5, True, [], [None], "0", [[0]]):
        with pytest.raises(ValueError, match="`axis`"):
            axes(wrong, "axis")

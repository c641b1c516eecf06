"""Tests of what needs a package that nothing else does: without it their files aren't collected. Those of Keras run last."""

import importlib.util

_NEEDS = {
    "test_keras_live.py": ("keras", "jax"),
    "test_demo_train_torch.py": ("torch",),
    **dict.fromkeys([f"test_torch_{name}.py" for name in ("ops", "layers", "modes", "accelerate")], ("torch",)),
}
_LIVE = "test_keras_live.py"

collect_ignore = [name for name, needs in _NEEDS.items() if not all(map(importlib.util.find_spec, needs))]


def pytest_collection_modifyitems(items):
    # JAX starts threads, which tests that fork or that count threads must not find.
    items.sort(key=lambda item: item.path.name == _LIVE)

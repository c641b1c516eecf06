"""test_keras_live.py needs Keras, which nothing else does: without it the file isn't collected, with it it runs last."""

import importlib.util

_LIVE = "test_keras_live.py"

collect_ignore = [] if all(importlib.util.find_spec(name) for name in ("keras", "jax")) else [_LIVE]


def pytest_collection_modifyitems(items):
    # JAX starts threads, which tests that fork or that count threads must not find.
    items.sort(key=lambda item: item.path.name == _LIVE)

"""Tests of what needs a package that nothing else does: without it their files aren't collected. Those of Keras run last."""

import importlib.util
from pathlib import Path

import pytest
from keras_own import BACKEND, BACKENDS

_KERAS = ("keras", BACKENDS.get(BACKEND, BACKEND))
_NEEDS = {
    "test_keras_live.py": ("keras", "jax"),
    "test_demo_train_torch.py": ("torch",),
    **dict.fromkeys((path.name for path in Path(__file__).parent.glob("test_torch_*.py")), ("torch",)),
    **dict.fromkeys(("test_keras_layers.py", "test_keras_swap.py"), _KERAS),
    "test_keras_fuse.py": (*_KERAS, *(["a backend that fuses"] if BACKEND in ("jax", "tensorflow") else [])),
    "test_keras_training.py": (*_KERAS, *(["a backend that trains"] if BACKEND == "numpy" else [])),
}

collect_ignore = [name for name, needs in _NEEDS.items() if not all(map(importlib.util.find_spec, needs))]


def pytest_collection_modifyitems(items):
    # JAX starts threads, which tests that fork or that count threads must not find.
    items.sort(key=lambda item: item.path.name.startswith("test_keras_"))


@pytest.fixture
def one_thread():
    """PyTorch on one thread: the files of its tests ask for it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

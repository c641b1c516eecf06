"""What the child processes of test_processes.py run. A plain module, which a child can import by name."""

import os

import numpy as np

import sepconv

SHAPE = (2, 96, 96, 32)


def result(threads=4):
    layer = sepconv.SeparableConv2D(
        48, 3, padding="same", depthwise_initializer="ones", pointwise_initializer="ones", batch_input_shape=SHAPE
    )
    return float(layer(np.ones(SHAPE, np.float32), num_threads=threads).sum(dtype=np.float64))


EXPECTED = 2 * 48 * 32 * float(sum(a * b for a in [2] + [3] * 94 + [2] for b in [2] + [3] * 94 + [2]))


def send(queue):
    queue.put("imported")
    queue.put(result())


def nothing(_):
    """Makes a worker start and import this module."""


def threads_of_a_call():
    """How many threads a call uses: those that this process has afterwards beyond those before, and its own."""
    before = len(os.listdir("/proc/self/task"))
    layer = sepconv.SeparableConv2D(64, 3, padding="same")
    layer(np.ones((2, 160, 160, 64), np.float32))
    return len(os.listdir("/proc/self/task")) - before + 1

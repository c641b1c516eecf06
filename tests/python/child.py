"""What the child processes of test_processes.py run. A plain module, which a child can import by name."""

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
    queue.put(result())

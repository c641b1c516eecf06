"""A block of MobileNet in one call: depthwise, normalise, relu6, pointwise, normalise, relu6."""

import numpy as np

import sepconv

rng = np.random.default_rng(0)
channels, filters = 32, 64
depthwise = rng.standard_normal((3, 3, channels, 1), dtype=np.float32) / 3
pointwise = rng.standard_normal((1, 1, channels, filters), dtype=np.float32) / 6


def trained(n):
    """Stands for what a trained BatchNormalization layer holds: gamma, beta, moving mean, moving variance."""
    return rng.uniform(0.5, 2, n), rng.standard_normal(n), rng.standard_normal(n), rng.uniform(0.5, 2, n)


first, second = trained(channels), trained(filters)
x = rng.standard_normal((1, 56, 56, channels), dtype=np.float32)


def step_by_step(x):
    def normalise(y, gamma, beta, mean, variance):
        return gamma * (y - mean) / np.sqrt(variance + 1e-3) + beta

    y = np.clip(normalise(sepconv.ops.depthwise_conv(x, depthwise, padding="same"), *first), 0, 6)
    return np.clip(normalise(sepconv.ops.pointwise_conv(y.astype(np.float32), pointwise), *second), 0, 6)


folded_depthwise, depthwise_bias = sepconv.fold_batch_norm(depthwise, None, *first, epsilon=1e-3)
folded_pointwise, bias = sepconv.fold_batch_norm(pointwise, None, *second, epsilon=1e-3)
y = sepconv.ops.separable_conv(
    x,
    folded_depthwise,
    folded_pointwise,
    padding="same",
    bias=bias,
    activation="relu6",
    depthwise_bias=depthwise_bias,
    depthwise_activation="relu6",
)
print(f"{y.shape}, largest difference from the six steps: {np.abs(y - step_by_step(x)).max():.1e}")

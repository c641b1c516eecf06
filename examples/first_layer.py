"""A layer on a batch of images, with weights of its own and with weights that are given."""

import numpy as np

import sepconv

images = np.random.default_rng(0).random((4, 64, 64, 3), dtype=np.float32)

layer = sepconv.SeparableConv2D(16, 3, padding="same", activation="relu")
features = layer(images)
print(features.shape, features.dtype)
print(layer)
for variable in layer.weights:
    print(f"  {variable.name}: {variable.shape}")

# The same image, blurred: a depthwise kernel that averages, and a pointwise kernel that leaves the colours alone.
average = np.full((5, 5, 3, 1), 1 / 25)
colours = np.eye(3).reshape(1, 1, 3, 3)
blurred = sepconv.ops.separable_conv(images, average, colours, padding="same")
print(f"contrast before {images.std():.3f}, after {blurred.std():.3f}")

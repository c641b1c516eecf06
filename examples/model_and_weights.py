"""A small model: its table, its configuration, its weights on disk, and a copy that computes the same."""

import json

import numpy as np

import sepconv

model = sepconv.Sequential(
    [
        sepconv.Input((96, 96, 3)),
        sepconv.SeparableConv2D(16, 3, strides=2, padding="same", activation="relu"),
        sepconv.SeparableConv2D(32, 3, strides=2, padding="same", activation="relu"),
        sepconv.DepthwiseConv2D(5, padding="same"),
    ]
)
model.summary()

# The configuration is Keras's: keras.Sequential.from_config(config) makes the same model there.
config = json.dumps(model.get_config())
model.save_weights("model.npz")

twin = sepconv.Sequential.from_config(json.loads(config))
twin.load_weights("model.npz")
images = np.random.default_rng(0).random((10, 96, 96, 3), dtype=np.float32)
print("same bits:", np.array_equal(model.predict(images, batch_size=4), twin(images)))

import math
import os
import sys

import numpy as np
import pytest
from PIL import Image

from sepconv import _train_picture, demo, demo_train


@pytest.fixture(scope="module")
def digits():
    return demo_train.digits()


def test_the_digits_are_split_once_and_for_all(digits):
    learn, held = digits
    assert learn.images.shape == (1347, 8, 8, 1) and held.images.shape == (450, 8, 8, 1) and learn.images.dtype == np.float32
    assert learn.images.min() == 0 and learn.images.max() == 1 and min(np.bincount(held.labels, minlength=10)) >= 43
    again = demo_train.digits()
    assert all(np.array_equal(a, b) for part, same in zip(digits, again) for a, b in zip(part, same))
    seen = {image.tobytes() for image in learn.images}
    assert not [1 for image in held.images if image.tobytes() in seen]


def test_the_demo_learns_to_read(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo_train, "_torch", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert demo_train.main() == 0
    captured = capsys.readouterr()
    assert "30/30" in captured.err and "PyTorch" not in captured.out
    for text in ("1347 digits to learn from, 450 held out", "15570 weights", "one thread"):
        assert text in captured.out
    row = next(line for line in captured.out.splitlines() if line.startswith("sepconv  ")).split()
    assert float(row[-1].rstrip("%")) >= 97 and float(row[3]) < 0.1
    path = captured.out.rsplit("Picture: ", 1)[1].strip()
    assert path == os.path.join(os.getcwd(), "sepconv_train.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), float)
        assert image.format == "PNG" and image.width > 2.5 * image.height and pixels.std() > 20


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_learn_too(digits, seed, capsys):
    model = demo_train.network(seed)
    training = demo_train.fit(demo_train.Network(model), *digits, "seed", epochs=8, seed=seed)
    assert training.accuracies[-1] >= 0.93 and training.losses[-1] < 0.3 * training.losses[0]
    assert len(training.losses) == len(training.accuracies) == 8 and training.seconds > 0
    assert "8/8" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_a_pytorch_that_cannot_be_imported_is_left_out(monkeypatch, error):
    def fail(name):
        raise error(name)

    monkeypatch.setattr(demo_train.importlib, "import_module", fail)
    assert demo_train._torch() is None


def test_a_training_is_repeatable_and_sees_no_held_out_label(digits):
    learn, held = (demo_train.Digits(part.images[:96], part.labels[:96]) for part in digits)
    kept = []
    for labels in (held.labels, held.labels, (held.labels + 1) % 10):
        model = demo_train.network()
        demo_train.fit(demo_train.Network(model), learn, demo_train.Digits(held.images, labels), "", epochs=2)
        kept.append(model.get_weights())
    assert all(np.array_equal(a, b) for other in kept[1:] for a, b in zip(kept[0], other))


def test_an_epoch_has_every_digit_once_moved_by_a_pixel_at_most():
    images = np.zeros((70, 8, 8, 1), np.float32)
    images[:, 4, 4, 0] = np.arange(70) + 1
    rng, digits = np.random.default_rng(0), demo_train.Digits(images, np.arange(70))
    parts = list(demo_train.batches(digits, rng))
    assert [len(labels) for _, labels, _ in parts] == [32, 32, 6] and [p for *_, p in parts] == [0, 32 / 70, 64 / 70]
    assert sorted(np.concatenate([labels for _, labels, _ in parts])) == list(range(70))
    for moved, labels, _ in parts:
        assert moved.shape == (len(labels), 8, 8, 1) and np.array_equal(moved[:, 3:6, 3:6].max(axis=(1, 2, 3)), labels + 1)
    places = {tuple(np.argwhere(moved[0, ..., 0])[0]) for _ in range(20) for moved, *_ in demo_train.batches(digits, rng)}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_the_gradient_of_the_loss_is_that_of_its_differences():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(5, 10)), rng.integers(10, size=5)
    loss, gradient = demo_train.cross_entropy(scores, labels)
    assert math.isclose(loss, -np.mean([math.log(np.exp(s)[i] / np.exp(s).sum()) for s, i in zip(scores, labels)]))
    for place in [(0, 0), (3, labels[3]), (4, 9)]:
        step = np.zeros_like(scores)
        step[place] = 1e-6
        slope = (demo_train.cross_entropy(scores + step, labels)[0] - demo_train.cross_entropy(scores - step, labels)[0]) / 2e-6
        assert abs(slope - gradient[place]) < 1e-8
    assert np.isfinite(demo_train.cross_entropy(scores * 1e4, labels)[0])


def test_adam_takes_steps_of_the_rate_at_first(digits):
    model = demo_train.network()
    before, optimizer = model.get_weights(), demo_train.Adam(model.trainable_weights)
    gradients = [np.where(w > 0, 5.0, -0.01).astype("f") for w in before]
    for _ in range(2):  # the same gradient again: its mean and its square don't change
        optimizer.step(gradients, 0.1)
    for old, new, gradient in zip(before, model.get_weights(), gradients):
        assert np.abs(new - (old - 0.2 * np.sign(gradient))).max() < 1e-5


@pytest.mark.parametrize("right", [0.0, 0.5, 1.0])
def test_the_picture_shows_any_outcome(digits, tmp_path, right):
    _, held = digits
    seen = np.where(np.random.default_rng(0).random(len(held.labels)) < right, held.labels, (held.labels + 1) % 10)
    training = demo_train.Training([0.5], [right], 1.0)
    figure = _train_picture.draw(demo_train.network(), training, held, seen)
    demo.write(figure, str(tmp_path / "x.png"))
    texts = [text.get_text() for text in figure.texts]
    assert any("1 epoch in 1.0 s" in text for text in texts)
    assert any("misread: red" in text for text in texts) == (right < 1)
    reds = [t for axes in figure.axes for t in axes.texts if t.get_color() == _train_picture._WRONG]
    assert len(reds) == min(36, np.count_nonzero(seen != held.labels))


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo_train, "_run", lambda path: demo.write(_train_picture.canvas(1, 1), path + "/x"))
    assert demo_train.main(str(tmp_path / "out.png")) == 1
    assert capsys.readouterr().err.startswith("sepconv demo: `--output` can't be written: ")


@pytest.mark.parametrize("name, status", [("nowhere/x.png", 1), ("folder.png", 1), ("out.jpg", 2)])
def test_a_bad_path_is_named_before_anything_is_trained(tmp_path, monkeypatch, capsys, name, status):
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_train, "_run", None)
    assert demo_train.main(name) == status
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("sepconv demo: `--output` must ") and name in captured.err


@pytest.mark.parametrize("missing", ["sklearn", "matplotlib", "tqdm"])
def test_without_the_extra_it_says_how_to_get_it(monkeypatch, capsys, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert demo_train.main() == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == (
        'The demo needs scikit-learn, matplotlib and tqdm: pip install "sepconv[train]", '
        'or pip install ".[train]" where the source is.\n'
    )

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sepconv import _picture, demo


def run(tmp_path, *arguments):
    # No display, as on a server.
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")}
    return subprocess.run(
        [sys.executable, "-m", "sepconv", "demo", *arguments], cwd=tmp_path, env=env, capture_output=True, text=True
    )


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "small.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_it_draws_a_picture_and_tells_the_numbers(tmp_path, picture):
    done = run(tmp_path, "--image", str(picture))
    assert done.returncode == 0, done.stderr
    for text in ("GFLOP/s", "small.png, 48 x 40 pixels", "plain NumPy", "of peak", "Blur", "Edges", "Sharpen", "Network layer"):
        assert text in done.stdout
    path = done.stdout.rsplit("Picture: ", 1)[1].strip()
    assert path == str(tmp_path.resolve() / "sepconv_demo.png") and "4/4" in done.stderr
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), float)
        assert image.format == "PNG" and image.width > 3 * image.height / 2 and pixels.std() > 20


def test_the_photograph_comes_with_matplotlib():
    pixels, name = demo._load(None)
    assert name == "grace_hopper.jpg" and pixels.shape == (600, 512, 3) and pixels.dtype == np.float32
    assert pixels.min() >= 0 and 0.9 < pixels.max() <= 1


def test_every_step_agrees_with_float64():
    rng = np.random.default_rng(1)
    for step in demo.picture_steps():
        result = demo.measure(step, rng.random((20, 24, 3), np.float32))
        assert result.image.shape == (20, 24, 3) and result.difference < 1e-5 and result.image.std() > 0.01
        assert result.seconds > 0 and result.plain_seconds > 0 and result.flops > 0


def test_only_the_middle_is_shown_to_what_is_slow(monkeypatch, tmp_path, picture, capsys):
    monkeypatch.setattr(demo, "_COMPARED", 500)
    seen, plain = [], demo._apply_plain
    monkeypatch.setattr(demo, "_apply_plain", lambda step, values: seen.append(values.shape) or plain(step, values))
    image = np.random.default_rng(2).random((40, 50, 3), np.float32)
    for step in demo.picture_steps():
        result = demo.measure(step, image)
        border = sum(layer.kernel_size[0] - 1 for layer in step.layers)
        assert result.image.shape == image.shape and result.compared == (20, 25) and result.difference < 1e-5
        assert set(seen) == {(1, 20 + border, 25 + border, 3)} and seen.clear() is None
    assert demo._middle(30, 1000) == (slice(13, 16), slice(435, 564))
    assert demo.main(str(picture), str(tmp_path / "out.PNG")) == 0
    assert "saw the middle of the photograph, 24 x 20 pixels" in capsys.readouterr().out


def test_large_pictures_are_reduced_before_they_are_drawn():
    image = np.arange(4 * 1400 * 3, dtype=np.float64).reshape(4, 1400, 3)
    reduced = _picture._reduced(image)
    assert reduced.shape == (2, 700, 3) and np.array_equal(reduced[1, 0], image[2:, :2].mean(axis=(0, 1)))
    assert _picture._reduced(image[:, :1399]).shape == (4, 1399, 3) and _picture._reduced(image[:1]).shape == (1, 1400, 3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_sixteen_bits_keeps_its_shades(tmp_path, suffix):
    grey = np.linspace(0, 65535, 20 * 30).reshape(20, 30).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / f"grey.{suffix}")
    pixels, _ = demo._load(str(tmp_path / f"grey.{suffix}"))
    assert pixels.shape == (20, 30, 3) and pixels.dtype == np.float32
    assert np.abs(pixels - grey[..., None] / 65535).max() < 1e-6


@pytest.mark.parametrize("values", [np.full((20, 20), 0.5, np.float32), np.full((20, 20), 70000, np.int32)])
def test_other_deep_pictures_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "deep.tif")
    with pytest.raises(demo.DemoError, match="`--image`.*more than 16 bits"):
        demo._load(str(tmp_path / "deep.tif"))


def test_the_steps_do_what_the_eye_should_see():
    blur, edges, _ = demo.picture_steps()
    step = np.zeros((30, 30, 3), np.float32)
    step[:, 15:] = 1
    soft = demo.measure(blur, step).image
    assert np.abs(np.diff(soft, axis=1)).max() < 0.2 and soft[:, 0].max() < 1e-3 and soft[:, -1].min() > 0.999
    ink = demo.measure(edges, step).image
    assert ink[:, 14:16].max() < 0.2 and ink[:, :12].min() > 0.999 and ink[:, 18:].min() > 0.999
    assert demo.measure(edges, np.ones((30, 30, 3), np.float32)).image.min() > 0.999


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--image", "none.png"], "`--image` must be a picture that exists"),
        (["--image", "text.png"], "`--image` must be a picture that Pillow can read"),
        (["--image", "half.png"], "`--image` must be a picture that Pillow can read"),
        (["--image", "tiny.png"], "at least 16 x 16"),
        (["--image", "."], "`--image`"),
        (["--output", "nowhere/x.png"], "`--output`"),
        (["--output", "folder.png"], "`--output` must be a file"),
    ],
)
def test_bad_paths_are_named(tmp_path, picture, arguments, message):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "half.png").write_bytes(picture.read_bytes()[:2000])
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "tiny.png")
    done = run(tmp_path, *arguments)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["out.jpg", "out.pdf", "out", "png"])
def test_only_png_is_written(tmp_path, picture, name):
    done = run(tmp_path, "--image", str(picture), "--output", name)
    assert done.returncode == 2 and done.stdout == "" and not (tmp_path / name).exists()
    assert done.stderr == f"sepconv demo: `--output` must end in .png: that is what is written. Received: {name}\n"


@pytest.mark.parametrize("missing", ["matplotlib", "PIL", "tqdm"])
def test_without_the_extra_it_says_how_to_get_it(monkeypatch, capsys, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert demo.main() == 2
    captured = capsys.readouterr()
    assert 'pip install "sepconv[demo]"' in captured.err and captured.out == ""

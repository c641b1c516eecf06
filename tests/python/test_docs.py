import doctest
import importlib
import os
import pathlib
import pkgutil
import re
import runpy

import pytest

import sepconv

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = ["sepconv", *(m.name for m in pkgutil.walk_packages(sepconv.__path__, "sepconv.") if not m.name.endswith("._core"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))



@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0


NAMES = """ops.separable_conv ops.depthwise_conv ops.pointwise_conv fold_batch_norm Sequential Input options show_config SeparableConv2D
DepthwiseConv2D SeparableConv1D DepthwiseConv1D Variable layer_separable_conv_2d set_random_seed saving.save_weights""".split()


@pytest.mark.parametrize("name", NAMES)
def test_public_functions_have_an_example(name):
    importlib.import_module("sepconv.saving")
    thing = sepconv
    for part in name.split("."):
        thing = getattr(thing, part)
    assert ">>>" in thing.__doc__


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_readme_examples(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README.md, example {number}", "exec"), {})


def test_the_readme_has_what_a_newcomer_needs():
    assert BLOCKS and len(BLOCKS[0].strip().splitlines()) <= 12
    for text in ("pip install .", 'pip install ".[test]" && pytest', "python -m sepconv demo", "## Limits"):
        assert text in README
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_picture_is_small():
    picture = ROOT / "docs" / "demo.png"
    assert "docs/demo.png" in README and 10_000 < os.path.getsize(picture) < 400_000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_examples_run(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out

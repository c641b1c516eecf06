"""README, guide, docstrings and examples: everything that looks runnable runs, and every link leads somewhere."""

import doctest
import importlib
import importlib.util
import pkgutil
import re
import runpy

import pytest
from pages import PAGES, ROOT, blocks

import sepconv

# What parts of the package need and nothing else does; without it their examples aren't collected. Those of Keras, which makes threads and
# chooses its backend when it is imported, run in test_keras_swap.py.
ABSENT = [name for name in ("torch",) if not importlib.util.find_spec(name)] + ["keras"]


def modules(package):
    """The names of all modules of a package but those and the native one."""
    yield package.__name__
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.name.split(".")[1] not in (*ABSENT, "_core"):
            yield from modules(importlib.import_module(found.name)) if found.ispkg else (found.name,)


MODULES = list(modules(sepconv))
README = PAGES["README.md"]
BLOCKS = blocks(without=[f"import sepconv.{package}\n" for package in ABSENT])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0


NAMES = """ops.separable_conv ops.depthwise_conv ops.pointwise_conv fold_batch_norm Sequential Input options show_config SeparableConv2D
DepthwiseConv2D SeparableConv1D DepthwiseConv1D Variable layer_separable_conv_2d set_random_seed saving.save_weights
ops.separable_conv_vjp activations.vjp SeparableConv2D.vjp Sequential.vjp""".split()


@pytest.mark.parametrize("name", NAMES)
def test_public_functions_have_an_example(name):
    importlib.import_module("sepconv.saving")
    thing = sepconv
    for part in name.split("."):
        thing = getattr(thing, part)
    assert ">>>" in thing.__doc__


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples_of_the_pages(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, code = BLOCKS[number]
    exec(compile(code, f"{name}, example {number}", "exec"), {})


def test_every_page_has_examples():
    assert {name for name, _ in BLOCKS} == set(PAGES)


def test_no_python_hides_in_other_blocks():
    for name, text in PAGES.items():
        for language, code in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL):
            assert language in ("python", "sh") or not re.search(r"^(import|from) |\(.*\)", code, re.M), (name, code)


def test_the_readme_has_what_a_newcomer_needs():
    assert len(BLOCKS[0][1].strip().splitlines()) <= 12
    for text in ("pip install .", 'pip install ".[test]" && pytest', "python -m sepconv demo", "## Limits"):
        assert text in README


def pages():
    folders = [ROOT, *(ROOT / name for name in ("docs", "csrc", "third_party", "bench"))]
    return sorted(p for folder in folders for p in folder.glob("*.md"))


@pytest.mark.parametrize("path", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("name", ["docs/demo.png", "docs/demo_train.png"])
def test_the_pictures_are_small(name):
    assert name in README and 10_000 < (ROOT / name).stat().st_size < 400_000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_examples_run(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_every_dependency_is_explained():
    listed = (ROOT / "third_party" / "README.md").read_text(encoding="utf-8")
    wanted = re.findall(r'"([A-Za-z0-9_-]+)((?:[<>=]=?[0-9.]+,?)+)[";]', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert len(wanted) > 10
    for package, versions in wanted:
        assert f"| {package} | {versions} |" in listed, package
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").split()[:2] == ["Apache", "License"]

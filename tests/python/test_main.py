import os
import subprocess
import sys

import pytest

import sepconv
from sepconv import __main__ as command
from sepconv import _core, demo, demo_train, selftest


def test_without_a_command_it_prints_the_configuration(capsys):
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert sepconv.__version__ in out and all(key in out for key in sepconv.show_config("dicts"))


@pytest.mark.parametrize("arguments", [["selftest"], ["--selftest"]])
@pytest.mark.parametrize("status", [0, 1])
def test_selftest_gives_its_status(monkeypatch, arguments, status):
    monkeypatch.setattr(selftest, "main", lambda: status)
    assert command.main(arguments) == status


def test_demo_gets_its_paths(monkeypatch):
    monkeypatch.setattr(demo, "main", lambda image, output: (image, output))
    assert command.main(["demo"]) == (None, None)
    assert command.main(["demo", "--image", "a.jpg", "--output", "b.png"]) == ("a.jpg", "b.png")
    monkeypatch.setattr(demo_train, "main", lambda output: ("train", output))
    assert command.main(["demo", "train"]) == ("train", None)
    assert command.main(["demo", "train", "--output", "b.png"]) == ("train", "b.png")


WRONG = [
    ["nonsense"],
    ["--nonsense"],
    ["demo", "--size"],
    ["--selftest", "demo"],
    ["demo", "test"],
    ["demo", "train", "--image", "a.png"],
]


@pytest.mark.parametrize("arguments", WRONG)
def test_what_it_does_not_know_is_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2 and "usage: python -m sepconv" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["selftest"], ["--selftest"], ["demo"], ["demo", "train"]])
@pytest.mark.parametrize("isa", ["nonsense", "avx2 ", "neon" if "neon" not in _core.isas() else "avx2"])
def test_a_bad_instruction_set_is_one_line(tmp_path, arguments, isa):
    command = [sys.executable, "-m", "sepconv", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "SEPCONV_ISA": isa}, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("sepconv: `SEPCONV_ISA` ") and f'Received: "{isa}"' in done.stderr


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sepconv", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"sepconv {sepconv.__version__}\n"

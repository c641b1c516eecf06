"""The structure of the sources: who includes whom, what has a test, which flags exist, and where sizes may be multiplied."""

import ast
import importlib
import pathlib
import platform
import re
import shutil
import subprocess

import pytest

import sepconv

ROOT = pathlib.Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "sepconv"
CPP_TESTS = ROOT / "tests" / "cpp"
PYTHON_TESTS = ROOT / "tests" / "python"
BENCHES = ROOT / "bench" / "cpp"


def files(folder, *suffixes):
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes)


def name_of(path, folder):
    return path.relative_to(folder).as_posix()


# The C++ arrow. A room includes itself and what stands beside it here: whole rooms, or single headers.

PUBLIC = "sepconv/"
TYPES = "kernels/kernel_types.hpp"
ARROW = {
    "include/sepconv": (PUBLIC,),
    "bindings": (PUBLIC, "arrays.hpp", "fastcall.hpp", "module.hpp", "plan.hpp", "vjp.hpp", "workspace.hpp"),
    "src/api": ("op/", "pack/", "plan/", "runtime/", PUBLIC),
    "src/op": ("pack/", "plan/", "runtime/", TYPES, PUBLIC),
    "src/pack": ("plan/", "runtime/", TYPES, PUBLIC),
    "src/plan": ("runtime/", TYPES, PUBLIC),
    "src/runtime": ("plan/error.hpp", TYPES, PUBLIC),
    "src/kernels": ("simd/", "sepconv/sepconv.h"),
    "src/simd": (TYPES,),
}
# Kernels are compiled once an instruction set: an inline function of the standard library in two of them would be one in the program.
FREESTANDING = {"stddef.h", "stdint.h", "immintrin.h", "arm_neon.h"}


def includes(text):
    """The included files: (own ones in quotes, the system's in angle brackets)."""
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M), re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.M)


def wrong_includes(room, text):
    own, system = includes(text)
    itself = room.rsplit("/", 1)[-1] + "/"
    wrong = [name for name in own if not name.startswith((itself, *ARROW[room]))]
    if room in ("src/kernels", "src/simd"):
        wrong += [name for name in system if name not in FREESTANDING]
    return wrong


def test_every_room_is_in_the_arrow():
    rooms = {name_of(p.parent, CSRC) for p in files(CSRC, ".cpp", ".hpp", ".h")}
    assert rooms == set(ARROW)


@pytest.mark.parametrize("room", ARROW)
def test_nothing_includes_upward(room):
    found = {p.name: wrong_includes(room, p.read_text(encoding="utf-8")) for p in files(CSRC / room, ".cpp", ".hpp", ".h")}
    assert found and not {name: wrong for name, wrong in found.items() if wrong}


@pytest.mark.parametrize(
    "room, line",
    [
        ("src/kernels", '#include "op/task.hpp"'),
        ("src/kernels", "#include <algorithm>"),
        ("src/simd", '#include "kernels/move.hpp"'),
        ("src/plan", '#include "pack/pack.hpp"'),
        ("src/runtime", '#include "plan/plan.hpp"'),
        ("src/op", '#include "kernels/multiply.hpp"'),
        ("bindings", '#include "plan/plan.hpp"'),
        ("include/sepconv", '#  include "plan/plan.hpp"'),
    ],
)
def test_a_step_upward_is_seen(room, line):
    assert wrong_includes(room, f"#pragma once\n{line}\n")


# The Python arrow: floors, lowest first. A module imports from its own floor or lower, while it is imported itself.

FLOORS = [
    "_core _arguments _paths",
    "variables _geometry _dtypes _intake _random _progress",
    "activations initializers regularizers constraints _registry _finish _runtime _plain",
    "_plans _vjp batch_norm",
    "layers _calls",
    "ops",
    "models saving _summary",
    "__init__",
    "demo demo_train _picture _train_picture _train_torch selftest __main__ torch keras",
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
# Imports inside functions may go upward; these do, and each has its reason where it stands.
LATE = {("layers.base", "saving"), ("layers.r", "models")}


def imports(path, package=PACKAGE):
    """Modules of the package that `path` imports: (while it is imported, later, inside functions)."""
    module = name_of(path, package).removesuffix(".py").replace("/", ".")
    parents = module.split(".")[:-1]
    now, late = set(), set()

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and child.level:
                base = [*parents[: len(parents) + 1 - child.level], *(child.module or "").split(".")]
                names = (
                    [".".join(filter(None, base))]
                    if child.module
                    else [".".join([*filter(None, base), a.name]) for a in child.names]
                )
                (late if inside else now).update(n if _is_module(n, package) else "__init__" for n in names)
            walk(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    walk(ast.parse(path.read_text(encoding="utf-8")), False)
    return module.removesuffix(".__init__") if "." in module else module, now, late


def _is_module(name, package):
    path = package / name.replace(".", "/")
    return name == "_core" or path.is_dir() or path.with_suffix(".py").exists()


def floor(module):
    return FLOOR[module.split(".")[0]]


MODULES = files(PACKAGE, ".py")


def test_every_module_has_a_floor():
    assert {name_of(p, PACKAGE).split("/")[0].removesuffix(".py") for p in MODULES} | {"_core"} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: name_of(p, PACKAGE))
def test_nothing_imports_upward(path):
    module, now, late = imports(path)
    assert not {name for name in now if floor(name) > floor(module)}
    assert {(module, name) for name in late if floor(name) > floor(module)} <= LATE


def test_an_import_upward_is_seen(tmp_path):
    (tmp_path / "layers").mkdir()
    for name in ("models.py", "ops.py", "layers/r.py"):
        (tmp_path / name).write_text("")
    path = tmp_path / "layers" / "base.py"
    path.write_text("from .. import models\nfrom ..ops import f\nclass A:\n    def g(self):\n        from . import r\n")
    assert imports(path, tmp_path) == ("layers.base", {"models", "ops"}, {"layers.r"})


# Sizes of files, tests of sources.


def sources():
    folders = [CSRC, PACKAGE, CPP_TESTS, PYTHON_TESTS, ROOT / "tests", ROOT / "examples", ROOT / "bench"]
    return sorted({p for f in folders if f.exists() for p in files(f, ".cpp", ".hpp", ".h", ".c", ".py", ".pyi", ".cmake", ".sh")})


def test_files_are_short():
    lengths = {name_of(p, ROOT): len(p.read_text(encoding="utf-8").splitlines()) for p in sources()}
    assert len(lengths) > 100 and not {name: n for name, n in lengths.items() if n > 500}
    assert sorted(lengths.values())[len(lengths) // 2] <= 150


# The test of csrc/src/<room>/<name>.* is tests/cpp/test_<name>.cpp, and that of python/sepconv/[<package>/]<name>.py is
# tests/python/test_<name>.py, without leading underscores. Where a thought has several files, these say which test has it.
CPP_ELSEWHERE = {
    **dict.fromkeys(("gather", "gather_channels", "gather_pixels", "gather_outputs", "task"), "run"),
    **dict.fromkeys(
        ("table", "tiles", "set_double", "set_float", "set_pairs", "kernel_types"), "multiply"
    ),  # which goes through all rows
    **dict.fromkeys(("vjp_task", "vjp_weights", "vjp_group", "vjp_input"), "vjp"),
    "filter_blocks": "filter_channels",
    "error": "checked",
    "widen": "pack",
}
PYTHON_ELSEWHERE = {
    **{f"keras_{name}": "keras_layers" for name in ("without_jax", "host", "on_numpy", "on_torch", "on_jax", "on_tensorflow")},
    "activation": "activation_layer",
    "conv": "separable_conv",
    "names": "base",
    "paths": "import",
    **dict.fromkeys(("picture", "plain"), "demo"),
    **dict.fromkeys(("train_picture", "train_torch"), "demo_train"),
    **dict.fromkeys(("progress", "summary"), "models"),
    **dict.fromkeys(("files", "layout", "npz", "h5"), "saving"),
    "torch_activations": "torch_layers",
    "torch_kernels": "torch_ops",
}


# And the bench of a source is bench/cpp/bench_<name>.cpp. These have none, since nobody waits for them: the oracle, and what is asked
# once a process.
UNTIMED = {"reference", "reference_vjp", "cpu", "isa"}
BENCHED_WITH = {
    **CPP_ELSEWHERE,
    **dict.fromkeys(("error", "checked", "geometry", "planes", "schedule"), "plan"),
    "api": "run",
    "float_modes": "parallel",
}
ROOMS = ["kernels", "op", "plan", "pack", "runtime", "api", "simd"]


def cpp_names(room):
    return {p.stem for p in files(CSRC / "src" / room, ".cpp", ".hpp")}


# Packages whose modules have the names of others: their tests bear the package's name too.
FRAMEWORKS = {"torch", "keras"}


def python_names():
    names = {(p.stem if p.stem != "__init__" else p.parent.name).strip("_") for p in MODULES if p.parent.name not in FRAMEWORKS}
    framed = {f"{p.parent.name}_{p.stem.strip('_')}" for p in MODULES if p.parent.name in FRAMEWORKS and p.stem != "__init__"}
    return (names | framed) - {"sepconv", "layers"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_cpp_source_has_its_test(room):
    names = {"simd"} if room == "simd" else cpp_names(room)  # one test runs on each instruction set's vector
    assert names and not {n for n in names if not (CPP_TESTS / f"test_{CPP_ELSEWHERE.get(n, n)}.cpp").exists()}


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "simd"])  # vectors are timed within kernels
def test_every_cpp_source_has_its_bench(room):
    names = cpp_names(room) - UNTIMED
    assert names and not {n for n in names if not (BENCHES / f"bench_{BENCHED_WITH.get(n, n)}.cpp").exists()}


def test_every_bench_is_of_a_source():
    known = set().union(*map(cpp_names, ROOMS))
    benches = {p.stem.removeprefix("bench_") for p in BENCHES.glob("bench_*.cpp")}
    assert len(benches) > 8 and benches <= known


def test_every_module_has_its_test():
    assert not {n for n in python_names() if not (PYTHON_TESTS / f"test_{PYTHON_ELSEWHERE.get(n, n)}.py").exists()}


def test_nothing_is_said_to_be_elsewhere_that_has_a_place_of_its_own():
    known = set().union(*map(cpp_names, ROOMS))
    for names, folder, form in [
        (CPP_ELSEWHERE, CPP_TESTS, "test_{}.cpp"),
        (BENCHED_WITH, BENCHES, "bench_{}.cpp"),
        (dict.fromkeys(UNTIMED), BENCHES, "bench_{}.cpp"),
        (PYTHON_ELSEWHERE, PYTHON_TESTS, "test_{}.py"),
    ]:
        assert set(names) <= (python_names() if names is PYTHON_ELSEWHERE else known)
        assert not {n for n in names if (folder / form.format(n)).exists()}


def test_every_example_and_document_is_run():
    text = "".join((PYTHON_TESTS / name).read_text(encoding="utf-8") for name in ("test_docs.py", "pages.py"))
    assert all(word in text for word in ("README.md", "guide.md", "examples"))


def test_the_faults_of_tests_faults_fit_the_sources(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "faults")
    faults = importlib.import_module("faults").FAULTS
    assert len(faults) >= 20 and len({f.name for f in faults}) == len(faults)
    for fault in faults:
        assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1 and fault.new != fault.old, fault.name
        for test in fault.tests:
            assert (PYTHON_TESTS / test if test.endswith(".py") else CPP_TESTS / f"{test}.cpp").exists(), test


# Flags.


def test_machine_flags_stand_in_one_file():
    builds = [p for p in ROOT.rglob("CMakeLists.txt") if "build" not in p.parts] + files(CSRC, ".cmake")
    with_flags = {name_of(p, ROOT) for p in builds if re.search(r"(?<![\w-])-m[a-z]", code_of(p))}
    assert len(builds) >= 4 and with_flags == {"csrc/cmake/isa.cmake"}


def code_of(path):
    return "\n".join(line.split("#")[0] for line in path.read_text(encoding="utf-8").splitlines())


def test_no_flag_breaks_arithmetic_or_the_baseline():
    builds = [p for p in (ROOT / "CMakeLists.txt", ROOT / "pyproject.toml", ROOT / ".ci" / "run") if p.exists()] + files(
        CSRC, ".cmake"
    )
    for path in builds:
        assert not re.search(r"-ffast-math|-funsafe-math|-Ofast|-march=native|-mtune=native", code_of(path)), path
    assert "-ffp-contract=off" in code_of(ROOT / "CMakeLists.txt")
    for path in files(CSRC, ".cpp", ".hpp", ".h"):
        assert not re.search(
            r"pragma\s+GCC\s+(optimize|target)|__attribute__\(\((target|optimize)", path.read_text(encoding="utf-8")
        ), path


WIDE = re.compile(r"%[yz]mm\d")


def stray(listing):
    """Members of an archive that use wide registers and define nothing in the namespace of an instruction set that has them."""
    member, home, found = "", False, set()
    for line in listing.splitlines():
        if "file format" in line:
            member, home = line, False
        elif re.search(r" g .*(\davx|kernels_avx)(2|512|512_bf16)", line):
            home = True
        elif WIDE.search(line) and not home:
            found.add(member)
    return found


def test_wide_registers_are_used_in_their_own_kernels_only():
    library = next(pathlib.Path(sepconv.get_include()).parent.glob("lib*/libsepconv.a"), None)
    assert library is not None, "the static library is part of an installed package"
    objdump = shutil.which("objdump")
    assert objdump is not None, "objdump comes with every compiler that can build the package"
    text = subprocess.run([objdump, "-t", "-d", "--no-show-raw-insn", library], capture_output=True, text=True, check=True).stdout
    assert "sepconv" in text and (WIDE.search(text) or platform.machine() not in ("x86_64", "AMD64"))
    assert stray(text) == set()


def test_a_stray_wide_register_is_seen():
    head = "set_float.cpp.o:     file format elf64-x86-64"
    kernels = "0000000000000020 g     O .data.rel.ro.local\t00000000000007b0 .hidden _ZN7sepconv4avx211float32_setE"
    elsewhere = "0000000000000000         *UND*\t0000000000000000 _ZN7sepconv4avx25tableE"
    line = "  40:\tvaddps %ymm0,%ymm1,%ymm2"
    assert stray("\n".join([head, kernels, line])) == set()
    assert stray("\n".join([head, kernels, line, head, elsewhere, line])) == {head}


# One version; sizes.


def test_the_version_stands_once():
    header = CSRC / "include" / "sepconv" / "version.h"
    version = re.search(r'SEPCONV_VERSION "([0-9.]+)"', header.read_text(encoding="utf-8")).group(1)
    assert version == sepconv.__version__
    others = [ROOT / "CMakeLists.txt", ROOT / "pyproject.toml", *files(CSRC, ".cpp", ".hpp", ".h", ".in"), *MODULES]
    assert not [
        p for p in others if p != header and re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.])", p.read_text(encoding="utf-8"))
    ]


PRODUCT = re.compile(r"[\w)\]>] \* [\w(]")


def unchecked_products(room, text):
    """Lines that multiply integers without `checked_mul` and without a comment that says why the product `fits`.

    In op/ only products of bytes count: what else is multiplied there is an index into arrays whose spans make_geometry has checked.
    """
    found = []
    for line in text.splitlines():
        code, _, comment = line.partition("//")
        if "fits" in comment or not PRODUCT.search(code) or "double" in code:
            continue
        if room != "op" or re.search(r"size_t|sizeof|_size\b", code):
            found.append(line.strip())
    return found


@pytest.mark.parametrize("room", ["op", "plan", "pack"])
def test_sizes_are_multiplied_with_care(room):
    for path in files(CSRC / "src" / room, ".cpp", ".hpp"):
        assert not unchecked_products(room, path.read_text(encoding="utf-8")), path


def test_a_careless_product_is_seen():
    assert unchecked_products("plan", "s.size = rows * columns;") and unchecked_products("pack", "new T[a.b() * (c + 1)];")
    assert unchecked_products("op", "std::memset(p, 0, n * sizeof(T));") and not unchecked_products("op", "p + row * step")
    assert not unchecked_products("plan", "s.size = rows * columns;  // fits: below the image")

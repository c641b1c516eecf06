"""Processes and threads: fork, pools, thread limits, the interpreter's lock, and what thousands of layers leave behind."""

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from child import EXPECTED, SHAPE, result, send

import sepconv


def run(code, **environment):
    """Run `code` in a fresh interpreter and return what it printed."""
    source = str(Path(sepconv.__file__).parents[1])
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_calls_before_and_after_fork_fifty_times():
    layer = sepconv.SeparableConv2D(48, 3, padding="same", batch_input_shape=SHAPE)
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    y = layer(x, num_threads=4)
    for _ in range(50):
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(layer(x, num_threads=4), y) else 1)
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() - start > 5:
                os.kill(child, 9)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            time.sleep(0.001)
        assert status == 0
        assert np.array_equal(layer(x, num_threads=4), y)


@pytest.mark.parametrize("method", [m for m in ("fork", "forkserver", "spawn") if m in multiprocessing.get_all_start_methods()])
def test_multiprocessing(method):
    context = multiprocessing.get_context(method)
    for _ in range(5):
        assert result() == EXPECTED
        queue = context.Queue()
        process = context.Process(target=send, args=(queue,))
        process.start()
        assert queue.get(timeout=60) == "imported"  # of NumPy, too: not ours
        assert queue.get(timeout=5) == EXPECTED
        process.join(timeout=5)
        assert process.exitcode == 0


# In an interpreter of their own, since loky keeps its workers, and joblib a pool of threads.
LOKY = """
    import sys
    sys.path.insert(0, {tests!r})
    import child
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.backend import get_context
    assert child.result() == child.EXPECTED
    with ProcessPoolExecutor(2, context=get_context({method!r})) as pool:
        assert list(pool.map(child.nothing, range(4), timeout=60)) == [None] * 4
        for _ in range(3):
            assert list(pool.map(child.result, [1, 4, 4, 3], timeout=5)) == [child.EXPECTED] * 4
            assert child.result() == child.EXPECTED
    print("right")
"""


@pytest.mark.parametrize("method", ["loky", "spawn"])
def test_loky(method):
    assert run(LOKY.format(tests=str(Path(__file__).parent), method=method)) == "right"


JOBLIB = """
    import sys
    sys.path.insert(0, {tests!r})
    import child, joblib
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads={inner}):
        print(*joblib.Parallel()(joblib.delayed(child.threads_of_a_call)() for _ in range(4)))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
@pytest.mark.parametrize("inner", [1, 2])
def test_joblib_limits_are_kept(inner):
    counts = run(JOBLIB.format(tests=str(Path(__file__).parent), inner=inner)).split()
    # A worker's second call finds the threads of its first.
    assert len(counts) == 4 and 1 <= max(map(int, counts)) <= inner, counts


def test_joblib_threads_share_a_layer():
    layer = sepconv.SeparableConv2D(16, 3, padding="same")
    x = np.random.default_rng(3).standard_normal((8, 24, 24, 16)).astype(np.float32)
    parts = joblib.Parallel(n_jobs=4, backend="threading")(joblib.delayed(layer)(x[i : i + 1]) for i in range(8))
    assert np.array_equal(np.concatenate(parts), layer(x))


def test_sixteen_threads_a_thousand_calls_each():
    layer = sepconv.SeparableConv2D(16, 3, padding="same")
    x = np.random.default_rng(1).standard_normal((1, 8, 8, 16)).astype(np.float32)
    y = layer(x)
    wrong = []

    def work(n):
        for i in range(1000):
            out = np.empty_like(y) if i % 3 == 0 else None
            if not np.array_equal(layer(x, out, num_threads=1 + (n + i) % 3), y):
                wrong.append((n, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


COUNT_THREADS = """
    import os, threading, numpy as np, sepconv
    layer = sepconv.SeparableConv2D(64, 3, padding="same")
    x = np.ones((2, 160, 160, 64), np.float32)
    layer(x)
    before = len(os.listdir("/proc/self/task"))
    layer(x {argument})
    print(len(os.listdir("/proc/self/task")), before)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_thread_limits_are_kept():
    """NumPy's own pool is kept out of the count."""
    quiet = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    assert run(COUNT_THREADS.format(argument=""), OMP_NUM_THREADS="1", **quiet) == "1 1"
    assert run(COUNT_THREADS.format(argument=", num_threads=3"), OMP_NUM_THREADS="1", **quiet) in ("3 1", "1 1")
    with_options = COUNT_THREADS.replace("    layer(x)\n", "").format(argument="")
    assert (
        run(
            "import sepconv\nwith sepconv.options(num_threads=1):\n" + textwrap.indent(textwrap.dedent(with_options), "    "),
            **quiet,
        )
        == "1 1"
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_threadpoolctl_limits_are_kept():
    code = """
        import os, threadpoolctl, numpy as np, sepconv
        layer = sepconv.SeparableConv2D(64, 3, padding="same")
        with threadpoolctl.threadpool_limits(1):
            layer(np.ones((2, 160, 160, 64), np.float32))
        print(len(os.listdir("/proc/self/task")))
    """
    assert run(code, OPENBLAS_NUM_THREADS="1") == "1"


def test_other_threads_go_on_during_a_call():
    layer = sepconv.SeparableConv2D(128, 5, padding="same")
    x = np.ones((2, 200, 200, 128), np.float32)
    layer(x[:1])
    steps, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            steps[0] += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-3)
    thread = threading.Thread(target=count)
    thread.start()
    try:
        most = 0
        for _ in range(5):
            before = steps[0]
            layer(x, num_threads=1)
            most = max(most, steps[0] - before)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    # One switch of the lock at either end lets some steps through; a call of tens of milliseconds beside it lets many more.
    assert most > 10_000


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.isfile("/proc/self/statm"), reason="needs /proc")
def test_ten_thousand_layers_leave_nothing_behind():
    x = np.ones((1, 4, 4, 3), np.float32)

    def cycle(n):
        for _ in range(n):
            sepconv.DepthwiseConv2D(3, name="d", depthwise_initializer="ones")(x)

    cycle(2000)
    gc.collect()
    before = resident()
    cycle(10_000)
    gc.collect()
    assert resident() - before < 2**20


def test_reference_counts_are_stable():
    layer = sepconv.SeparableConv2D(4, 3, padding="same")
    x = np.ones((1, 8, 8, 3), np.float32)
    out = layer(x)
    counts = [sys.getrefcount(o) for o in (layer, x, out, x.dtype)]
    for _ in range(1000):
        layer(x)
        layer(x, out)
        with pytest.raises(ValueError):
            layer(x[..., :2])
    after = [sys.getrefcount(o) for o in (layer, x, out, x.dtype)]
    assert all(b - a < 20 for a, b in zip(counts, after))


def test_importing_warns_of_nothing_whatever_the_environment_says():
    for isa in ("", "nonsense", "avx512", "neon", "scalar"):
        assert run("import warnings; warnings.simplefilter('error'); import sepconv", SEPCONV_ISA=isa) == ""


def test_a_bad_instruction_set_is_an_error_at_the_first_plan():
    code = """
        import numpy as np, sepconv
        layer = sepconv.SeparableConv2D(2, 1, input_shape=(2, 2, 1))
        try:
            layer(np.ones((1, 2, 2, 1), np.float32))
        except ValueError as error:
            print("SEPCONV_ISA" in str(error) and "nonsense" in str(error))
    """
    assert run(code, SEPCONV_ISA="nonsense") == "True"

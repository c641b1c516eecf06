"""A peer's process, seen from outside: started, asked, and stopped while others are timed."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .registry import Row

_BENCH = Path(__file__).parents[1]


class Gone(Exception):
    """The process ended or gave no answer in time."""


class Worker:
    """Asks are answered in turn. Between them the process is stopped (SIGSTOP): threads that spin after a call disturb nobody."""

    def __init__(self, name: str, row: Row, threads: int, programs: Path | None) -> None:
        self.name, self.row, self.threads = name, row, threads
        count = str(threads)
        environment = {**os.environ, "OMP_NUM_THREADS": count, "NPROC": count, "PYTHONPATH": str(_BENCH), **row.environment}
        for unwanted in ("OPENBLAS_NUM_THREADS", "SEPCONV_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.pop(unwanted, None)
        environment["TF_CPP_MIN_LOG_LEVEL"] = "2"
        if row.native:
            command = [str((programs or Path()) / row.program), count]
        else:
            command = [sys.executable, "-m", "peers.worker", name, count]
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment, cwd=tempfile.gettempdir()
        )
        atexit.register(self.close)  # a stopped process would outlive us
        self._unread = b""
        self.hello = self._read(120)
        self.stop()

    def stop(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def ask(self, ask: str, timeout: float = 120, **question: Any) -> dict[str, Any]:
        """The answer to a question; silence or a dead process raises Gone."""
        if self._process.poll() is not None:
            raise Gone(f"ended: {self._last_words()}")
        os.kill(self._process.pid, signal.SIGCONT)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"ask": ask, **question}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Gone(f"ended: {self._last_words()}") from None
        answer = self._read(timeout)
        self.stop()
        return answer

    def _read(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            if not select.select([pipe], [], [], timeout)[0]:
                self.close()
                raise Gone(f"no answer within {timeout:.0f} s")
            more = os.read(pipe, 1 << 20)
            if not more:
                self.close()
                raise Gone(f"ended: {self._last_words()}")
            self._unread += more
        line, self._unread = self._unread.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "without a word"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

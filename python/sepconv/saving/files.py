"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success it takes the place of `path`, on failure it is removed.

    The file is on the disk before its name is (fsync, then rename), so a crash leaves the old file or the new one. A symbolic
    link stays: the file that it points to is replaced.
    """
    target = os.path.realpath(path)
    temporary = f"{target}.{secrets.token_hex(8)}.tmp"
    # os.open rather than tempfile: the mode is then what open() would give (0666 less the umask), not 0600.
    binary = getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | binary, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None  # the path that the caller knows
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(os.path.dirname(target))


def _sync_directory(directory: str) -> None:
    """Make the new name durable where the system can (Windows can't open a directory)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Advisory locks on files (``flock``), between processes of one host. The kernel drops them when their holder ends.

The lock's file stays when it is released: a process that deleted it could leave two others with locks on two files of
one name. Raises OSError; what that means is for the caller to say.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock(path: Path) -> int:
    """A descriptor of the lock's file, made 0600 if it is missing; a symbolic link is refused. Close it to release.

    Where root makes the file (an administrator's command), it gets the owner of its directory: the service's account
    has to be able to open it later. A file with a second hard link is left alone: it could be any file of root's.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            found, directory = os.fstat(descriptor), path.parent.stat()
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                os.fchown(descriptor, directory.st_uid, directory.st_gid)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def take(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock without waiting, for oneself or ``shared``; False where another descriptor has it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock alone; blocks the thread until it is free. For work of milliseconds, or in a thread."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

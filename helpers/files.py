"""Files that are written whole or not at all, and by one process at a time."""

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from helpers.errors import FileError, InUseError

HOME = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, for a new content; the file that is written there takes `path`'s place.

    Where an error ends the block, an older file stays as it was, and nothing is left behind.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def hold(path: Path, seconds: float = 0) -> Iterator[None]:
    """Keep a file or folder for this process until the block ends; the lock goes with the process, however it ends.

    Args:
        path: what is to be read and written undisturbed. Beside it, two small hidden files say who has it.
        seconds: to wait for another process; -1 for as long as it takes.

    Raises:
        InUseError: another process has it.
        FileError: none can have it, as nothing can be written there.
    """
    holder = path.with_name(f".{path.name}.holder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire(timeout=seconds)
        who = f"process {os.getpid()} on {platform.node()}, since {time.strftime('%d %B, %H:%M')}"
        with replace_file(holder) as temporary:
            temporary.write_text(who, encoding="utf-8")
    except filelock.Timeout as error:
        who = holder.read_text(encoding="utf-8", errors="replace") if holder.is_file() else "another process"
        raise InUseError(path, f"is in use by {who}", "Wait until that has ended, or stop it") from error
    except (OSError, NotImplementedError) as error:
        raise FileError(path, f"cannot be written ({error})", "Name another folder, or allow writing there") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink()
        lock.release()

"""Texts that are written whole or not at all."""

import hashlib
from pathlib import Path

from helpers.checkpoints import PUBLISHED
from helpers.files import replace_file


def replace_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        OSError: it cannot be written; an older file of that name stays as it was.
    """
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def publish_hashes(folder: Path) -> None:
    """Write the list of a folder's checkpoints and their SHA-256, as `sha256sum --check` and the course read it."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.pt"))}
    replace_text(folder / PUBLISHED, "".join(f"{digest}  {name}\n" for name, digest in digests.items()))

"""Texts that are written whole or not at all."""

from pathlib import Path

from helpers.files import replace_file


def replace_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        OSError: it cannot be written; an older file of that name stays as it was.
    """
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

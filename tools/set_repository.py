"""Point the course at another repository: badges, bootstrap cells, README and pyproject.toml in one go.

python -m tools.set_repository owner/name
"""

import re
import sys
from pathlib import Path

import nbformat

from tools.notebook_rules import ROOT, find_notebooks, read_notebook
from tools.stamps import make_stamp

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/(?!\.+$)[A-Za-z0-9._-]+")


def read_repository(root: Path = ROOT) -> str:
    """`owner/name` as pyproject.toml, its one home, has it."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r'^Repository = "https://github\.com/(.+)"$', text, re.MULTILINE)[1]


def set_repository(name: str, root: Path = ROOT) -> list[Path]:
    """Replace the repository's name wherever it stands; returns the files that changed.

    Raises:
        ValueError: not of the form owner/name.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"need owner/name, got {name!r}")
    address = re.compile(
        rf"(github\.com/|colab\.research\.google\.com/github/){re.escape(read_repository(root))}(?![\w.-])"
    )
    changed = []
    for path in [
        *(root / name for name in ("README.md", "README_zh.md", "CITATION.cff", "pyproject.toml")),
        *find_notebooks(root / "notebooks"),
    ]:
        text = path.read_text(encoding="utf-8")
        replaced = address.sub(rf"\g<1>{name}", text)
        if replaced != text:
            path.write_text(replaced, encoding="utf-8")
            changed.append(path)
            restamp(path, text)
    return changed


def restamp(path: Path, before: str) -> None:
    """Keep fresh outputs fresh: the address is part of a code cell, but no output depends on it."""
    if path.suffix != ".ipynb":
        return
    old, new = nbformat.reads(before, as_version=4), read_notebook(path)
    if old.metadata.get("course") == make_stamp(old):
        new.metadata["course"] = make_stamp(new)
        nbformat.write(new, path)


def main() -> int:
    """Returns the exit status."""
    if len(sys.argv) != 2:
        print("usage: python -m tools.set_repository owner/name (or: make repository REPO=owner/name)", file=sys.stderr)
        return 2
    try:
        changed = set_repository(sys.argv[1])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(changed)} files now point at {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

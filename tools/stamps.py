"""A stamp in each notebook that says which code its stored outputs came from."""

import ast
import functools
import hashlib
import io
import tokenize
from pathlib import Path

from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("helpers", "lab")


def make_stamp(notebook: NotebookNode, root: Path = ROOT) -> dict[str, str]:
    """Hashes of a notebook's code cells and of the modules that they use, comments and docstrings left out."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    modules = [path.read_text(encoding="utf-8") for path in list_used_files(cells, root)]
    return {"cells": _digest(map(strip_comments, cells)), "modules": _digest(map(strip_comments, modules))}


def list_used_files(cells: list[str], root: Path) -> list[Path]:
    """The files of `helpers` and `lab` that code cells import, directly or through others, sorted."""
    waiting, used = set().union(*(list_imports(cell, root) for cell in cells)), set()
    while waiting:
        path = waiting.pop()
        used.add(path)
        waiting |= list_imports(path.read_text(encoding="utf-8"), root) - used
    return sorted(used)


def list_imports(source: str, root: Path) -> set[Path]:
    """The files right behind a piece of code's imports; with a module also the packages that it lies in."""
    parts = [name.split(".") for name in _list_names(source) if name.split(".")[0] in PACKAGES]
    stems = {root.joinpath(*name[:length]) for name in parts for length in range(1, len(name) + 1)}
    files = {file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py")}
    return {file for file in files if file.is_file()}


@functools.cache
def _list_names(source: str) -> frozenset[str]:
    """What a piece of code imports, by full name."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@functools.cache
def strip_comments(source: str) -> str:
    """Python code without comments, docstrings and blank lines; the same on every version of Python."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            for number in range(docstring.lineno - 1, docstring.end_lineno):
                lines[number] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and lines[token.start[0] - 1]:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _digest(parts) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

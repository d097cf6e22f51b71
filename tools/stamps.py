"""A stamp in each notebook that says which code its stored outputs came from."""

import ast
import hashlib
import io
import tokenize
from pathlib import Path

from nbformat import NotebookNode

HELPERS = Path(__file__).resolve().parents[1] / "helpers"


def make_stamp(notebook: NotebookNode, helpers: Path = HELPERS) -> dict[str, str]:
    """Hashes of a notebook's code cells and of the helpers that they use, comments and docstrings left out."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    modules = [path.read_text(encoding="utf-8") for path in list_used_files(cells, helpers)]
    return {"cells": _digest(map(strip_comments, cells)), "helpers": _digest(map(strip_comments, modules))}


def list_used_files(cells: list[str], helpers: Path) -> list[Path]:
    """The files of every helper module that code cells import, directly or through other helpers."""
    waiting, used = set().union(*map(list_imports, cells)), {}
    while waiting:
        module = waiting.pop()
        used[module] = sorted((helpers / module).rglob("*.py")) or [helpers / f"{module}.py"]
        for path in used[module]:
            waiting |= list_imports(path.read_text(encoding="utf-8")) - used.keys()
    return [path for module in sorted(used) for path in used[module]]


def list_imports(source: str) -> set[str]:
    """The modules right below `helpers` that a piece of code imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("helpers.")}


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

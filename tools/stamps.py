"""A stamp in each notebook that says which code its stored outputs came from."""

import ast
import hashlib
import io
import tokenize
from pathlib import Path

from nbformat import NotebookNode

HELPERS = Path(__file__).resolve().parents[1] / "helpers"


def make_stamp(notebook: NotebookNode, helpers: Path = HELPERS) -> dict[str, str]:
    """Hashes of the notebook's code cells and of the helpers' code, comments and docstrings left out."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    modules = [strip_comments(path.read_text(encoding="utf-8")) for path in sorted(helpers.rglob("*.py"))]
    return {"cells": _digest(map(strip_comments, cells)), "helpers": _digest(modules)}


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

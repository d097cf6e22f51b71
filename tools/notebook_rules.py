"""The rules that every notebook of the course keeps, each as a small check that yields what breaks it."""

import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.stamps import make_stamp

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
LONGEST_CELL, LONGEST_MEDIAN, LONGEST_LINE = 20, 6, 120
MOST_WORDS, MOST_BYTES = 2_500, 1_000_000
MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(")
HTML_IMAGE = re.compile(r"<img\b[^>]*>")
PRIVATE_PATH = re.compile(r"/(?:home|root|Users|work|tmp)/\w|[A-Z]:\\\\")


def find_notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """The course's notebooks in order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def read_notebook(path: Path) -> NotebookNode:
    """A notebook in the current format."""
    return nbformat.read(path, as_version=4)


def find_violations(path: Path) -> list[str]:
    """Every broken rule of a notebook file, in words."""
    notebook = read_notebook(path)
    checks = (check_outputs, check_stamp, check_metadata, check_cells, check_prose, check_tags)
    found = [message for check in checks for message in check(notebook)]
    if path.stat().st_size > MOST_BYTES:
        found.append(f"{path.stat().st_size:,} bytes are more than {MOST_BYTES:,}")
    return found


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Cells with code in them."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def prose(notebook: NotebookNode) -> str:
    """All markdown cells as one text."""
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def check_outputs(notebook: NotebookNode) -> Iterator[str]:
    """One fresh run from top to bottom, without errors, warnings or paths of the machine it ran on."""
    cells = code_cells(notebook)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        yield "not run from top to bottom: code cells are not numbered 1..N (run `make outputs`)"
    for number, cell in enumerate(cells, 1):
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                yield f"cell {number} stores an error: {output.ename}"
            if output.get("name") == "stderr":
                yield f"cell {number} stores text on stderr"
            if PRIVATE_PATH.search(output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))):
                yield f"cell {number} stores a path of the machine it ran on"


def check_stamp(notebook: NotebookNode) -> Iterator[str]:
    """Stored outputs come from the code as it is now."""
    stored, current = notebook.metadata.get("course", {}), make_stamp(notebook)
    for part in ("cells", "modules"):
        if stored.get(part) != current[part]:
            yield f"outputs are stale: the {part} changed since they were stored (run `make outputs`)"


def check_metadata(notebook: NotebookNode) -> Iterator[str]:
    """Nothing in the metadata that breaks a viewer or differs between machines."""
    if "widgets" in notebook.metadata:
        yield "widget state is stored: some viewers refuse the page"
    if "version" in notebook.metadata.get("language_info", {}):
        yield "the version of Python is stored: it changes from machine to machine"


def check_cells(notebook: NotebookNode) -> Iterator[str]:
    """Short cells."""
    lengths = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code_cells(notebook)]
    for number, length in enumerate(lengths, 1):
        if length > LONGEST_CELL:
            yield f"cell {number} has {length} lines, more than {LONGEST_CELL}"
    if statistics.median(lengths) > LONGEST_MEDIAN:
        yield f"the median cell has {statistics.median(lengths)} lines, more than {LONGEST_MEDIAN}"


def check_prose(notebook: NotebookNode) -> Iterator[str]:
    """Not too many words, and words for every image."""
    text = prose(notebook)
    words = len(re.sub(r"<[^>]+>", " ", text).split())
    if words > MOST_WORDS:
        yield f"{words} words of prose, more than {MOST_WORDS}"
    if any(not alt.strip() for alt in MARKDOWN_IMAGE.findall(text)) or any(
        not re.search(r'alt="[^"]+"', image) for image in HTML_IMAGE.findall(text)
    ):
        yield "an image has no alternative text"


def check_tags(notebook: NotebookNode) -> Iterator[str]:
    """A result that is not compared must be asserted by the next code cells; one headline for the summary."""
    cells = code_cells(notebook)
    if sum("headline" in tags(cell) for cell in cells) != 1:
        yield "there must be exactly one cell tagged headline"
    for number, cell in enumerate(cells, 1):
        if "measured" in tags(cell):
            if "nbval-ignore-output" not in tags(cell):
                yield f"cell {number} is tagged measured but compared literally"
            if not any("assert " in later.source for later in cells[number - 1 : number + 4]):
                yield f"cell {number} measures something that no assert checks"

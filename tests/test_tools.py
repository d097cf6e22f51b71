"""The maintainers' tools: stamps and the executor."""

import json

import nbformat
import pytest
import torch

from helpers.data import Mnist, Split
from tools import execute_notebooks
from tools.copy_notebooks import copy_notebooks
from tools.notebook_rules import NOTEBOOKS, ROOT, read_notebook
from tools.stamps import list_imports, list_used_files, make_stamp, strip_comments

SOURCE = '''"""A module."""

import os  # for the path


def name(path):
    """Doc.

    More # than one line.
    """
    text = "# not a comment"
    return os.fspath(path) + text  # the end
'''


def test_stamp_ignores_comments_docstrings_and_blank_lines_only():
    stripped = strip_comments(SOURCE)
    assert stripped.splitlines() == [
        "import os",
        "def name(path):",
        '    text = "# not a comment"',
        "    return os.fspath(path) + text",
    ]
    assert strip_comments(SOURCE.replace("the end", "another end").replace("A module", "The module")) == stripped
    assert strip_comments(SOURCE.replace("+ text", "+ 2 * text")) != stripped


@pytest.fixture
def packages(tmp_path):
    """Two packages: `lab` imports `helpers`."""
    files = {
        "helpers/__init__.py": "",
        "helpers/a.py": "from helpers.b import x\n",
        "helpers/b/__init__.py": "from helpers.b.c import x\n",
        "helpers/b/c.py": "x = 1\n",
        "helpers/d.py": "y = 1\n",
        "lab/__init__.py": "import lab.f\n",
        "lab/e.py": "from helpers import d\n",
        "lab/f.py": "z = 1\n",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def stamp(source, root):
    return make_stamp(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), root)


def test_stamp_follows_the_modules_that_are_used(packages):
    source = "from helpers import a\na.x"
    before = stamp(source, packages)
    (packages / "helpers/d.py").write_text("y = 2\n")
    (packages / "lab/e.py").write_text("w = 2\n")
    (packages / "helpers/b/c.py").write_text("x = 1  # one\n")
    assert stamp(source, packages) == before
    (packages / "helpers/b/c.py").write_text("x = 2\n")
    assert stamp(source, packages)["modules"] != before["modules"]
    assert stamp(source, packages)["cells"] == before["cells"]


@pytest.mark.parametrize("changed", ["lab/__init__.py", "lab/e.py", "lab/f.py", "helpers/d.py"])
def test_a_page_that_imports_the_lab_is_stale_when_the_lab_or_what_it_imports_changes(packages, changed):
    before = stamp("from lab import e", packages)
    (packages / changed).write_text("import os\n")
    assert stamp("from lab import e", packages)["modules"] != before["modules"]


def test_a_change_to_the_lab_leaves_the_course_fresh():
    for path in sorted(NOTEBOOKS.glob("0*.ipynb")):
        cells = [cell.source for cell in read_notebook(path).cells if cell.cell_type == "code"]
        of_lab = [file for file in list_used_files(cells, ROOT) if ROOT / "lab" in file.parents]
        assert bool(of_lab) == (path.name[:2] in ("05", "07", "08")), path.stem


@pytest.mark.parametrize(
    "source", ["from helpers.a import x", "from helpers import a", "import helpers.a", "import helpers.a as short"]
)
def test_stamp_knows_every_form_of_import(packages, source):
    found = list_imports(f"import os\n{source}\nfrom pathlib import Path", packages)
    assert {str(path.relative_to(packages).as_posix()) for path in found} == {"helpers/__init__.py", "helpers/a.py"}


def test_readers_copies_are_made_once_and_never_overwritten(tmp_path):
    assert copy_notebooks(tmp_path / "my") == []
    copy = tmp_path / "my" / "03_training.ipynb"
    changed = read_notebook(copy)
    changed.cells[0].source += " my own words"
    nbformat.write(changed, copy)
    assert copy_notebooks(tmp_path / "my") == [] and "my own words" in copy.read_text(encoding="utf-8")
    changed.metadata["course"]["cells"] = "older"
    nbformat.write(changed, copy)
    assert copy_notebooks(tmp_path / "my") == ["03_training.ipynb"]
    assert "my own words" in copy.read_text(encoding="utf-8")


def test_each_run_of_a_tool_trains_anew(course, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", "runs of its own")
    course("import os; folder = os.environ['COURSE_RUNS']", "print(folder, os.listdir(folder))")
    seen = []
    monkeypatch.setattr(execute_notebooks, "print_table", lambda results: seen.append(results[0][2]))
    assert execute_notebooks.main(["run"]) == execute_notebooks.main(["run"]) == 0
    assert seen[0] != seen[1] and all(said.endswith("[]") for said in seen)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one notebook; the test writes its cells."""
    monkeypatch.setattr(execute_notebooks, "BUILD", tmp_path / "build")
    monkeypatch.setattr(execute_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(execute_notebooks, "find_notebooks", lambda: [tmp_path / "01_x.ipynb"])

    def write(*sources):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells[-1].metadata["tags"] = ["headline"]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "01_x.ipynb")

    return write


def test_run_executes_into_build_and_prints_the_headline(course, tmp_path, capsys):
    course("x = 6", "print(f'answer {7 * x}')")
    before = (tmp_path / "01_x.ipynb").read_bytes()
    assert execute_notebooks.main(["run"]) == 0
    assert "01_x" in capsys.readouterr().out and (tmp_path / "01_x.ipynb").read_bytes() == before
    executed = read_notebook(tmp_path / "build" / "01_x.ipynb")
    assert [cell.execution_count for cell in executed.cells] == [1, 2]
    assert executed.metadata["course"] == make_stamp(executed)
    assert "version" not in executed.metadata["language_info"]


def test_a_name_that_fits_no_notebook_is_an_error(course, capsys):
    course("1")
    assert execute_notebooks.main(["run", "typo"]) == 2
    assert "no notebook has typo" in capsys.readouterr().err


def test_relative_data_folder_still_holds_for_the_kernels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNIST_ROOT", "data/ ")
    digit = Split(torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1, dtype=torch.long))
    mnist = Mnist(digit, digit, source="mnist")
    monkeypatch.setattr(execute_notebooks, "load_mnist", lambda: mnist)
    assert execute_notebooks.find_data() is mnist
    assert execute_notebooks.os.environ["MNIST_ROOT"] == str(tmp_path / "data")


@pytest.mark.parametrize("root", ["~no_such_user/", __file__])
def test_a_data_folder_that_cannot_be_is_one_line(monkeypatch, capsys, root):
    monkeypatch.setenv("MNIST_ROOT", root)
    assert execute_notebooks.find_data() is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "cannot be looked into" in line


def test_failing_cell_ends_the_run_with_its_source_and_error(course, tmp_path, capsys):
    course("x = 6", "y = x / 0  # here", "print(x)")
    assert execute_notebooks.main(["run"]) == 1
    error = capsys.readouterr().err
    assert "01_x.ipynb failed in this cell" in error and "y = x / 0  # here" in error
    assert "ZeroDivisionError: division by zero" in error


def test_outputs_are_stored_in_place_and_the_same_each_time(course, tmp_path, monkeypatch, mnist):
    monkeypatch.setattr(execute_notebooks, "load_mnist", lambda: mnist)
    course("import os; print(os.environ['COURSE_PUBLISH'])", "{'a', 'b', 'c'}")
    if mnist.source == "sample":
        before = (tmp_path / "01_x.ipynb").read_bytes()
        assert execute_notebooks.main(["outputs"]) == 1 and (tmp_path / "01_x.ipynb").read_bytes() == before
        return
    assert execute_notebooks.main(["outputs"]) == 0
    first = (tmp_path / "01_x.ipynb").read_bytes()
    assert json.loads(first)["cells"][0]["outputs"][0]["text"] == ["1\n"]
    assert execute_notebooks.main(["outputs"]) == 0
    assert (tmp_path / "01_x.ipynb").read_bytes() == first

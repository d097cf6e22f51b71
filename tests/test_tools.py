"""The maintainers' tools: stamps and the executor."""

import base64
import io
import json

import nbformat
import pytest
import torch
from PIL import Image

from helpers.data import DataError
from tools import execute_notebooks
from tools.notebook_rules import read_notebook
from tools.stamps import list_imports, make_stamp, strip_comments

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


def test_stamp_follows_the_helpers_that_are_used(tmp_path):
    files = {"a.py": "from helpers.b import x\n", "b/c.py": "x = 1\n", "d.py": "y = 1\n"}
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("from helpers import a\na.x")])
    before = make_stamp(notebook, tmp_path)
    (tmp_path / "d.py").write_text("y = 2\n")
    (tmp_path / "b" / "c.py").write_text("x = 1  # one\n")
    assert make_stamp(notebook, tmp_path) == before
    (tmp_path / "b" / "c.py").write_text("x = 2\n")
    assert make_stamp(notebook, tmp_path)["helpers"] != before["helpers"]
    assert make_stamp(notebook, tmp_path)["cells"] == before["cells"]


@pytest.mark.parametrize(
    "source", ["from helpers.a import x", "from helpers import a", "import helpers.a", "import helpers.a.b"]
)
def test_stamp_knows_every_form_of_import(source):
    assert list_imports(f"import os\n{source}\nfrom pathlib import Path") == {"a"}


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
    monkeypatch.setattr(execute_notebooks, "load_mnist", lambda: (_ for _ in ()).throw(DataError("x", "y", "z")))
    assert execute_notebooks.find_data() is None
    assert execute_notebooks.os.environ["MNIST_ROOT"] == str(tmp_path / "data")


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


@pytest.mark.parametrize(("alpha", "mode"), [(255, "RGB"), (100, "RGBA")])
def test_figures_are_packed_without_changing_a_pixel(alpha, mode):
    ramp = torch.arange(200, dtype=torch.uint8).repeat(100, 1)
    figure = Image.merge(
        "RGBA", [Image.fromarray(level.numpy()) for level in (ramp, ramp, 255 - ramp, 0 * ramp + alpha)]
    )
    figure.save(plain := io.BytesIO(), "PNG", compress_level=1)
    output = nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(plain.getvalue()).decode()})
    cells = [nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell("x", outputs=[output])]
    notebook = nbformat.v4.new_notebook(cells=cells)
    execute_notebooks.pack_figures(notebook)
    packed = base64.b64decode(notebook.cells[1].outputs[0].data["image/png"])
    with Image.open(io.BytesIO(packed)) as image:
        assert image.mode == mode and image.convert("RGBA").tobytes() == figure.tobytes()
    assert len(packed) < len(plain.getvalue())

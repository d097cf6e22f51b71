"""The notebooks keep the course's rules, and the rules notice when they do not."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn

from helpers.models import build_model
from tools.notebook_rules import ROOT, code_cells, find_notebooks, find_violations, prose, read_notebook
from tools.set_repository import read_repository, set_repository

NOTEBOOKS = find_notebooks()
NAMED = ("README.md", "README_zh.md", "CITATION.cff", "pyproject.toml")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    assert find_violations(path) == []


def clear_outputs(notebook):
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None


def edit_a_cell(notebook):
    code_cells(notebook)[5].source += "\nprint('edited')"


def change_the_helpers(notebook):
    notebook.metadata["course"]["modules"] = "0" * 16


def store_an_error(notebook):
    code_cells(notebook)[3].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]


def store_stderr(notebook):
    code_cells(notebook)[3].outputs = [nbformat.v4.new_output("stream", name="stderr", text="a warning")]


def store_a_path(notebook):
    code_cells(notebook)[3].outputs = [nbformat.v4.new_output("stream", name="stdout", text="in /home/me/course")]


def store_widgets(notebook):
    notebook.metadata["widgets"] = {}


def store_the_version(notebook):
    notebook.metadata["language_info"]["version"] = "3.11.7"


def write_a_wall_of_code(notebook):
    code_cells(notebook)[3].source = "\n".join(f"x{n} = {n}" for n in range(21))


def write_a_wall_of_prose(notebook):
    notebook.cells[0].source += " word" * 2_500


def add_an_image_without_words(notebook):
    notebook.cells[0].source += "\n![](../images/loss.png)"


def measure_without_an_assert(notebook):
    measured = [cell for cell in code_cells(notebook) if "measured" in cell.metadata.get("tags", [])]
    for cell in code_cells(notebook):
        cell.source = cell.source.replace("assert ", "True and ")
    assert measured


FAULTS = {
    clear_outputs: "not run from top to bottom",
    edit_a_cell: "outputs are stale: the cells",
    change_the_helpers: "outputs are stale: the modules",
    store_an_error: "cell 4 stores an error: ValueError",
    store_stderr: "cell 4 stores text on stderr",
    store_a_path: "cell 4 stores a path of the machine",
    store_widgets: "widget state is stored",
    store_the_version: "the version of Python is stored",
    write_a_wall_of_code: "cell 4 has 21 lines",
    write_a_wall_of_prose: "words of prose, more than 2500",
    add_an_image_without_words: "no alternative text",
    measure_without_an_assert: "no assert checks",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(tmp_path, fault):
    notebook = copy.deepcopy(read_notebook(NOTEBOOKS[0]))
    fault(notebook)
    nbformat.write(notebook, tmp_path / "01_x.ipynb")
    assert any(FAULTS[fault] in message for message in find_violations(tmp_path / "01_x.ipynb"))


def test_notebooks_are_numbered_and_linked_in_order():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(1, len(NOTEBOOKS) + 1)]
    for before, after in zip(NOTEBOOKS, NOTEBOOKS[1:]):
        assert f"]({after.name})" in prose(read_notebook(before))
        assert f"]({before.name})" in prose(read_notebook(after))


def test_all_notebooks_start_with_the_same_bootstrap():
    assert len({code_cells(read_notebook(path))[0].source for path in NOTEBOOKS}) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_section_asks_and_each_link_leads_somewhere(path):
    text = prose(read_notebook(path))
    sections = len(re.findall(r"^## \d", text, re.MULTILINE))
    assert 4 <= sections <= 7
    assert text.count("**Predict first.**") >= sections - 1
    assert text.count("**Exercise.**") >= sections - 1
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / target).exists(), target


def test_badges_and_bootstrap_name_the_repository():
    name = read_repository()
    colab = f"https://colab.research.google.com/github/{name}/blob/main/notebooks"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        notebook = read_notebook(path)
        assert f"{colab}/{path.name}" in notebook.cells[0].source
        assert f'REPOSITORY = "https://github.com/{name}"' in code_cells(notebook)[0].source
        assert f"{colab}/{path.name}" in readme


def test_one_command_changes_the_repository_everywhere(tmp_path):
    for path in [*NOTEBOOKS, *(ROOT / name for name in NAMED)]:
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(exist_ok=True)
        copied.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert len(set_repository("someone/else.1", tmp_path)) == len(NOTEBOOKS) + len(NAMED)
    assert read_repository(tmp_path) == "someone/else.1"
    for path in tmp_path.rglob("*.*"):
        assert f"/{read_repository()}" not in path.read_text(encoding="utf-8")
    for path in find_notebooks(tmp_path / "notebooks"):
        assert not any("stale" in message for message in find_violations(path))
    for wrong in ("no-slash", "../..", "owner/..", "a/b/c", "owner/name?x", ""):
        with pytest.raises(ValueError, match="owner/name"):
            set_repository(wrong, tmp_path)


def test_bootstrap_works_on_colab_from_the_notebook_alone(tmp_path):
    origin = tmp_path / "origin"
    subprocess.run(["git", "init", "--quiet", str(origin)], check=True)
    (origin / "helpers").mkdir()
    (origin / "helpers" / "__init__.py").touch()
    (origin / "helpers" / "notebook.py").write_text("HERE = __file__\n")
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(origin), "add", "."], check=True)
    subprocess.run(["git", "-C", str(origin), *author, "commit", "--quiet", "-m", "x"], check=True)
    content = tmp_path / "content"
    (content / "google" / "colab").mkdir(parents=True)
    (content / "google" / "colab" / "__init__.py").touch()
    bootstrap = code_cells(read_notebook(NOTEBOOKS[0]))[0].source
    script = f"import google.colab\n{bootstrap}\nfrom helpers import notebook\nprint(notebook.HERE)"
    for _ in range(2):  # the second time, the clone is there already
        found = run_python(script, content, COURSE_REPOSITORY=origin.as_uri())
        assert found.returncode == 0, found.stderr
        assert Path(found.stdout.strip()).parts[-3:] == ("mnist-cnn-course", "helpers", "notebook.py")


def test_bootstrap_says_what_it_tried_where_the_course_cannot_be_fetched(tmp_path):
    (tmp_path / "google" / "colab").mkdir(parents=True)
    (tmp_path / "google" / "colab" / "__init__.py").touch()
    bootstrap = code_cells(read_notebook(NOTEBOOKS[0]))[0].source
    nowhere = (tmp_path / "nowhere").as_uri()
    failed = run_python(f"import google.colab\n{bootstrap}", tmp_path, COURSE_REPOSITORY=nowhere)
    last = failed.stderr.strip().splitlines()
    assert failed.returncode != 0 and any(
        f"RuntimeError: no course at {nowhere}, or no network" in line for line in last
    )
    assert not (tmp_path / "mnist-cnn-course").exists()


def test_bootstrap_works_elsewhere_where_the_course_is_installed_or_vs_code_names_its_folder(tmp_path):
    bootstrap = code_cells(read_notebook(NOTEBOOKS[0]))[0].source
    lost = run_python(bootstrap, tmp_path, "-S")
    assert lost.returncode != 0 and f"no helpers in {tmp_path} or above: open the page" in lost.stderr
    (tmp_path / "site" / "helpers").mkdir(parents=True)
    (tmp_path / "site" / "helpers" / "__init__.py").touch()
    installed = run_python(bootstrap, tmp_path, "-S", PYTHONPATH=str(tmp_path / "site"))
    assert installed.returncode == 0, installed.stderr
    named = run_python(
        f"__vsc_ipynb_file__ = {str(NOTEBOOKS[0])!r}\n{bootstrap}\nimport helpers\nprint(helpers.__file__)", tmp_path
    )
    inside = run_python(f"{bootstrap}\nimport helpers\nprint(helpers.__file__)", ROOT / "notebooks")
    for found in (named, inside):
        assert found.returncode == 0 and Path(found.stdout.strip()).parent == ROOT / "helpers", found.stderr


def run_python(script: str, folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    import os

    environment = {**os.environ, **environment}
    command = [sys.executable, *options, "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_the_solution_that_builds_recipe_b_is_recipe_b():
    """What stands folded on page 2, and never runs there."""
    cells = read_notebook(NOTEBOOKS[1]).cells
    (solution,) = [cell.source for cell in cells if cell.cell_type == "markdown" and "def block(" in cell.source]
    names = {"nn": nn}
    exec(re.search(r"```python\n(.*?)```", solution, re.DOTALL)[1], names)
    compact, images = build_model("compact").eval(), torch.rand(3, 1, 28, 28)
    names["mine"].load_state_dict(dict(zip(names["mine"].state_dict(), compact.state_dict().values())))
    assert torch.allclose(names["mine"].eval()(images), compact(images), atol=1e-5)


def test_a_learner_writes_networks_in_plain_pytorch():
    code = "\n".join(cell.source for cell in code_cells(read_notebook(NOTEBOOKS[1])))
    written = ("Conv2d", "MaxPool2d", "ReLU", "BatchNorm2d", "Linear", "Flatten", "Sequential")
    assert not [name for name in written if f"nn.{name}(" not in code]
    assert "assert torch.equal(lenet5(images), tested(images))" in code

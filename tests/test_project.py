"""The project as a whole: dependencies, imports, README, what is committed."""

import ast
import dataclasses
import itertools
import re
import subprocess

import pytest

import helpers
import lab
from helpers.commands import main
from helpers.recipes import RECIPES, Recipe
from tools.notebook_rules import HTML_IMAGE, MARKDOWN_IMAGE, ROOT, code_cells, find_notebooks, read_notebook
from tools.stamps import strip_comments

HELPERS = [
    *(
        "errors",
        "files",
        "device",
        "progress",
        "plotting",
        "augmentation",
        "models",
        "layer_windows",
        "receptive_field",
    ),
    *("data", "recipes", "trained", "checkpoints", "training", "parallel", "evaluation", "pictures", "notebook"),
    *("clinic", "check", "answers", "commands", "__main__"),
]
LAB = [
    *("text_files", "muon", "augmentation", "networks", "recipes", "tricks", "training", "records", "comparison"),
    *("plotting", "reproduction", "trials", "results_table", "benchmark", "commands", "__main__"),
]
FLOORS = [*(f"helpers.{name}" for name in HELPERS), *(f"lab.{name}" for name in LAB)]
MODULES = [path for package in ("helpers", "lab") for path in sorted((ROOT / package).rglob("*.py"))]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


WORKFLOW = read(".github/workflows/ci.yml")


def test_conda_installs_what_pip_installs_from_one_list():
    python = re.search(r'requires-python = "(.+)"', read("pyproject.toml"))[1]
    _, listed = read("environment.yml").split("dependencies:\n")
    assert listed.split() == ["-", f"python{python}", "-", "pip", "-", "pip:", "-", "--editable", "."]


def test_each_dependency_has_a_lower_bound_and_nothing_else():
    """`make test BOUNDS=lowest` reads these lines as well."""
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", read("pyproject.toml"), re.MULTILINE | re.DOTALL)[1]
    assert listed and not [line for line in listed.splitlines() if not re.fullmatch(r' {4}"[\w-]+>=[\d.]+",', line)]
    assert re.search(r'^requires-python = ">=3\.\d+"$', read("pyproject.toml"), re.MULTILINE)


def list_jobs() -> set[tuple[str, str, str]]:
    """Operating system, Python and bounds of each job of the workflow."""
    grid = {name: re.findall(r"[\w.]+", row) for name, row in re.findall(r"^ {8}(\w+): \[(.+)\]$", WORKFLOW, re.M)}
    rows = re.findall(r'- \{ os: (\w+), python: "(.+)", bounds: (\w+) \}', WORKFLOW)
    return {*itertools.product(grid["os"], grid["python"], grid["bounds"]), *rows}


def test_the_workflow_runs_what_the_project_promises():
    pythons = re.findall(r'"Programming Language :: Python :: (.+)"', read("pyproject.toml"))
    assert f'requires-python = ">={pythons[0]}"' in read("pyproject.toml")
    assert list_jobs() == {
        *(("ubuntu", python, "newest") for python in pythons),
        *((system, python, "newest") for system in ("macos", "windows") for python in (pythons[0], pythons[-1])),
        ("ubuntu", pythons[0], "lowest"),
    }
    (cron,) = re.findall(r'^    - cron: "(.+?)"', WORKFLOW, re.MULTILINE)
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", cron), "once a week"
    assert re.search(r"^on:\n  push:\n  pull_request:\n  schedule:$", WORKFLOW, re.MULTILINE)


def test_the_workflow_may_only_read_and_runs_only_what_is_pinned():
    assert re.findall(r"^( *)permissions:(.*)\n(.+)\n(.*)", WORKFLOW, re.M) == [("", "", "  contents: read", "")]
    assert "persist-credentials: false" in WORKFLOW and "timeout-minutes:" in WORKFLOW
    used = re.findall(r"uses:(.*)", WORKFLOW)
    assert used and not [step for step in used if not re.fullmatch(r" [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", step)]


def test_the_workflow_of_the_site_writes_nothing_but_the_site():
    text = read(".github/workflows/site.yml")
    assert re.findall(r"^ *permissions:\n((?: +[\w-]+: \w+\n)+)", text, re.MULTILINE) == [
        "  contents: read\n",
        "      pages: write\n      id-token: write\n",
    ]
    assert "persist-credentials: false" in text and text.count("timeout-minutes:") == 2 and "run: make site" in text
    used = re.findall(r"uses:(.*)", text)
    assert len(used) == 4 and all(re.fullmatch(r" [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", step) for step in used)


def find_floor(path) -> str:
    """The module right below its package, such as helpers.data for helpers/data/idx.py."""
    package, module = path.relative_to(ROOT).parts[:2]
    return f"{package}.{module.removesuffix('.py')}"


def list_imports(path) -> set[str]:
    """The modules right below `helpers` and `lab` that a file imports, and a package itself as its name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their package"
            names |= {
                f"{node.module}.{alias.name}" if node.module in ("helpers", "lab") else node.module
                for alias in node.names
            }
    return {".".join(name.split(".")[:2]) for name in names if name.split(".")[0] in ("helpers", "lab")}


@pytest.mark.parametrize("path", MODULES, ids=find_floor)
def test_imports_run_one_way(path):
    floor = find_floor(path)
    if floor.endswith("__init__"):
        return
    for target in list_imports(path):
        assert target == floor == "helpers.data" or FLOORS.index(target) < FLOORS.index(floor), (
            f"{floor} imports {target}"
        )


def test_helpers_never_import_the_lab():
    for path in (ROOT / "helpers").rglob("*.py"):
        assert not [name for name in list_imports(path) if name.startswith("lab")], path


def test_every_module_has_a_floor_and_a_line_in_its_package():
    assert {find_floor(path) for path in MODULES if path.name != "__init__.py" or path.parent.name == "data"} == {
        *FLOORS
    }
    for package, names in ((helpers, HELPERS), (lab, LAB)):
        words = set(re.findall(r"\w+", package.__doc__))
        assert not [name for name in names if name not in words and name != "__main__"]


def count_lines(path) -> int:
    """Lines of code: without blank lines, comments and docstrings."""
    source = path.read_text(encoding="utf-8")
    kept = strip_comments(source).splitlines()
    return sum(bool(line.strip()) for line in kept)


def test_helpers_stay_small():
    """What the pages compute with; some is for a shell, answers and patients are not to be read."""
    apart = ("__main__", "commands", "parallel", "check", "answers", "clinic", "pictures")
    paths = [path for path in (ROOT / "helpers").rglob("*.py") if find_floor(path).split(".")[1] not in apart]
    assert sum(map(count_lines, paths)) <= 1_840


def list_functions():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{find_floor(path)}.{node.name}", node


def measure_body(node: ast.FunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    first = node.body[1:2] if ast.get_docstring(node) else node.body
    return node.end_lineno - first[0].lineno + 1 if first else 0


def test_functions_are_short():
    long = {name: measure_body(node) for name, node in list_functions() if measure_body(node) > 26}
    assert set(long) == {"helpers.training.fit"} and long["helpers.training.fit"] <= 45


def test_the_training_loop_stands_inline_in_fit():
    (fit,) = (node for name, node in list_functions() if name == "helpers.training.fit")
    (epochs,) = (
        node for node in ast.walk(fit) if isinstance(node, ast.For) and any(isinstance(n, ast.For) for n in node.body)
    )
    (batches,) = (node for node in epochs.body if isinstance(node, ast.For))
    calls = [ast.unparse(node.value) for node in batches.body if isinstance(node, ast.Expr)]
    assert [call for call in calls if call.endswith((".zero_grad()", ".backward()", "optimiser.step()"))] == [
        *("optimiser.zero_grad()", "loss.backward()", "optimiser.step()")
    ]


def test_a_published_recipe_is_short():
    assert len(dataclasses.fields(Recipe)) <= 12
    assert all(type(recipe) is Recipe for recipe in RECIPES.values())


def test_no_page_asserts_a_time():
    """Seconds in an assert would fail on a busy machine."""
    for source in (cell.source for path in find_notebooks() for cell in code_cells(read_notebook(path))):
        asserted = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
        assert not [test for test in asserted if re.search(r"second|perf_counter|faster|parts\[|rates?\[", test)]


def test_readme_images_exist_and_have_words():
    text = read("README.md")
    targets = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text) + re.findall(r'<img[^>]* src="([^"]+)"', text)
    for target in targets:
        assert target.startswith("https://") or (ROOT / target).exists(), target
    assert all(MARKDOWN_IMAGE.findall(text)) and all('alt="' in image for image in HTML_IMAGE.findall(text))
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text):
        assert (ROOT / target).exists(), target


def drop_results(text: str) -> str:
    """The README without the table that is written from the records; the other one links it."""
    return re.sub(r"<!-- results.*?end of results -->", "", text, flags=re.DOTALL)


def find_figures(text: str) -> list[str]:
    """Every number in words and tables, sorted; not those within code, links and tags."""
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|<[^>]*>", " ", text, flags=re.DOTALL)
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", text))


@pytest.mark.parametrize(
    "find",
    [
        find_figures,
        lambda text: re.findall(r"^```(\w+)\n(.*?)```", re.sub(r" +#.*", "", text), re.MULTILINE | re.DOTALL),
        lambda text: sorted(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)),
        lambda text: sorted(set(re.findall(r"\]\(([^)#]+)\)", text)) - {"README.md", "README_zh.md"}),
        lambda text: re.findall(r'src="([^"]+)" width="(\d+)"', text),
        lambda text: [len(heading) for heading in re.findall(r"^(#+) ", text, re.MULTILINE)],
    ],
    ids=["figures", "commands", "names", "links", "images", "headings"],
)
def test_the_chinese_readme_says_the_same(find):
    english, chinese = drop_results(read("README.md")), read("README_zh.md")
    assert find(chinese) == find(english) != []


def test_nothing_is_committed_that_should_not_be():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = listed.stdout.split()
    assert not [
        name for name in files if "ubyte" in name or name.endswith((".lock", ".tar")) or "checkpoints/." in name
    ]
    assert sum((ROOT / name).stat().st_size for name in files if (ROOT / name).exists()) < 12_000_000


def test_command_line_reports_the_data_or_the_error(capsys, monkeypatch, tmp_path):
    status, said = main(["download"]), capsys.readouterr().out
    assert "images for training" in said and status == int("SAMPLE MODE" in said)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"")
    monkeypatch.setenv("MNIST_ROOT", str(tmp_path))
    assert main(["download"]) == 1
    assert "error: " in capsys.readouterr().err

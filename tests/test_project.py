"""The project as a whole: dependencies, imports, README, what is committed."""

import ast
import re
import subprocess

import pytest

from helpers.__main__ import main
from tools.notebook_rules import HTML_IMAGE, MARKDOWN_IMAGE, ROOT

RENAMED = {"pytorch": "torch"}  # conda's name: ours
LAYERS = [
    *("files", "device", "data", "augmentation", "models", "receptive_field", "recipes", "checkpoints"),
    *("focus", "muon", "distillation", "training", "evaluation", "plotting", "notebook"),
    *("experiments", "records", "comparison", "reproduction", "results_table", "benchmark"),
    *("trials", "__main__"),
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(text: str, pattern: str) -> set[tuple[str, str]]:
    return {(RENAMED.get(name, name), bound) for name, bound in re.findall(pattern, text, re.MULTILINE)}


def test_conda_and_pip_name_the_same_dependencies():
    conda = requirements(read("environment.yml"), r"^ +- ([\w-]+)>=([\d.]+)$")
    pip = requirements(read("pyproject.toml"), r'^    "([\w-]+)>=([\d.]+)",$')
    python = re.search(r'requires-python = ">=([\d.]+)"', read("pyproject.toml"))[1]
    assert conda - pip == {("python", python)} and pip <= conda and len(pip) > 10


def test_dependencies_have_lower_bounds_only():
    listed = re.search(r"^dependencies = \[(.*?)^\]", read("pyproject.toml"), re.MULTILINE | re.DOTALL)[1]
    assert not re.findall(r"==|<|~=|!=", listed)


def module_of(path) -> str:
    return path.relative_to(ROOT / "helpers").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted((ROOT / "helpers").rglob("*.py")), ids=lambda path: path.stem)
def test_imports_run_one_way(path):
    if path == ROOT / "helpers" / "__init__.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("helpers."):
            target = node.module.split(".")[1]
            within = target == module_of(path) == "data"
            assert within or LAYERS.index(target) < LAYERS.index(module_of(path)), f"{path.stem} imports {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "helpers").rglob("*.py")), ids=lambda path: path.stem)
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            documented = node.body[0] if ast.get_docstring(node) else None
            length = (
                node.end_lineno - node.lineno - (documented.end_lineno - documented.lineno + 1 if documented else 0)
            )
            assert length <= 27, f"{path.stem}.{node.name} has {length} lines"


def test_readme_images_exist_and_have_words():
    text = read("README.md")
    targets = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text) + re.findall(r'<img[^>]* src="([^"]+)"', text)
    for target in targets:
        assert target.startswith("https://") or (ROOT / target).exists(), target
    assert all(MARKDOWN_IMAGE.findall(text)) and all('alt="' in image for image in HTML_IMAGE.findall(text))
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text):
        assert (ROOT / target).exists(), target


def test_nothing_is_committed_that_should_not_be():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = listed.stdout.split()
    assert not [
        name for name in files if "ubyte" in name or name.endswith((".lock", ".tar")) or "checkpoints/." in name
    ]
    assert sum((ROOT / name).stat().st_size for name in files if (ROOT / name).exists()) < 10_000_000


def test_command_line_reports_the_data_or_the_error(capsys, monkeypatch, tmp_path):
    status, said = main(["download"]), capsys.readouterr().out
    assert "images for training" in said and status == int("SAMPLE MODE" in said)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"")
    monkeypatch.setenv("MNIST_ROOT", str(tmp_path))
    assert main(["download"]) == 1
    assert "error: " in capsys.readouterr().err

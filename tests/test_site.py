"""The site: which pages it has, where their links lead, and that a link to nowhere is found."""

import json
import re

import pytest

from tools import build_site
from tools.build_site import PAGES, change_links, change_notebook, find_broken_links, list_modules, write_contents
from tools.notebook_rules import ROOT, find_notebooks
from tools.set_repository import read_repository

REPOSITORY = f"https://github.com/{read_repository()}"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("README.md", "[one](notebooks/01_data_exploration.ipynb)", "[one](notebooks/01_data_exploration.ipynb)"),
        ("notebooks/03_training.ipynb", "[all](../README.md)", "[all](../index.md)"),
        ("notebooks/03_training.ipynb", "[how](../README.md#run-it)", "[how](../index.md#run-it)"),
        ("docs/teaching.md", "[1](../README.md) [2](../CONTRIBUTING.md)", "[1](../index.md) [2](../CONTRIBUTING.md)"),
        ("README.md", "[draw](page/index.html)", '<a href="page/index.html">draw</a>'),
        ("notebooks/03_training.ipynb", "[draw](../page/index.html)", '<a href="../page/index.html">draw</a>'),
        ("README.md", "[runs](data/results)", f"[runs]({REPOSITORY}/tree/main/data/results)"),
        ("README.md", "[free](LICENSE)", f"[free]({REPOSITORY}/blob/main/LICENSE)"),
        ("README.md", "[out](https://example.org) ![no link](images/x.png) [here](#run-it)", None),
    ],
)  # fmt: skip
def test_links_hold_on_the_site(name, text, expected):
    assert change_links(text, name) == (text if expected is None else expected)


def test_every_page_is_in_the_list_of_pages_and_every_module_in_the_reference():
    listed = re.findall(r"^(?![`:])(\S+)$", write_contents(), re.MULTILINE)
    pages = {target.rsplit(".", 1)[0] for target in PAGES.values()} - {"index"}
    assert set(listed) == pages | {"docs/api"} and len(listed) == len(set(listed))
    assert {f"notebooks/{path.stem}" for path in find_notebooks()} < set(listed)
    modules = {path.relative_to(ROOT / "helpers").with_suffix("") for path in (ROOT / "helpers").rglob("[a-z]*.py")}
    shown = {".".join(path.parts) for path in modules if path.parts[0] not in ("answers", "clinic")}
    assert set(list_modules()) >= shown


def test_a_notebook_keeps_its_outputs_and_loses_its_badge():
    path = find_notebooks()[1]
    before = json.loads(path.read_text(encoding="utf-8"))
    after = json.loads(change_notebook(path.read_text(encoding="utf-8"), f"notebooks/{path.name}"))
    assert "colab-badge" in "".join(before["cells"][0]["source"]) and "colab-badge" not in after["cells"][0]["source"]
    assert "[Course overview](../index.md)" in after["cells"][0]["source"]
    code = [[cell for cell in book["cells"] if cell["cell_type"] == "code"] for book in (before, after)]
    assert [cell["outputs"] for cell in code[0]] == [cell["outputs"] for cell in code[1]]
    assert "hide-input" in code[1][0]["metadata"]["tags"] and "tags" not in code[0][0]["metadata"]


def test_a_link_to_nowhere_is_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "template.html").write_text("<a href='{{ x }}'></a>")
    (tmp_path / "picture.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(
        "<h1 id='top'></h1><img src='picture.png'><a href='#top'></a><a href='a/b.html#part'></a><a href='#'></a>"
        "<a href='https://example.org/no'></a><a href='mailto:x@example.org'></a>"
    )
    (tmp_path / "a" / "b.html").write_text("<p id='part'></p><a href='../index.html'></a>")
    assert find_broken_links(tmp_path) == []
    (tmp_path / "a" / "b.html").write_text("<a href='../index.html#bottom'></a><script src='gone.js'></script>")
    assert find_broken_links(tmp_path) == [
        "a/b.html: no anchor ../index.html#bottom",
        "a/b.html: no file gone.js",
        "index.html: no anchor a/b.html#part",
    ]


def test_what_sphinx_says_or_a_broken_link_fails_the_build(monkeypatch, tmp_path):
    def run(command, **_):
        assert "-W" in command
        html.mkdir(parents=True)
        (html / "index.html").write_text("<a href='gone.html'></a>")
        return type("Result", (), {"returncode": status})

    html, status = tmp_path / "html", 3
    for name, folder in (("SITE", tmp_path), ("SOURCE", tmp_path / "source"), ("HTML", html), ("ROOT", ROOT)):
        monkeypatch.setattr(build_site, name, folder)
    monkeypatch.setattr(build_site.subprocess, "run", run)
    monkeypatch.setattr(build_site, "print", lambda *_, **__: None, raising=False)
    assert build_site.main() == 3
    status = 0
    assert build_site.main() == 1
    assert (tmp_path / "source" / "docs" / "api.md").read_text().count("automodule") == len(list_modules())

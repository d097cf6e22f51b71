"""Build the course's site from the notebooks' stored outputs into build/site/: `make site`.

The pages are laid out as they lie in the project, so that their links hold. A link to what is no page of the site
goes to the file in the repository. When it is built, every link and every anchor within it is followed.
"""

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import helpers
from tools.notebook_rules import ROOT, find_notebooks
from tools.set_repository import read_repository

SITE = ROOT / "build" / "site"
SOURCE, HTML, OWN = SITE / "source", SITE / "html", ROOT / "docs" / "site"
PAGES = {
    "README.md": "index.md",
    "README_zh.md": "README_zh.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    **{f"docs/{path.name}": f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))},
    **{f"notebooks/{path.name}": f"notebooks/{path.name}" for path in find_notebooks()},
}
COPIED = ("page", "images")
REPOSITORY = f"https://github.com/{read_repository()}"
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]+\)\]\([^)]+\)\s*(&nbsp;)?\s*")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def main() -> int:
    """Lay out, build, follow the links; returns the exit status."""
    shutil.rmtree(SITE, ignore_errors=True)
    lay_out()
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    command += ["-D", f"html_theme_options.repository_url={REPOSITORY}", str(SOURCE), str(HTML)]
    if status := subprocess.run(command, cwd=ROOT).returncode:
        return status
    broken = find_broken_links(HTML)
    print(*broken, sep="\n", end="\n" if broken else "", file=sys.stderr)
    print(f"{len(list_pages(HTML))} pages are in {HTML}, {len(broken)} of their links lead nowhere")
    return 1 if broken else 0


def lay_out() -> None:
    """Put the pages and what they show into the folder that Sphinx reads."""
    for name, target in PAGES.items():
        (SOURCE / target).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8")
        changed = change_notebook(text, name) if name.endswith(".ipynb") else change_links(text, name)
        (SOURCE / target).write_text(changed, encoding="utf-8")
    for name in COPIED:
        shutil.copytree(ROOT / name, SOURCE / "extra" / name)
    (SOURCE / "static").mkdir()
    for name in ("site.css", "favicon.svg"):
        shutil.copy(OWN / name, SOURCE / "static")
    shutil.copy(OWN / "conf.py", SOURCE)
    api = (OWN / "api.md").read_text(encoding="utf-8") + "".join(map(describe_module, list_modules()))
    (SOURCE / "docs" / "api.md").write_text(api, encoding="utf-8")
    with (SOURCE / "index.md").open("a", encoding="utf-8") as index:
        index.write("\n" + write_contents())


def write_contents() -> str:
    """The site's list of pages, which the reader sees at the side."""
    notebooks = [target.removesuffix(".ipynb") for target in PAGES.values() if target.endswith(".ipynb")]
    others = ["docs/api", *(t.removesuffix(".md") for t in PAGES.values() if t.endswith(".md") and t != "index.md")]
    parts = (("The notebooks", notebooks), ("More", others))
    return "\n".join(
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n" for caption, names in parts
    )


def list_modules() -> list[str]:
    """The modules that the package's docstring lists, in its order, without those that hold solutions."""
    lines = re.findall(r"^(\w+(?:, \w+)*)  +\S", helpers.__doc__, re.MULTILINE)
    names = [name for line in lines for name in line.split(", ") if name not in ("answers", "clinic")]
    folders = {name: sorted((ROOT / "helpers" / name).glob("[a-z]*.py")) for name in names}
    return [full for name in names for full in [name, *(f"{name}.{path.stem}" for path in folders[name])]]


def describe_module(name: str) -> str:
    """A section on a module, for autodoc to fill."""
    return f"## `helpers.{name}`\n\n```{{eval-rst}}\n.. automodule:: helpers.{name}\n```\n\n"


def change_notebook(text: str, name: str) -> str:
    """A notebook for the site: its links hold, its first cell is folded, and the site's own button opens Colab."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = change_links(BADGE.sub("", "".join(cell["source"])), name)
    bootstrap = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    bootstrap["metadata"].setdefault("tags", []).append("hide-input")
    return json.dumps(notebook)


def change_links(text: str, name: str) -> str:
    """The text of a page with links that hold on the site.

    Args:
        text: Markdown.
        name: where the page lies in the project.
    """
    home = (ROOT / name).parent

    def change(match: re.Match) -> str:
        words, (path, _, anchor) = match[1], match[2].partition("#")
        target = Path(os.path.normpath(home / path)).relative_to(ROOT).as_posix()
        if target in PAGES:
            new = os.path.relpath(SOURCE / PAGES[target], (SOURCE / PAGES[name]).parent).replace(os.sep, "/")
            return f"[{words}]({new}{'#' * bool(anchor)}{anchor})"
        if target.split("/")[0] in COPIED:
            return f'<a href="{path}">{words}</a>'
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"[{words}]({REPOSITORY}/{kind}/main/{target})"

    return LINK.sub(change, text)


class Targets(html.parser.HTMLParser):
    """What a page links to or shows, and the anchors that it has."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        """Note an element's `href`, `src`, `id` and `name`."""
        for name, value in attributes:
            if name in ("href", "src") and value is not None:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def list_pages(folder: Path) -> list[Path]:
    """The HTML pages of a site, without the templates that a theme leaves among its files."""
    return sorted(path for path in folder.rglob("*.html") if "_static" not in path.relative_to(folder).parts)


def find_broken_links(folder: Path) -> list[str]:
    """Links within a folder of HTML pages that lead to no file, or to no anchor of a page."""
    folder = folder.resolve()
    pages = {path: Targets(path.read_text(encoding="utf-8")) for path in list_pages(folder)}
    broken = []
    for page, targets in pages.items():
        for link in dict.fromkeys(targets.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file():
                broken.append(f"{page.relative_to(folder)}: no file {link}")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                broken.append(f"{page.relative_to(folder)}: no anchor {link}")
    return broken


if __name__ == "__main__":
    sys.exit(main())

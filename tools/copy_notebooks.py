"""Copy the notebooks to my/, where they can be run, changed and saved without touching what git keeps.

python -m tools.copy_notebooks
"""

import shutil
import sys
from pathlib import Path

from tools.notebook_rules import ROOT, find_notebooks, read_notebook

COPIES = ROOT / "my"


def copy_notebooks(target: Path = COPIES) -> list[str]:
    """Copy each notebook that has no copy yet; returns the names of copies that are of an older version.

    A copy is never overwritten, since it may hold its reader's work.
    """
    target.mkdir(exist_ok=True)
    outdated = []
    for path in find_notebooks():
        copy = target / path.name
        if not copy.exists():
            shutil.copy(path, copy)
        elif read_notebook(copy).metadata.get("course") != read_notebook(path).metadata.get("course"):
            outdated.append(path.name)
    return outdated


def main() -> int:
    """Returns the exit status."""
    outdated = copy_notebooks()
    print("Your copies of the notebooks are in my/: run, change and save them as you like.")
    if outdated:
        print(f"Newer versions are in notebooks/ of {', '.join(outdated)}: delete or rename your copy to get one.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

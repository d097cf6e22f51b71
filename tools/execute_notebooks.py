"""Run the course from top to bottom: `run` into build/, `outputs` in place, with fresh stamps.

python -m tools.execute_notebooks run [PART_OF_NAME ...]
python -m tools.execute_notebooks outputs [PART_OF_NAME ...]
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

from helpers.data import Mnist, describe_source, load_mnist
from helpers.errors import DataError
from helpers.files import replace_file
from helpers.notebook import CHECKPOINTS
from lab.text_files import publish_hashes
from tools.notebook_rules import NOTEBOOKS, ROOT, find_notebooks, read_notebook, tags
from tools.stamps import make_stamp

BUILD = ROOT / "build"
CELL_TIMEOUT_SECONDS = 3_600


def main(arguments: list[str] | None = None) -> int:
    """Execute the notebooks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.execute_notebooks", description=__doc__.partition("\n")[0])
    parser.add_argument("mode", choices=("run", "outputs"))
    parser.add_argument("names", nargs="*", help="only notebooks with one of these in their name")
    options = parser.parse_args(arguments)
    paths = [path for path in find_notebooks() if any(name in path.name for name in options.names or [""])]
    if not paths:
        print(f"error: no notebook has {' or '.join(options.names)} in its name", file=sys.stderr)
        return 2
    if not prepare(publish=options.mode == "outputs"):
        return 1
    folder = NOTEBOOKS if options.mode == "outputs" else BUILD
    results = []
    for path in paths:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as runs:  # so that each training is one of today
            os.environ["COURSE_RUNS"] = runs
            headline = execute(path, folder / path.name)
        if headline is None:
            return 1
        if options.mode == "outputs":
            publish_hashes(CHECKPOINTS)  # one of the pages makes a checkpoint that others load
        results.append((path.stem, time.perf_counter() - started, headline))
    print_table(results)
    print(f"executed notebooks are in {folder.name}/")
    return 0


def prepare(*, publish: bool) -> bool:
    """Get the data and set what the kernels inherit; False where there is no going on."""
    mnist = find_data()
    if mnist is None:
        return False
    if publish and mnist.source != "mnist":
        print("error: outputs are only stored from the full data set", file=sys.stderr)
        return False
    os.environ["COURSE_PUBLISH"] = "1" if publish else "0"
    os.environ["PYTHONHASHSEED"] = "0"
    os.environ["TQDM_DISABLE"] = "1"  # the kernels' own bars would end up in the stored outputs
    return True


def find_data() -> Mnist | None:
    """Find or download MNIST once for all kernels, which start in another folder; None after reporting an error."""
    try:
        mnist = load_mnist()
        if os.environ.get("MNIST_ROOT"):
            os.environ["MNIST_ROOT"] = str(Path(os.environ["MNIST_ROOT"].strip()).expanduser().resolve())
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return None
    print(describe_source(mnist), flush=True)
    if mnist.source == "sample":
        os.environ["COURSE_OFFLINE"] = "1"
    return mnist


def execute(path: Path, target: Path) -> str | None:
    """Run one notebook and store it at `target`; returns its headline, or None after reporting a failed cell."""
    notebook = read_notebook(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        cell.outputs, cell.execution_count = [], None
    layout = "{desc:<28}{bar:20} {n_fmt:>3}/{total_fmt} cells, {elapsed}"
    with tqdm(total=len(code), desc=path.stem, bar_format=layout, disable=False) as bar:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_SECONDS,
            kernel_name="python3",
            extra_arguments=["--IPKernelApp.log_level=40"],
            resources={"metadata": {"path": str(NOTEBOOKS)}},
            record_timing=False,
            coalesce_streams=True,
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            asyncio.run(execute_with_clock(client, bar))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            report_failure(path, notebook, error)
            store(notebook, BUILD / path.name)
            return None
    store(notebook, target)
    return find_headline(notebook)


async def execute_with_clock(client: NotebookClient, bar: tqdm) -> None:
    """Run the cells and let the bar's clock tick once a second, also while one cell takes ten minutes."""
    run = asyncio.ensure_future(client.async_execute())
    while not run.done():
        await asyncio.wait({run}, timeout=1)
        bar.refresh()
    await run


def report_failure(path: Path, notebook: NotebookNode, error: Exception) -> None:
    """Print the source of the cell that failed and what it raised."""
    failed = [cell for cell in notebook.cells if any(o.output_type == "error" for o in cell.get("outputs", []))]
    source = failed[0].source if failed else "(unknown cell)"
    problem = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error)
    print(f"\n{path.name} failed in this cell:\n\n{source}\n\n{problem}", file=sys.stderr)


def store(notebook: NotebookNode, target: Path) -> None:
    """Write an executed notebook without what differs from machine to machine, and with its stamp."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    notebook.metadata["course"] = make_stamp(notebook)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(target) as temporary:
        nbformat.write(notebook, temporary)


def find_headline(notebook: NotebookNode) -> str:
    """What the cell tagged `headline` printed."""
    texts = [o.get("text", "") for cell in notebook.cells if "headline" in tags(cell) for o in cell.outputs]
    return " ".join("".join(texts).split())


def print_table(results: list[tuple[str, float, str]]) -> None:
    """Notebook, seconds and headline figure of each run."""
    print(f"\n{'notebook':<28}{'seconds':>8}  headline figure")
    for name, seconds, headline in results:
        print(f"{name:<28}{seconds:>8.0f}  {headline}")
    print(f"{'all':<28}{sum(seconds for _, seconds, _ in results):>8.0f}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: what was finished is stored")

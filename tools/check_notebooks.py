"""Run every notebook in fast mode and compare what it prints with its stored outputs.

    python -m tools.check_notebooks [PYTEST_OPTION ...]

With the sample instead of MNIST, or on a GPU (`COURSE_DEVICE=cuda`), the outputs must differ: then every cell still
runs and every assert still holds, but only cells tagged `nbval-check-output` are compared.
"""

import os
import sys
import tempfile

import pytest

from tools.execute_notebooks import find_data
from tools.notebook_rules import NOTEBOOKS


def main() -> int:
    """Returns the exit status of pytest."""
    mnist = find_data()
    if mnist is None:
        return 1
    on_cpu = os.environ.setdefault("COURSE_DEVICE", "cpu") == "cpu"
    compare = "--nbval" if mnist.source == "mnist" and on_cpu else "--nbval-lax"
    os.environ |= {"COURSE_FAST": "1", "COURSE_PUBLISH": "0", "TQDM_DISABLE": "1"}
    # Two threads that wait for each other make a busy machine many times slower, and an idle one little faster.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Notebooks run side by side, one for each core; the cells of each stay together on one kernel.
    options = ["--numprocesses", "logical", "--dist", "loadscope"]
    options += [compare, "--nbval-current-env", "--nbval-cell-timeout=1800", "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory() as runs:
        os.environ["COURSE_RUNS"] = runs
        return pytest.main([*options, *sys.argv[1:], str(NOTEBOOKS)])


if __name__ == "__main__":
    sys.exit(main())

"""Runs the commands of `helpers.commands`."""

import importlib
import os
import sys


def run(module: str) -> int:
    """Run the command line that a module holds as `main`; returns the exit status."""
    os.environ["MPLBACKEND"] = "Agg"  # figures go to files
    try:
        return importlib.import_module(module).main()  # loading takes seconds, in which someone may change their mind
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("helpers", "lab"):
            raise
        remedy = "use the one that `make run` sets up, .venv/bin/python, or install the course: pip install ."
        print(f"error: {sys.executable} has no {error.name}: {remedy}", file=sys.stderr)
        return 1


def main() -> int:
    """Run the command line; returns the exit status."""
    return run("helpers.commands")


if __name__ == "__main__":
    sys.exit(main())

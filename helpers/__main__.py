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


def main() -> int:
    """Run the command line; returns the exit status."""
    return run("helpers.commands")


if __name__ == "__main__":
    sys.exit(main())

"""Runs the commands of `lab.commands`."""

import sys

from helpers.__main__ import run


def main() -> int:
    """Run the command line; returns the exit status."""
    return run("lab.commands")


if __name__ == "__main__":
    sys.exit(main())

"""Command line: `python -m helpers download` fetches and checks MNIST."""

import argparse
import sys

from helpers.data import DataError, describe_source, load_mnist


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m helpers", description="What the course does from a shell.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("download", help="find MNIST, or download it into data/, and check every file")
    parser.parse_args(arguments)
    try:
        mnist = load_mnist()
        print(describe_source(mnist))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if mnist.source == "mnist" else 1


if __name__ == "__main__":
    sys.exit(main())

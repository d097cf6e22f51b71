"""Runs the commands of `helpers.commands`."""

import os
import sys


def main() -> int:
    """Run the command line; returns the exit status."""
    os.environ["MPLBACKEND"] = "Agg"  # figures go to files
    try:
        from helpers.commands import main  # takes seconds, in which someone may change their mind

        return main()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

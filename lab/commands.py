"""Command line of the lab: `python -m lab --help`."""

import argparse
import json
import sys

from helpers.commands import BUILD, add_command, check_home, load, run_command, test
from helpers.data import DataError, Mnist, load_fashion_mnist
from helpers.data.mnist import FASHION_MNIST, MNIST
from helpers.device import choose_threads, device
from helpers.errors import InputError
from helpers.training import check_seed
from lab import benchmark, records, trials
from lab.benchmark import run_benchmark, tabulate_benchmark
from lab.recipes import ALL_RECIPES, extend
from lab.reproduction import NETWORKS, UNFINISHED, list_runs, reproduce_all
from lab.results_table import update_readme
from lab.text_files import replace_text
from lab.trials import add_trial, change_recipe, read_trials, run_trial


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run_command(make_parser(), arguments)


def report(errors: list[Exception]) -> int:
    """A line on stderr for each error; the exit status that they call for."""
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


def make_parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    parser = argparse.ArgumentParser(prog="python -m lab", description="How the course's records were made.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    known = ", ".join(ALL_RECIPES)
    what = "train recipes in full over several seeds, and record each run in data/results/"
    command = add_command(commands, reproduce, what)
    command.add_argument("names", nargs="*", metavar="RECIPE", help=f"{known}; all by default")
    command.add_argument("--seeds", nargs="+", type=int, help="the recipe's own by default")
    sets = (MNIST.source, FASHION_MNIST.source)
    command.add_argument("--data", choices=sets, default=MNIST.source, help="what to train on (default: %(default)s)")
    what = "train on a part of the images, judge by the others, and keep a row in data/trials.csv"
    command = add_command(commands, trial, what)
    command.add_argument("recipe", choices=ALL_RECIPES, metavar="RECIPE", help="to start from")
    command.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="such as epochs=6 or augmentation=none")
    command.add_argument("--seeds", nargs="+", type=int, default=[0], help="(default: 0)")
    held_out = f"images to judge by, of the 60,000 (default: {trials.HELD_OUT:,})"
    command.add_argument("--held-out", type=int, default=trials.HELD_OUT, help=held_out)
    command = add_command(commands, bench, "measure how long recipes take, in turns")
    command.add_argument("--quick", action="store_true", help="extrapolate the slow ones from a few seconds each")
    add_command(commands, table, "write the table of results into README.md, from the records")
    command = add_command(commands, test, "measure a trained network of the lab on the test images")
    command.add_argument("checkpoint", help="such as data/checkpoints/best-0.pt")
    return parser


def load_whole(name: str = MNIST.source) -> Mnist:
    """A whole data set, for what is kept.

    Raises:
        DataError: it is not there, or only the sample of it.
    """
    check_home()
    mnist = load(load_fashion_mnist) if name == FASHION_MNIST.source else load()
    if mnist.source != name:
        remedy = f"Point {name.upper().replace('-', '_')}_ROOT at it"
        raise DataError(name, "is not there, and a record of the sample would be of no use", remedy)
    print(choose_threads(), flush=True)
    return mnist


def reproduce(options: argparse.Namespace) -> int:
    """`python -m lab reproduce compact --seeds 0 1 2`."""
    unknown = [name for name in options.names if name not in ALL_RECIPES]
    if unknown:
        raise InputError(f"no recipe is called {', '.join(unknown)}; there are {', '.join(ALL_RECIPES)}")
    for seed in options.seeds or ():
        check_seed(seed)
    # What was learnt from another data set is kept apart: it has the same names.
    part = "" if options.data == MNIST.source else options.data
    folders = {"folder": records.FOLDER / part, "unfinished": UNFINISHED / part, "networks": NETWORKS / part}
    runs = list_runs(options.names, options.seeds)
    return report(reproduce_all(runs, load_whole(options.data), **folders))


def trial(options: argparse.Namespace) -> int:
    """`python -m lab trial fast epochs=6 model=early_pool-16-24-24-32`."""
    recipe = change_recipe(extend(ALL_RECIPES[options.recipe]), options.changes)
    if not 10 <= options.held_out <= 50_000:
        raise InputError(f"from 10 to 50,000 images can be held out, not {options.held_out:,}")
    for seed in options.seeds:
        check_seed(seed)
    read_trials(trials.TABLE)
    mnist = load_whole()
    for seed in options.seeds:
        result = run_trial(recipe, mnist, seed, options.held_out)
        figures = f"{result['validation_accuracy']:.2%}, loss {result['validation_loss']:.4f}"
        print(f"seed {seed}: {figures}, {result['seconds']:.1f} s", flush=True)
        add_trial(result, trials.TABLE)
    return 0


def bench(options: argparse.Namespace) -> int:
    """`python -m lab bench --quick`."""
    check_home()
    mnist = load()
    print(choose_threads(), flush=True)
    result = run_benchmark(mnist, device(), quick=options.quick)
    print(tabulate_benchmark(result).round(4).to_string())
    path = BUILD / "benchmark.json" if options.quick or mnist.source != "mnist" else benchmark.RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")
    return 0


def table(options: argparse.Namespace) -> int:
    """`python -m lab table`."""
    check_home()
    return report(update_readme())

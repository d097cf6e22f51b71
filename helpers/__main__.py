"""Command line of the course: `python -m helpers --help`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from helpers import benchmark, data, plotting, trials
from helpers.benchmark import run_benchmark, tabulate_benchmark
from helpers.checkpoints import load_network
from helpers.data import DataError, Mnist, Split
from helpers.device import device
from helpers.evaluation import predict, wilson_interval
from helpers.experiments import ALL_RECIPES
from helpers.files import FileError, replace_text
from helpers.models import MODELS, build_model, count_multiply_adds, print_summary
from helpers.receptive_field import receptive_field_table
from helpers.recipes import Recipe
from helpers.reproduction import list_runs, load_teachers, reproduce_all
from helpers.results_table import update_readme
from helpers.training import Run, TrainingError, fit
from helpers.trials import add_trial, change_recipe, run_trial

BUILD = Path(__file__).resolve().parents[1] / "build"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        return options.run(options)
    except (FileError, TrainingError, OSError) as error:
        return report([error])
    except KeyboardInterrupt:
        resumes = options.run in (train, reproduce)
        print("\ninterrupted" + "; the same command goes on after the last finished epoch" * resumes, file=sys.stderr)
        return 130


def report(errors: list[Exception]) -> int:
    """A line on stderr for each error; the exit status that they call for."""
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


def make_parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    parser = argparse.ArgumentParser(prog="python -m helpers", description="What the course does from a shell.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(run, description: str) -> argparse.ArgumentParser:
        command = commands.add_parser(run.__name__, help=description, description=description)
        command.set_defaults(run=run)
        return command

    add(download, "find MNIST, or download it into data/, and check every file")
    add_train(add(train, "train a network by its recipe on 55,000 images, watching 5,000 others"))
    add(test, "measure a trained network on the test images").add_argument("checkpoint", help="written by train")
    add(summary, "layers, parameters and receptive fields of a network").add_argument("network", choices=MODELS)
    command = add(unpack, "unpack a .tar of PNG digits named {ID}_{Label}.png, and count them")
    command.add_argument("archive")
    command.add_argument("folder", nargs="?", help="new folder; beside the archive by default")
    command = add(reproduce, "train recipes in full over several seeds, and record each run in data/results/")
    command.add_argument("names", nargs="*", metavar="RECIPE", help=f"{', '.join(ALL_RECIPES)}; all by default")
    command.add_argument("--seeds", nargs="+", type=whole, help="the recipe's own by default")
    add_changes(add(trial, "train on a part of the images, judge by the others, and keep a row in data/trials.csv"))
    command = add(bench, "measure how long recipes take, in turns")
    command.add_argument("--quick", action="store_true", help="extrapolate the slow ones from a few seconds each")
    add(table, "write the table of results into README.md, from the records")
    return parser


def add_train(command: argparse.ArgumentParser) -> None:
    """The arguments of `train`."""
    command.add_argument("recipe", choices=ALL_RECIPES, metavar="RECIPE", help=", ".join(ALL_RECIPES))
    command.add_argument(
        "--epochs", type=positive, help="passes over the images; the recipe's by default, as all below"
    )
    command.add_argument("--lr", type=rate, help="learning rate at the start")
    command.add_argument("--batch-size", type=positive, help="images in a step")
    command.add_argument("--seed", type=whole, default=0, help="of weights, order and augmentation (default: 0)")
    command.add_argument("--folder", type=Path, help="for checkpoints and curves; below build/training/ by default")


def add_changes(command: argparse.ArgumentParser) -> None:
    """The arguments of `trial`."""
    command.add_argument("recipe", choices=ALL_RECIPES, metavar="RECIPE", help="to start from")
    command.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="such as epochs=6 or augmentation=none")
    command.add_argument("--seeds", nargs="+", type=whole, default=[0], help="(default: 0)")
    held_out = f"images to judge by, of the 60,000 (default: {trials.HELD_OUT:,})"
    command.add_argument("--held-out", type=positive, default=trials.HELD_OUT, help=held_out)


def whole(text: str) -> int:
    """A whole number from 0 to a million."""
    if not text.isdecimal() or int(text) > 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 1,000,000")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1."""
    if whole(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def rate(text: str) -> float:
    """A number above 0, at most 1,000."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1,000")
    return value


def load() -> Mnist:
    """MNIST, or the sample, with a word on which it is."""
    mnist = data.load_mnist()
    print(data.describe_source(mnist), flush=True)
    return mnist


def load_whole() -> Mnist:
    """MNIST itself, for what is kept.

    Raises:
        DataError: only the sample is there.
    """
    mnist = load()
    if mnist.source != "mnist":
        raise DataError(
            "MNIST", "is not there, and a record of the sample would be of no use", "Point MNIST_ROOT at it"
        )
    return mnist


def download(options: argparse.Namespace) -> int:
    """`python -m helpers download`."""
    return 0 if load().source == "mnist" else 1


def train(options: argparse.Namespace) -> int:
    """`python -m helpers train compact --epochs 20 --lr 0.01 --seed 1`."""
    recipe = ALL_RECIPES[options.recipe]
    asked = {"epochs": options.epochs, "learning_rate": options.lr, "batch_size": options.batch_size}
    changes = {name: value for name, value in asked.items() if value not in (None, getattr(recipe, name))}
    recipe = dataclasses.replace(recipe, **changes)
    folder = options.folder or name_folder(options.recipe, options.seed, changes)
    mnist = load()
    splits = data.split_train_validation(mnist.train_images, mnist.train_labels)
    teachers = load_teachers(recipe)
    if teachers:
        print("its teachers have learnt from the validation images too, so the validation accuracy will be too high")
    run = fit(recipe, *splits, seed=options.seed, folder=folder, teachers=teachers)
    save_curves(run, folder / "curves.png")
    print(f"validation accuracy at the last epoch: {run.history[-1]['validation_accuracy']:.2%}")
    print(f"curves are in {folder / 'curves.png'}")
    print(f"next: python -m helpers test {folder / 'last.pt'}")
    return 0


def name_folder(name: str, seed: int, changes: dict) -> Path:
    """A folder for each set of options, so that no run meets another's checkpoint."""
    parts = [name, f"seed{seed}", *(f"{option}{value}" for option, value in changes.items())]
    return BUILD / "training" / "-".join(parts)


def save_curves(run: Run, path: Path) -> None:
    """Loss and accuracy of both splits, side by side."""
    plotting.set_style()
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.5))
    plotting.plot_loss(run.table(), ax=axes[0])
    plotting.plot_accuracy(run.table(), ax=axes[1])
    figure.savefig(path)
    plt.close(figure)


def test(options: argparse.Namespace) -> int:
    """`python -m helpers test build/training/compact-seed0/last.pt`."""
    network, story = load_network(options.checkpoint)
    mnist = load()
    images = Split(mnist.test_images, mnist.test_labels)
    predictions = predict(network, images, device=device(), scaling=Recipe(**story["recipe"]).scaling)
    right = int(predictions.correct.sum())
    low, high = wilson_interval(right, len(images))
    interval = f"95 % interval {low:.2%} to {high:.2%}"
    print(f"test accuracy {predictions.accuracy:.2%} ({right:,} of {len(images):,}; {interval})")
    print("\nlabels (rows) by answers (columns):")
    print(pd.DataFrame(predictions.confusion.numpy()).to_string())
    return 0


def summary(options: argparse.Namespace) -> int:
    """`python -m helpers summary lenet5`."""
    network = build_model(options.network)
    print_summary(network)
    print(f"multiply-adds for one image: {count_multiply_adds(network):,}\n")
    print(receptive_field_table(network).to_string())
    return 0


def unpack(options: argparse.Namespace) -> int:
    """`python -m helpers unpack train.tar`."""
    archive = Path(options.archive)
    if not archive.name:
        raise DataError(options.archive or "the archive", "is no file", "Name a .tar of PNG digits")
    folder = Path(options.folder or archive.with_name(archive.name.removesuffix(".gz").removesuffix(".tar")))
    if folder == archive:
        raise DataError(archive, "does not end in .tar or .tar.gz", "Name a folder after the archive")
    left_out = data.unpack_tar(archive, folder)
    print(f"{len(data.PngDigits(folder)):,} digits are in {folder}")
    for reason, count in left_out.items():
        print(f"left out: {count:,} with {reason}")
    return 0


def reproduce(options: argparse.Namespace) -> int:
    """`python -m helpers reproduce compact --seeds 0 1 2`."""
    unknown = [name for name in options.names if name not in ALL_RECIPES]
    if unknown:
        print(f"error: no recipe is called {', '.join(unknown)}; there are {', '.join(ALL_RECIPES)}", file=sys.stderr)
        return 2
    return report(reproduce_all(list_runs(options.names, options.seeds), load_whole()))


def trial(options: argparse.Namespace) -> int:
    """`python -m helpers trial fast epochs=6 model=early_pool-16-24-24-32`."""
    try:
        recipe = change_recipe(ALL_RECIPES[options.recipe], options.changes)
        if not 10 <= options.held_out <= 50_000:
            raise ValueError(f"from 10 to 50,000 images can be held out, not {options.held_out:,}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    mnist = load_whole()
    for seed in options.seeds:
        result = run_trial(recipe, mnist, seed, options.held_out)
        add_trial(result, trials.TABLE)
        figures = f"{result['validation_accuracy']:.2%}, loss {result['validation_loss']:.4f}"
        print(f"seed {seed}: {figures}, {result['seconds']:.1f} s", flush=True)
    return 0


def bench(options: argparse.Namespace) -> int:
    """`python -m helpers bench --quick`."""
    mnist = load()
    result = run_benchmark(mnist, device(), quick=options.quick)
    path = BUILD / "benchmark.json" if options.quick or mnist.source != "mnist" else benchmark.RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(result, indent=1) + "\n")
    print(tabulate_benchmark(result).round(4).to_string())
    print(f"recorded in {path}")
    return 0


def table(options: argparse.Namespace) -> int:
    """`python -m helpers table`."""
    return report(update_readme())


if __name__ == "__main__":
    sys.exit(main())

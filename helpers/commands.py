"""Command line of the course: `python -m helpers --help`."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from helpers import data, notebook, plotting
from helpers.checkpoints import load_trained
from helpers.data import DataError, Mnist
from helpers.device import choose_threads
from helpers.errors import CourseError, FileError
from helpers.evaluation import wilson_interval
from helpers.files import HOME, replace_file
from helpers.models import MODELS, build_model, count_multiply_adds, print_summary
from helpers.parallel import first_process_first, join_processes
from helpers.pictures import plot_seen, prepare_picture
from helpers.receptive_field import receptive_field_table
from helpers.recipes import RECIPES
from helpers.trained import Trained
from helpers.training import fit

BUILD = HOME / "build"
COMPACT = notebook.CHECKPOINTS / "compact.pt"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run_command(make_parser(), arguments)


def run_command(parser: argparse.ArgumentParser, arguments: list[str] | None) -> int:
    """Run the command that a parser finds in the arguments; an error is a line on stderr and a status above 0."""
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (CourseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interruption:
        print(f"\n{interruption}" if str(interruption) else "\ninterrupted", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    parser = argparse.ArgumentParser(prog="python -m helpers", description="What the course does from a shell.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_command(commands, download, "find MNIST, or download it into data/, and check every file")
    command = add_command(commands, train, "train a network by its recipe on 55,000 images, watching 5,000 others")
    command.add_argument("recipe", choices=RECIPES, metavar="RECIPE", help=", ".join(RECIPES))
    command.add_argument("--epochs", type=int, help="over the images; the recipe's by default, as all below")
    command.add_argument("--lr", type=float, help="learning rate at the start")
    command.add_argument("--batch-size", type=int, help="images in a step")
    command.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: 0)")
    command.add_argument("--folder", type=Path, help="for checkpoints and curves; below build/training/ by default")
    command = add_command(commands, test, "measure a trained network on the test images")
    command.add_argument("checkpoint", help="written by train")
    command = add_command(commands, predict, "read the handwritten digits of pictures: photographs, scans, drawings")
    command.add_argument("pictures", nargs="+", type=Path, help="each with one digit, or several in a row")
    command.add_argument("--network", type=Path, help="written by train; the course's own `compact` by default")
    command.add_argument("--save", type=Path, help="a PNG file, for what was given beside what the network saw")
    command = add_command(commands, summary, "layers, parameters and receptive fields of a network")
    command.add_argument("network", choices=MODELS)
    command = add_command(commands, unpack, "unpack a .tar of PNG digits named {ID}_{Label}.png, and count them")
    command.add_argument("archive")
    command.add_argument("folder", nargs="?", help="new folder; beside the archive by default")
    add_command(commands, forget, "clear what was answered on the course's pages, so as to start afresh")
    return parser


def add_command(commands, run: Callable[[argparse.Namespace], int], description: str) -> argparse.ArgumentParser:
    """A command named like the function that it runs."""
    command = commands.add_parser(run.__name__, help=description, description=description)
    command.set_defaults(run=run)
    return command


def check_home() -> None:
    """Refuse what reads or writes the project's files where only the package is installed.

    Raises:
        CourseError: there is no project around the package.
    """
    if not (HOME / "pyproject.toml").exists():
        raise CourseError(f"{HOME} is not the course's folder: run this in a clone of the course, where its data are")


def load(loader: Callable[[], Mnist] | None = None) -> Mnist:
    """What a loader loads, with a word on it; MNIST, or the sample, by default."""
    mnist = (loader or data.load_mnist)()
    print(data.describe_source(mnist), flush=True)
    return mnist


def download(options: argparse.Namespace) -> int:
    """`python -m helpers download`."""
    check_home()
    return 0 if load().source == "mnist" else 1


def train(options: argparse.Namespace) -> int:
    """`python -m helpers train compact --epochs 20 --lr 0.01 --seed 1`."""
    recipe = RECIPES[options.recipe]
    asked = {"epochs": options.epochs, "learning_rate": options.lr, "batch_size": options.batch_size}
    changes = {name: value for name, value in asked.items() if value not in (None, getattr(recipe, name))}
    # A folder for each set of options, so that no run meets another's checkpoint.
    parts = [options.recipe, f"seed{options.seed}", *(f"{option}{value}" for option, value in changes.items())]
    if options.folder is None:
        check_home()
    folder = options.folder or BUILD / "training" / "-".join(parts)
    with join_processes() as tricks:
        with first_process_first():
            splits = data.split_train_validation(load().train)
        print(choose_threads(), flush=True)
        changed = dataclasses.replace(recipe, **changes)
        trained = fit(changed, *splits, seed=options.seed, folder=folder, tricks=tricks)
    if "validation_accuracy" not in trained.history[-1]:  # another process has looked at the validation images
        return 0
    print(f"validation accuracy at the last epoch: {trained.history[-1]['validation_accuracy']:.2%}")
    save_curves(trained, folder / "curves.png")
    print(f"curves are in {folder / 'curves.png'}")
    print(f"next: python -m helpers test {shlex.quote(str(folder / 'last.pt'))}")
    return 0


def save_curves(trained: Trained, path: Path) -> None:
    """Loss and accuracy of both splits, side by side."""
    plotting.set_style()
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.5))
    plotting.plot_loss(trained.table(), ax=axes[0])
    plotting.plot_accuracy(trained.table(), ax=axes[1])
    save_figure(figure, path)


def test(options: argparse.Namespace) -> int:
    """`python -m helpers test build/training/compact-seed0/last.pt`."""
    trained = load_trained(options.checkpoint)
    predictions = trained.predict(load().test)
    right, total = int(predictions.correct.sum()), len(predictions.labels)
    low, high = wilson_interval(right, total)
    print(f"test accuracy {right / total:.2%} ({right:,} of {total:,}; 95 % interval {low:.2%} to {high:.2%})")
    print("\nlabels (rows) by answers (columns):")
    print(pd.DataFrame(predictions.confusion.numpy()).to_string())
    return 0


def predict(options: argparse.Namespace) -> int:
    """`python -m helpers predict photo.png --save seen.png`."""
    if options.network is None:
        check_home()
    trained = load_trained(options.network or COMPACT)
    if options.save:
        check_target(options.save, options.pictures)
    pictures = [prepare_picture(path) for path in options.pictures]
    answers = [trained.predict(picture.digits) for picture in pictures]
    for path, predictions in zip(options.pictures, answers):
        print(f"{path}: {' '.join(map(str, predictions.predicted.tolist()))}")
        for shares, digits in zip(*(part.tolist() for part in predictions.probabilities.topk(2))):
            print(f"    {digits[0]} ({shares[0]:.1%} sure), else {digits[1]} ({shares[1]:.1%})")
    if options.save:
        plotting.set_style()
        save_figure(plot_seen(pictures, answers), options.save)
        print(f"what the network saw is in {options.save}")
    return 0


def check_target(path: Path, pictures: list[Path]) -> None:
    """Refuse to save a figure under another ending than its own, or over a picture that it is to show.

    Raises:
        FileError: so it would be.
    """
    if path.suffix.lower() != ".png":
        raise FileError(path, "does not end in .png", "Name a PNG file")
    if path.is_dir() or (path.exists() and any(given.exists() and path.samefile(given) for given in pictures)):
        raise FileError(path, "is a folder, or one of the pictures that were given", "Name another file")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all.

    Raises:
        FileError: it would have more pixels than can be drawn.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replace_file(path) as temporary:
            figure.savefig(temporary, format="png")
    except ValueError as error:
        raise FileError(path, f"cannot be drawn ({error})", "Give fewer pictures") from error
    finally:
        plt.close(figure)


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
    stem = archive.name.removesuffix(".gz").removesuffix(".tar")
    folder = Path(options.folder or archive.parent / stem)
    if not options.folder and stem in ("", ".", archive.name):
        raise DataError(archive, "does not end in .tar or .tar.gz", "Name a folder after the archive")
    left_out = data.unpack_tar(archive, folder)
    print(f"{len(data.PngDigits(folder)):,} digits are in {folder}")
    for reason, count in left_out.items():
        print(f"left out: {count:,} with {reason}")
    return 0


def forget(options: argparse.Namespace) -> int:
    """`python -m helpers forget`."""
    files = sorted(notebook.RUNS.glob("answers-*.json"))
    for file in files:
        file.unlink(missing_ok=True)
    print(f"the answers of {len(files)} notebook{'s' * (len(files) != 1)} are forgotten")
    return 0

"""What a notebook needs at its top: where things are, which mode it runs in, and a word on the data."""

import dataclasses
import os
import platform
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torchvision

from helpers.data import Mnist, Split, describe_source
from helpers.device import device
from helpers.plotting import set_style
from helpers.recipes import Recipe

HOME = Path(__file__).resolve().parents[1]
FAST = os.environ.get("COURSE_FAST") == "1"
# Only `make outputs` publishes; any other run leaves what the project comes with as it is.
PUBLISHED = os.environ.get("COURSE_PUBLISH") == "1"
RESULTS = HOME if PUBLISHED else HOME / "build"
CHECKPOINTS = HOME / "data" / "checkpoints"
FAST_IMAGES, FAST_EPOCHS = 2_000, 2


def start(seed: int = 0) -> None:
    """Set the figures' style and the seed, and say which versions run on which device in which mode."""
    set_style()
    pd.set_option("display.max_rows", 100, "display.max_columns", 20, "display.width", 120)
    torch.manual_seed(seed)
    mode = "fast mode: training is cut short" if FAST else "full mode"
    print(f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}")
    print(f"{device()}, {torch.get_num_threads()} threads, {mode}")


def show_source(mnist: Mnist) -> None:
    """Say which data set was loaded; a banner where it is only the sample."""
    print(describe_source(mnist))


def shorten(split: Split) -> Split:
    """The split itself in full mode, its first 2,000 images in fast mode."""
    return split.take(FAST_IMAGES) if FAST else split


def shorten_recipe(recipe: Recipe) -> Recipe:
    """The recipe itself in full mode, two epochs of it in fast mode."""
    return dataclasses.replace(recipe, epochs=min(recipe.epochs, FAST_EPOCHS)) if FAST else recipe


def save_figure(name: str) -> None:
    """Save the current figure as a PNG under `RESULTS`: in `images/` when publishing, else in `build/images/`."""
    path = RESULTS / "images" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    plt.savefig(path, metadata={"Software": None})

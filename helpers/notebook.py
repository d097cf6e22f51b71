"""What a notebook needs at its top: where things are, which mode it runs in, and a word on the data."""

import dataclasses
import importlib.metadata
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch

from helpers.data import Split
from helpers.device import choose_threads, device
from helpers.files import HOME
from helpers.plotting import set_style

FAST = os.environ.get("COURSE_FAST", "").strip().lower() in ("1", "true", "yes", "on")
# Only `make outputs` publishes; any other run leaves what the project comes with as it is.
PUBLISHED = os.environ.get("COURSE_PUBLISH") == "1"
BUILD = HOME / "build" if os.access(HOME, os.W_OK) else Path(tempfile.gettempdir()) / "mnist-cnn-course"
RESULTS = HOME if PUBLISHED else BUILD
# Long runs are kept here, so that they go on after a restart; the tools name an empty folder, to train anew.
RUNS = Path(os.environ.get("COURSE_RUNS") or BUILD / "runs")
CHECKPOINTS = HOME / "data" / "checkpoints"
FAST_IMAGES, FAST_EPOCHS = 2_000, 2


def start(seed: int = 0) -> None:
    """Set the figures' style and the seed, and say which versions run on which device in which mode."""
    set_style()
    pd.set_option("display.max_rows", 100, "display.max_columns", 20, "display.width", 120)
    torch.manual_seed(seed)
    mode = "fast mode: training is cut short" if FAST else "full mode"
    torchvision = importlib.metadata.version("torchvision")  # importing it takes seconds, and few pages need it
    print(f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision}")
    print(f"{device()}, {mode}; {choose_threads()}")


def shorten(split: Split, images: int = FAST_IMAGES) -> Split:
    """The split itself in full mode, its first so many images in fast mode."""
    return split.take(images) if FAST else split


def shorten_recipe(recipe: Any) -> Any:
    """The recipe itself in full mode, two epochs of it in fast mode."""
    return dataclasses.replace(recipe, epochs=min(recipe.epochs, FAST_EPOCHS)) if FAST else recipe


def find_run_folder(name: str, source: str) -> Path:
    """Where the checkpoints of a page's long run are kept, the same place after a restart of the kernel.

    Args:
        name: of the run.
        source: of the data set (see `data.Mnist`), as runs on others are other runs.
    """
    return RUNS / f"{name}-{source}{'-fast' * FAST}"


def save_figure(name: str) -> None:
    """Save the current figure as a PNG under `RESULTS`: in `images/` when publishing, else in `build/images/`.

    Where nothing can be written there, it says so: the page shows the figure all the same.
    """
    path = RESULTS / "images" / f"{name}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plt.savefig(path, metadata={"Software": None})
    except OSError as error:
        print(f"the figure is not saved: {path} cannot be written ({error.strerror})")

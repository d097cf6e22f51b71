"""How long training takes: by recipe, against the plain loop over a DataLoader, all measured in turns in one run."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from tqdm import tqdm

from helpers.data import MEAN, STD, Mnist, Split
from helpers.files import HOME
from helpers.models import build_model
from helpers.recipes import Recipe
from lab.augmentation import AFFINE_STRENGTHS
from lab.recipes import ALL_RECIPES
from lab.records import describe_device, list_versions
from lab.training import fit

RECORD = HOME / "data" / "benchmark.json"


def _move_one_image(s: float) -> v2.RandomAffine:
    """As `draw_affine` does at that strength; torchvision's shear is in degrees."""
    limits = {"translate": (0.08 * s, 0.08 * s), "scale": (1 - 0.1 * s, 1 + 0.1 * s), "shear": 5.7 * s}
    return v2.RandomAffine(10 * s, **limits, interpolation=2)


# The same changes as in `augmentation`, as torchvision makes them to one image at a time.
IMAGE_BY_IMAGE = {
    None: [],
    "crop_and_rotate": [v2.RandomApply([v2.CenterCrop(22), v2.Resize(28)], p=0.1), v2.RandomRotation(15)],
    **{name: [_move_one_image(strength)] for name, strength in AFFINE_STRENGTHS.items()},
}


class Pictures(Dataset):
    """Images as torchvision's own data sets give them: one at a time, from PIL, through a transform."""

    def __init__(self, split: Split, transform: Callable):
        self.split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.split.images[index].numpy())), int(self.split.labels[index])


def make_plain_loader(recipe: Recipe, split: Split) -> DataLoader:
    """The DataLoader of any tutorial, with the augmentation of a recipe."""
    to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([MEAN], [STD])]
    transform = v2.Compose([*IMAGE_BY_IMAGE[recipe.augmentation], *to_tensor])
    return DataLoader(Pictures(split, transform), recipe.batch_size, shuffle=True)


def train_plainly(recipe: Recipe, train: Split, device: torch.device, steps: int | None = None) -> nn.Module:
    """The loop of any tutorial: float32, one constant learning rate, images read and changed one by one.

    Args:
        recipe: whose network, optimiser, batch size and augmentation are used.
        train: the images to learn from.
        device: where to compute.
        steps: batches; one epoch by default.
    """
    model = build_model(recipe.model).to(device).train()
    optimiser = recipe.make_optimiser(model.parameters())
    for images, labels in itertools.islice(make_plain_loader(recipe, train), steps):
        loss = F.cross_entropy(model(images.to(device)), labels.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def train_steps(recipe: Recipe, train: Split, device: torch.device, steps: int | None = None) -> nn.Module:
    """So many steps of the course's own loop, where images live on the device; one epoch by default."""
    some = train if steps is None else train.take(steps * recipe.batch_size)
    return fit(replace(recipe, epochs=1), some, device=device).network


@dataclass(frozen=True)
class Entry:
    """One row of the benchmark.

    Attributes:
        recipe: its name in `recipes.ALL_RECIPES`.
        plain: whether the plain loop trains it.
        whole: whether it is trained to its end, and then looked at on the test images; else a part of it is timed
            and the rest extrapolated.
    """

    recipe: str
    plain: bool = False
    whole: bool = False

    @property
    def name(self) -> str:
        """In words, for the table."""
        return f"{self.recipe}, plain loop" if self.plain else self.recipe


ENTRIES = (
    Entry("sprint", whole=True),
    Entry("fast", whole=True),
    Entry("one_epoch", whole=True),
    Entry("fast", plain=True),
    Entry("compact"),
    Entry("compact", plain=True),
    Entry("five_conv"),
)
ROUNDS, QUICK_SECONDS, FEW = 3, 4.0, 3


def order_entries(quick: bool) -> list[Entry]:
    """A round: the short entries, which a slow moment of the machine can spoil, come before each of the long ones.

    Args:
        quick: whether they come once only.
    """
    short, long = ([entry for entry in ENTRIES if entry.whole is whole] for whole in (True, False))
    return [*short, *long] if quick else [entry for last in long for entry in (*short, last)]


def train_whole(name: str, mnist: Mnist, device: torch.device, seed: int) -> tuple[float, float]:
    """Train a recipe to its end on all training images; returns its seconds and its test accuracy."""
    recipe, train = ALL_RECIPES[name], mnist.train
    time_steps(train_steps, recipe, train, device, FEW)  # the first time prepares much that is used again
    started = time.perf_counter()
    run = fit(recipe, train, None, seed=seed, device=device)
    seconds = time.perf_counter() - started
    return seconds, run.predict(mnist.test, device).accuracy


def extrapolate(entry: Entry, train: Split, device: torch.device, part: float | None) -> float:
    """Seconds that a recipe's whole training would take, from about `part` seconds of it, or from one epoch.

    What is done once, such as moving the images, is in both of two measurements and drops out of their difference.
    """
    recipe, some_steps = ALL_RECIPES[entry.recipe], train_plainly if entry.plain else train_steps
    epoch = recipe.steps_in_epoch(0, len(train))
    time_steps(some_steps, recipe, train, device, FEW)  # as in `train_whole`
    start = time_steps(some_steps, recipe, train, device, FEW)
    steps = epoch if part is None else min(epoch, max(2 * FEW, round(FEW * part / start)))
    seconds = time_steps(some_steps, recipe, train, device, steps)
    return (seconds - start) / (steps - FEW) * recipe.count_steps(len(train))


def time_steps(some_steps: Callable, recipe: Recipe, train: Split, device: torch.device, steps: int) -> float:
    """Seconds for some steps, until the device has really done them."""
    started = time.perf_counter()
    model = some_steps(recipe, train, device, steps)
    next(model.parameters()).sum().item()
    return time.perf_counter() - started


def run_benchmark(mnist: Mnist, device: torch.device, *, quick: bool = False) -> dict:
    """Every entry in each of several rounds, so that a slow minute of the machine hits all of them alike.

    What is trained whole has another seed each time.

    Returns:
        What can be kept as JSON: `device`, `versions`, `quick` and `rounds`, a list of dictionaries with `entry`,
        `seconds` and `accuracy`.
    """
    train, part, measured = mnist.train, QUICK_SECONDS if quick else None, []
    seeds = {entry: itertools.count() for entry in ENTRIES}
    with tqdm(ROUNDS * order_entries(quick), unit="run") as bar:
        for entry in bar:
            bar.set_description(entry.name)
            if entry.whole:
                seconds, accuracy = train_whole(entry.recipe, mnist, device, next(seeds[entry]))
            else:
                seconds, accuracy = extrapolate(entry, train, device, part), None
            measured.append({"entry": entry.name, "seconds": seconds, "accuracy": accuracy})
    return {"device": describe_device(device), "versions": list_versions(), "quick": quick, "rounds": measured}


def tabulate_benchmark(result: dict) -> pd.DataFrame:
    """A row per entry: runs, median, fastest and slowest seconds, mean accuracy, and how many times `fast` it is."""
    rounds = pd.DataFrame(result["rounds"]).groupby("entry", sort=False)
    table = rounds["seconds"].agg(runs="count", median="median", min="min", max="max")
    table["accuracy"] = rounds["accuracy"].mean()
    for name in ("fast", "sprint"):
        table[f"times {name}"] = table["median"] / table.loc[name, "median"]
    return table

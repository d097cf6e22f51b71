"""The training loop, one for every recipe."""

import contextlib
import math
import numbers
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from helpers.checkpoints import RunFolder
from helpers.data import Batches, Split, check_split
from helpers.device import device as pick_device
from helpers.errors import InputError, TrainingError
from helpers.models import build_model, check_logits
from helpers.progress import TrainingBar
from helpers.recipes import Recipe
from helpers.trained import BATCH_SIZE, Trained

MOST_SEED = 1_000_000


class Plain:
    """What may change within the loop: which images, which loss, what is remembered, how many processes compute it.

    Args:
        recipe: what is trained.
        count: n, the number of training images.
        device: where images and loss live.
    """

    def __init__(self, recipe: Recipe, count: int, device: torch.device):
        if recipe.needs_tricks and type(self) is Plain:
            raise InputError("this recipe has tricks that the plain loop does not know: train it by lab.training.fit")
        self.recipe, self.count, self.device = recipe, count, device
        self.leads = True  # and so keeps the run's files and looks at the validation images

    def begin(self, trained: Trained, optimiser: torch.optim.Optimizer, scheduler: LRScheduler) -> nn.Module:
        """The network as the loop calls it; what an interrupted run left has been taken up."""
        return trained.network

    def order(self, epoch: int) -> torch.Tensor:
        """The places of an epoch's images, in the order in which it sees them, int64 (at most n,)."""
        return torch.randperm(self.count).to(self.device)

    def share(self, index: torch.Tensor) -> torch.Tensor:
        """Those places of a batch's, int64 (b,), that are computed here."""
        return index

    def loss(self, images: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss () of a batch: images (b, 1, 28, 28), logits (b, 10), labels (b,)."""
        return self.recipe.compute_loss(logits.float(), labels)

    def seen(self, index: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """A batch has been learnt from: its places (b,), its logits (b, 10) from before the step, its labels (b,)."""

    def total(self, average: "Average") -> tuple[float, float]:
        """Mean loss and accuracy of all that an epoch has learnt from."""
        return average.result()

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on from here."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take up what `state_dict` gave."""


class Average:
    """Mean loss and accuracy over samples, however they were batched; kept on the device until asked for."""

    def __init__(self):
        self.loss = self.correct = torch.zeros(())
        self.count = 0

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Take in a batch: its mean loss (), its logits (b, 10) and its labels (b,)."""
        self.loss = loss.detach() * len(labels) + self.loss.to(loss.device)
        self.correct = (logits.argmax(1) == labels).sum() + self.correct.to(loss.device)
        self.count += len(labels)

    def result(self) -> tuple[float, float]:
        """Mean loss per sample and share of samples that were right, so far."""
        return self.loss.item() / self.count, self.correct.item() / self.count


def fit(
    recipe: Recipe,
    train: Split,
    validation: Split | None = None,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    folder: Path | str | None = None,
    tricks: Callable[[Recipe, int, torch.device], Plain] = Plain,
) -> Trained:
    """Train a network by a recipe.

    Every epoch starts from random numbers that depend on the seed and its number alone. So a run that was
    interrupted, wherever, takes up its last finished epoch and ends in the same weights as an undisturbed one, on
    hardware that repeats its sums exactly.

    Args:
        recipe: what to train, and how.
        train: the images to learn from.
        validation: images that are only looked at, after each epoch; None for no look at all.
        seed: the same seed gives the same weights on the same machine.
        device: where to compute; the fastest at hand by default.
        folder: keeps checkpoints (see `checkpoints.RunFolder`). A run that is there already goes on from its last.
        tricks: makes what changes the loop, for recipes that need it.

    Raises:
        TrainingError: the loss is not a number any more.
        FileError: another process trains in the folder, or nothing can be written there.
        CheckpointError: the folder's checkpoint is damaged, or of another recipe, seed or training set.
        InputError: these images cannot be learnt from, or the recipe needs tricks that are not handed in.
        Interrupted: stopped from the keyboard; says what is saved.
    """
    device, seed = torch.device(device or pick_device()), check_seed(seed)
    torch.manual_seed(seed)
    network = build_model(recipe.model)
    check_splits(network, recipe, train, validation)
    network.to(device, memory_format=recipe.layout(device))
    optimiser = recipe.make_optimiser(network.parameters())
    scheduler = recipe.make_scheduler(optimiser, len(train))
    trained, run = Trained(network, recipe, seed), tricks(recipe, len(train), device)
    batches = Batches(train, recipe.batch_size, device, scaling=recipe.scaling)
    held_out = run.leads and validation and Batches(validation, BATCH_SIZE, device, scaling=recipe.scaling)
    kept_in = folder if run.leads else None
    files = RunFolder(kept_in, trained, train, optimiser=optimiser, scheduler=scheduler, tricks=run)
    steps = [recipe.steps_in_epoch(epoch, len(train)) for epoch in range(recipe.epochs)]
    with repeatable_sums(), files, TrainingBar(trained.history, steps) as bar:
        module = run.begin(trained, optimiser, scheduler)
        for epoch in range(len(trained.history), recipe.epochs):
            started, rate, average = time.perf_counter(), scheduler.get_last_lr()[0], Average()
            augment = recipe.choose_augmentation(epoch)
            seed_epoch(seed, epoch)
            network.train()
            for index in run.order(epoch).split(recipe.batch_size):
                index = run.share(index)
                images, labels = batches.take(index, augment)
                with recipe.autocast(device):
                    logits = module(images)
                loss = run.loss(images, logits, labels)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if recipe.rate_changes_within_epoch:
                    scheduler.step()
                average.add(loss, logits, labels)
                run.seen(index, logits, labels)
                bar.step(average.result)
            if not recipe.rate_changes_within_epoch:
                scheduler.step()
            results = {"train": run.total(average)}
            if held_out:
                results["validation"] = evaluate(network, held_out, recipe)
            record_epoch(trained, results, rate, time.perf_counter() - started)
            files.save()
            bar.end_epoch()
    return trained


@torch.no_grad()
def evaluate(network: nn.Module, batches: Batches, recipe: Recipe) -> tuple[float, float]:
    """Mean loss per sample and accuracy of a network in eval mode; its own mode is put back afterwards."""
    training = network.training
    network.eval()
    average = Average()
    for images, labels in batches:
        logits = network(images)
        average.add(recipe.compute_loss(logits, labels), logits, labels)
    network.train(training)
    return average.result()


def check_splits(network: nn.Module, recipe: Recipe, train: Split, validation: Split | None) -> None:
    """Refuse images that a network cannot learn from by a recipe, or cannot be measured on.

    Raises:
        InputError: there are none, they have no labels or another size than the network takes, or the last batch is
            too small for its batch norm.
    """
    for split in (train, train if validation is None else validation):
        check_split(split)
        if split.labels is None or len(split) == 0:
            raise InputError("training needs images, one at least, and their labels")
    smallest = len(train) % recipe.batch_size or recipe.batch_size
    try:
        check_logits(network, torch.zeros(min(smallest, 2), 1, *train.images.shape[1:]), training=True)
    except InputError as error:
        remedy = ": that is the last batch, so choose another batch size" * (smallest == 1)
        raise InputError(f"{error}{remedy}") from error
    check_logits(network, torch.zeros(1, 1, *(validation or train).images.shape[1:]))


def check_seed(seed: int) -> int:
    """The seed, if it is one."""
    if not isinstance(seed, numbers.Integral) or not 0 <= seed <= MOST_SEED:
        raise InputError(f"a seed must be a whole number from 0 to {MOST_SEED:,}, not {seed!r}")
    return int(seed)


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed torch with a number that depends on the run's seed and the epoch (from 0), so that it can be repeated."""
    torch.manual_seed(seed * 1_000_003 + epoch + 1)


def repeatable_sums() -> contextlib.AbstractContextManager:
    """The same sums in the same order on CUDA. A flag that is left out falls to a default that turns cuDNN off."""
    tf32 = torch.backends.cudnn.allow_tf32
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=tf32)


def record_epoch(trained: Trained, results: dict[str, tuple[float, float]], rate: float, seconds: float) -> None:
    """Add a row to the history: loss and accuracy by split, the learning rate at its start, seconds.

    Raises:
        TrainingError: a loss is not a number.
    """
    row = {"epoch": len(trained.history) + 1}
    for split, (loss, accuracy) in results.items():
        if not math.isfinite(loss):
            problem = f"the {split} loss is {loss} after epoch {row['epoch']}"
            raise TrainingError(f"{problem}: try a lower learning rate than {trained.recipe.learning_rate:g}")
        row |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
    trained.history.append(row | {"learning_rate": rate, "seconds": seconds})

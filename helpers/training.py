"""One training loop for every recipe."""

import dataclasses
import math
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from helpers.augmentation import find_augmentation
from helpers.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from helpers.data import Batches, Split
from helpers.device import device as pick_device
from helpers.device import has_bfloat16
from helpers.distillation import SHARE, Teachers
from helpers.focus import Chooser
from helpers.models import build_model
from helpers.muon import Muon
from helpers.recipes import Recipe

EVALUATION_BATCH = 1_000
REFRESH_SECONDS = 0.5


@dataclass
class Run:
    """A training run, under way or finished.

    Attributes:
        recipe: what was trained.
        seed: of the initial weights, the order of the images, augmentation and dropout.
        model: the network, with the weights of the last epoch.
        history: a dictionary per epoch: `epoch`, `train_loss`, `train_accuracy`, `validation_loss`,
            `validation_accuracy` (these two only where there are validation images), `learning_rate` (at its start)
            and `seconds`. Training loss and accuracy are over the images that the epoch learnt from: hard ones above
            all, with a recipe's `focus`. With a `teacher`, most of that loss is against its answers.
    """

    recipe: Recipe
    seed: int
    model: nn.Module
    history: list[dict] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """The history, a row per epoch."""
        return pd.DataFrame(self.history).set_index("epoch")


class Learner:
    """All that moves during training: weights, optimiser, schedule, and which images are hard.

    Args:
        recipe: what is trained.
        seed: of the initial weights.
        device: where to compute.
        count: training images.
        teachers: trained networks, for a recipe that has a `teacher`.
    """

    PARTS = ("model", "optimiser", "scheduler", "chooser")

    def __init__(self, recipe: Recipe, seed: int, device: torch.device, count: int, teachers: Sequence[nn.Module] = ()):
        if bool(recipe.teacher) != bool(teachers):
            raise ValueError(f"the recipe's teacher is {recipe.teacher}, and {len(teachers)} networks are given")
        torch.manual_seed(seed)
        self.recipe = recipe
        self.model = _place(build_model(recipe.model), recipe, device)
        self.optimiser = make_optimiser(recipe, self.model)
        self.scheduler = make_scheduler(recipe, self.optimiser, count)
        self.chooser = Chooser(count, device)
        self.teachers = Teachers([_place(network, recipe, device) for network in teachers])
        quick = recipe.precision == "bfloat16" and has_bfloat16(device)
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=quick)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return self.scheduler.get_last_lr()[0]

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Learn from one batch; returns its loss (), with the teachers' part, and its logits (b, 10) from before."""
        with self.autocast:
            logits = self.model(images)
        loss = compute_loss(self.recipe, logits.float(), labels)
        if self.teachers:
            with self.autocast:
                taught = self.teachers.compute_loss(images, logits.float())
            loss = torch.lerp(loss, taught, SHARE)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.recipe.rate_changes_within_epoch:
            self.scheduler.step()
        return loss, logits

    def end_epoch(self) -> None:
        """Move a schedule that counts epochs."""
        if not self.recipe.rate_changes_within_epoch:
            self.scheduler.step()

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on from here."""
        return {name: getattr(self, name).state_dict() for name in self.PARTS}

    def load_state_dict(self, state: dict) -> None:
        """Take up what `state_dict` gave."""
        for name in self.PARTS:
            getattr(self, name).load_state_dict(state[name])


class TrainingError(Exception):
    """The loss is no longer a number."""


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
    validation: Split | None,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    folder: Path | str | None = None,
    teachers: Sequence[nn.Module] = (),
) -> Run:
    """Train a network by a recipe.

    Every epoch starts from random numbers that depend on the seed and its number alone. So a run that was
    interrupted, wherever, takes up its last finished epoch and ends in the same weights as an undisturbed one.

    Args:
        recipe: what to train, and how.
        train: the images to learn from.
        validation: images that are only looked at, after each epoch; None for no look at all.
        seed: the same seed gives the same weights on the same machine.
        device: where to compute; the fastest at hand by default.
        folder: keeps `last.pt` and, with validation images, `best.pt` (highest validation accuracy, the earliest of
            equals). A run whose `last.pt` is there already goes on from it.
        teachers: trained networks, for a recipe that has a `teacher`.

    Returns:
        The finished run.

    Raises:
        TrainingError: the loss is not a number any more.
        CheckpointError: `last.pt` is damaged, or of another recipe, seed or training set.
        ValueError: the recipe has a teacher and no networks are there to teach, or the other way round.
    """
    device = torch.device(device or pick_device())
    train_batches = make_train_batches(recipe, train, device)
    held_out = validation and Batches(validation, EVALUATION_BATCH, device, scaling=recipe.scaling)
    learner = Learner(recipe, int(seed), device, len(train), teachers)
    run = Run(recipe, int(seed), learner.model)
    if folder is not None:
        data = _describe_data(train)
        _resume(Path(folder) / "last.pt", run, data, learner)
    with _make_bar(run, len(train)) as bar, _deterministic():
        while len(run.history) < recipe.epochs:
            started, rate = time.perf_counter(), learner.learning_rate
            results = {"train": _train_epoch(run, train_batches, learner, bar)}
            if held_out is not None:
                results["validation"] = evaluate(run.model, held_out, recipe)
            _record(run, rate, results, time.perf_counter() - started)
            if folder is not None:
                _save(Path(folder), run, data, learner)
    return run


def save_network(path: Path | str, run: Run) -> None:
    """Write what others need of a finished run: recipe, seed, history without times, weights (see `load_network`).

    Raises:
        CheckpointError: the file cannot be written.
    """
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in run.history]
    write_checkpoint(path, _describe(run) | {"history": history})


def make_optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over all weights of a network."""
    weights, rate = model.parameters(), recipe.learning_rate
    if recipe.optimiser == "adam":
        return torch.optim.Adam(weights, lr=rate, betas=recipe.betas)
    if recipe.optimiser == "muon":
        return Muon(weights, lr=rate, momentum=recipe.momentum)
    return torch.optim.SGD(weights, lr=rate, momentum=recipe.momentum, nesterov=recipe.nesterov)


def make_scheduler(
    recipe: Recipe, optimiser: torch.optim.Optimizer, images: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The recipe's schedule for so many training images; `step()` is due as `rate_changes_within_epoch` says."""
    if recipe.schedule == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            recipe.learning_rate,
            recipe.count_steps(images),
            pct_start=recipe.warm_up,
            cycle_momentum=False,
        )
    never = 2**62
    return torch.optim.lr_scheduler.StepLR(optimiser, recipe.decay_every or never, recipe.decay_factor)


def learning_rates(recipe: Recipe, images: int) -> list[float]:
    """The rate of every step, with so many training images, found by running the schedule on a tiny network."""
    optimiser = make_optimiser(recipe, nn.Linear(1, 1))
    scheduler = make_scheduler(recipe, optimiser, images)
    rates, ends = [], {recipe.count_steps(images, epoch + 1) for epoch in range(recipe.epochs)}
    for step in range(1, max(ends) + 1):
        rates.append(scheduler.get_last_lr()[0])
        optimiser.step()
        if recipe.rate_changes_within_epoch or step in ends:
            scheduler.step()
    return rates


def compute_loss(recipe: Recipe, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy () of logits (b, 10), in the form that the recipe asks for."""
    return F.cross_entropy(logits.softmax(1) if recipe.softmax_before_loss else logits, labels)


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, recipe: Recipe) -> tuple[float, float]:
    """Mean loss per sample and accuracy of a network in eval mode; its own mode is put back afterwards."""
    training = model.training
    model.eval()
    average = Average()
    for images, labels in batches:
        logits = model(images)
        average.add(compute_loss(recipe, logits, labels), logits, labels)
    model.train(training)
    return average.result()


def make_train_batches(recipe: Recipe, train: Split, device: torch.device) -> Batches:
    """The training images as a recipe wants them: shuffled, augmented, scaled, on the device."""
    augment = find_augmentation(recipe.augmentation)
    return Batches(train, recipe.batch_size, device, shuffle=True, augment=augment, scaling=recipe.scaling)


def _make_bar(run: Run, images: int) -> tqdm:
    done, total = (run.recipe.count_steps(images, epochs) for epochs in (len(run.history), None))
    return tqdm(total=total, initial=done, unit="step", mininterval=REFRESH_SECONDS)


def _deterministic():
    """The same sums in the same order on CUDA. A flag that is left out falls to a default that turns cuDNN off."""
    tf32 = torch.backends.cudnn.allow_tf32
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=tf32)


def _place(model: nn.Module, recipe: Recipe, device: torch.device) -> nn.Module:
    """On the device, in the layout that the recipe asks for (a tenth to a quarter faster for B on two CPU cores)."""
    layout = torch.channels_last if recipe.channels_last and device.type != "mps" else torch.preserve_format
    return model.to(device=device, memory_format=layout)


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed torch with a number that depends on the run's seed and the epoch (from 0), so that it can be repeated."""
    torch.manual_seed(seed * 1_000_003 + epoch + 1)


def _train_epoch(run: Run, batches: Batches, learner: Learner, bar: tqdm) -> tuple[float, float]:
    """One epoch; returns mean loss and accuracy over its images, as the network stood at each step."""
    recipe, epoch = run.recipe, len(run.history)
    seed_epoch(run.seed, epoch)
    if recipe.fading:
        batches.augment = find_augmentation(recipe.augmentation, recipe.share_augmentation(epoch))
    learner.model.train()
    average, refreshed = Average(), 0.0
    order = learner.chooser.choose(recipe.steps_in_epoch(epoch, len(batches.labels)) * recipe.batch_size)
    for index in order.split(recipe.batch_size):
        images, labels = batches.take(index)
        loss, logits = learner.step(images, labels)
        average.add(loss, logits, labels)
        if recipe.focus < 1:
            learner.chooser.remember(index, logits, labels)
        bar.update()
        if not bar.disable and time.perf_counter() - refreshed > REFRESH_SECONDS:
            refreshed = time.perf_counter()
            _show(bar, run, average, learner.learning_rate)
    learner.end_epoch()
    return average.result()


def _show(bar: tqdm, run: Run, average: Average, rate: float) -> None:
    loss, accuracy = average.result()
    bar.set_description(f"epoch {len(run.history) + 1}/{run.recipe.epochs}", refresh=False)
    bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.2%}", rate=f"{rate:.1e}", refresh=False)


def _record(run: Run, rate: float, results: dict[str, tuple[float, float]], seconds: float) -> None:
    row = {"epoch": len(run.history) + 1}
    for split, (loss, accuracy) in results.items():
        if not math.isfinite(loss):
            problem = f"the loss is {loss} after epoch {row['epoch']}"
            raise TrainingError(f"{problem}: try a lower learning rate than {run.recipe.learning_rate:g}")
        row |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
    run.history.append(row | {"learning_rate": rate, "seconds": seconds})


def _describe_data(train: Split) -> str:
    """Enough of a training set to tell it from another."""
    checksum = zlib.crc32(train.labels.numpy(force=True), zlib.crc32(train.images.contiguous().numpy(force=True)))
    return f"{len(train):,} images with checksum {checksum:08x}"


def _save(folder: Path, run: Run, data: str, learner: Learner) -> None:
    """Write `last.pt`, and `best.pt` where this epoch is the best so far."""
    content = _describe(run) | {"data": data}
    accuracies = [row["validation_accuracy"] for row in run.history if "validation_accuracy" in row]
    if accuracies and accuracies.index(max(accuracies)) == len(run.history) - 1:
        write_checkpoint(folder / "best.pt", content)
    write_checkpoint(folder / "last.pt", content | {"learner": learner.state_dict()})


def _describe(run: Run) -> dict:
    weights = {name: value.cpu().contiguous() for name, value in run.model.state_dict().items()}
    return {"recipe": dataclasses.asdict(run.recipe), "seed": run.seed, "history": run.history, "model": weights}


def _resume(path: Path, run: Run, data: str, learner: Learner) -> None:
    """Take up the run that a checkpoint holds, if there is one."""
    if not path.exists():
        return
    content = read_checkpoint(path)
    remedy = "Delete it to start anew, or name another folder"
    for part, wanted in (("recipe", dataclasses.asdict(run.recipe)), ("seed", run.seed), ("data", data)):
        if content.get(part) != wanted:
            raise CheckpointError(path, f"is of another run: its {part} is {content.get(part)}, not {wanted}", remedy)
    try:
        learner.load_state_dict(content["learner"])
        run.history.extend(content["history"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(path, f"does not fit this run ({error})", remedy) from error

"""The published training recipes as data: what to train, on what, for how long and with which steps."""

import contextlib
import dataclasses
import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from helpers.augmentation import AUGMENTATIONS
from helpers.data import SCALINGS, Augmentation
from helpers.errors import InputError
from helpers.models import find_builder

DECAY_FACTOR = 0.1
NEVER = 2**62


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run depends on, but for the data and the seed.

    Attributes:
        model: a name from `models.MODELS`.
        optimiser: "sgd" or "adam".
        learning_rate: at the start.
        momentum: of SGD.
        batch_size: images per step.
        epochs: passes over the training images.
        augmentation: a name from `augmentation.AUGMENTATIONS`, or None.
        scaling: how grey levels reach the network, a name from `data.SCALINGS`.
        decay_every: the learning rate is divided by ten each time so many of `decay_unit` have passed; None keeps it
            constant.
        decay_unit: "epoch" or "step".
        softmax_before_loss: whether probabilities are fed to the cross-entropy as if they were logits.

    Raises:
        InputError: a name that is not known or a number that cannot be.
    """

    model: str
    optimiser: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    batch_size: int = 128
    epochs: int = 20
    augmentation: str | None = None
    scaling: str = "normalised"
    decay_every: int | None = None
    decay_unit: str = "epoch"
    softmax_before_loss: bool = False

    CHOICES: ClassVar[dict[str, Iterable]] = {
        "optimiser": ("sgd", "adam"),
        "augmentation": AUGMENTATIONS,
        "scaling": SCALINGS,
        "decay_unit": ("epoch", "step"),
        "softmax_before_loss": (False, True),
    }
    needs_tricks: ClassVar[bool] = False

    def __post_init__(self):
        # Checkpoints give back plain numbers only: not those of NumPy, which would not equal them.
        for name in ("batch_size", "epochs", "decay_every"):
            if name != "decay_every" or self.decay_every is not None:
                object.__setattr__(self, name, int(_check_number(name, getattr(self, name), numbers.Integral, 1, 1e6)))
        for name in ("learning_rate", "momentum"):
            object.__setattr__(self, name, float(_check_number(name, getattr(self, name), numbers.Real, 0, 1e30)))
        if self.learning_rate == 0 or self.momentum >= 1:
            wrong = f"not {self.learning_rate} and {self.momentum}"
            raise InputError(f"learning_rate must be above 0 and momentum below 1, {wrong}")
        find_builder(self.model)
        for name, known in self.CHOICES.items():
            value = getattr(self, name)
            if value not in tuple(known) and not (name == "augmentation" and value is None):
                raise InputError(f"{name} must be one of {', '.join(map(str, known))}, not {value!r}")

    @property
    def rate_changes_within_epoch(self) -> bool:
        """Whether the schedule moves after each step rather than after each epoch."""
        return self.decay_unit == "step"

    def steps_in_epoch(self, epoch: int, images: int) -> int:
        """Steps of an epoch, counted from 0, with so many training images."""
        return math.ceil(images / self.batch_size)

    def count_steps(self, images: int, epochs: int | None = None) -> int:
        """Steps of the first so many epochs, by default all, with so many training images."""
        return sum(self.steps_in_epoch(epoch, images) for epoch in range(self.epochs if epochs is None else epochs))

    def choose_augmentation(self, epoch: int) -> Augmentation | None:
        """What changes the images in an epoch, counted from 0; None for nothing."""
        return AUGMENTATIONS[self.augmentation] if self.augmentation else None

    def make_optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over the weights of a network."""
        if self.optimiser == "adam":
            return torch.optim.Adam(weights, lr=self.learning_rate)
        return torch.optim.SGD(weights, lr=self.learning_rate, momentum=self.momentum)

    def make_scheduler(self, optimiser: torch.optim.Optimizer, images: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule for so many training images; `step()` is due as `rate_changes_within_epoch` says."""
        return torch.optim.lr_scheduler.StepLR(optimiser, self.decay_every or NEVER, DECAY_FACTOR)

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy () of logits (b, 10)."""
        return F.cross_entropy(logits.softmax(1) if self.softmax_before_loss else logits, labels)

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager:
        """In which precision the forward pass multiplies: here, in that of its weights."""
        return contextlib.nullcontext()

    def layout(self, device: torch.device) -> torch.memory_format:
        """How weights lie in memory: a pixel's channels side by side, which makes B a tenth faster or more on a CPU."""
        return torch.preserve_format if device.type == "mps" else torch.channels_last


def _check_number(name: str, value: object, kind: type, low: float, high: float) -> numbers.Real:
    """The value itself, if it is a number of that kind, from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        found = "one far from that" if isinstance(value, int) and abs(value) > 10**20 else repr(value)
        what = f"a{' whole' * (kind is numbers.Integral)} number from {low} to {high:g}"
        raise InputError(f"{name} must be {what}, not {found}")
    return value


KINDS = [Recipe]  # of recipes that a checkpoint may hold; the lab adds its own


def read_recipe(fields: dict) -> Recipe:
    """The recipe that a file holds, as the first kind that knows most of its fields.

    A file from before a field was given up is read without it.
    """
    names = {kind: {field.name for field in dataclasses.fields(kind)} for kind in KINDS}
    kind = min(KINDS, key=lambda kind: len(fields.keys() - names[kind]))
    return kind(**{name: value for name, value in fields.items() if name in names[kind]})


def learning_rates(recipe: Recipe, images: int) -> list[float]:
    """The rate of every step, with so many training images, found by running the schedule on a tiny network."""
    optimiser = recipe.make_optimiser(nn.Linear(1, 1).parameters())
    scheduler = recipe.make_scheduler(optimiser, images)
    rates, ends = [], {recipe.count_steps(images, epoch + 1) for epoch in range(recipe.epochs)}
    for step in range(1, max(ends) + 1):
        rates.append(scheduler.get_last_lr()[0])
        optimiser.step()
        if recipe.rate_changes_within_epoch or step in ends:
            scheduler.step()
    return rates


# The published projects, named A to D in the course. Where a description leaves a fact open, the choice is ours:
# the batch size of B (128) and the input scaling of A and D (0 to 1, as torchvision's ToTensor gives it).
_OF_C = {"learning_rate": 1e-3, "momentum": 0.9, "batch_size": 64, "epochs": 20}
RECIPES = {
    "five_conv": Recipe(
        **{"model": "five_conv", "optimiser": "adam", "learning_rate": 1e-3, "batch_size": 128, "epochs": 13},
        **{"scaling": "unit", "decay_every": 938, "decay_unit": "step", "softmax_before_loss": True},
    ),
    "compact": Recipe(
        **{"model": "compact", "learning_rate": 0.01, "momentum": 0.9, "batch_size": 128, "epochs": 20},
        **{"augmentation": "crop_and_rotate", "decay_every": 15},
    ),
    **{name: Recipe(model=name, **_OF_C) for name in ("lenet5", "mlp", "lenet5_regularised")},
    "small_vgg": Recipe(model="small_vgg", learning_rate=0.01, batch_size=32, epochs=5, scaling="unit"),
}

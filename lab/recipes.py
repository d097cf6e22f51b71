"""Recipes beside the published ones: some of those with one thing changed, a public fast one, and the course's own."""

import contextlib
import dataclasses
import numbers
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import nn

from helpers.data import Augmentation
from helpers.errors import InputError
from helpers.recipes import KINDS, RECIPES, Recipe
from lab import networks  # noqa: F401  makes the networks known by name
from lab.augmentation import AFFINE_STRENGTHS, draw_affine
from lab.muon import Muon


@dataclass(frozen=True)
class LabRecipe(Recipe):
    """A recipe with what the published ones do not need.

    Attributes:
        optimiser: "sgd", "adam" or "muon" (see `muon.Muon`); `momentum` is of SGD and Muon.
        nesterov: whether SGD looks ahead along its momentum, as Muon always does.
        betas: of Adam.
        focus: share of the images in each epoch after the first, as `tricks.Chooser` chooses them; 1 for all.
        fading: whether the augmentation weakens in the second half of the epochs, evenly to nothing, as an affine one
            can: in the end the network learns from images like those it will meet.
        schedule: "steps" for `decay_every`, or "one_cycle": the rate goes up over the first `warm_up` of all steps,
            to `learning_rate`, then down to 0.
        warm_up: share of all steps, for "one_cycle".
        teacher: a recipe whose trained networks teach this one (see `tricks.Teachers`), or None.
        precision: "float32", or "bfloat16" for the products of convolutions and linear layers, on devices that are
            quick at it.
        channels_last: whether a pixel's channels lie side by side in memory, which is faster but on MPS.
    """

    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    focus: float = 1.0
    fading: bool = False
    schedule: str = "steps"
    warm_up: float = 0.3
    teacher: str | None = None
    precision: str = "float32"
    channels_last: bool = True

    CHOICES: ClassVar[dict[str, Iterable]] = Recipe.CHOICES | {
        "optimiser": ("sgd", "adam", "muon"),
        "schedule": ("steps", "one_cycle"),
        "precision": ("float32", "bfloat16"),
    }

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "betas", tuple(self.betas))  # JSON gives back lists
        if not isinstance(self.focus, numbers.Real) or not 0 < self.focus <= 1:
            raise InputError(f"focus must be above 0 and at most 1, not {self.focus!r}")
        if self.fading and self.augmentation not in AFFINE_STRENGTHS:
            raise InputError(f"only an affine augmentation can fade, not {self.augmentation!r}")
        if not isinstance(self.warm_up, numbers.Real) or not 0 <= self.warm_up < 1:
            raise InputError(f"warm_up must be from 0 and below 1, not {self.warm_up!r}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas must be two numbers from 0 and below 1, not {self.betas}")
        if self.optimiser == "sgd" and self.nesterov and self.momentum == 0:
            raise InputError("nesterov needs a momentum above 0")

    @property
    def needs_tricks(self) -> bool:
        """Whether the plain loop cannot train it."""
        return self.focus < 1 or self.teacher is not None

    @property
    def rate_changes_within_epoch(self) -> bool:
        """Whether the schedule moves after each step rather than after each epoch."""
        return self.schedule == "one_cycle" or super().rate_changes_within_epoch

    def steps_in_epoch(self, epoch: int, images: int) -> int:
        """Steps of an epoch, counted from 0, with so many training images; the first passes over all of them."""
        whole = super().steps_in_epoch(epoch, images)
        return max(1, round(self.focus * whole)) if epoch else whole

    def share_augmentation(self, epoch: int) -> float:
        """The share of its strength that the augmentation has in an epoch, counted from 0."""
        return min(1.0, 2 - (2 * epoch + 1) / self.epochs) if self.fading else 1.0

    def choose_augmentation(self, epoch: int) -> Augmentation | None:
        """What changes the images in an epoch, counted from 0; None for nothing."""
        share = self.share_augmentation(epoch)
        if share == 1:
            return super().choose_augmentation(epoch)
        return partial(draw_affine, strength=share * AFFINE_STRENGTHS[self.augmentation])

    def make_optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over the weights of a network."""
        if self.optimiser == "adam":
            return torch.optim.Adam(weights, lr=self.learning_rate, betas=self.betas)
        if self.optimiser == "muon":
            return Muon(weights, lr=self.learning_rate, momentum=self.momentum)
        return torch.optim.SGD(weights, lr=self.learning_rate, momentum=self.momentum, nesterov=self.nesterov)

    def make_scheduler(self, optimiser: torch.optim.Optimizer, images: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule for so many training images; `step()` is due as `rate_changes_within_epoch` says."""
        if self.schedule == "steps":
            return super().make_scheduler(optimiser, images)
        steps = self.count_steps(images)
        if self.warm_up * steps == 1:
            raise InputError(f"a warm_up of one step, {self.warm_up} of {steps}, has no length: choose another one")
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, self.learning_rate, steps, pct_start=self.warm_up, cycle_momentum=False
        )

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager:
        """In which precision the forward pass multiplies."""
        quick = self.precision == "bfloat16" and has_bfloat16(device)
        return torch.autocast(device.type, torch.bfloat16, enabled=quick)

    def layout(self, device: torch.device) -> torch.memory_format:
        """How weights lie in memory."""
        return super().layout(device) if self.channels_last else torch.preserve_format


KINDS.append(LabRecipe)


def has_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 numbers are quick there: NVIDIA from Ampere on, and x86 processors with AVX-512."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def extend(recipe: Recipe) -> LabRecipe:
    """A recipe, as one of the lab's."""
    return recipe if isinstance(recipe, LabRecipe) else LabRecipe(**dataclasses.asdict(recipe))


EXPERIMENTS = {
    "small_vgg_normalised": replace(RECIPES["small_vgg"], scaling="normalised"),
    # As in github.com/tuomaso/train_mnist_fast, which reports 99.04 ± 0.07 % over 30 seeds after this one epoch.
    "one_epoch": LabRecipe(
        model="one_epoch",
        optimiser="adam",
        learning_rate=0.01,
        betas=(0.7, 0.9),
        batch_size=256,
        epochs=1,
        schedule="one_cycle",
    ),
}

# The course's own. Every choice was made on images held out of training, 5,000 or 10,000 of the 60,000.
_SMALL = LabRecipe(
    model="separable-6-8-12-12",
    learning_rate=0.3,
    momentum=0.9,
    nesterov=True,
    batch_size=256,
    epochs=15,
    augmentation="mild_affine",
    schedule="one_cycle",
    precision="bfloat16",
)
_LONG = replace(_SMALL, epochs=40, focus=0.5, augmentation="affine", fading=True)
_MUON = {"optimiser": "muon", "learning_rate": 0.1, "momentum": 0.6, "nesterov": False, "warm_up": 0.2}
_SMALL_20K = replace(_LONG, model="paired-12-16-20-24-32")
_BEST = replace(_LONG, model="paired-16-32-64-64-128-128", epochs=30, augmentation="strong_affine")
OURS = {
    "sprint": replace(_SMALL, model="trimmed-16-16-16-32", epochs=1, augmentation=None),
    "fast": replace(_LONG, model="trimmed-16-16-32-64-64", epochs=5, focus=0.3, **_MUON),
    "small_1k": _SMALL,
    "small_2k": replace(_SMALL, model="separable-8-16-20-20"),
    "small_8k": replace(_LONG, model="paired-8-8-16-16-16"),
    "small_20k": _SMALL_20K,
    "small_20k_taught": replace(_SMALL_20K, teacher="best"),
    "best": _BEST,
    "best_taught": replace(_BEST, epochs=20, teacher="best"),
}
ALL_RECIPES = RECIPES | EXPERIMENTS | OURS

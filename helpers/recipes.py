"""Each training recipe as data: what to train, on what, for how long and with which steps."""

import math
from dataclasses import dataclass

from helpers.augmentation import AFFINE_STRENGTHS


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run depends on, but for the data and the seed.

    Attributes:
        model: a name from `models.MODELS`.
        optimiser: "sgd", "adam" or "muon" (see `muon.Muon`).
        learning_rate: at the start; with "one_cycle", at its highest.
        momentum: of SGD and Muon.
        nesterov: whether SGD looks ahead along its momentum, as Muon always does.
        betas: of Adam.
        batch_size: images per step.
        epochs: passes over the training images.
        focus: share of the images in each epoch after the first, as `focus.Chooser` chooses them; 1 for all.
        augmentation: a name from `augmentation.AUGMENTATIONS`, or None.
        fading: whether it weakens in the second half of the epochs, evenly to nothing, as an affine one can: in the
            end the network learns from images like those it will meet.
        scaling: how grey levels reach the network, a name from `data.batches.SCALINGS`.
        schedule: "steps" for the decay below, or "one_cycle": up over the first `warm_up` of all steps, then down to 0.
        warm_up: share of all steps, for "one_cycle".
        decay_every: the learning rate is multiplied by `decay_factor` each time so many of `decay_unit` have
            passed; None keeps it constant.
        decay_unit: "epoch" or "step".
        teacher: a recipe whose trained networks teach this one (see `distillation.Teachers`), or None.
        softmax_before_loss: whether probabilities are fed to the cross-entropy as if they were logits.
        precision: "float32", or "bfloat16" for the products of convolutions and linear layers, on devices that are
            quick at it.
        channels_last: whether a pixel's channels lie side by side in memory, which is faster but on MPS.
    """

    model: str
    optimiser: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    batch_size: int = 128
    epochs: int = 20
    focus: float = 1.0
    augmentation: str | None = None
    fading: bool = False
    scaling: str = "normalised"
    schedule: str = "steps"
    warm_up: float = 0.3
    decay_every: int | None = None
    decay_factor: float = 0.1
    decay_unit: str = "epoch"
    teacher: str | None = None
    softmax_before_loss: bool = False
    precision: str = "float32"
    channels_last: bool = True

    def __post_init__(self):
        # Checkpoints give back plain numbers only, and JSON gives back lists for tuples.
        object.__setattr__(self, "learning_rate", float(self.learning_rate))
        object.__setattr__(self, "betas", tuple(self.betas))
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if not 0 < self.focus <= 1:
            raise ValueError(f"focus must be above 0 and at most 1, not {self.focus}")
        if self.fading and self.augmentation not in AFFINE_STRENGTHS:
            raise ValueError(f"only an affine augmentation can fade, not {self.augmentation!r}")

    @property
    def rate_changes_within_epoch(self) -> bool:
        """Whether the schedule moves after each step rather than after each epoch."""
        return self.schedule == "one_cycle" or self.decay_unit == "step"

    def steps_in_epoch(self, epoch: int, images: int) -> int:
        """Steps of an epoch, counted from 0, with so many training images; the first passes over all of them."""
        whole = math.ceil(images / self.batch_size)
        return max(1, round(self.focus * whole)) if epoch else whole

    def count_steps(self, images: int, epochs: int | None = None) -> int:
        """Steps of the first so many epochs, by default all, with so many training images."""
        return sum(self.steps_in_epoch(epoch, images) for epoch in range(self.epochs if epochs is None else epochs))

    def share_augmentation(self, epoch: int) -> float:
        """The share of its strength that the augmentation has in an epoch, counted from 0."""
        return min(1.0, 2 - (2 * epoch + 1) / self.epochs) if self.fading else 1.0


CHOICES = {
    "optimiser": ("sgd", "adam", "muon"),
    "schedule": ("steps", "one_cycle"),
    "decay_unit": ("epoch", "step"),
    "precision": ("float32", "bfloat16"),
}

# The published projects, named A to D in the course. Where a description leaves a fact open, the choice is ours:
# the batch size of B (128) and the input scaling of A and D (0 to 1, as torchvision's ToTensor gives it).
RECIPES = {
    "five_conv": Recipe(
        model="five_conv",
        optimiser="adam",
        learning_rate=1e-3,
        batch_size=128,
        epochs=13,
        scaling="unit",
        decay_every=938,
        decay_unit="step",
        softmax_before_loss=True,
    ),
    "compact": Recipe(
        model="compact",
        learning_rate=0.01,
        momentum=0.9,
        batch_size=128,
        epochs=20,
        augmentation="crop_and_rotate",
        decay_every=15,
    ),
    "lenet5": Recipe(model="lenet5", learning_rate=1e-3, momentum=0.9, batch_size=64, epochs=20),
    "mlp": Recipe(model="mlp", learning_rate=1e-3, momentum=0.9, batch_size=64, epochs=20),
    "lenet5_regularised": Recipe(
        model="lenet5_regularised", learning_rate=1e-3, momentum=0.9, batch_size=64, epochs=20
    ),
    "small_vgg": Recipe(model="small_vgg", learning_rate=0.01, batch_size=32, epochs=5, scaling="unit"),
}

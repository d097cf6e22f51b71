"""One trained thing: a network with all that belongs to it, and what it says about images."""

from dataclasses import dataclass, field

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from helpers.data import Augmentation, Batches, Split, check_split
from helpers.device import device as pick_device
from helpers.errors import InputError
from helpers.models import check_logits
from helpers.recipes import Recipe

BATCH_SIZE = 100  # on a CPU up to twice as fast as 1,000, as the maps of a batch stay in its cache


@dataclass(frozen=True)
class Predictions:
    """What a network said about n images.

    Attributes:
        logits: float32 (n, 10), on the CPU.
        labels: int64 (n,), what the data set says they are; None where nobody knows, and then no property that
            compares with them can be had.
    """

    logits: torch.Tensor
    labels: torch.Tensor | None = None

    @property
    def probabilities(self) -> torch.Tensor:
        """Softmax of the logits, (n, 10); each row sums to 1."""
        return self.logits.softmax(1)

    @property
    def predicted(self) -> torch.Tensor:
        """The likeliest digit of each image, int64 (n,)."""
        return self.logits.argmax(1)

    @property
    def confidence(self) -> torch.Tensor:
        """The probability of the likeliest digit, (n,)."""
        return self.probabilities.amax(1)

    @property
    def correct(self) -> torch.Tensor:
        """Which images are right, bool (n,)."""
        return self.predicted == self._known_labels()

    @property
    def accuracy(self) -> float:
        """Share of images that are right."""
        return self.correct.float().mean().item()

    @property
    def confusion(self) -> torch.Tensor:
        """How many images of each label (rows) got each answer (columns), int64 (10, 10)."""
        return torch.bincount(10 * self._known_labels() + self.predicted, minlength=100).reshape(10, 10)

    @property
    def losses(self) -> torch.Tensor:
        """Cross-entropy of each image, in nats, (n,)."""
        return F.cross_entropy(self.logits, self._known_labels(), reduction="none")

    def _known_labels(self) -> torch.Tensor:
        if self.labels is None:
            raise InputError("these images have no labels, so nobody knows which answers are right")
        return self.labels


@dataclass
class Trained:
    """A network, how it was trained and how it learnt; under way or finished.

    Attributes:
        network: with the weights of the last epoch; returns logits (n, 10).
        recipe: what it was trained by. It says how grey levels reach the network, so nobody has to say it again.
        seed: of the initial weights, the order of the images, augmentation and dropout.
        history: a dictionary per epoch: `epoch`, `train_loss`, `train_accuracy`, `validation_loss`,
            `validation_accuracy` (these two only where there are validation images), `learning_rate` (at its start)
            and `seconds`. Training loss and accuracy are over the images that the epoch learnt from, as the network
            stood at each step.
    """

    network: nn.Module
    recipe: Recipe
    seed: int = 0
    history: list[dict] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """The history, a row per epoch."""
        return pd.DataFrame(self.history).set_index("epoch")

    @torch.no_grad()
    def predict(
        self, split: Split, device: torch.device | str | None = None, *, change: Augmentation | None = None
    ) -> Predictions:
        """What the network says about images, in eval mode; its own mode and device are put back afterwards.

        Args:
            split: n images, with labels or without.
            device: where to compute; the fastest at hand by default.
            change: what to do to the images first, float (b, 1, 28, 28) in 0–1.
        """
        check_split(split)
        network, training = self.network, self.network.training
        home = next(network.parameters(), torch.zeros(())).device
        device = torch.device(device or pick_device())
        check_logits(network, torch.zeros(1, 1, *split.images.shape[1:]))
        batches = Batches(split, BATCH_SIZE, device, scaling=self.recipe.scaling)
        try:
            network.to(device, memory_format=self.recipe.layout(device)).eval()
            places = torch.arange(len(split), device=device).split(BATCH_SIZE)
            logits = [network(batches.take(index, change)[0]).float().cpu() for index in places]
        finally:
            network.to(home).train(training)
        return Predictions(torch.cat(logits), None if split.labels is None else split.labels.cpu())

"""Mini-batches that are scaled and on the device before the network asks for them."""

from collections.abc import Callable, Iterator

import torch

from helpers.data.splits import Split

# Mean and standard deviation of the 60,000 training images, grey levels divided by 255.
# Notebook 01 computes both.
MEAN = 0.1307
STD = 0.3081

Augmentation = Callable[[torch.Tensor], torch.Tensor]


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Grey levels 0 to 1 shifted and stretched to mean 0 and standard deviation 1 over the training set."""
    return (images - MEAN) / STD


SCALINGS: dict[str, Augmentation] = {
    "normalised": normalise,
    "unit": lambda images: images,
    "raw": lambda images: images * 255,
}


class Batches:
    """A split in mini-batches.

    All images are moved to the device once, as bytes; a batch is scaled to 0–1, augmented, then normalised.
    This order matters: augmentation fills new corners with 0, which is background only before normalisation.

    Args:
        split: n images, with labels or without.
        batch_size: images in a batch; the last one may be smaller.
        device: where the batches live.
        shuffle: whether each pass has a new order, drawn from torch's global generator.
        scaling: "normalised", "unit" (0–1) or "raw" (0–255).

    Yields:
        images float32 (b, 1, 28, 28) and labels int64 (b,), or None where the split has none.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        device: torch.device | str = "cpu",
        *,
        shuffle: bool = False,
        scaling: str = "normalised",
    ):
        self.images = split.images.to(device).unsqueeze(1)
        self.labels = None if split.labels is None else split.labels.to(device)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.scale = SCALINGS[scaling]

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        count = len(self.images)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for index in order.to(self.images.device).split(self.batch_size):
            yield self.take(index)

    def take(
        self, index: torch.Tensor, augment: Augmentation | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The batch of certain images.

        Args:
            index: their places int64 (b,), on the batches' own device.
            augment: applied before they are normalised, float (b, 1, 28, 28) in 0–1.
        """
        images = self.images[index].float() / 255
        if augment is not None:
            images = augment(images)
        return self.scale(images), None if self.labels is None else self.labels[index]

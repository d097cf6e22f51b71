"""The split that every choice in the course is made on: 55,000 to learn from, 5,000 to choose by."""

from dataclasses import dataclass

import torch
from sklearn.model_selection import train_test_split

VALIDATION_SHARE = 5_000 / 60_000
SPLIT_SEED = 0


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8 (n, 28, 28).
        labels: int64 (n,).
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self):
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, count: int) -> "Split":
        """The first `count` of them."""
        return Split(self.images[:count], self.labels[:count])


def split_train_validation(
    images: torch.Tensor, labels: torch.Tensor, *, share: float = VALIDATION_SHARE, seed: int = SPLIT_SEED
) -> tuple[Split, Split]:
    """Divide the training half so that each class keeps its share on both sides.

    Args:
        images: uint8 (n, 28, 28).
        labels: int64 (n,).
        share: the part that goes to validation; the default makes 60,000 into 55,000 and 5,000.
        seed: the same seed gives the same split on every machine.

    Returns:
        Training and validation split, both shuffled.
    """
    train, validation = train_test_split(
        torch.arange(len(labels)), test_size=round(share * len(labels)), stratify=labels, random_state=seed
    )
    return Split(images[train], labels[train]), Split(images[validation], labels[validation])

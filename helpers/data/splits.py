"""The split that every choice in the course is made on: 55,000 to learn from, 5,000 to choose by."""

from dataclasses import dataclass

import torch
from sklearn.model_selection import train_test_split

VALIDATION_SHARE = 5_000 / 60_000
SPLIT_SEED = 0
CLASSES = 10


@dataclass(frozen=True)
class Split:
    """Images, with their labels where these are known.

    Attributes:
        images: uint8 (n, h, w), 0 is background and 255 is full ink.
        labels: int64 (n,), each from 0 to 9; or None.

    Raises:
        ValueError: tensors of another kind or shape, or not as many labels as images.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None

    def __post_init__(self):
        _check_tensor("images", self.images, torch.uint8, 3, "grey levels from 0 to 255 (n, height, width)")
        if self.labels is None:
            return
        _check_tensor("labels", self.labels, torch.int64, 1, "digits from 0 to 9 (n,)")
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")
        if any(label not in range(CLASSES) for label in self.labels.unique().tolist()):
            raise ValueError(f"labels go from {self.labels.min()} to {self.labels.max()}, need 0 to 9")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | torch.Tensor) -> "Split":
        """Some of them: a slice, or their places as int64 or bool tensor."""
        return Split(self.images[index], None if self.labels is None else self.labels[index])

    def take(self, count: int) -> "Split":
        """The first `count` of them."""
        return self[:count]


def _check_tensor(name: str, value: object, kind: torch.dtype, dimensions: int, meaning: str) -> None:
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a tensor of {meaning}, not {type(value).__name__}: use torch.as_tensor")
    if value.dtype != kind or value.ndim != dimensions:
        found = f"{value.dtype} {tuple(value.shape)}".removeprefix("torch.")
        raise ValueError(f"{name} must be {kind} {meaning}, not {found}".replace("torch.", ""))


def split_train_validation(
    split: Split, *, share: float = VALIDATION_SHARE, seed: int = SPLIT_SEED
) -> tuple[Split, Split]:
    """Divide a split so that each class keeps its share on both sides.

    Args:
        split: n images with labels, such as MNIST's training half.
        share: the part that goes to validation; the default makes 60,000 into 55,000 and 5,000.
        seed: the same seed gives the same split on every machine.

    Returns:
        Training and validation split, both shuffled.
    """
    train, validation = train_test_split(
        torch.arange(len(split)), test_size=round(share * len(split)), stratify=split.labels, random_state=seed
    )
    return split[train], split[validation]

"""The split that every choice in the course is made on: 55,000 to learn from, 5,000 to choose by."""

from dataclasses import dataclass

import torch

from helpers.errors import InputError

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
        InputError: tensors of another kind or shape, or not as many labels as images.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None

    def __post_init__(self):
        _check("images", self.images, torch.uint8, 3, "grey levels from 0 to 255 (n, height, width)")
        if self.labels is not None:
            _check("labels", self.labels, torch.int64, 1, "digits from 0 to 9 (n,)")
            if len(self.images) != len(self.labels):
                raise InputError(f"{len(self.images)} images but {len(self.labels)} labels")
            if wrong := set(self.labels.unique().tolist()) - set(range(CLASSES)):
                raise InputError(f"labels must be from 0 to 9; there are {sorted(wrong)[:5]}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | torch.Tensor) -> "Split":
        """Some of them: a slice, or their places as int64 or bool tensor."""
        return Split(self.images[index], None if self.labels is None else self.labels[index])

    def take(self, count: int) -> "Split":
        """The first `count` of them."""
        return self[:count]


def check_split(value: object) -> None:
    """Refuse what is no `Split`, such as a whole data set or bare tensors, with a word on how to make one.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, Split):
        found = f"a {type(value).__name__}"
        raise InputError(f"a Split is needed, such as mnist.train or Split(images, labels), not {found}")


def _check(name: str, value: object, kind: torch.dtype, dimensions: int, meaning: str) -> None:
    is_tensor = isinstance(value, torch.Tensor)
    if not is_tensor or value.dtype != kind or value.ndim != dimensions:
        found = f"{value.dtype} {tuple(value.shape)}" if is_tensor else f"a {type(value).__name__}"
        raise InputError(f"{name} must be a tensor {kind} of {meaning}, not {found}")


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
    from sklearn.model_selection import train_test_split  # here, as it takes seconds that few commands need

    train, validation = train_test_split(
        torch.arange(len(split)), test_size=round(share * len(split)), stratify=split.labels, random_state=seed
    )
    return split[train], split[validation]

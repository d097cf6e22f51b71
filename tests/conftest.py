"""What several test modules share: the data set at hand, and digits that carry their label in their pixels."""

import os

os.environ["COURSE_DEVICE"] = "cpu"
os.environ["OMP_NUM_THREADS"] = "1"  # batches are tiny here: threads would mostly wait for each other

import matplotlib
import pytest
import torch

from helpers.data import Mnist, Split, load_mnist
from helpers.training import Plain

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    """MNIST where it can be had, else the sample."""
    return load_mnist()


@pytest.fixture
def marked() -> Split:
    """3,000 images of one grey level each, which says their label: 10 · label + 5."""
    labels = torch.arange(3_000) % 10
    images = (10 * labels + 5).to(torch.uint8)[:, None, None].repeat(1, 28, 28)
    return Split(images, labels)


@pytest.fixture
def stripes() -> Split:
    """400 images that a small network learns in a moment: a bar whose position is the label."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 10
    images = torch.randint(0, 60, (400, 28, 28), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels):
        image[:, 2 * label + 3 : 2 * label + 6] = 250
    return Split(images, labels)


@pytest.fixture
def stop_before():
    """Makes what `fit` takes as its `tricks`: it is stopped from the keyboard before an epoch, counted from 0."""

    def make(stop: int) -> type[Plain]:
        class Stopped(Plain):
            def order(self, epoch: int) -> torch.Tensor:
                if epoch == stop:
                    raise KeyboardInterrupt
                return super().order(epoch)

        return Stopped

    return make

"""The random affine change: its limits, its strengths, and that each image has its own."""

import pytest
import torch

from helpers.augmentation import AUGMENTATIONS
from lab import augmentation
from lab.augmentation import AFFINE_STRENGTHS, draw_affine

TURN = [[0.98481, -0.17365, 0.0], [0.17365, 0.98481, 0.0]]
LIMITS = [
    TURN,  # 10°
    [[1 / 1.1, 0.0, 0.0], [0.0, 1 / 1.1, 0.0]],
    [[1.0, 0.1, 0.0], [0.0, 1.0, 0.0]],
    [[1.0, 0.0, 0.16], [0.0, 1.0, 0.0]],
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.16]],
]


@pytest.mark.parametrize("number", range(5))
def test_affine_limits_are_those_it_names(number, monkeypatch):
    drawn = torch.full((5, 1), 0.5)
    drawn[number] = 1.0
    monkeypatch.setattr(augmentation.torch, "rand", lambda *_: drawn)
    monkeypatch.setattr(augmentation, "resample", lambda images, matrices, mode: matrices)
    assert torch.allclose(draw_affine(torch.zeros(1, 1, 28, 28)), torch.tensor([LIMITS[number]]), atol=1e-4)
    strengths = {"mild_affine": 0.5, "medium_affine": 0.7, "affine": 1.0, "strong_affine": 1.4}
    assert strengths == AFFINE_STRENGTHS
    for name, strength in strengths.items():
        moved = AUGMENTATIONS[name](torch.zeros(1, 1, 28, 28))[0, :, 2]
        assert torch.allclose(moved, torch.tensor(LIMITS[number])[:, 2] * strength, atol=1e-4)


def test_affine_draws_anew_for_each_image_and_repeats_from_a_seed(mnist):
    images = (mnist.train.images[:1, None].float() / 255).expand(300, 1, 28, 28)
    torch.manual_seed(2)
    first = draw_affine(images)
    assert len(first.flatten(1).unique(dim=0)) == 300 and first.min() >= 0 and first.max() <= 1 + 1e-6
    torch.manual_seed(2)
    assert torch.equal(first, draw_affine(images))
    assert not torch.equal(first, draw_affine(images))
    pixels, original, mean = torch.arange(28.0), images[0, 0], first.mean((0, 1))
    for side in (0, 1):
        centre, before = (image.sum(side) @ pixels / image.sum() for image in (mean, original))
        assert abs(centre - before) < 0.5, "on average the digit stays where it is"

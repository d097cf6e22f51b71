"""Batched augmentation against torchvision's, image by image."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from helpers import augmentation
from helpers.augmentation import AUGMENTATIONS, crop_and_rotate, draw_affine, resample, rotate, zoom_centre


def digits(mnist, count):
    return mnist.train_images[:count, None].float() / 255


def test_rotation_gives_the_pixels_of_torchvision(mnist):
    images = digits(mnist, 60)
    degrees = torch.linspace(-40, 40, 60)
    expected = torch.stack(
        [
            reference.rotate(image, angle.item(), InterpolationMode.NEAREST, fill=0)
            for image, angle in zip(images, degrees)
        ]
    )
    assert (rotate(images, degrees) != expected).float().mean() < 0.001


def test_zoom_is_a_centre_crop_resized(mnist):
    images = digits(mnist, 20)
    expected = reference.resize(reference.center_crop(images, [22]), [28, 28], InterpolationMode.BILINEAR)
    assert torch.allclose(zoom_centre(images), expected, atol=1e-5)


def test_recipe_b_turns_every_image_within_15_degrees_and_zooms_one_in_ten():
    # A bright pixel right of the centre: where it lands tells the angle, and how far out it is tells the zoom.
    images = torch.zeros(4_000, 1, 28, 28)
    images[:, 0, 13:15, 20:22] = 1
    torch.manual_seed(0)
    changed = crop_and_rotate(images)
    rows, columns = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    mass = changed.sum((1, 2, 3))
    y, x = (changed[:, 0] * rows).sum((1, 2)) / mass, (changed[:, 0] * columns).sum((1, 2)) / mass
    degrees, radius = torch.rad2deg(torch.atan2(-y, x)), (x**2 + y**2).sqrt()
    assert degrees.abs().max() < 18 and abs(degrees.mean()) < 1
    assert 7.5 < degrees.std() < 10  # a uniform distribution over ±15° has 8.66
    assert 0.08 < (radius > 8.2).float().mean() < 0.12


def test_augmentation_keeps_order_background_and_repeats_from_a_seed(mnist):
    images = digits(mnist, 200)
    torch.manual_seed(1)
    first = crop_and_rotate(images)
    torch.manual_seed(1)
    assert torch.equal(first, crop_and_rotate(images))
    assert not torch.equal(first, images)
    assert first[:, 0, 0, 0].abs().max() == 0 and first.min() >= 0 and first.max() <= 1
    nearest = torch.cdist(first.flatten(1), images.flatten(1)).argmin(1)
    assert (nearest == torch.arange(200)).float().mean() > 0.6, "most still resemble themselves most"


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_resampling_is_that_of_torch(mode):
    torch.manual_seed(0)
    images, matrices = torch.rand(9, 2, 28, 20), torch.randn(9, 2, 3)
    grid = F.affine_grid(matrices, images.shape, align_corners=False)
    expected = F.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)
    assert torch.allclose(resample(images, matrices, mode), expected, atol=1e-5)


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
    for name, strength in {"mild": 0.5, "medium": 0.7, "strong": 1.4}.items():
        moved = AUGMENTATIONS[f"{name}_affine"](torch.zeros(1, 1, 28, 28))[0, :, 2]
        assert torch.allclose(moved, torch.tensor(LIMITS[number])[:, 2] * strength, atol=1e-4)


def test_affine_draws_anew_for_each_image_and_repeats_from_a_seed(mnist):
    images = digits(mnist, 1).expand(300, 1, 28, 28)
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

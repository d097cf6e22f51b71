"""Batched augmentation against torchvision's, image by image."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from helpers.augmentation import AUGMENTATIONS, crop_and_rotate, resample, rotate, zoom_centre


def digits(mnist, count):
    return mnist.train.images[:count, None].float() / 255


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


def test_it_is_known_by_its_name():
    assert AUGMENTATIONS["crop_and_rotate"] is crop_and_rotate


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_resampling_is_that_of_torch(mode):
    torch.manual_seed(0)
    images, matrices = torch.rand(9, 2, 28, 20), torch.randn(9, 2, 3)
    grid = F.affine_grid(matrices, images.shape, align_corners=False)
    expected = F.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)
    assert torch.allclose(resample(images, matrices, mode), expected, atol=1e-5)

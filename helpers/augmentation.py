"""Random changes to whole batches of images, a different one for each image, on the batch's own device."""

import torch
import torch.nn.functional as F

CROP_PROBABILITY = 0.1
CROP_SIZE = 22
MAX_DEGREES = 15.0


def rotate(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """Turn each image about its centre, counter-clockwise, by its own angle.

    The same pixels as torchvision's `rotate` with its default nearest-neighbour sampling; new corners are 0.

    Args:
        images: float (n, 1, h, w) with h = w.
        degrees: float (n,).
    """
    angles = torch.deg2rad(degrees)
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    matrices = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrices, images.shape, align_corners=False)
    return F.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def zoom_centre(images: torch.Tensor, size: int = CROP_SIZE) -> torch.Tensor:
    """Crop each image to its central `size` × `size` pixels and stretch that to the old size again."""
    edge = (images.shape[-1] - size) // 2
    centre = images[..., edge : edge + size, edge : edge + size]
    return F.interpolate(centre, size=images.shape[-2:], mode="bilinear", align_corners=False)


def crop_and_rotate(images: torch.Tensor) -> torch.Tensor:
    """The augmentation of recipe B: one image in ten is zoomed, every image is turned by up to ±15°.

    Args:
        images: float (n, 1, 28, 28) in 0–1, before normalisation: the corners are filled with 0.
    """
    count = len(images)
    zoomed = torch.rand(count).lt(CROP_PROBABILITY).nonzero().squeeze(1).to(images.device)
    degrees = torch.empty(count).uniform_(-MAX_DEGREES, MAX_DEGREES).to(images.device)
    if len(zoomed):
        images = images.clone()
        images[zoomed] = zoom_centre(images[zoomed])
    return rotate(images, degrees)


AUGMENTATIONS = {"crop_and_rotate": crop_and_rotate}

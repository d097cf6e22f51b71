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


def draw_affine(images: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
    """Turn, move, stretch and shear each image by its own random amounts, in one resampling.

    At strength 1: up to ±10°, ±8 % of the width, ±10 % in size and a shear of ±0.1, each drawn uniformly.

    Args:
        images: float (n, 1, h, w) in 0–1, before normalisation: new corners are filled with 0.
        strength: all limits are multiplied by it.
    """
    count = len(images)
    uniform = (2 * torch.rand(5, count) - 1).to(images.device) * strength
    angle, size, shear = torch.deg2rad(10 * uniform[0]), 1 + 0.1 * uniform[1], 0.1 * uniform[2]
    cos, sin = angle.cos() / size, angle.sin() / size
    rows = (cos, -sin + shear * cos, 0.16 * uniform[3]), (sin, cos + shear * sin, 0.16 * uniform[4])
    matrices = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = F.affine_grid(matrices, images.shape, align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def draw_mild_affine(images: torch.Tensor) -> torch.Tensor:
    """`draw_affine` at half its strength, for short runs."""
    return draw_affine(images, strength=0.5)


AUGMENTATIONS = {"crop_and_rotate": crop_and_rotate, "affine": draw_affine, "mild_affine": draw_mild_affine}

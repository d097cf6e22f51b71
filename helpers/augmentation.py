"""Random changes to whole batches of images, a different one for each image, on the batch's own device."""

from collections.abc import Callable
from functools import partial

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
    return resample(images, torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3), "nearest")


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
    uniform = strength * (2 * torch.rand(5, len(images)) - 1).to(images.device)
    angle, size, shear = torch.deg2rad(10 * uniform[0]), 1 + 0.1 * uniform[1], 0.1 * uniform[2]
    cos, sin = angle.cos() / size, angle.sin() / size
    # A shift of 0.08 of the width is one of 0.16 here, where an image reaches from -1 to 1.
    rows = [cos, shear * cos - sin, 0.16 * uniform[3], sin, shear * sin + cos, 0.16 * uniform[4]]
    return resample(images, torch.stack(rows, dim=1).view(-1, 2, 3), "bilinear")


def resample(images: torch.Tensor, matrices: torch.Tensor, mode: str) -> torch.Tensor:
    """Each image as its own affine map sees it, like `F.affine_grid` and `F.grid_sample` in turn; 0 beyond the edge.

    The grid comes from one matrix product for all images. `F.affine_grid` makes one for each, and was the slowest
    part of a batch's augmentation on a CPU.

    Args:
        images: float (n, c, h, w).
        matrices: float (n, 2, 3), from a new pixel's x, y and 1 to the old one's x and y; edges are at -1 and 1.
        mode: "nearest" or "bilinear".
    """
    count, _, height, width = images.shape
    x, y = ((2 * torch.arange(side, device=images.device) + 1) / side - 1 for side in (width, height))
    pixels = torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones_like(x).repeat(height)])
    grid = (matrices.reshape(-1, 3) @ pixels).view(count, 2, height, width).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)


# Mild for short runs and small networks, strong for long runs of large ones.
AFFINE_STRENGTHS = {"mild_affine": 0.5, "medium_affine": 0.7, "affine": 1.0, "strong_affine": 1.4}
AUGMENTATIONS = {
    "crop_and_rotate": crop_and_rotate,
    **{name: partial(draw_affine, strength=strength) for name, strength in AFFINE_STRENGTHS.items()},
}


def find_augmentation(name: str | None, share: float = 1.0) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """An augmentation by its name, or None for none.

    Args:
        name: one of `AUGMENTATIONS`, or None.
        share: of its strength; other than 1 only for those of `AFFINE_STRENGTHS`.
    """
    if share != 1:
        return partial(draw_affine, strength=share * AFFINE_STRENGTHS[name])
    return AUGMENTATIONS[name] if name else None

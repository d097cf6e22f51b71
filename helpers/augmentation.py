"""Random changes to whole batches of images, a different one for each image, on the batch's own device."""

from collections.abc import Callable

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


AUGMENTATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"crop_and_rotate": crop_and_rotate}

"""The augmentation of the course's own recipes: a random affine change of each image, in four strengths."""

from functools import partial

import torch

from helpers.augmentation import AUGMENTATIONS, resample


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


# Mild for short runs and small networks, strong for long runs of large ones.
AFFINE_STRENGTHS = {"mild_affine": 0.5, "medium_affine": 0.7, "affine": 1.0, "strong_affine": 1.4}
AUGMENTATIONS.update({name: partial(draw_affine, strength=strength) for name, strength in AFFINE_STRENGTHS.items()})

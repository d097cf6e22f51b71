"""How good is a network, how sure are we, and where does it go wrong?"""

import numpy as np
import pandas as pd
import scipy.stats
import torch
import torch.nn.functional as F

from helpers.data import Split
from helpers.trained import Predictions, Trained


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for an accuracy, sensible even near 0 and 1.

    Args:
        correct: images that are right, 0 <= correct <= total.
        total: images, at least 1.
        confidence: two-sided level, between 0 and 1.

    Returns:
        Lower and upper bound as shares of one.

    Raises:
        ValueError: counts that cannot be.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927) 209–212.
    """
    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"need 0 <= correct <= total and total >= 1, got {correct} of {total}")
    interval = scipy.stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar_test(correct_a: torch.Tensor, correct_b: torch.Tensor) -> tuple[int, int, float]:
    """Exact paired test of two networks on the same images: do they differ more than chance would make them?

    Only images that exactly one of them gets right can tell; if both are equally good, each such image is a fair coin.

    Args:
        correct_a: which images the first network has right, bool (n,).
        correct_b: the same for the second.

    Returns:
        Images that only a has right, images that only b has right, two-sided p-value.

    Raises:
        ValueError: different numbers of images.

    Source: Q. McNemar, Psychometrika 12 (1947) 153–157, in its exact (binomial) form.
    """
    if correct_a.shape != correct_b.shape:
        raise ValueError(f"not the same images: {tuple(correct_a.shape)} and {tuple(correct_b.shape)}")
    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    p_value = scipy.stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return only_a, only_b, float(p_value)


def find_worst_errors(predictions: Predictions, count: int) -> torch.Tensor:
    """Indices of the wrong images with the highest loss, the worst first, int64 (at most count,)."""
    losses = predictions.losses.masked_fill(predictions.correct, -1.0)
    return losses.argsort(descending=True)[: min(count, int((~predictions.correct).sum()))]


def bin_by_confidence(predictions: Predictions, bins: int = 10) -> pd.DataFrame:
    """How often a network is right, by how sure it says it is.

    Args:
        predictions: of n images.
        bins: so many bins with the same number of images in each, the least sure first.

    Returns:
        A row per bin: `images`, mean `confidence`, `accuracy`.
    """
    order = predictions.confidence.argsort(stable=True)
    rows = [
        {
            "images": len(index),
            "confidence": predictions.confidence[index].mean().item(),
            "accuracy": predictions.correct[index].float().mean().item(),
        }
        for index in order.tensor_split(bins)
    ]
    return pd.DataFrame(rows)


def calibration_error(predictions: Predictions, bins: int = 10) -> float:
    """Mean distance between confidence and accuracy over equally filled bins, weighted by their images.

    Source: the expected calibration error of M. P. Naeini, G. Cooper, M. Hauskrecht, AAAI (2015), with bins of equal
    content instead of equal width, so that none is empty.
    """
    table = bin_by_confidence(predictions, bins)
    return float(np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["images"]))


def occlusion_map(trained: Trained, image: torch.Tensor, digit: int, patch: int = 7) -> torch.Tensor:
    """How much the probability of a digit falls when a patch of background covers each part of an image.

    Args:
        trained: the network.
        image: uint8 (28, 28).
        digit: whose probability is watched.
        patch: side of the square in pixels, odd.

    Returns:
        float (28, 28): at each pixel, the fall (positive: that part spoke for the digit) with the patch centred there.

    Source: M. D. Zeiler, R. Fergus, ECCV (2014), arXiv:1311.2901, section 4.2.
    """
    height, width = image.shape
    reach = patch // 2
    covered = F.pad(image, (reach,) * 4).repeat(height * width, 1, 1)
    for pixel in range(height * width):
        row, column = divmod(pixel, width)
        covered[pixel, row : row + patch, column : column + patch] = 0
    variants = torch.cat([image[None], covered[:, reach : reach + height, reach : reach + width]])
    probabilities = trained.predict(Split(variants)).probabilities[:, digit]
    return (probabilities[0] - probabilities[1:]).reshape(height, width)

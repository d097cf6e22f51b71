"""How good is a network, how sure are we, and where does it go wrong?"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy  # scipy.stats takes a second to load, and does so when it is first asked for
import torch
import torch.nn.functional as F

from helpers.data import Split
from helpers.errors import InputError
from helpers.trained import Predictions, Trained

EDGES = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for an accuracy, sensible even near 0 and 1.

    Args:
        correct: images that are right, 0 <= correct <= total.
        total: images, at least 1.
        confidence: two-sided level, between 0 and 1.

    Returns:
        Lower and upper bound as shares of one.

    Raises:
        InputError: counts that cannot be.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927) 209–212.
    """
    if not 0 <= correct <= total or total < 1:
        raise InputError(f"need 0 <= correct <= total and total >= 1, got {correct} of {total}")
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
        InputError: different numbers of images.

    Source: Q. McNemar, Psychometrika 12 (1947) 153–157, in its exact (binomial) form.
    """
    if correct_a.shape != correct_b.shape:
        raise InputError(f"not the same images: {tuple(correct_a.shape)} and {tuple(correct_b.shape)}")
    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    p_value = scipy.stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return only_a, only_b, float(p_value)


def find_worst_errors(predictions: Predictions, count: int) -> torch.Tensor:
    """Indices of the wrong images with the highest loss, the worst first, int64 (at most count,)."""
    losses = predictions.losses.masked_fill(predictions.correct, -1.0)
    return losses.argsort(descending=True)[: min(count, int((~predictions.correct).sum()))]


def bin_by_confidence(predictions: Predictions, edges: Sequence[float] = EDGES) -> pd.DataFrame:
    """How often a network is right, by how sure it says it is.

    Args:
        predictions: of n images.
        edges: of the bins, rising from 0 to 1; narrow where confidence matters most.

    Returns:
        A row per bin that holds an image: `images`, mean `confidence`, `accuracy`, and `low` and `high`, the 95 %
        interval of that share.
    """
    confidence, rows = predictions.confidence, []
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if count := int(inside.sum()):
            right = int(predictions.correct[inside].sum())
            interval = dict(zip(("low", "high"), wilson_interval(right, count)))
            mean = confidence[inside].double().mean().item()
            rows.append({"images": count, "confidence": mean, "accuracy": right / count, **interval})
    return pd.DataFrame(rows)


def calibration_error(predictions: Predictions, edges: Sequence[float] = EDGES) -> float:
    """Mean distance between confidence and accuracy over bins, weighted by their images.

    Source: the expected calibration error of M. P. Naeini, G. Cooper, M. Hauskrecht, AAAI (2015), with narrower bins
    towards 1, where most images are.
    """
    table = bin_by_confidence(predictions, edges)
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

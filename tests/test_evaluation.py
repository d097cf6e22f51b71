"""Intervals, paired tests, worst errors, calibration, occlusion."""

import pytest
import torch
from torch import nn

from helpers.evaluation import (
    EDGES,
    bin_by_confidence,
    calibration_error,
    find_worst_errors,
    mcnemar_test,
    occlusion_map,
    wilson_interval,
)
from helpers.recipes import Recipe
from helpers.trained import Predictions, Trained


def make_predictions(confidences, right):
    """Two-digit predictions with the given confidence in 0 or, where wrong, in 1; the label is always 0."""
    probabilities = torch.full((len(confidences), 10), 1e-9)
    for row, (confidence, is_right) in enumerate(zip(confidences, right)):
        probabilities[row, 0 if is_right else 1] = confidence
        probabilities[row, 2] = 1 - confidence
    return Predictions(probabilities.log(), torch.zeros(len(confidences), dtype=torch.long))


def test_wilson_interval_against_a_published_value_and_the_ends():
    # R. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20)[1] == pytest.approx(1)
    assert wilson_interval(0, 20, 0.99) == pytest.approx((0, 2.5758**2 / (20 + 2.5758**2)), abs=5e-5)
    for correct, total in ((-1, 10), (11, 10), (0, 0)):
        with pytest.raises(ValueError, match=f"{correct} of {total}"):
            wilson_interval(correct, total)


def test_mcnemar_by_hand():
    a = torch.tensor([True] * 9 + [False] * 1 + [True] * 90)
    b = torch.tensor([False] * 9 + [True] * 1 + [True] * 90)
    only_a, only_b, p_value = mcnemar_test(a, b)
    # Ten fair coins: at most one head or at most one tail, 2 * (1 + 10) / 1024.
    assert (only_a, only_b) == (9, 1) and p_value == pytest.approx(22 / 1024)
    assert mcnemar_test(b, a)[:2] == (1, 9)
    assert mcnemar_test(a, a) == (0, 0, 1.0)
    with pytest.raises(ValueError, match="not the same images"):
        mcnemar_test(a, b[:5])


def test_worst_errors_are_wrong_and_the_surest_come_first():
    predictions = make_predictions([0.99, 0.6, 0.9, 0.7], [True, False, False, False])
    predictions.logits[:, 0] = torch.tensor([0.0, -1.0, -3.0, -2.0])
    assert find_worst_errors(predictions, 2).tolist() == [2, 3]
    assert find_worst_errors(predictions, 10).tolist() == [2, 3, 1]


def test_where_nothing_is_wrong_there_is_no_worst_error():
    assert find_worst_errors(make_predictions([0.9, 0.8], [True, True]), 5).tolist() == []


def test_calibration_of_an_honest_and_of_a_boastful_network():
    honest = make_predictions([0.75] * 400, [True, True, True, False] * 100)
    assert calibration_error(honest, edges=(0, 1)) == pytest.approx(0, abs=1e-4)
    boastful = make_predictions([0.95] * 400, [True, False] * 200)
    assert calibration_error(boastful) == pytest.approx(0.45, abs=1e-3)
    mixed = make_predictions([0.75] * 300 + [0.99] * 100, [True, True, True, False] * 75 + [False] * 100)
    assert calibration_error(mixed) == pytest.approx(0.25 * 0.99, abs=1e-3), "weighted by images"


def test_bins_hold_what_lies_between_their_edges_and_say_how_sure_the_share_is():
    answers = make_predictions([0.6, 0.9, 0.7, 0.8], [False, True, True, True])
    table = bin_by_confidence(answers, edges=(0, 0.55, 0.75, 1))
    assert table["images"].tolist() == [2, 2], "no row for an empty bin"
    assert table["confidence"].tolist() == pytest.approx([0.65, 0.85], abs=1e-4)
    assert table["accuracy"].tolist() == [0.5, 1.0]
    assert list(zip(table["low"], table["high"])) == [wilson_interval(1, 2), wilson_interval(2, 2)]


def test_an_image_on_an_edge_is_in_the_bin_below_and_none_is_lost():
    sure = Predictions(torch.tensor([[200.0, *[0.0] * 9], [0.0] * 10]), torch.zeros(2, dtype=torch.long))
    table = bin_by_confidence(sure)
    assert table["images"].tolist() == [1, 1] and table["confidence"].tolist() == pytest.approx([0.1, 1])
    even = Predictions(torch.tensor([[0.0, 0.0, *[-200.0] * 8]]), torch.zeros(1, dtype=torch.long))
    assert bin_by_confidence(even, edges=(0, 0.5, 1))["confidence"].tolist() == [0.5]
    assert len(bin_by_confidence(even, edges=(0.5, 1))) == 0
    assert EDGES[0] == 0 and EDGES[-1] == 1 and list(EDGES) == sorted(EDGES)


class InkBelow(nn.Linear):
    """Sure of 1 as long as there is ink in the lower right corner."""

    def __init__(self):
        super().__init__(1, 1)

    def forward(self, images):
        ink = (images[:, 0, 20:, 20:].amax((1, 2)) > 0).float()
        others = torch.full((len(ink), 8), -20.0)
        return torch.cat([torch.zeros(len(ink), 1), 10 * ink[:, None] - 5, others], dim=1)


def test_occlusion_finds_what_matters():
    image = torch.zeros(28, 28, dtype=torch.uint8)
    image[24, 24] = image[3, 3] = 255
    falls = occlusion_map(Trained(InkBelow(), Recipe(model="mlp")), image, digit=1, patch=5)
    rows, columns = (falls > 0.9).nonzero(as_tuple=True)
    assert falls.shape == (28, 28)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 26, 22, 26)
    assert falls[3, 3].abs() < 1e-6
    assert image.count_nonzero() == 2, "the image itself stays as it is"


def test_bins_that_err_in_either_direction_do_not_cancel():
    sure = torch.tensor([0.6, 0.96])  # the first always right, the second always wrong
    logits = torch.zeros(2, 10)
    logits[:, 0] = torch.log(9 * sure / (1 - sure))
    error = calibration_error(Predictions(logits, torch.tensor([0, 1])))
    assert error == pytest.approx((0.4 + 0.96) / 2, abs=1e-3)

"""Predictions, intervals, paired tests, calibration, occlusion."""

import pytest
import torch
from torch import nn

from helpers.data import Split
from helpers.evaluation import (
    Predictions,
    bin_by_confidence,
    calibration_error,
    combine,
    find_worst_errors,
    mcnemar_test,
    occlusion_map,
    predict,
    wilson_interval,
)
from helpers.models import build_model


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


def test_predictions_say_what_was_right():
    predictions = make_predictions([0.9, 0.8, 0.7], [True, False, True])
    assert predictions.predicted.tolist() == [0, 1, 0] and predictions.correct.tolist() == [True, False, True]
    assert predictions.accuracy == pytest.approx(2 / 3)
    assert predictions.confidence.tolist() == pytest.approx([0.9, 0.8, 0.7], abs=1e-4)
    assert predictions.losses[0].item() == pytest.approx(0.10536, abs=1e-4)


def test_confusion_has_a_row_for_each_label_and_a_column_for_each_answer():
    predictions = Predictions(torch.eye(10)[[7, 1, 7, 0]], torch.tensor([1, 1, 7, 1]))
    expected = torch.zeros(10, 10, dtype=torch.int64)
    expected[1, 7] = expected[1, 1] = expected[7, 7] = expected[1, 0] = 1
    assert torch.equal(predictions.confusion, expected)


def test_worst_errors_are_wrong_and_the_surest_come_first():
    predictions = make_predictions([0.99, 0.6, 0.9, 0.7], [True, False, False, False])
    predictions.logits[:, 0] = torch.tensor([0.0, -1.0, -3.0, -2.0])
    assert find_worst_errors(predictions, 2).tolist() == [2, 3]
    assert find_worst_errors(predictions, 10).tolist() == [2, 3, 1]


def test_calibration_of_an_honest_and_of_a_boastful_network():
    honest = make_predictions([0.75] * 400, [True, True, True, False] * 100)
    assert calibration_error(honest, bins=1) == pytest.approx(0, abs=1e-4)
    boastful = make_predictions([0.95] * 400, [True, False] * 200)
    assert calibration_error(boastful, bins=5) == pytest.approx(0.45, abs=1e-3)
    table = bin_by_confidence(make_predictions([0.6, 0.9, 0.7, 0.8], [False, True, True, True]), bins=2)
    assert table["images"].tolist() == [2, 2]
    assert table["confidence"].tolist() == pytest.approx([0.65, 0.85], abs=1e-4)
    assert table["accuracy"].tolist() == [0.5, 1.0]


def test_predict_uses_eval_mode_in_order_and_puts_the_mode_back(marked):
    torch.manual_seed(0)
    network = build_model("lenet5_regularised")
    running = network.norm1.running_mean.clone()
    predictions = predict(network, marked)
    assert network.training and torch.equal(running, network.norm1.running_mean)
    assert torch.equal(predictions.labels, marked.labels) and predictions.logits.shape == (3_000, 10)
    assert torch.equal(predict(network, marked).logits, predictions.logits)
    reverse = predict(network.eval(), Split(marked.images.flip(0), marked.labels.flip(0)))
    assert not network.training
    assert torch.allclose(reverse.logits.flip(0), predictions.logits, atol=1e-5)


class Brightness(nn.Module):
    def forward(self, images):
        return images.mean((1, 2, 3))[:, None].repeat(1, 10)


@pytest.mark.parametrize("scaling, expected", [("unit", 1.0), ("raw", 255.0), ("normalised", (1 - 0.1307) / 0.3081)])
def test_predict_scales_as_the_network_was_trained(scaling, expected):
    white = Split(torch.full((3, 28, 28), 255, dtype=torch.uint8), torch.zeros(3, dtype=torch.long))
    assert predict(Brightness(), white, scaling=scaling).logits[0, 0].item() == pytest.approx(expected, rel=1e-4)


class InkBelow(nn.Module):
    """Sure of 1 as long as there is ink in the lower right corner."""

    def forward(self, images):
        ink = (images[:, 0, 20:, 20:].amax((1, 2)) > 0).float()
        return torch.stack([torch.zeros_like(ink), 10 * ink - 5], dim=1)


def test_occlusion_finds_what_matters():
    image = torch.zeros(28, 28, dtype=torch.uint8)
    image[24, 24] = image[3, 3] = 255
    falls = occlusion_map(InkBelow(), image, digit=1, patch=5)
    rows, columns = (falls > 0.9).nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 26, 22, 26)
    assert falls[3, 3].abs() < 1e-6


def test_combining_averages_probabilities():
    first, second = make_predictions([0.9, 0.6], [True, False]), make_predictions([0.5, 0.8], [False, True])
    both = combine([first, second])
    assert torch.allclose(both.probabilities, (first.probabilities + second.probabilities) / 2, atol=1e-6)
    assert both.predicted.tolist() == [0, 0] and torch.equal(both.labels, first.labels)
    sure = Predictions(torch.tensor([[200.0, *[0.0] * 9]]), torch.zeros(1, dtype=torch.long))
    assert combine([sure, sure]).logits.isfinite().all()


def test_only_answers_about_the_same_images_are_combined():
    first = make_predictions([0.9, 0.6], [True, False])
    other = Predictions(first.logits, first.labels + 1)
    for predictions in ([], [first, other], [first, make_predictions([0.9], [True])]):
        with pytest.raises(ValueError, match="same images"):
            combine(predictions)


def test_prediction_sees_the_changed_images(mnist):
    torch.manual_seed(0)
    network, split = build_model("lenet5"), Split(mnist.test_images[:50], mnist.test_labels[:50])
    turned = Split(split.images.flip(2), split.labels)
    changed = predict(network, split, change=lambda images: images.flip(3))
    assert torch.allclose(changed.logits, predict(network, turned).logits, atol=1e-6)

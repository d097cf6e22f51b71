"""A trained network: its table, and what it says about images."""

import dataclasses

import pytest
import torch
from torch import nn

from helpers import trained as trained_module
from helpers.data import Split
from helpers.errors import InputError
from helpers.models import build_model
from helpers.recipes import Recipe
from helpers.trained import Predictions, Trained

QUICK = Recipe(model="lenet5_regularised")


def make_trained(network=None, **changes) -> Trained:
    torch.manual_seed(0)
    recipe = dataclasses.replace(QUICK, **changes)
    return Trained(build_model(recipe.model) if network is None else network, recipe)


def test_the_table_has_a_row_per_epoch():
    history = [{"epoch": epoch, "train_loss": 1 / epoch, "seconds": 2.0} for epoch in (1, 2)]
    table = Trained(nn.Identity(), QUICK, 0, history).table()
    assert table.index.tolist() == [1, 2] and table.index.name == "epoch"
    assert table["train_loss"].tolist() == [1, 0.5] and list(table.columns) == ["train_loss", "seconds"]


def test_predict_uses_eval_mode_in_order_and_puts_the_mode_back(marked):
    one = make_trained()
    network = one.network
    running = network.norm1.running_mean.clone()
    predictions = one.predict(marked, "cpu")
    assert network.training and torch.equal(running, network.norm1.running_mean)
    assert torch.equal(predictions.labels, marked.labels)
    assert predictions.logits.shape == (3_000, 10) and not predictions.logits.requires_grad
    assert torch.equal(one.predict(marked, "cpu").logits, predictions.logits)
    network.eval()
    reverse = one.predict(Split(marked.images.flip(0), marked.labels.flip(0)), "cpu")
    assert not network.training
    assert torch.allclose(reverse.logits.flip(0), predictions.logits, atol=1e-5)


class Traveller(nn.Linear):
    """Notes where it is sent, and stays; answers wherever its images are."""

    def __init__(self):
        super().__init__(1, 1)
        self.way = []

    def to(self, place, *_, **__):
        self.way.append(place)
        return self

    def forward(self, images):
        self.seen_on = images.device
        return torch.zeros(len(images), 10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("works", [True, False])
def test_predict_puts_the_network_back_where_it_was_whatever_happens(marked, monkeypatch, training, works):
    network = Traveller().train(training)
    if works:
        predictions = make_trained(network).predict(marked, "meta")
        assert predictions.logits.device.type == "cpu" and network.seen_on == torch.device("meta")
    else:
        monkeypatch.setattr(network, "forward", lambda images: 1 / 0 if images.is_meta else torch.zeros(1, 10))
        with pytest.raises(ZeroDivisionError):
            make_trained(network).predict(marked, "meta")
    assert network.way == [torch.device("meta"), torch.device("cpu")] and network.training == training


def test_predict_computes_on_the_fastest_device_unless_told(marked, monkeypatch):
    monkeypatch.setattr(trained_module, "pick_device", lambda: torch.device("meta"))
    network = Traveller()
    make_trained(network).predict(marked)
    assert network.seen_on == torch.device("meta")


def test_predict_refuses_images_of_another_size_by_their_size():
    with pytest.raises(InputError, match="of 32 × 32 pixels"):
        make_trained().predict(Split(torch.zeros(2, 32, 32, dtype=torch.uint8)), "cpu")


class Brightness(nn.Linear):
    """Says how bright an image is, as it sees it."""

    def __init__(self):
        super().__init__(1, 1)

    def forward(self, images):
        return images.mean((1, 2, 3))[:, None].repeat(1, 10)


@pytest.mark.parametrize("scaling, expected", [("unit", 1.0), ("raw", 255.0), ("normalised", (1 - 0.1307) / 0.3081)])
def test_predict_scales_as_the_network_was_trained(scaling, expected):
    white = Split(torch.full((3, 28, 28), 255, dtype=torch.uint8))
    logits = make_trained(Brightness(), scaling=scaling).predict(white, "cpu").logits
    assert logits[0, 0].item() == pytest.approx(expected, rel=1e-4)


def test_predict_sees_the_changed_images(mnist):
    one, split = make_trained(), mnist.test.take(50)
    turned = Split(split.images.flip(2), split.labels)
    changed = one.predict(split, "cpu", change=lambda images: images.flip(3))
    assert torch.allclose(changed.logits, one.predict(turned, "cpu").logits, atol=1e-6)


def test_a_change_comes_before_the_scaling():
    white = Split(torch.full((3, 28, 28), 255, dtype=torch.uint8))
    logits = make_trained(Brightness()).predict(white, "cpu", change=torch.zeros_like).logits
    assert logits[0, 0].item() == pytest.approx(-0.1307 / 0.3081, rel=1e-4)


@pytest.mark.parametrize("asked", ["correct", "accuracy", "confusion", "losses"])
def test_images_without_labels_have_answers_and_nobody_knows_which_are_right(marked, asked):
    known = make_trained().predict(marked, "cpu")
    predictions = make_trained().predict(Split(marked.images), "cpu")
    assert predictions.labels is None and torch.equal(predictions.logits, known.logits)
    assert torch.equal(predictions.predicted, known.predicted)
    assert torch.equal(predictions.confidence, known.confidence)
    with pytest.raises(ValueError, match="no labels"):
        getattr(predictions, asked)


def test_predictions_say_what_was_right():
    probabilities = torch.tensor([[0.9, 0.0, 0.1], [0.0, 0.8, 0.2], [0.7, 0.0, 0.3]])
    predictions = Predictions((probabilities + 1e-9).log(), torch.zeros(3, dtype=torch.long))
    assert predictions.predicted.tolist() == [0, 1, 0] and predictions.correct.tolist() == [True, False, True]
    assert predictions.accuracy == pytest.approx(2 / 3)
    assert torch.allclose(predictions.probabilities, probabilities, atol=1e-6)
    assert predictions.confidence.tolist() == pytest.approx([0.9, 0.8, 0.7], abs=1e-4)
    assert predictions.losses[0].item() == pytest.approx(0.10536, abs=1e-4)


def test_confusion_has_a_row_for_each_label_and_a_column_for_each_answer():
    predictions = Predictions(torch.eye(10)[[7, 1, 7, 0]], torch.tensor([1, 1, 7, 1]))
    expected = torch.zeros(10, 10, dtype=torch.int64)
    expected[1, 7] = expected[1, 1] = expected[7, 7] = expected[1, 0] = 1
    assert torch.equal(predictions.confusion, expected)

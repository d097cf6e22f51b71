"""Which images an epoch learns from, and from whom: hard ones, and teachers."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.data import Batches
from helpers.recipes import RECIPES
from helpers.training import Plain
from lab.recipes import LabRecipe
from lab.tricks import Chooser, Teachers, Tricks

CPU = torch.device("cpu")
QUICK = LabRecipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)
FOCUSED = dataclasses.replace(QUICK, focus=0.4)
STUDENT = dataclasses.replace(QUICK, teacher="best")


class Says(nn.Module):
    """Answers with the same logits, whatever it sees; the weight is there to have a gradient."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.as_tensor(logits))

    def forward(self, images):
        assert not self.training
        return self.logits.expand(len(images), 10)


@pytest.mark.parametrize("count", [10, 12])
def test_all_images_are_in_random_order(count):
    torch.manual_seed(0)
    chosen = Chooser(10, CPU).choose(count)
    assert sorted(chosen.tolist()) == list(range(10)) and chosen.tolist() != list(range(10))


def test_half_are_the_hardest_and_the_rest_is_drawn_from_the_others():
    chooser = Chooser(1_000, CPU)
    chooser.losses = torch.rand(1_000, generator=torch.Generator().manual_seed(1))
    hardest = set(chooser.losses.topk(200).indices.tolist())
    torch.manual_seed(0)
    one, other = chooser.choose(400), chooser.choose(400)
    for chosen in (one, other):
        assert len(chosen) == len(chosen.unique()) == 400
        assert hardest <= set(chosen.tolist())
        assert 60 < sum(image in hardest for image in chosen[:200].tolist()) < 140, "mixed, not the hardest first"
    drawn = [set(chosen.tolist()) - hardest for chosen in (one, other)]
    assert 20 < len(drawn[0] & drawn[1]) < 80, "200 of the other 800, anew each time: 50 in both by chance"


def test_losses_are_kept_at_their_images_and_come_back_from_a_state():
    chooser, index = Chooser(6, CPU), torch.tensor([4, 1])
    logits, labels = torch.randn(2, 10), torch.tensor([3, 9])
    chooser.remember(index, logits.requires_grad_(), labels)
    assert chooser.losses[4] == F.cross_entropy(logits[:1], labels[:1])
    assert chooser.losses[1] == F.cross_entropy(logits[1:], labels[1:])
    assert chooser.losses.count_nonzero() == 2 and not chooser.losses.requires_grad
    copy = Chooser(6, CPU)
    copy.load_state_dict(chooser.state_dict())
    assert torch.equal(copy.losses, chooser.losses)


def test_the_loss_is_against_the_softened_answer_of_one_teacher_of_five():
    torch.manual_seed(0)
    answers, logits = torch.randn(5, 10), torch.randn(3, 10, requires_grad=True)
    teachers, images = Teachers([Says(row) for row in answers]), torch.zeros(3, 1, 28, 28)
    log = (logits / 3).log_softmax(1)
    expected = [-((row / 3).softmax(0) * log).sum(1).mean() * 9 for row in answers]
    losses = [teachers.compute_loss(images, logits) for _ in range(400)]
    drawn = [[torch.allclose(loss, one, rtol=1e-6) for one in expected].index(True) for loss in losses]
    assert all(50 < drawn.count(teacher) < 110 for teacher in range(5)), "each of them, equally often"
    losses[0].backward()
    assert logits.grad.abs().sum() > 0 and all(network.logits.grad is None for network in teachers.networks)


def test_the_teachers_have_nine_tenths_of_the_loss(stripes):
    tricks = Tricks(STUDENT, 400, CPU, [Says(torch.arange(10.0))])
    (images, labels), *_ = Batches(stripes, 400)
    logits = torch.randn(400, 10, generator=torch.Generator().manual_seed(0))
    taught = tricks.teachers.compute_loss(images, logits)
    expected = 0.1 * F.cross_entropy(logits, labels) + 0.9 * taught
    assert tricks.loss(images, logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_first_epoch_is_of_all_images_and_later_ones_are_chosen_by_what_was_seen(stripes):
    tricks = Tricks(FOCUSED, 400, CPU)
    first = tricks.order(0)
    assert sorted(first.tolist()) == list(range(400))
    answers = F.one_hot(stripes.labels.clamp_min(1), 10).float()
    tricks.seen(first, answers[first], stripes.labels[first])  # the forty zeros are taken for ones
    later = tricks.order(1)
    assert len(later) == len(later.unique()) == 5 * 32
    assert set((stripes.labels == 0).nonzero().flatten().tolist()) <= set(later.tolist())


def test_what_was_seen_comes_back_from_a_state(stripes):
    tricks, copy = Tricks(FOCUSED, 400, CPU), Tricks(FOCUSED, 400, CPU)
    tricks.seen(torch.arange(400), torch.randn(400, 10), stripes.labels)
    copy.load_state_dict(tricks.state_dict())
    orders = []
    for one in (tricks, copy):
        torch.manual_seed(0)
        orders.append(one.order(1))
    assert torch.equal(*orders)


def test_without_focus_and_teacher_tricks_do_what_the_plain_loop_does(stripes):
    tricks, plain = Tricks(RECIPES["five_conv"], 400, CPU), Plain(RECIPES["five_conv"], 400, CPU)
    logits, orders = torch.randn(400, 10), []
    for one in (tricks, plain):
        torch.manual_seed(0)
        orders.append(one.order(1))
    assert torch.equal(*orders) and tricks.state_dict() == plain.state_dict() == {}
    losses = [one.loss(stripes.images[:, None], logits, stripes.labels) for one in (tricks, plain)]
    assert torch.equal(*losses)
    assert losses[0] == F.cross_entropy(logits.softmax(1), stripes.labels)


@pytest.mark.parametrize("recipe", [FOCUSED, STUDENT])
def test_the_plain_loop_refuses_a_recipe_with_tricks(recipe):
    with pytest.raises(ValueError, match="tricks that the plain loop does not know.*lab.training.fit"):
        Plain(recipe, 400, CPU)
    Plain(QUICK, 400, CPU)


@pytest.mark.parametrize(
    ("recipe", "teachers"), [(STUDENT, []), (QUICK, [Says(torch.zeros(10))]), (RECIPES["mlp"], [Says(torch.zeros(10))])]
)
def test_a_teacher_without_networks_and_networks_without_a_teacher_are_refused(recipe, teachers):
    with pytest.raises(ValueError, match=f"teacher is (None|best), and {len(teachers)} networks are given"):
        Tricks(recipe, 400, CPU, teachers)


def test_teachers_lie_in_memory_as_the_recipe_says():
    for channels_last in (True, False):
        teacher = nn.Sequential(nn.Conv2d(4, 4, 3))
        Tricks(dataclasses.replace(STUDENT, channels_last=channels_last), 9, CPU, [teacher])
        assert teacher[0].weight.is_contiguous(memory_format=torch.channels_last) == channels_last

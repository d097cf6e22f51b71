"""Which images an epoch learns from."""

import pytest
import torch
import torch.nn.functional as F

from helpers.focus import Chooser

CPU = torch.device("cpu")


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

"""The lab's networks, known by their names and widths."""

import pytest
import torch
from torch import nn

from helpers.models import build_model, count_parameters
from lab import networks  # noqa: F401  makes them known


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *[("early_pool-16-32-32-64", 38_714), ("separable-8-16-20-20", 1_962)],
        *[("trimmed-16-16-16-64", 17_018), ("trimmed-32-32-64-128-128", 255_530)],
        *[("paired-8-8-16-16-16", 7_986), ("paired-8-16-16-24-24-24", 19_746)],
    ],
)
def test_families_are_built_by_their_widths(name, parameters):
    network = build_model(name)
    assert count_parameters(network) == parameters
    assert network.eval()(torch.randn(2, 1, 28, 28)).shape == (2, 10)
    widths = [m.out_channels for m in network if isinstance(m, nn.Conv2d) and m.groups == 1]
    assert name.endswith("-".join(map(str, widths)))


@pytest.mark.parametrize("name", ["early_pool-4-4-4-4", "trimmed-4-4-4-4"])
def test_pooling_leaves_batch_norm_less_to_do(name):
    layers = [layer for layer in build_model(name)._modules if not layer.startswith("zeropad")]
    assert layers[:4] == ["conv1", "pool1", "norm1", "relu1"]


def test_the_network_for_one_epoch_is_that_of_its_source():
    network = build_model("one_epoch")
    assert count_parameters(network) == 624 + 6_944 + 205_056 + 2_570
    logits = network(torch.randn(4, 1, 28, 28))
    assert logits.shape == (4, 10) and logits.min() < 0


@pytest.mark.parametrize(
    "name",
    [
        *(
            "trimmed",
            "trimmed-1-2-3",
            "trimmed-0-1-1-1",
            "trimmed-1-1-1-x",
            "trimmed-1-2-3-4-5-6",
            "trimmed-1-1-1-9999",
        ),
        *("paired-1-2-3-4", "paired-1-2-3-4-5-6-7", "early_pool-1-2-3", "separable-1-2-3-4-5", "slow-1-2-3-4"),
    ],
)
def test_families_need_their_number_of_widths(name):
    with pytest.raises(ValueError, match=f"'{name}'|need [45] or [56] widths"):
        build_model(name)


def test_a_trimmed_network_does_not_look_at_the_two_outer_rings():
    torch.manual_seed(0)
    network, images = build_model("trimmed-4-4-4-4-4").eval(), torch.randn(3, 1, 28, 28)
    framed = images.clone()
    framed[..., 2:26, 2:26] = 0
    assert torch.equal(network(images), network(images - framed))
    framed[..., 2, 2] = 5
    assert not torch.equal(network(images), network(images - framed))

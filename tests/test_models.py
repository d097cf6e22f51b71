"""The networks: sizes, shapes, and parts that must really be at work."""

import pytest
import torch
from torch import nn

from helpers.errors import InputError
from helpers.models import (
    MODELS,
    QuickDropout,
    build_model,
    check_logits,
    count_multiply_adds,
    count_parameters,
    print_summary,
)

PARAMETERS = {
    "five_conv": 691_786,
    "compact": 19_865,
    "lenet5": 44_426,
    "mlp": 45_846,
    "lenet5_regularised": 44_426 + 2 * (6 + 16 + 120),
    "small_vgg": 19_610,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_shape_and_logits(name):
    torch.manual_seed(0)
    network = build_model(name)
    assert count_parameters(network) == PARAMETERS[name]
    logits = network(torch.randn(4, 1, 28, 28))
    assert logits.shape == (4, 10)
    assert logits.min() < 0, "probabilities instead of logits"


def test_frozen_parameters_do_not_count():
    network = build_model("lenet5")
    network.conv1.requires_grad_(False)
    assert count_parameters(network) == 44_426 - 156


def test_the_published_networks_come_first():
    assert list(MODELS)[: len(PARAMETERS)] == list(PARAMETERS)


def test_multiply_adds_by_hand():
    assert count_multiply_adds(build_model("mlp")) == 784 * 56 + 56 * 28 + 28 * 10
    lenet5 = 24 * 24 * 6 * 25 + 8 * 8 * 16 * 6 * 25 + 256 * 120 + 120 * 84 + 84 * 10
    assert count_multiply_adds(build_model("lenet5")) == lenet5


def test_counting_leaves_the_network_as_it_was():
    network = build_model("compact")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    count_multiply_adds(network)
    assert network.training and torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_summary_counts_the_same_and_leaves_no_trace(capsys):
    network = build_model("lenet5_regularised")
    state, running = torch.random.get_rng_state(), network.norm1.running_mean.clone()
    print_summary(network)
    assert "44,710" in capsys.readouterr().out
    assert torch.equal(state, torch.random.get_rng_state()) and torch.equal(running, network.norm1.running_mean)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'lenet'.*five_conv, compact, lenet5, mlp"):
        build_model("lenet")


@pytest.mark.parametrize("name", ["mlp-3", "mlp-0", "mlp-x", "mlp-", "", 3, None])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputError, match=f"called {name!r};|{name!r} has numbers"):
        build_model(name)


@pytest.mark.parametrize("name", ["compact", "lenet5_regularised"])
def test_regularisation_is_called(name):
    network = build_model(name)
    images = torch.randn(8, 1, 28, 28)
    assert not torch.equal(network(images), network(images)), "dropout changes the answer while training"
    assert network.norm1.running_mean.abs().sum() > 0, "batch norm has seen the batch"
    network.eval()
    assert torch.equal(network(images), network(images))


def test_batch_norm_comes_after_the_pooling_in_recipe_a_as_published():
    layers = "conv1 relu1 conv2 relu2 pool1 norm1 conv3 relu3 conv4 relu4 pool2 norm2 conv5 relu5 pool3 norm3"
    assert list(build_model("five_conv")._modules)[:16] == layers.split()


def test_dropout_rates():
    rates = {name: [m.p for m in build_model(name) if isinstance(m, nn.Dropout)] for name in PARAMETERS}
    assert rates.pop("compact") == [0.1, 0.1] and rates.pop("lenet5_regularised") == [0.25, 0.25]
    assert not any(rates.values())


def test_until_gives_the_first_layers():
    network = build_model("compact").eval()
    assert network.until("pool1")(torch.zeros(1, 1, 28, 28)).shape == (1, 30, 12, 12)
    assert network.until("conv1")[0] is network.conv1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_quick_dropout_has_the_distribution_of_dropout(layout, rate):
    torch.manual_seed(0)
    values = torch.ones(64, 20, 26, 26).to(memory_format=layout).requires_grad_()
    dropped = QuickDropout(rate)(values)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / (1 - rate)])
    kept = dropped != 0
    spread = (rate * (1 - rate) / kept.numel()) ** 0.5
    assert abs(1 - kept.float().mean().item() - rate) < 5 * spread
    assert abs(dropped.mean().item() - 1) < 0.01
    # Neighbours are independent: both dropped as often as the product says.
    both = (~kept[..., 1:] & ~kept[..., :-1]).float().mean().item()
    assert abs(both - rate**2) < 0.005
    dropped.sum().backward()
    assert torch.equal(values.grad != 0, kept)
    assert dropped.stride() == values.stride()


def test_quick_dropout_is_off_in_eval_mode_and_repeats_from_a_seed():
    layer, values = QuickDropout(0.3), torch.randn(5, 7)
    torch.manual_seed(3)
    first = layer(values)
    torch.manual_seed(3)
    assert torch.equal(first, layer(values))
    assert layer.eval()(values) is values or torch.equal(layer(values), values)
    assert QuickDropout(1.0)(values).abs().sum() == 0


class Twice(nn.Module):
    """A convolution that is called twice, and a parameter outside of any layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.shift = nn.Conv2d(1, 1, 3, padding=1), nn.Parameter(torch.zeros(5))

    def forward(self, images):
        return self.conv(self.conv(images)) + self.shift.sum()


def test_a_summary_that_counts_otherwise_says_so(capsys):
    print_summary(Twice())
    text = capsys.readouterr().out
    assert "Total params: 20" in text and text.count("[-1, 1, 28, 28]") == 2
    assert "torchsummary counts 20 trainable parameters where the network holds 15" in text
    print_summary(build_model("lenet5"))
    assert "torchsummary counts" not in capsys.readouterr().out


def test_a_network_is_looked_at_as_it_will_be_used():
    network, two, one = build_model("lenet5_regularised"), torch.zeros(2, 1, 28, 28), torch.zeros(1, 1, 28, 28)
    check_logits(network, two, training=True)
    check_logits(network, one)
    with pytest.raises(InputError, match="a batch of 1 images of 28 × 28 pixels: ValueError: Expected more"):
        check_logits(network, one, training=True)
    with pytest.raises(InputError, match="of 28 × 40 pixels"):
        check_logits(network, torch.zeros(1, 1, 28, 40))
    assert network.training and network.norm1.running_mean.abs().sum() == 0, "it was a copy"


class Odd(nn.Module):
    def forward(self, images):
        return {"logits": images.flatten(1)[:, :10]}


def test_whatever_a_network_does_is_one_line():
    for ask in (count_multiply_adds, print_summary):
        with pytest.raises(InputError, match="Network does not take .*of shape .3, 28, 28.: RuntimeError: Given"):
            ask(build_model("lenet5"), (3, 28, 28))
    with pytest.raises(InputError, match="Odd does not take a batch of 1 images .*AttributeError: 'dict' object"):
        check_logits(Odd(), torch.zeros(1, 1, 28, 28))
    assert count_multiply_adds(nn.Flatten()) == 0

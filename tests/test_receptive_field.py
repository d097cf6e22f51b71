"""Receptive fields against published values, and against gradients of real networks."""

import math
import random
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import fx, nn
from torchvision.models import vgg

from helpers.errors import InputError
from helpers.models import build_model
from helpers.receptive_field import find_pixels, measure_receptive_field, receptive_field_table
from lab import networks  # noqa: F401  makes them known

COLUMNS = ["layer", "kernel", "stride", "padding", "dilation", "output_size", "jump", "receptive_field", "start"]


def test_recipe_b_row_by_row():
    table = receptive_field_table(build_model("compact"))
    assert list(table.columns) == COLUMNS
    rows = table[table.layer.str.match("conv|pool")]
    assert rows.receptive_field.tolist() == [3, 5, 6, 6, 10, 14, 16, 16, 24, 32]
    assert rows.output_size.tolist() == [26, 24, 12, 12, 12, 10, 5, 5, 3, 1]
    assert rows.jump.tolist() == [1, 1, 2, 2, 2, 2, 4, 4, 4, 4]
    assert rows.start.tolist() == [1.5, 2.5, 3.0, 3.0, 3.0, 5.0, 6.0, 6.0, 10.0, 14.0]


# Araujo, Norris, Sim (2019), table of receptive fields, and the arithmetic of the original papers.
PUBLISHED = {"A": 150, "B": 156, "D": 212, "E": 268}


@pytest.mark.parametrize(("kind", "batch_norm"), [("A", False), ("B", False), ("D", False), ("E", True)])
def test_published_networks(kind, batch_norm):
    network = vgg.make_layers(vgg.cfgs[kind], batch_norm)
    assert receptive_field_table(network, (3, 32, 32)).receptive_field.iloc[-1] == PUBLISHED[kind]


def test_whole_published_network_with_its_classifier():
    table = receptive_field_table(torchvision.models.alexnet(weights=None), (3, 224, 224)).set_index("layer")
    assert table.loc["features.12", "receptive_field"] == 195 and table.loc["features.0", "start"] == 3.5
    assert table.loc["features.12", "output_size"] == 6
    assert table.loc["classifier.6", "receptive_field"] == 195 + 5 * 32


PUBLISHED_HERE = ["five_conv", "compact", "lenet5", "mlp", "lenet5_regularised", "small_vgg"]
OF_THE_LAB = ["trimmed-4-4-4-4-4", "paired-4-4-4-4-4-4", "separable-4-4-4-4", "one_epoch"]


@pytest.mark.parametrize("name", PUBLISHED_HERE + OF_THE_LAB)
def test_computed_equals_measured_for_every_layer_of_every_network(name):
    network = build_model(name)
    table = receptive_field_table(network)
    for layer, field in zip(table.layer, table.receptive_field):
        assert measure_receptive_field(network, layer) == field, layer


def gradient_window(network: nn.Module, row: int, column: int, size: tuple[int, int]):
    """First pixel and extent, per axis, of what an output depends on, by the real layers of a positive network."""
    image = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
    output = network(image)
    output[0, :, row, column].sum().backward()
    touched = [(image.grad[0, 0] != 0).any(dim=axis).nonzero().squeeze(1) for axis in (1, 0)]
    return [(int(t.min()), int(t.max() - t.min()) + 1) for t in touched]


def random_chain(rng: random.Random) -> nn.Sequential:
    layers, channels = [], 1
    for _ in range(rng.randint(2, 5)):
        kernel = (rng.randint(1, 4), rng.randint(1, 4))
        stride, dilation = (rng.randint(1, 2), rng.randint(1, 2)), (rng.randint(1, 2), rng.randint(1, 3))
        if rng.random() < 0.6:
            layers += [nn.Conv2d(channels, 2, kernel, stride, padding=0, dilation=dilation), nn.Softplus()]
            channels = 2
        else:
            layers.append(nn.AvgPool2d(kernel, stride))
    network = nn.Sequential(*layers).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    return network


@pytest.mark.parametrize("seed", range(12))
def test_random_chains_against_gradients_of_the_real_layers(seed):
    network = random_chain(random.Random(seed))
    size = (150, 170)
    last = receptive_field_table(network, (1, *size)).iloc[-1]
    as_pair = {
        key: value if isinstance(value, tuple) else (value, value) for key, value in last.items() if key != "layer"
    }
    windows = gradient_window(network, 0, 0, size)
    assert tuple(extent for _, extent in windows) == as_pair["receptive_field"]
    assert tuple(first + extent / 2 for first, extent in windows) == as_pair["start"]
    neighbours = gradient_window(network, 1, 1, size)
    assert tuple(b[0] - a[0] for a, b in zip(windows, neighbours)) == as_pair["jump"]
    measured = measure_receptive_field(network, str(len(network) - 1), (1, *size))
    assert (measured if isinstance(measured, tuple) else (measured,) * 2) == as_pair["receptive_field"]


def test_padding_moves_the_start():
    network = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(1, 1, 4, padding="same")
    )
    table = receptive_field_table(network)
    assert table.start.tolist() == [0.5, 0.5, 1.5] and table.receptive_field.tolist() == [3, 5, 11]
    padded = nn.Sequential(nn.ZeroPad2d((3, 0, 1, 0)), nn.Conv2d(1, 1, 3))
    assert receptive_field_table(padded).start.tolist() == [(-0.5, -2.5), (0.5, -1.5)]


def test_the_smaller_half_of_same_padding_comes_first_in_a_dilated_window_too():
    row = receptive_field_table(nn.Conv2d(1, 1, 4, padding="same", dilation=3)).iloc[0]
    assert (row.padding, row.start) == (4, 0.5 + 9 / 2 - 4)


@pytest.mark.parametrize("pooling", [nn.MaxPool2d(3), nn.AvgPool2d(3), nn.LPPool2d(2, 3)])
def test_a_pooling_without_a_stride_moves_by_its_own_size(pooling):
    assert receptive_field_table(pooling).jump.tolist() == [3]


def test_axes_are_told_apart_only_where_they_differ():
    table = receptive_field_table(nn.Sequential(nn.Conv2d(1, 1, (3, 5), dilation=(2, 1)), nn.ReLU()))
    assert table.kernel.tolist() == [(3, 5), (1, 1)] and table.dilation.tolist() == [(2, 1), (1, 1)]
    assert table.receptive_field.tolist() == [5, 5] and table.output_size.tolist() == [24, 24]
    table = receptive_field_table(nn.Sequential(nn.Conv2d(1, 1, (3, 5)), nn.MaxPool2d((1, 2))))
    assert table.receptive_field.tolist() == [(3, 5), (3, 6)] and table.jump.tolist() == [(1, 1), (1, 2)]


def test_global_pooling_and_linear_layers_see_the_whole_map():
    for pooling in (nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d((1, 1)), nn.AvgPool2d(26)):
        network = nn.Sequential(nn.Conv2d(1, 4, 3), pooling, nn.Flatten(), nn.Linear(4, 10), nn.LogSoftmax(1))
        assert receptive_field_table(network).receptive_field.tolist() == [3, 28, 28, 28, 28]
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(13))
    assert receptive_field_table(network).jump.tolist() == [1, 2]


class Mean(nn.Module):
    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.mean(self.axes)


def test_axes_may_be_counted_from_the_end():
    for network, field in ((Mean(2, 3), 28), (Mean(-2, -1), 28), (nn.Sequential(nn.Softmax(-3)), 1)):
        assert receptive_field_table(network).receptive_field.tolist() == [field]


class Functional(nn.Module):
    """Written in the older manner: layers called as functions, one of them twice."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.act = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()
        self.out = nn.Linear(4, 10)

    def forward(self, x):
        x = F.max_pool2d(self.act(self.conv1(x)), 2)
        x = F.dropout(self.act(self.conv2(x)), 0.2, self.training)
        x = F.adaptive_avg_pool2d(F.avg_pool2d(torch.relu(x), kernel_size=3, stride=2), 1)
        return F.log_softmax(self.out(x.view(x.size(0), -1)), dim=1)


def test_functions_count_as_layers():
    table = receptive_field_table(Functional()).set_index("layer")
    assert table.loc["conv2", "receptive_field"] == 8 and table.loc["avg_pool2d", "receptive_field"] == 12
    assert table.loc["act#2", "receptive_field"] == 8
    assert table.receptive_field.iloc[-1] == 12 + 4 * 4


def test_pooling_dilation_and_positional_arguments():
    assert receptive_field_table(nn.Sequential(nn.MaxPool2d(3, 1, dilation=2))).receptive_field.tolist() == [5]

    class Positional(nn.Module):
        def forward(self, x):
            return F.max_pool2d(x, 3, 2, 1, 2)

    row = receptive_field_table(Positional()).iloc[0]
    assert (row.receptive_field, row.jump, row.padding, row.start) == (5, 2, 1, 1.5)


class Derived(nn.Conv2d):
    pass


class Blur(nn.Identity):
    def forward(self, x):
        return F.avg_pool2d(x, 5)


class Square(nn.Module):
    def forward(self, x):
        return x * x


def test_layers_of_ones_own():
    assert receptive_field_table(nn.Sequential(Derived(1, 2, 3), Square())).receptive_field.tolist() == [3, 3]
    assert receptive_field_table(nn.Sequential(Blur())).receptive_field.tolist() == [5]
    assert receptive_field_table(nn.Conv2d(1, 1, 3)).receptive_field.tolist() == [3]


class Rearranged(nn.Module):
    def forward(self, x):
        return x.reshape(-1, 1, 14, 56)


class Calls(nn.Module):
    """A network that is one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Undecided(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    "network, message",
    [
        (Undecided(), "at run time"),
        (Rearranged(), "reshape mixes or rearranges"),
        (nn.Sequential(nn.Softmax(dim=3)), "0 mixes or rearranges"),
        (nn.Sequential(nn.Linear(28, 5)), "0 mixes or rearranges"),
        (nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (14, 56))), "1 mixes or rearranges"),
        (Calls(lambda x: x.flip(2)), "known for flip, a flip"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), "0 gives several tensors"),
        (Calls(lambda x: x.transpose(2, 3) + x), "add mixes or rearranges"),
        (Calls(lambda x: torch.cat([x, x], 2)), "cat mixes or rearranges"),
        (Calls(lambda x: F.avg_pool2d(x.transpose(2, 3), 2)), "avg_pool2d mixes or rearranges"),
        (Calls(lambda x: x.unflatten(2, (14, 2)).amax(3)), "amax mixes or rearranges"),
        (Calls(lambda x: x.view(-1, 1, 14, 2, 14, 2).mean((3, 5))), "mean mixes or rearranges"),
        (Calls(lambda x: x.unflatten(2, (7, 2, 2)).sum(4)), "sum_1 mixes or rearranges"),
        (Calls(lambda x: x.flatten(2).mean(1).view(-1, 1, 28, 28)), "mean mixes or rearranges"),
        (
            Calls(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)),
            "interpolate makes 28",
        ),
        (Calls(lambda x: F.interpolate(x, scale_factor=1.3)), "interpolate makes 28 pixels 36"),
        (nn.Sequential(nn.Upsample(scale_factor=2, mode="bicubic")), "0 makes 28 pixels 56 in a way for which no"),
        (
            Calls(lambda x: x[:, :, :14, :14] + F.max_pool2d(x, 2)),
            "add joins maps whose units are 1 and 2 pixels apart",
        ),
        (nn.Sequential(nn.Conv2d(3, 1, 3)), "does not take an image.*: .*to have 3 channels, but got 1 channels"),
        (nn.Sequential(), "has no layers"),
    ],
)
def test_what_has_no_single_window_is_refused_and_nothing_else_is_said(network, message, capsys):
    with pytest.raises(ValueError, match=message) as caught:
        receptive_field_table(network)
    assert "\n" not in str(caught.value) and capsys.readouterr() == ("", "")


def test_unknown_layer_is_named():
    with pytest.raises(ValueError, match="'conv9'.*conv1, norm1"):
        measure_receptive_field(build_model("compact"), "conv9")


def test_the_network_and_the_random_state_are_left_alone():
    network = build_model("compact")
    state, running = torch.random.get_rng_state(), network.norm1.running_mean.clone()
    receptive_field_table(network)
    assert network.training and torch.equal(running, network.norm1.running_mean)
    assert torch.equal(state, torch.random.get_rng_state())


class Pooled(nn.Module):
    """Pools over whatever is left, by a size that it computes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 5)

    def forward(self, images):
        features = self.conv(images)
        return F.avg_pool2d(features, features.shape[2:]).flatten(1)


def test_a_window_may_be_computed_in_the_forward_pass():
    try:
        fx.symbolic_trace(Pooled())
    except TypeError:  # PyTorch 2.4 takes no traced size for a pooling
        with pytest.raises(InputError, match="Pooled decides at run time which layers it calls: avg_pool2d"):
            receptive_field_table(Pooled())
        return
    table = receptive_field_table(Pooled())
    assert table["kernel"].tolist()[:2] == [5, 24] and table["receptive_field"].tolist()[-1] == 28


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda network: torch.compile(network, backend="eager")])
def test_a_wrapped_network_sees_what_it_sees_unwrapped(wrap):
    network = build_model("lenet5")
    assert receptive_field_table(wrap(network)).equals(receptive_field_table(network))
    (layer,) = receptive_field_table(wrap(nn.Conv2d(1, 1, 3)))["receptive_field"]
    assert layer == 3


class Keeper(nn.Sequential):
    def forward(self, images):
        self.features = [super().forward(images)]
        return self.features[0]


def test_what_cannot_be_looked_into_is_refused_with_its_true_reason():
    script = torch.jit.script(build_model("lenet5").conv1)
    with pytest.raises(InputError, match="Conv2d is compiled by torch.jit: give the network that it was made from"):
        receptive_field_table(script)
    keeper = Keeper(nn.Conv2d(1, 1, 3))
    assert receptive_field_table(keeper)["receptive_field"].tolist() == [3]
    keeper(torch.zeros(1, 1, 28, 28))
    with pytest.raises(InputError, match="Keeper keeps what has no copy, such as tensors of a run"):
        receptive_field_table(keeper)


class Shaken(nn.Sequential):
    def forward(self, images):
        return F.dropout(super().forward(images), 0.5, training=True)


def test_a_network_that_draws_numbers_even_in_eval_mode_does_not_move_the_random_state():
    network = Shaken(nn.Conv2d(1, 2, 3))
    state = torch.random.get_rng_state()
    receptive_field_table(network)
    assert torch.equal(state, torch.random.get_rng_state())


class Branches(nn.Module):
    def __init__(self, join, *branches):
        super().__init__()
        self.join, self.branches = join, nn.ModuleList(branches)

    def forward(self, x):
        return self.join([branch(x) for branch in self.branches])


def concatenate(maps):
    return torch.cat(maps, 1).sum(1, keepdim=True)


JOINS = (sum, math.prod, concatenate)


def any_window(rng: random.Random) -> nn.Sequential:
    """Keeps the size of a map; its padding lies anywhere, so that branches can be misaligned."""
    kernel, dilation = [rng.randint(1, 4) for _ in "hw"], [rng.randint(1, 3) for _ in "hw"]
    top, left = (rng.randint(0, (k - 1) * d) for k, d in zip(kernel, dilation))
    bottom, right = (kernel[0] - 1) * dilation[0] - top, (kernel[1] - 1) * dilation[1] - left
    window = nn.Conv2d(1, 1, kernel, dilation=dilation)
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), window, nn.Softplus())


def strided_window(rng: random.Random, stride: int) -> nn.Module:
    kernel = rng.choice([1, 3, 5])
    return nn.Conv2d(1, 1, kernel, stride, kernel // 2) if rng.random() < 0.6 else nn.AvgPool2d(3, stride, 1)


def enlargement(rng: random.Random) -> nn.Module:
    return rng.choice(
        [
            nn.Upsample(scale_factor=2),
            nn.Upsample(scale_factor=3, mode="nearest"),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.ConvTranspose2d(1, 1, rng.randint(2, 4), 2, 1, output_padding=rng.randint(0, 1)),
            nn.ConvTranspose2d(1, 1, (3, 2), dilation=2),
        ]
    )


def random_graph(rng: random.Random) -> nn.Sequential:
    """Three to twelve layers, some of them branches that are joined."""
    layers, shrunk = [], 0
    for _ in range(rng.randint(3, 12)):
        kind, stride = rng.random(), rng.randint(1, 2) if shrunk < 2 else 1
        if kind < 0.3:
            layers.append(any_window(rng))
        elif kind < 0.4:
            shrunk += stride - 1
            layers.append(strided_window(rng, stride))
        elif kind < 0.5 and shrunk < 2:
            shrunk += 1
            layers.append(nn.AvgPool2d(rng.randint(2, 3), 2, ceil_mode=True))
        elif kind < 0.7 and shrunk:
            shrunk -= 1
            layers.append(enlargement(rng))
        else:
            shrunk += stride - 1
            count, kept = rng.randint(2, 3), [nn.Identity()] * (stride == 1)
            branches = [strided_window(rng, stride) if stride == 2 else any_window(rng) for _ in range(count)]
            layers.append(Branches(rng.choice(JOINS), *branches, *kept))
    network = nn.Sequential(*layers, nn.Identity()).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.2)
    return network


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def gradient_pixels(network: nn.Module, unit: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that an output of the real layers depends on."""
    image = (0.5 + torch.rand(1, 1, *size, dtype=torch.float64)).requires_grad_()
    gradient = torch.autograd.grad(network(image)[(0, slice(None), *unit)].sum(), image)[0][0, 0]
    touched = [(gradient != 0).any(dim=axis).nonzero().flatten() for axis in (1, 0)]
    return tuple(slice(int(t.min()), int(t.max()) + 1) if len(t) else slice(0, 0) for t in touched)


@pytest.mark.parametrize("seed", range(12))
def test_random_branches_against_gradients_of_the_real_layers(seed):
    rng, size = random.Random(seed), (150, 170)
    network = random_graph(rng)
    last = receptive_field_table(network, (1, *size)).iloc[-1]
    shape = network(torch.zeros(1, 1, *size, dtype=torch.float64)).shape[2:]
    middle = [range(length)[length // 2 :][:12] for length in shape]  # more than differ behind two up-samplings
    seen = [gradient_pixels(network, unit, size) for unit in zip(*middle)]
    for axis in (0, 1):
        inside = all(pixels[axis].start > 0 and pixels[axis].stop < size[axis] for pixels in seen)
        widest = max(pixels[axis].stop - pixels[axis].start for pixels in seen)
        assert widest == pair(last.receptive_field)[axis] or not inside
    assert pair(measure_receptive_field(network, last.layer, (1, *size))) == pair(last.receptive_field)
    small = (40, 44)
    shape = network(torch.zeros(1, 1, *small, dtype=torch.float64)).shape[2:]
    for unit in [(0, 0), tuple(length - 1 for length in shape), tuple(map(rng.randrange, shape))]:
        assert find_pixels(network, last.layer, unit, (1, *small)) == gradient_pixels(network, unit, small)


# Of the last convolution, or what stands behind it, as published or worked out by hand.
BRANCHING = {
    "resnet18": ("layer4.1.conv2", 435),
    "resnet50": ("layer4.2.conv3", 427),  # 483 with the strides in the last unit of each stage
    "inception_v3": ("cat_14", 1311),
    "shufflenet_v2_x0_5": ("conv5.0", 527),
    "mobilenet_v2": ("features.18.0", 491),
    "mobilenet_v3_small": ("features.12.0", math.inf),
    "convnext_tiny": ("features.7.2.block.0", 1688),
}


@pytest.mark.parametrize(("name", "layer", "field"), [(name, *known) for name, known in BRANCHING.items()])
def test_published_networks_that_branch(name, layer, field):
    options = {"init_weights": False} if name == "inception_v3" else {}
    network, shape = torchvision.models.get_model(name, weights=None, **options), (3, 75, 75)
    table = receptive_field_table(network, shape).set_index("layer")
    assert pair(table.receptive_field[layer]) == (field, field) and set(map(pair, table.misaligned)) == {(0, 0)}
    assert measure_receptive_field(network, layer, shape) == field


def residual_block(shift: int = 0) -> nn.Module:
    """A published block; its skip can lead past shifted pixels."""
    inside = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 3, padding=1))
    return Branches(sum, inside, nn.ZeroPad2d((shift, -shift, 0, 0)))


def test_a_join_sees_what_its_branches_see_and_tells_if_they_are_misaligned():
    table = receptive_field_table(residual_block())
    assert list(table.columns) == [*COLUMNS, "misaligned"]
    assert table.receptive_field.iloc[-1] == 5 and set(table.misaligned) == {0}
    table = receptive_field_table(residual_block(4)).set_index("layer")
    assert table.receptive_field["add_1"] == (5, 7) and table.misaligned["add_1"] == (0, 4)
    assert table.start["add_1"] == (0.5, -0.5)
    assert find_pixels(residual_block(4), "add_1", (9, 9)) == (slice(7, 12), slice(5, 12))


def test_what_an_up_sampled_unit_sees_on_average_and_at_most():
    table = receptive_field_table(nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 2)))
    assert table.jump.tolist() == [4, 2, 2] and table.receptive_field.tolist() == [4, 4, 8]
    assert table.stride.tolist() == [4, Fraction(1, 2), 1] and table.start.tolist() == [2, 1, 2]
    table = receptive_field_table(nn.Upsample(scale_factor=2))
    assert table.jump.tolist() == [Fraction(1, 2)] and str(table.jump[0]) == "1/2"


@pytest.mark.parametrize("size", [22, 26])
def test_a_linear_layer_behind_an_up_sampling_sees_the_map_and_no_more(size):
    layers = nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.Flatten(), nn.Linear(size**2, 1)
    network = nn.Sequential(*layers)
    assert receptive_field_table(network, (1, size, size)).receptive_field.iloc[-1] == size
    assert measure_receptive_field(network, "3", (1, size, size)) == size


def test_uneven_pooling_shows_its_widest_window():
    table = receptive_field_table(nn.Sequential(nn.AdaptiveAvgPool2d((13, 7)), nn.Conv2d(1, 1, 1)))
    assert table.kernel[0] == 4 and table.receptive_field.tolist() == [4, 4]
    assert table.jump.tolist() == [(Fraction(28, 13), 4)] * 2


class Gate(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self):
        super().__init__()
        self.weigh = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 1, 1), nn.Sigmoid())

    def forward(self, x):
        return x * self.weigh(x)


def test_a_gate_sees_the_whole_image_and_so_does_what_follows():
    network = nn.Sequential(nn.Conv2d(1, 1, 3), Gate(), nn.Conv2d(1, 1, 3, 2))
    table = receptive_field_table(network).set_index("layer")
    assert table.receptive_field["1.weigh.1"] == 28
    assert table.receptive_field[["mul", "2"]].tolist() == [math.inf] * 2 and table.jump["2"] == 2
    assert measure_receptive_field(network, "2") == math.inf
    assert find_pixels(network, "0", (25, 0)) == (slice(25, 28), slice(0, 3))
    assert find_pixels(network, "2", (0, 0)) == (slice(0, 28), slice(0, 28))


def attend(x):
    tokens = x.flatten(2).transpose(1, 2)
    return F.scaled_dot_product_attention(tokens, tokens * 2, tokens * 3).transpose(1, 2).reshape(x.shape) + x


def test_attention_sees_the_whole_image():
    network = nn.Sequential(nn.Conv2d(1, 1, 3), Calls(attend), nn.Conv2d(1, 1, 3))
    table = receptive_field_table(network).set_index("layer")
    assert table.receptive_field[["flatten", "scaled_dot_product_attention"]].tolist() == [3, 28]
    assert table.receptive_field[["add", "2"]].tolist() == [math.inf] * 2


def test_tokens_that_have_attended_stay_single():
    network = torchvision.models.VisionTransformer(32, 8, 1, 2, 16, 16)
    table = receptive_field_table(network, (3, 32, 32)).set_index("layer")
    assert table.receptive_field["conv_proj"] == 8 and table.receptive_field["heads.head"] == 32
    assert measure_receptive_field(network, "add_2", (3, 32, 32)) == 32


@pytest.mark.parametrize(
    ("function", "field", "start"),
    [
        (lambda x: F.pad(x, (3, -2)), 1, (0.5, -2.5)),
        (lambda x: F.pad(x, (1, 1, 2, 2), mode="reflect"), 1, (-1.5, -0.5)),
        (lambda x: x[:, :, 2:, 1::2], 1, (2.5, 1.5)),
        (lambda x: F.conv2d(x, torch.ones(1, 1, 5, 5), None, 1, 2), 5, (0.5, 0.5)),
        (lambda x: F.conv2d(F.conv2d(x, torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 3, 3)), 5, (2.5, 2.5)),
        (lambda x: F.conv2d(x, torch.ones(1, 1, 3, 3), dilation=2), 5, (2.5, 2.5)),
        (lambda x: F.max_pool2d(F.avg_pool2d(x, 2), 2), 4, (2, 2)),
        (lambda x: F.conv2d(F.conv_transpose2d(x, torch.ones(1, 1, 2, 2)), torch.ones(1, 1, 2, 2)), 3, (0.5, 0.5)),
        (lambda x: F.conv2d(x.mean(1, keepdim=True) + x.amax(1, keepdim=True), torch.ones(1, 1, 3, 3)), 3, (1.5, 1.5)),
        (lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2), 2, (0.5, 0.5)),
        (lambda x: x.permute(0, 2, 3, 1).mul(2).permute(0, 3, 1, 2), 1, (0.5, 0.5)),
        (lambda x: x.flatten(2).view(x.shape), 1, (0.5, 0.5)),
        (lambda x: x[:, :, 2:].flatten(2).view(-1, 1, 26, 28), 1, (2.5, 0.5)),
        (lambda x: F.lp_pool2d(x, 2.0, 3, 1), 3, (1.5, 1.5)),
        (lambda x: F.avg_pool2d(torch.cat([x, x], 1).chunk(2, 1)[1], 3), 3, (1.5, 1.5)),
        (lambda x: F.interpolate(x.mean((2, 3), keepdim=True), size=(28, 28)) + x, math.inf, (None, None)),
    ],
)
def test_functions_and_methods(function, field, start):
    network = nn.Sequential(nn.Identity(), Calls(function))
    last = receptive_field_table(network).iloc[-1]
    assert pair(last.receptive_field) == (field, field)
    assert pair(last.start) == start or math.isnan(last.start)


@pytest.mark.parametrize("rank", [1, 3])
def test_one_and_three_axes(rank):
    conv, pool, up = (getattr(nn, f"{name}{rank}d") for name in ("Conv", "MaxPool", "ConvTranspose"))
    network = nn.Sequential(conv(1, 4, 3, padding=1), pool(2), up(4, 2, 2, 2), nn.Flatten(), nn.Linear(2 * 8**rank, 1))
    table = receptive_field_table(network, (1, *[8] * rank))
    assert table.receptive_field.tolist() == [3, 4, 4, 4, 10] and table.jump.tolist() == [1, 2, 1, 1, 1]
    assert [measure_receptive_field(network, layer, (1, *[8] * rank)) for layer in table.layer] == [3, 4, 4, 4, 10]
    assert find_pixels(network, "1", (1,) * rank, (1, *[8] * rank)) == (slice(1, 5),) * rank
    with pytest.raises(InputError, match="input_shape must be"):
        receptive_field_table(network, (1,))


def test_a_map_made_of_flat_values_sees_everything():
    decoder = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 49), nn.Unflatten(1, (1, 7, 7)), nn.ConvTranspose2d(1, 1, 2, 2)
    )
    assert receptive_field_table(decoder).receptive_field.tolist() == [1, 28, 28, math.inf]


def test_a_map_that_only_lends_its_shape_is_no_branch():
    network = Calls(lambda x: F.max_pool2d(x, 3, 1, 1).view_as(x))
    assert list(receptive_field_table(network).columns) == COLUMNS


def test_no_pixels_without_a_unit():
    for unit in ((26, 0), (0,), (-1, 0)):
        with pytest.raises(InputError, match="0 has units up to .25, 25., so none at"):
            find_pixels(nn.Conv2d(1, 1, 3), "0", unit)


@pytest.mark.parametrize("size", [(4, 3), (3, 4), (13, 9)])
def test_pixels_of_uneven_pooling(size):
    network = nn.AdaptiveAvgPool2d(size)
    for unit in [(0, 0), (1, 2), (2, 1)]:
        assert find_pixels(network, "0", unit) == gradient_pixels(network, unit, (28, 28))

"""The networks of the course: each as short as its description, each returning logits (n, 10)."""

import contextlib
import copy
import io
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers.errors import InputError


class QuickDropout(nn.Dropout):
    """Dropout with the same distribution as `nn.Dropout`, and a mask that a CPU makes several times faster.

    On a CPU, `nn.Dropout` draws one Bernoulli number after the other, a quarter of the time of recipe B. Here one
    64-bit random word decides about four values, so p is rounded to a multiple of 1/65,536.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values of any shape, some set to 0 and the rest scaled by 1 / (1 - p); unchanged in eval mode."""
        if not self.training or values.device.type != "cpu" or self.p > 0.9:
            return super().forward(values)
        words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        keep = words.view(torch.int16)[: values.numel()] >= round(self.p * 65_536) - 32_768
        keep = keep.as_strided(values.shape, torch.empty_like(values).stride())
        return values * (keep.to(values.dtype) / (1 - self.p))


class Network(nn.Sequential):
    """Layers in a row, named by kind and number: conv1, norm1, relu1, conv2 …

    Takes images float (n, 1, 28, 28), normalised, and returns logits (n, 10).
    """

    def __init__(self, *layers: nn.Module):
        counts, named = Counter(), OrderedDict()
        for layer in layers:
            kind = re.sub(r"batch|max|quick|\dd", "", type(layer).__name__.lower())  # norm for BatchNorm2d
            counts[kind] += 1
            named[f"{kind}{counts[kind]}"] = layer
        super().__init__(named)

    def until(self, name: str) -> nn.Sequential:
        """The layers up to and including the one called `name`, sharing their weights with the network."""
        names = list(self._modules)
        return nn.Sequential(*list(self)[: names.index(name) + 1])


def five_conv() -> Network:
    """Five unpadded 3×3 convolutions and two linear layers, 691,786 parameters (recipe A).

    Map sizes 28→26→24→12→10→8→4→2→1. Batch norm comes after the pooling, as published. The published network
    ends in a softmax; here it belongs to the recipe's loss, so that every network of the course returns logits.
    """
    return Network(
        *(nn.Conv2d(1, 64, 3), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(64)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU()),
        *(nn.Conv2d(128, 128, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(128)),
        *(nn.Conv2d(128, 256, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(256)),
        *(nn.Flatten(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 10)),
    )


def _conv_block(inputs: int, outputs: int, kernel: int = 3, padding: int = 0) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()


def compact() -> Network:
    """Eight convolutions, no linear layer, 19,865 parameters (recipe B).

    1×1 convolutions cut the number of channels after each pooling. The published description leaves the channel
    widths open: 20, 30, 10, 25, 25, 10, 30, 10 give exactly its count, so this is a reconstruction.
    """
    return Network(
        *(*_conv_block(1, 20), QuickDropout(0.1)),
        *(*_conv_block(20, 30), QuickDropout(0.1), nn.MaxPool2d(2)),
        *_conv_block(30, 10, kernel=1),
        *_conv_block(10, 25, padding=1),
        *(*_conv_block(25, 25), nn.MaxPool2d(2)),
        *_conv_block(25, 10, kernel=1),
        *_conv_block(10, 30),
        *(nn.Conv2d(30, 10, 3), nn.Flatten()),
    )


def lenet5() -> Network:
    """Two 5×5 convolutions and three linear layers, 44,426 parameters (recipe C)."""
    return Network(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def lenet5_regularised() -> Network:
    """LeNet-5 with batch norm and dropout that are really called, 44,710 parameters (recipe C).

    Batch norm after both convolutions and the first linear layer adds 2 · (6 + 16 + 120) = 284 parameters, the
    number by which the published network grew without using them. Dropout 0.25 before the last two linear layers
    is our choice: the published rate is not known.
    """
    return Network(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(256, 120), nn.BatchNorm1d(120), nn.ReLU(), nn.Dropout(0.25)),
        *(nn.Linear(120, 84), nn.ReLU(), nn.Dropout(0.25), nn.Linear(84, 10)),
    )


def mlp() -> Network:
    """Three linear layers, 784→56→28→10, 45,846 parameters: as many as LeNet-5, no convolution (recipe C)."""
    return Network(*(nn.Flatten(), nn.Linear(784, 56), nn.ReLU(), nn.Linear(56, 28), nn.ReLU(), nn.Linear(28, 10)))


def small_vgg() -> Network:
    """Two blocks of three padded 3×3 convolutions of width 16, one linear layer, 19,610 parameters (recipe D)."""
    layers = []
    for inputs in (1, 16, 16, None, 16, 16, 16, None):
        layers += [nn.Conv2d(inputs, 16, 3, padding=1), nn.ReLU()] if inputs else [nn.MaxPool2d(2)]
    return Network(*layers, nn.Flatten(), nn.Linear(784, 10))


_PUBLISHED = (five_conv, compact, lenet5, mlp, lenet5_regularised, small_vgg)
MODELS: dict[str, Callable[..., nn.Module]] = {build.__name__: build for build in _PUBLISHED}


def find_builder(name: str) -> Callable[[], nn.Module]:
    """What makes the network of that name.

    Args:
        name: a key of `MODELS`, followed by numbers where that network takes any (as those of `lab.networks` do).

    Raises:
        InputError: no network has that name.
    """
    kind, *numbers = str(name).split("-")
    if kind not in MODELS or not all(re.fullmatch("[0-9]{1,4}", text) and 0 < int(text) <= 4_096 for text in numbers):
        hint = "those of the lab are known once `lab` is imported"
        raise InputError(f"no network is called {name!r}; there are {', '.join(MODELS)} ({hint})")
    return partial(MODELS[kind], *map(int, numbers))


def build_model(name: str) -> nn.Module:
    """A freshly initialised network by its name (see `find_builder`).

    Raises:
        InputError: no network has that name, or not with these numbers.
    """
    try:
        return find_builder(name)()
    except TypeError as error:
        raise InputError(f"{name!r} has numbers that {name.partition('-')[0]} does not take") from error


@contextlib.contextmanager
def explain_failure(model: nn.Module, images: str) -> Iterator[None]:
    """Turn whatever a network raises in the block into a line that names it, and what it was given.

    Raises:
        InputError: it raised something.
    """
    try:
        yield
    except Exception as error:
        cause = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InputError(f"{type(model).__name__} does not take {images}: {cause}") from error


def check_logits(model: nn.Module, images: torch.Tensor, *, training: bool = False) -> None:
    """Refuse images (n, 1, h, w) of which a network, in train or eval mode, does not make ten logits each.

    Raises:
        InputError: it cannot take them, or makes something else of them.
    """
    what = f"{len(images)} images of {images.shape[2]} × {images.shape[3]} pixels"
    with explain_failure(model, f"a batch of {what}"), torch.no_grad(), torch.random.fork_rng(devices=[]):
        shape = tuple(copy.deepcopy(model).cpu().train(training)(images).shape)
    if shape != (len(images), 10):
        raise InputError(f"of {what} the network makes {shape}, not ten logits each")


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers that the model holds, whether its forward pass uses them or not."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_multiply_adds(model: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28)) -> int:
    """Multiply-add pairs of convolutions and linear layers for one image (half of torch's count of operations)."""
    with explain_failure(model, f"one image of shape {input_shape}"), torch.random.fork_rng(devices=[]):
        network = copy.deepcopy(model).cpu().float().eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, *input_shape))
    return counter.get_total_flops() // 2


def print_summary(model: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28)) -> None:
    """Print torchsummary's table of layers, shapes and parameters.

    It runs on a copy on the CPU in eval mode, away from the random state: torchsummary itself would update batch
    norm's statistics and draw random numbers.
    """
    import torchsummary  # only here, so that the course does without it elsewhere

    printed, given = io.StringIO(), f"images of shape {input_shape}"
    with torch.random.fork_rng(devices=[]), explain_failure(model, given), contextlib.redirect_stdout(printed):
        torchsummary.summary(copy.deepcopy(model).cpu().float().eval(), input_shape, device="cpu")
    print(printed.getvalue(), end="")
    counted, held = re.search(r"Trainable params: ([\d,]+)", printed.getvalue())[1], f"{count_parameters(model):,}"
    if counted != held:
        print(f"torchsummary counts {counted} trainable parameters where the network holds {held}: it counts a layer")
        print("once for each call, and no parameter outside of a layer.")

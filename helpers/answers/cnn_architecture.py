"""Notebook 2."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from helpers.check import Choice, Code, Number, Page
from helpers.errors import InputError
from helpers.models import build_model, count_parameters

ASKED = 19_865  # parameters of recipe B


def draw_strokes() -> dict[str, torch.Tensor]:
    """Strokes of four directions, one pixel wide, on 9 × 9 pixels."""
    level = torch.zeros(9, 9)
    level[4] = 1
    return {
        "that rise": torch.eye(9).flip(1),
        "that fall from left to right": torch.eye(9),
        "that stand upright": level.T,
        "that lie level": level,
    }


def check_slanted_kernel(kernel) -> str | None:
    """Tries a kernel on strokes of four directions and on plain ink."""
    kernel = torch.as_tensor(kernel).detach()
    if kernel.is_complex():
        raise InputError("weights are real numbers")
    if kernel.shape != (3, 3):
        return f"It has the shape {tuple(kernel.shape)}; 3 rows of 3 weights are asked for."
    kernel = kernel.float()
    answers = {name: F.conv2d(stroke[None, None], kernel[None, None]) for name, stroke in draw_strokes().items()}
    strongest, plain = {name: answer.max().item() for name, answer in answers.items()}, kernel.sum().item()
    rising = strongest.pop("that rise")
    rival = max(strongest, key=strongest.get)
    if rising >= 1.5 * max(plain, strongest[rival], 1e-6):
        return None
    if answers["that rise"].min() < -1.5 * max(strongest[rival], 1e-6):
        return "It answers to the stroke with a negative value. Turn the signs."
    if plain >= rising / 1.5 > 0:
        return "It answers to plain ink as well: let negative weights make up for the positive ones."
    if not rising > 0:
        return "It does not answer to such a stroke at all: the weights that it lies on must be positive."
    return f"It answers about as much, or more, to strokes {rival}: {strongest[rival]:.3g} against {rising:.3g}."


def count_after_all(network: nn.Module) -> str:
    """What a wrong number of parameters gives away."""
    count = count_parameters(network)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    if count == ASKED - 300 and not norms:
        return f"{count:,} parameters: the batch norms are missing, which have two for each channel."
    if count == ASKED + 20:
        return f"{count:,} parameters: the last convolution has a batch norm that it should not have."
    if any(isinstance(layer, nn.Linear) for layer in network.modules()):
        return f"{count:,} parameters, with a linear layer; recipe B has none."
    return f"{count:,} parameters, not {ASKED:,}: compare each layer with its column of the table."


def check_recipe_b(network) -> str | None:
    """Gives a network the weights of recipe B and compares what both say."""
    convolutions = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
    if convolutions < 8:
        raise InputError(f"{convolutions} of 8 convolutions so far; go on with the network")
    if count_parameters(network) != ASKED:
        return count_after_all(network)
    generator, ours = torch.Generator().manual_seed(1), build_model("compact")
    weights = {
        name: value if value.dim() == 0 else 0.5 + 0.5 * torch.rand(value.shape, generator=generator)
        if ".running" in name or value.dim() == 1 else torch.randn(value.shape, generator=generator) / 8
        for name, value in ours.state_dict().items()
    }  # fmt: skip
    theirs = copy.deepcopy(network).cpu()
    ours.load_state_dict(weights)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights.values())))
    images = torch.rand(4, 1, 28, 28, generator=generator)
    with torch.no_grad():
        wanted, got = ours.eval()(images), theirs.eval()(images)
    if got.shape == (4, 10, 1, 1):
        return "The count is right, but an image gives 10 × 1 × 1 numbers: `nn.Flatten()` is missing."
    if got.shape != wanted.shape:
        return f"The count is right, but four images give {tuple(got.shape)}: see windows, padding and poolings."
    if not torch.allclose(got, wanted, rtol=1e-3, atol=1e-4):
        return "The count is right, but it computes something else: see the ReLUs and the order in each block."
    return None


page = Page(
    "02_cnn_architecture",
    exercises={
        "slanted kernel": Code(
            test=check_slanted_kernel,
            asks="a kernel: a 3 × 3 tensor",
            kind=(torch.Tensor, np.ndarray, list, tuple),
            worth="Mirrored, it answers to strokes that fall: one idea, another kernel.",
        ),
        "black images": Choice(
            "What becomes of the nine weights?",
            {
                "a": ("They find the kernel, only later.", "Nothing in empty images tells one kernel from another."),
                "b": (
                    "They stay 0.",
                    "Both maps are 0, so are loss and gradient: data teach only what they contain.",
                ),
                "c": ("They grow without end.", "They would need a slope for that, and there is none."),
                "d": ("They become random numbers.", "Nothing here is random: each step subtracts the gradient."),
            },
            right="b",
        ),
        "two poolings": Number(
            value=4,
            within=0,
            mixups={
                1: "That holds without pooling: behind a convolution, each step moves the map.",
                2: "That is one pooling. The second one halves once more.",
                3: "Windows of 2 start at every second place: 3 lies between two.",
                8: "That holds as well, but it is not the smallest; it would be for three poolings.",
            },
            hint="Behind one pooling it is 2. What does the second pooling do to a map that has moved by one place?",
            worth="Strides multiply: in AlexNet's features they make 4 · 2 · 2 · 2 = 32.",
        ),
        "recipe B": Code(
            test=check_recipe_b,
            asks="a network",
            kind=nn.Module,
            worth="Given the same weights, it says the very same as the course's own.",
        ),
        "average pooling": Choice(
            "Without ReLU and with average pooling, where will it end, unshifted?",
            {
                "a": ("Near LeNet-5: pooling is pooling.", "A maximum bends, a mean does not."),
                "b": ("Near “no ReLU”: only the ReLU is missing.", "There the maximum still bent. What does here?"),
                "c": (
                    "Near “neither”.",
                    "A mean is a sum, so all layers together are one template per digit again.",
                ),
                "d": ("At 10 %: it can learn nothing.", "A single template per digit does far better: see notebook 1."),
            },
            right="c",
        ),
        "conv1 work": Number(
            value=3 * 3 * 1 * 20 * 26 * 26,
            mixups={
                180: "Those are the weights. Each is used once for every place of the map.",
                200: "Those are the parameters. How often is each weight used?",
                3 * 3 * 20 * 28 * 28: "Without padding the map has 26 × 26 places, not 28 × 28.",
                3 * 3 * 26 * 26: "That is one channel of 20.",
                20 * 26 * 26: "So many values come out. How many products make one of them?",
                (3 * 3 + 1) * 20 * 26 * 26: "A bias is added, but nothing is multiplied for it.",
                20 * 20 * 26 * 26 * 9: "One channel goes in, not 20.",
            },
            hint="Products for one value, times the values of a map, times the maps.",
            worth="That is 3 % of the network's work; conv2, with 20 channels going in, does three quarters.",
        ),
        "convolutions": Number(
            value=14,
            within=0,
            mixups={
                13: "1 + 2 · 13 = 27: one pixel short.",
                10: "Each adds k − 1 = 2 pixels, not 3.",
                9: "Each adds k − 1 = 2 pixels, not 3.",
                27: "Each adds two pixels, one on either side.",
                7: "Each adds two pixels, not four.",
                13.5: "Convolutions are whole: is 13 enough, or not?",
            },
            hint="Start with one pixel. How much does each convolution add while the jump is 1?",
            worth="With kernels of 5 it would be 7: each adds 4.",
        ),
    },
    questions=[
        Choice(
            "A convolution of 3 × 3 takes 16 channels and gives 32. How many weights are in one of its kernels?",
            {
                "a": ("9", "A kernel has a slice for every channel that goes in."),
                "b": ("4,608", "Those are all 32 kernels together."),
                "c": ("288", "A slice belongs to a channel that goes in: 16 of them, not 32."),
                "d": ("144", "16 slices of 9 weights; 32 such kernels make the layer's 4,608."),
            },
            right="d",
        ),
        Choice(
            "Why does a ReLU stand between two convolutions?",
            {
                "a": ("Without it they are one convolution, with a larger kernel.", "Sums of sums are sums."),
                "b": ("Grey levels cannot be negative.", "Inside a network nothing stands for ink any more."),
                "c": ("It makes maps smaller.", "That is pooling. A ReLU keeps the size."),
            },
            right="a",
        ),
        Choice(
            "Where are most of LeNet-5's weights, and where is most of its work?",
            {
                "a": ("Both in the convolutions.", "They hold 6 % of the weights: each is used at many places."),
                "b": ("Both in the linear layers.", "There each weight is used once, so it is little work."),
                "c": ("Weights in a linear layer, work in the convolutions.", "70 % here, and 85 % there."),
            },
            right="c",
        ),
        Choice(
            "A map of 12 × 12, a kernel of 5, padding 2, stride 1: how large is what comes out?",
            {
                "a": ("8 × 8", "That is without padding."),
                "b": ("12 × 12", "(12 + 4 − 5) / 1 + 1: a padding of half the kernel, rounded down, keeps the size."),
                "c": ("10 × 10", "Padding comes on both sides: 2 · 2 pixels more."),
                "d": ("6 × 6", "That would be stride 2."),
            },
            right="b",
        ),
        Choice(
            "A digit moves by three pixels. What stays the same?",
            {
                "a": ("The feature map.", "It moves along."),
                "b": (
                    "LeNet-5's answer: convolutions do not mind.",
                    "Its linear layers are a template over places.",
                ),
                "c": ("Nothing: other pixels, other values.", "The values in the map are the same ones, elsewhere."),
                "d": ("The values in the feature map, at other places.", "That is equivariance."),
            },
            right="d",
        ),
    ],
)

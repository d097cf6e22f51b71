"""The networks behind the course's own recipes, and a public one that was made for speed.

Importing this module makes them known to `models.build_model`, each followed by its widths: `trimmed-16-16-16-64`.
"""

from torch import nn

from helpers.errors import InputError
from helpers.models import MODELS, Network


def _check_depth(widths: tuple[int, ...], most: int) -> None:
    if not most - 1 <= len(widths) <= most:
        raise InputError(f"need {most - 1} or {most} widths, got {len(widths)}")


def one_epoch() -> Network:
    """Two convolutions and two linear layers, 215,194 parameters: made for a single fast epoch on a GPU.

    Source: github.com/tuomaso/train_mnist_fast.
    """
    return Network(
        *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def _bare_block(inputs: int, outputs: int, kernel: int = 3, pool: bool = False, **options) -> tuple[nn.Module, ...]:
    """Batch norm subtracts the mean, so a bias before it would do nothing; pooling first leaves it less to do."""
    conv = nn.Conv2d(inputs, outputs, kernel, bias=False, **options)
    return conv, *[nn.MaxPool2d(2)] * pool, nn.BatchNorm2d(outputs), nn.ReLU()


def early_pool(first: int, second: int, third: int, fourth: int) -> Network:
    """Four convolutions that pool behind the first and the third, and one linear layer.

    Map sizes 28→24→12→12→10→5→3. `early_pool-16-32-32-64` has 38,714 parameters.

    Args:
        first, second, third, fourth: channels behind each of the convolutions.
    """
    return Network(
        *_bare_block(1, first, kernel=5, pool=True),
        *_bare_block(first, second, padding=1),
        *_bare_block(second, third, pool=True),
        *_bare_block(third, fourth),
        *(nn.Flatten(), nn.Linear(9 * fourth, 10)),
    )


def trimmed(*widths: int) -> Network:
    """`early_pool` on the central 24×24 pixels: padding by −2 takes off the two outermost rings, almost empty on MNIST.

    That leaves a third fewer numbers behind the first convolution. Map sizes 28→24→20→10→10→8→4→2.
    `trimmed-16-16-16-64` has 17,018 parameters. A fifth width adds a padded convolution before the last one.

    Args:
        widths: channels behind each of the four or five convolutions.
    """
    _check_depth(widths, 5)
    first, second, third, *padded, last = widths
    deeper = _bare_block(third, *padded, padding=1) if padded else ()
    return Network(
        nn.ZeroPad2d(-2),
        *_bare_block(1, first, kernel=5, pool=True),
        *_bare_block(first, second, padding=1),
        *_bare_block(second, third, pool=True),
        *deeper,
        *_bare_block(widths[-2], last),
        *(nn.Flatten(), nn.Linear(4 * last, 10)),
    )


def paired(*widths: int) -> Network:
    """`early_pool` with pairs of 3×3 convolutions: the first two see as far as one of 5×5, with a ReLU in between.

    Map sizes 28→26→24→12→12→10→5→3. `paired-8-8-16-16-16` has 7,986 parameters. A sixth width adds a padded
    convolution before the last one.

    Args:
        widths: channels behind each of the five or six convolutions.

    Source: small kernels in a row for a large one are the idea of K. Simonyan and A. Zisserman, arXiv:1409.1556.
    """
    _check_depth(widths, 6)
    first, second, third, fourth, *padded, last = widths
    deeper = _bare_block(fourth, *padded, padding=1) if padded else ()
    return Network(
        *_bare_block(1, first),
        *_bare_block(first, second, pool=True),
        *_bare_block(second, third, padding=1),
        *_bare_block(third, fourth, pool=True),
        *deeper,
        *_bare_block(widths[-2], last),
        *(nn.Flatten(), nn.Linear(9 * last, 10)),
    )


def _separable_block(inputs: int, outputs: int, padding: int = 0, pool: bool = False) -> tuple[nn.Module, ...]:
    """A 3×3 kernel for each channel, then a 1×1 convolution that mixes channels: 9 + outputs weights for each input."""
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=padding, groups=inputs, bias=False)
    return depthwise, *_bare_block(inputs, outputs, kernel=1, pool=pool)


def separable(first: int, second: int, third: int, fourth: int) -> Network:
    """`early_pool` with depthwise-separable convolutions: most of it for a fraction of the parameters.

    Map sizes 28→24→12→12→10→5→3→1. The last depthwise convolution weighs the nine places of each channel, where a
    linear layer would need nine weights for each channel and digit. `separable-8-16-20-20` has 1,962 parameters.

    Args:
        first, second, third, fourth: channels behind the first convolution and behind each of the three blocks.

    Source: depthwise-separable convolutions are those of A. Howard and others, arXiv:1704.04861.
    """
    return Network(
        *_bare_block(1, first, kernel=5, pool=True),
        *_separable_block(first, second, padding=1),
        *_separable_block(second, third, pool=True),
        *_separable_block(third, fourth),
        nn.Conv2d(fourth, fourth, 3, groups=fourth, bias=False),
        *(nn.Flatten(), nn.Linear(fourth, 10)),
    )


MODELS.update({build.__name__: build for build in (one_epoch, early_pool, trimmed, paired, separable)})

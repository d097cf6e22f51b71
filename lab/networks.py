"""The networks behind the course's own recipes, and a public one that was made for speed.

Importing this module makes them known to `models.build_model`, each followed by its widths: `trimmed-16-16-16-64`.
"""

from torch import nn

from helpers.models import MODELS, SHORT_NAMES, Network


def _check_depth(widths: tuple[int, ...], *depths: int) -> None:
    if len(widths) not in depths:
        raise ValueError(f"need {' or '.join(map(str, depths))} widths, got {len(widths)}")


class OneEpoch(Network):
    """Two convolutions and two linear layers, 215,194 parameters: made for a single fast epoch on a GPU.

    Source: github.com/tuomaso/train_mnist_fast.
    """

    def __init__(self):
        super().__init__(
            *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
        )


def _bare_block(inputs: int, outputs: int, kernel: int = 3, pool: bool = False, **options) -> tuple[nn.Module, ...]:
    """Batch norm subtracts the mean, so a bias before it would do nothing; pooling first leaves it less to do."""
    conv = nn.Conv2d(inputs, outputs, kernel, bias=False, **options)
    return conv, *[nn.MaxPool2d(2)] * pool, nn.BatchNorm2d(outputs), nn.ReLU()


class EarlyPool(Network):
    """Four convolutions that pool behind the first and the third, and one linear layer.

    Map sizes 28→24→12→12→10→5→3. `early_pool-16-32-32-64` has 38,714 parameters.

    Args:
        widths: channels behind each of the four convolutions.
    """

    def __init__(self, *widths: int):
        _check_depth(widths, 4)
        first, second, third, fourth = widths
        super().__init__(
            *_bare_block(1, first, kernel=5, pool=True),
            *_bare_block(first, second, padding=1),
            *_bare_block(second, third, pool=True),
            *_bare_block(third, fourth),
            *(nn.Flatten(), nn.Linear(9 * fourth, 10)),
        )


class Trimmed(Network):
    """`EarlyPool` on the central 24×24 pixels: padding by −2 takes off the two outermost rings, almost empty on MNIST.

    That leaves a third fewer numbers behind the first convolution. Map sizes 28→24→20→10→10→8→4→2.
    `trimmed-16-16-16-64` has 17,018 parameters. A fifth width adds a padded convolution before the last one.

    Args:
        widths: channels behind each of the four or five convolutions.
    """

    def __init__(self, *widths: int):
        _check_depth(widths, 4, 5)
        first, second, third, *padded, last = widths
        deeper = _bare_block(third, *padded, padding=1) if padded else ()
        super().__init__(
            nn.ZeroPad2d(-2),
            *_bare_block(1, first, kernel=5, pool=True),
            *_bare_block(first, second, padding=1),
            *_bare_block(second, third, pool=True),
            *deeper,
            *_bare_block(widths[-2], last),
            *(nn.Flatten(), nn.Linear(4 * last, 10)),
        )


class Paired(Network):
    """`EarlyPool` with pairs of 3×3 convolutions: the first two see as far as one of 5×5, with a ReLU in between.

    Map sizes 28→26→24→12→12→10→5→3. `paired-8-8-16-16-16` has 7,986 parameters. A sixth width adds a padded
    convolution before the last one.

    Args:
        widths: channels behind each of the five or six convolutions.

    Source: small kernels in a row for a large one are the idea of K. Simonyan and A. Zisserman, arXiv:1409.1556.
    """

    def __init__(self, *widths: int):
        _check_depth(widths, 5, 6)
        first, second, third, fourth, *padded, last = widths
        deeper = _bare_block(fourth, *padded, padding=1) if padded else ()
        super().__init__(
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


class Separable(Network):
    """`EarlyPool` with depthwise-separable convolutions: most of it for a fraction of the parameters.

    Map sizes 28→24→12→12→10→5→3→1. The last depthwise convolution weighs the nine places of each channel, where a
    linear layer would need nine weights for each channel and digit. `separable-8-16-20-20` has 1,962 parameters.

    Args:
        widths: channels behind the first convolution and behind each of the three blocks.

    Source: depthwise-separable convolutions are those of A. Howard and others, arXiv:1704.04861.
    """

    def __init__(self, *widths: int):
        _check_depth(widths, 4)
        first, second, third, fourth = widths
        super().__init__(
            *_bare_block(1, first, kernel=5, pool=True),
            *_separable_block(first, second, padding=1),
            *_separable_block(second, third, pool=True),
            *_separable_block(third, fourth),
            nn.Conv2d(fourth, fourth, 3, groups=fourth, bias=False),
            *(nn.Flatten(), nn.Linear(fourth, 10)),
        )


SHORT_NAMES[nn.ZeroPad2d] = "crop"
MODELS.update(
    {"one_epoch": OneEpoch, "early_pool": EarlyPool, "trimmed": Trimmed, "paired": Paired, "separable": Separable}
)

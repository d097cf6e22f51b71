"""Write what page/index.html computes with: a network's weights, its receptive fields and a few test images.

python -m tools.export_page

The page is one file, which is read and changed as it is. Only the block between its two markers comes from here.
"""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from helpers.checkpoints import load_trained
from helpers.data import MEAN, STD, Mnist, load_mnist
from helpers.errors import CourseError
from helpers.files import replace_file
from helpers.models import Network
from helpers.receptive_field import receptive_field_table
from tools.notebook_rules import ROOT

PAGE = ROOT / "page" / "index.html"
CHECKPOINT = ROOT / "data" / "checkpoints" / "compact.pt"
BEGIN, END = '<script type="application/json" id="data">\n', "\n</script>"


def encode(values: torch.Tensor) -> str:
    """Float32 numbers or bytes, little-endian, as base64."""
    kind = "u1" if values.dtype == torch.uint8 else "<f4"
    return base64.b64encode(values.numpy(force=True).astype(kind).tobytes()).decode()


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (outputs, inputs, k, k) and bias (outputs,) that do in one step what convolution and norm do in two.

    In eval mode batch norm multiplies each channel by one number and adds another. Computed in float64, so that
    every machine gets the same float32.
    """
    weight, bias = convolution.weight.double(), convolution.bias.double()
    if norm is not None:
        factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = weight * factor[:, None, None, None]
        bias = (bias - norm.running_mean.double()) * factor + norm.bias.double()
    return weight.float(), bias.float()


@torch.no_grad()
def describe_layers(network: Network) -> Iterator[dict]:
    """Each convolution, with its norm and ReLU in it, and each pooling: shape, receptive field, weights.

    `start`, `jump` and `field` are the columns of `receptive_field_table`.
    """
    table = receptive_field_table(network).set_index("layer")
    channels = 1
    for name, layer in network.named_children():
        if not isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            continue
        row, number = table.loc[name], name.removeprefix("conv")
        described = {
            "name": name,
            "kind": "conv" if isinstance(layer, nn.Conv2d) else "pool",
            "inputs": channels,
            "channels": getattr(layer, "out_channels", channels),
            "size": int(row["output_size"]),
            **{part: int(row[part]) for part in ("kernel", "stride", "padding")},
            "field": int(row["receptive_field"]),
            "jump": int(row["jump"]),
            "start": float(row["start"]),
        }
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
            weight, bias = fold(layer, getattr(network, f"norm{number}", None))
            described |= {"relu": hasattr(network, f"relu{number}"), "weights": encode(weight), "bias": encode(bias)}
        yield described


def pick_digits(mnist: Mnist) -> list[dict]:
    """The first test image of each digit, as bytes."""
    places = [mnist.test.labels.tolist().index(digit) for digit in range(10)]
    return [
        {"label": digit, "place": place, "pixels": encode(mnist.test.images[place])}
        for digit, place in enumerate(places)
    ]


def read_data(page: str) -> dict:
    """What a page has between its markers."""
    return json.loads(page.partition(BEGIN)[2].partition(END)[0])


def make_page(page: str, mnist: Mnist) -> str:
    """The page with its block renewed. The test images stay as they are where only the sample is at hand.

    Raises:
        CourseError: the checkpoint cannot be read.
    """
    before, _, rest = page.partition(BEGIN)
    digits = pick_digits(mnist) if mnist.source == "mnist" else read_data(page)["digits"]
    layers = list(describe_layers(load_trained(CHECKPOINT).network))
    data = {"mean": MEAN, "std": STD, "layers": layers, "digits": digits}
    return before + BEGIN + json.dumps(data, separators=(",", ":")) + END + rest.partition(END)[2]


def main(page: Path = PAGE) -> int:
    """Returns the exit status."""
    try:
        new = make_page(page.read_text(encoding="utf-8"), load_mnist())
    except CourseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with replace_file(page) as temporary:
        temporary.write_text(new, encoding="utf-8", newline="\n")
    print(f"{page.name}: {page.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a network sees: the receptive field of every layer, by arithmetic and, as a check, by gradients.

For a layer with kernel k, stride s, dilation d and padding p on the near side, with the jump j, receptive field r
and first centre c of the layer before it:

    r' = r + (k - 1) · d · j        j' = j · s        c' = c + ((k - 1) · d / 2 - p) · j

The input itself has r = 1, j = 1, c = 0.5. Source: A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill (2019), doi:10.23915/distill.00021.
"""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from helpers.errors import InputError
from helpers.layer_windows import Pair, Window, list_windows, on_each_axis

FIRST_CANVAS, LARGEST_CANVAS = 64, 8192


def receptive_field_table(model: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28)) -> pd.DataFrame:
    """The receptive field of every layer of a feed-forward chain, by arithmetic.

    Normalisation, activation and dropout layers count as looking at one pixel at a time (statistics taken over a
    whole map, as in group norm, are left out). A linear layer behind a flattened map is a window as large as the map.

    Args:
        model: convolution, pooling, padding, normalisation, activation and linear layers, one after the other.
        input_shape: channels, height and width of one image.

    Returns:
        A row per layer in execution order. Columns: `layer`, `kernel`, `stride`, `padding`, `dilation`, `output_size`
        (height), `jump` (input pixels between neighbouring outputs), `receptive_field` (pixels) and `start` (centre
        of the first output's field; the first pixel's centre is 0.5). A column whose two axes differ in any row
        holds (height, width) pairs.

    Raises:
        InputError: the network branches, or has a layer without one fixed window.
    """
    rows = []
    field, jump, start = (1, 1), (1, 1), (0.5, 0.5)
    for window in list_windows(model, input_shape):
        reach = on_each_axis(lambda k, d: (k - 1) * d, window.kernel, window.dilation)
        field = on_each_axis(lambda r, extra, j: r + extra * j, field, reach, jump)
        start = on_each_axis(lambda c, extra, p, j: c + (extra / 2 - p) * j, start, reach, window.padding, jump)
        jump = on_each_axis(lambda j, s: j * s, jump, window.stride)
        rows.append({**vars(window), "jump": jump, "receptive_field": field, "start": start})
    return pd.DataFrame(rows).apply(_merge_axes)


def measure_receptive_field(
    model: nn.Module, layer: str, input_shape: tuple[int, ...] = (1, 28, 28)
) -> int | tuple[int, int]:
    """The receptive field of one layer, found by asking which input pixels a single output depends on.

    The layers up to `layer` are run as a linear stand-in: every window becomes a convolution with equal weights, so
    no gradient is cut by a ReLU or a maximum. The canvas is larger than the field, so the image's edge does not cut it.
    This checks the arithmetic; the windows are read from the layers as in `receptive_field_table`.

    Args:
        model: as for `receptive_field_table`.
        layer: a name from the table's `layer` column.
        input_shape: channels, height and width of one image.

    Returns:
        Pixels, or (height, width) where the two differ.

    Raises:
        InputError: no such layer, or as for `receptive_field_table`.
    """
    windows = list_windows(model, input_shape)
    names = [window.layer for window in windows]
    if layer not in names:
        raise InputError(f"no layer is called {layer!r}; there are {', '.join(names)}")
    windows = windows[: names.index(layer) + 1]
    canvas = FIRST_CANVAS
    while (field := _measure_on_canvas(windows, canvas)) is None:
        canvas *= 2
        if canvas > LARGEST_CANVAS:
            raise InputError(f"the receptive field of {layer!r} exceeds {LARGEST_CANVAS // 2} pixels")
    return field[0] if field[0] == field[1] else field


def _measure_on_canvas(windows: list[Window], canvas: int) -> Pair | None:
    """Extent of the input gradient of the central output, or None where it touches the edge of the canvas."""
    image = torch.ones(1, 1, canvas, canvas, dtype=torch.float64, requires_grad=True)
    values = image
    for window in windows:
        if any(size < (k - 1) * d + 1 for size, k, d in zip(values.shape[2:], window.kernel, window.dilation)):
            return None
        weights = torch.full((1, 1, *window.kernel), 1 / (window.kernel[0] * window.kernel[1]), dtype=torch.float64)
        values = F.conv2d(values, weights, stride=window.stride, dilation=window.dilation)
    values[0, 0, values.shape[2] // 2, values.shape[3] // 2].backward()
    touched = [(image.grad[0, 0] != 0).any(dim=axis).nonzero() for axis in (1, 0)]
    if any(pixels.min() == 0 or pixels.max() == canvas - 1 for pixels in touched):
        return None
    return tuple(int(pixels.max() - pixels.min()) + 1 for pixels in touched)


def _merge_axes(column: pd.Series) -> pd.Series:
    """Single numbers for a column of pairs whose axes agree in every row."""
    if column.name == "layer" or any(height != width for height, width in column):
        return column
    return column.map(lambda pair: pair[0])

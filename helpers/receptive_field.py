"""What a network sees: the receptive field of every layer, by arithmetic and, as a check, by gradients.

For a layer with kernel k, stride s, dilation d and padding p on the near side, with the jump j, receptive field r
and first centre c of the layer before it:

    r' = r + (k - 1) · d · j        j' = j · s        c' = c + ((k - 1) · d / 2 - p) · j

The input itself has r = 1, j = 1, c = 0.5. Source: A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill (2019), doi:10.23915/distill.00021.

Here the same is kept as the two edges of each field, c - r / 2 and c + r / 2. Where a network joins branches, the
result sees from the first of their edges to the last, if the branches have the same jump.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd
import torch
from torch import nn

from helpers.errors import InputError
from helpers.layer_windows import Step, Window, list_steps

LARGEST_CANVAS = 16_384


@dataclass(frozen=True)
class Span:
    """What the units of a map see along one axis of an image without end.

    Attributes:
        edges: first pixel, and the one behind the last, of unit 0, 1, … until they repeat, as the units of an
            up-sampled map differ; (−inf, inf) is the whole image, whatever its size.
        shift: pixels from a unit to the one that repeats it.
    """

    edges: tuple[tuple[float, float], ...] = ((0, 1),)
    shift: int | Fraction = 1

    @property
    def jump(self) -> Fraction:
        """Pixels between neighbouring units, on average."""
        return Fraction(self.shift) / len(self.edges)

    @property
    def receptive_field(self) -> float:
        """Pixels that a unit sees, the widest if they differ."""
        return max(end - first for first, end in self.edges)

    @property
    def start(self) -> float | None:
        """Where the middle of unit 0 would be if all were equally far apart; None for the whole image."""
        middles = [(first + end) / 2 - float(n * self.jump) for n, (first, end) in enumerate(self.edges)]
        return None if math.isnan(sum(middles)) else sum(middles) / len(middles)

    def see(self, unit: int) -> tuple[float, float]:
        """First pixel of a unit, and the one behind its last."""
        turns, phase = divmod(unit, len(self.edges))
        return tuple(edge + turns * self.shift for edge in self.edges[phase])

    def through(self, window: Window) -> "Span":
        """What is seen through a window over these units."""
        if window.mode == "everything":
            return Span(((-math.inf, math.inf),), 0)
        period = (Fraction(window.stride) / len(self.edges)).denominator if window.after > 1 else 1
        edges = (_surround(map(self.see, window.taps(unit))) for unit in range(period))
        return Span(tuple(edges), period * window.stride * self.jump)


def _surround(edges: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The interval around several; of none, one that adds nothing to another."""
    firsts, ends = zip(*edges, (math.inf, -math.inf))
    return min(firsts), max(ends)


def _join(spans: list[Span], size: int) -> Span:
    """What several maps of that many units see together, unit by unit."""
    jumps = {s.jump for s in spans if s.receptive_field < math.inf and size > 1} or {max(s.jump for s in spans)}
    if len(jumps) > 1:
        raise ValueError(f"joins maps whose units are {' and '.join(map(str, sorted(jumps)))} pixels apart")
    period = math.lcm(*(len(span.edges) for span in spans))
    edges = (_surround(span.see(unit) for span in spans) for unit in range(period))
    return Span(tuple(edges), period * jumps.pop())


def _follow(steps: list[Step]) -> tuple[dict[Step, list[Span]], dict[Step, list[float]]]:
    """What each step sees along each axis, and how far the centres of what it joins are apart."""
    seen, apart = {steps[0]: [Span()] * len(steps[0].windows)}, {}
    for step in steps[1:]:
        seen[step], apart[step] = [], []
        for axis, window in enumerate(step.windows):
            spans = [seen[other][axis].through(way) for other, way in zip(step.inputs, step.enter(axis))]
            try:
                seen[step].append(_join(spans, window.before).through(window))
            except ValueError as error:
                raise InputError(f"{step.layer} {error}") from None
            centres = [span.start for span in spans if span.start is not None] or [0]
            apart[step].append(max(centres) - min(centres))
    return seen, apart


def receptive_field_table(model: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28)) -> pd.DataFrame:
    """The receptive field of every layer, by arithmetic, as if the image had no end.

    Normalisation, activation and dropout layers count as looking at one pixel at a time (statistics taken over a
    whole map, as in group norm, are left out). A linear layer behind a flattened map is a window as large as the map,
    and so is attention. Where one value for a whole map is given back to all of it, as in squeeze-and-excitation,
    each value sees the whole image from there on. A field at least as large as the image may see all of it.

    Args:
        model: layers one after the other or in branches, in a forward pass that does not depend on the pixels.
        input_shape: channels and up to three sizes of one image, such as (1, 28, 28).

    Returns:
        A row per layer, or function called instead, in execution order. Columns: `layer`, `kernel`, `stride`,
        `padding`, `dilation`, `output_size` (height), `jump` (input pixels between neighbouring outputs),
        `receptive_field` (pixels; inf for the whole image, whatever its size) and `start` (centre of the first
        output's field; the first pixel's centre is 0.5). Where outputs differ, as behind an up-sampling or uneven
        pooling, the field is the widest, `start` fits them on average, and stride and jump can be fractions. If the
        network branches, `misaligned` tells by how many pixels the centres are apart of what is joined there, 0 if
        they agree. A column whose axes differ in any row holds (height, width) pairs.

    Raises:
        InputError: the network does not take such an image, has a layer without known windows, or joins maps of
            different jumps; the message names the layer.
    """
    rows, steps = [], list_steps(model, input_shape)
    seen, apart = _follow(steps)
    for step in steps[1:]:
        row = {name: [getattr(w, name) for w in step.windows] for name in ("kernel", "stride", "padding", "dilation")}
        row["output_size"] = [1 if dim is None else w.after for w, dim in zip(step.windows, step.dims)]
        row |= {name: [getattr(span, name) for span in seen[step]] for name in ("jump", "receptive_field", "start")}
        rows.append({"layer": step.layer, **row, "misaligned": apart[step]})
    branches = any(len(step.inputs) > 1 for step in steps)
    return pd.DataFrame(rows).drop(columns=[] if branches else "misaligned").apply(_merge_axes)


def _merge_axes(column: pd.Series) -> pd.Series:
    """Single numbers for a column of values per axis that agree in every row, whole ones as int."""
    if column.name == "layer":
        return column
    cells = [tuple(int(v) if getattr(v, "denominator", 0) == 1 else v for v in values) for values in column]
    merged = [cell[0] for cell in cells] if all(len(set(cell)) == 1 for cell in cells) else cells
    return pd.Series(merged, dtype=object if math.inf in merged else None)


def measure_receptive_field(
    model: nn.Module, layer: str, input_shape: tuple[int, ...] = (1, 28, 28)
) -> float | tuple[float, ...]:
    """The receptive field of one layer, found by asking which input pixels a single output depends on.

    The layers up to `layer` are run as a linear stand-in, along one axis at a time: every window becomes a sum with
    equal weights, and so does every join, so no gradient is cut by a ReLU or a maximum. The canvas is larger than the
    field, so the image's edge does not cut it. This checks the arithmetic; the windows are read from the layers as in
    `receptive_field_table`.

    Args:
        model: as for `receptive_field_table`.
        layer: a name from the table's `layer` column.
        input_shape: channels and sizes of one image.

    Returns:
        Pixels, or (height, width) where the two differ; inf if even a canvas of 16,384 pixels is too small.

    Raises:
        InputError: no such layer, or as for `receptive_field_table`.
    """
    steps = _list_until(model, layer, input_shape)
    periods = [[len(span.edges) for span in spans] for spans in zip(*_follow(steps)[0].values())]
    fields = tuple(_measure_axis(steps, axis, along) for axis, along in enumerate(periods))
    return fields[0] if len(set(fields)) == 1 else fields


def find_pixels(
    model: nn.Module, layer: str, unit: tuple[int, ...], input_shape: tuple[int, ...] = (1, 28, 28)
) -> tuple[slice, ...]:
    """The pixels that one unit of a layer depends on: rows and columns, so that `image[find_pixels(…)]` cuts them out.

    Found like `measure_receptive_field`, but on the image itself, so that its edges count. Padding counts as nothing,
    also where it repeats pixels.

    Args:
        model: as for `receptive_field_table`.
        layer: a name from the table's `layer` column.
        unit: row and column in the layer's map, counted from 0; (0, 0) for a layer that has no map.
        input_shape: channels and sizes of one image.

    Raises:
        InputError: no such layer or unit, or as for `receptive_field_table`.
    """
    steps = _list_until(model, layer, input_shape)
    sizes = tuple(window.after for window in steps[-1].windows)
    if len(unit) != len(sizes) or not all(0 <= place < size for place, size in zip(unit, sizes)):
        raise InputError(f"{layer} has units up to {tuple(size - 1 for size in sizes)}, so none at {unit}")
    runs = [_run(steps, axis, size) for axis, size in enumerate(input_shape[1:])]
    return tuple(slice(*_trace_back(*run, place)) for run, place in zip(runs, unit))


def _list_until(model: nn.Module, layer: str, input_shape: tuple[int, ...]) -> list[Step]:
    steps = list_steps(model, input_shape)
    names = [step.layer for step in steps]
    if layer not in names[1:]:
        raise InputError(f"no layer is called {layer!r}; there are {', '.join(names[1:])}")
    return steps[: names.index(layer) + 1]


def _run(steps: list[Step], axis: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A line of pixels, and what the stand-in makes of it."""
    lines = {steps[0]: torch.ones(size, dtype=torch.float64, requires_grad=True)}
    for step in steps[1:]:
        entering = [way.run(lines[other]) for other, way in zip(step.inputs, step.enter(axis))]
        lines[step] = step.windows[axis].run(sum(line[: min(map(len, entering))] for line in entering))
    return lines[steps[0]], lines[steps[-1]]


def _trace_back(image: torch.Tensor, line: torch.Tensor, unit: int) -> tuple[int, int]:
    """First pixel that a unit depends on, and the one behind the last."""
    touched = torch.autograd.grad(line[unit], image, retain_graph=True)[0].nonzero().flatten().tolist()
    return (touched[0], touched[-1] + 1) if touched else (0, 0)


def _measure_axis(steps: list[Step], axis: int, periods: list[int]) -> float:
    """The widest field of as many central units as may differ, on the smallest canvas whose edges none of them sees."""
    size, aligned = 4 * steps[0].windows[axis].after, math.lcm(*periods)
    while size <= LARGEST_CANVAS:
        image, line = _run(steps, axis, size)
        first = len(line) // 2 // aligned * aligned
        edges = [_trace_back(image, line, unit) for unit in range(len(line))[first : first + periods[-1]]]
        if all(first > 0 and end < size for first, end in edges):
            return max(end - first for first, end in edges)
        size *= 2
    return math.inf

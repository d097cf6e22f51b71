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
from collections.abc import Iterable, Sequence
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
    def field(self) -> float:
        """Pixels that a unit sees, the widest if they differ."""
        return max(end - first for first, end in self.edges)

    @property
    def centre(self) -> float | None:
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
        period = (Fraction(window.stride) / len(self.edges)).denominator
        edges = (_surround(map(self.see, window.taps(unit))) for unit in range(period))
        return Span(tuple(edges), period * window.stride * self.jump)


def _surround(edges: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The interval around several; of none, one that adds nothing to another."""
    firsts, ends = zip(*edges, (math.inf, -math.inf))
    return min(firsts), max(ends)


def _join(step: Step, spans: Sequence[Span]) -> Span:
    """What several maps see together, unit by unit."""
    jumps = {span.jump for span in spans if span.field < math.inf} or {max(span.jump for span in spans)}
    if len(jumps) > 1:
        raise InputError(f"{step.layer} joins maps with jumps of {' and '.join(map(str, sorted(jumps)))} pixels")
    period = math.lcm(*(len(span.edges) for span in spans))
    edges = (_surround(span.see(unit) for span in spans) for unit in range(period))
    return Span(tuple(edges), period * jumps.pop())


def _follow(steps: list[Step]) -> tuple[dict[Step, list[Span]], dict[Step, list[float]]]:
    """What each step sees, and how far the centres of what it joins are apart, along each axis."""
    seen, apart = {steps[0]: [Span()] * len(steps[0].windows)}, {}
    for step in steps[1:]:
        seen[step], apart[step] = [], []
        for axis, window in enumerate(step.windows):
            spans = [seen[other][axis].through(way) for other, way in zip(step.inputs, step.enter(axis))]
            seen[step].append(_join(step, spans).through(window))
            centres = [span.centre for span in spans if span.centre is not None] or [0]
            apart[step].append(max(centres) - min(centres))
    return seen, apart


def receptive_field_table(model: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28)) -> pd.DataFrame:
    """doc"""
    steps = list_steps(model, input_shape)
    seen, apart = _follow(steps)
    rows = []
    for step in steps[1:]:
        row = {key: [getattr(w, key) for w in step.windows] for key in ("kernel", "stride", "padding", "dilation")}
        row["output_size"] = [1 if d is None else w.after for w, d in zip(step.windows, step.dims)]
        for name in ("jump", "field", "centre"):
            row[name] = [getattr(span, name) for span in seen[step]]
        rows.append({"layer": step.layer, **row, "misaligned": apart[step]})
    table = pd.DataFrame(rows).rename(columns={"field": "receptive_field", "centre": "start"}).apply(_merge_axes)
    return table if any(len(step.inputs) > 1 for step in steps) else table.drop(columns="misaligned")


def _merge_axes(column: pd.Series) -> pd.Series:
    """Single numbers for a column of values per axis that agree in every row; whole ones as int."""
    if column.name == "layer":
        return column
    kept = [tuple(int(v) if isinstance(v, Fraction) and v.denominator == 1 else v for v in cell) for cell in column]
    merged = [cell[0] for cell in kept] if all(len(set(cell)) == 1 for cell in kept) else kept
    return pd.Series(merged, dtype=object if math.inf in merged else None)


def measure_receptive_field(
    model: nn.Module, layer: str, input_shape: tuple[int, ...] = (1, 28, 28)
) -> float | tuple[float, ...]:
    """doc"""
    steps = _steps_until(layer, list_steps(model, input_shape))
    fields = tuple(_measure_axis(steps, axis) for axis in range(len(input_shape) - 1))
    return fields[0] if len(set(fields)) == 1 else fields


def find_pixels(model, layer, unit, input_shape=(1, 28, 28)) -> tuple[slice, ...]:
    """doc"""
    steps = _steps_until(layer, list_steps(model, input_shape))
    sizes = tuple(window.after for window in steps[-1].windows)
    if len(unit) != len(sizes) or not all(0 <= place < size for place, size in zip(unit, sizes)):
        raise InputError(f"{layer} has {sizes} units, so none at {unit}")
    return tuple(slice(*_trace_back(*_run(steps, axis, size), unit[axis])) for axis, size in enumerate(input_shape[1:]))


def _steps_until(layer, steps):
    names = [step.layer for step in steps[1:]]
    if layer not in names:
        raise InputError(f"no layer is called {layer!r}; there are {', '.join(names)}")
    return steps[: names.index(layer) + 2]


def _run(steps: list[Step], axis: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A line of pixels, and what the stand-in makes of it."""
    lines = {steps[0]: torch.ones(size, dtype=torch.float64, requires_grad=True)}
    for step in steps[1:]:
        entering = [way.run(lines[other]) for other, way in zip(step.inputs, step.enter(axis))]
        shortest = min(map(len, entering))
        lines[step] = step.windows[axis].run(sum(line[:shortest] for line in entering))
    return lines[steps[0]], lines[steps[-1]]


def _trace_back(image: torch.Tensor, line: torch.Tensor, unit: int) -> tuple[int, int]:
    """First pixel that a unit depends on, and the one behind the last."""
    touched = torch.autograd.grad(line[unit], image, retain_graph=True)[0].nonzero().flatten().tolist()
    return (touched[0], touched[-1] + 1) if touched else (0, 0)


def _measure_axis(steps: list[Step], axis: int) -> float:
    period, size = len(_follow(steps)[0][steps[-1]][axis].edges), 4 * steps[0].windows[axis].after
    while size <= LARGEST_CANVAS:
        image, line = _run(steps, axis, size)
        units = range(len(line) // 2, min(len(line) // 2 + period, len(line)))
        edges = [_trace_back(image, line, unit) for unit in units]
        if all(first > 0 and end < size for first, end in edges):
            return max(end - first for first, end in edges)
        size *= 2
    return math.inf

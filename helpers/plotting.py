"""One function per figure: draws on given axes or new ones, returns them."""

import copy
import html
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from torch import nn

WIDTH = 7.0
# Colours that stay apart for colour-blind readers. Source: M. Okabe, K. Ito, "Color Universal Design" (2008).
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
# As dark as text must be: 4.5 to 1 on white, or more.
DARK = ("#004B75", "#A34700", "#00664A", "#8A3F68", "#444444")
# The same two in the whole course; line style and marker tell them apart without colour.
TRAIN = {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 4}
HELD_OUT = {"color": ORANGE, "linestyle": "--", "marker": "s", "markersize": 4}


def set_style() -> None:
    """White background, whatever the notebook's theme, and quiet axes."""
    plt.style.use(Path(__file__).with_name("course.mplstyle"))


def new_axes(ax: Axes | None, height: float = 3.2) -> Axes:
    """The given axes, or those of a new figure."""
    return ax if ax is not None else plt.subplots(figsize=(WIDTH, height))[1]


def label_logarithmic(axis: Axis) -> None:
    """Ticks in plain numbers, such as 0.05, 200, 20k, as many as there is room for."""
    low, high = axis.get_view_interval()
    steps = (1, 2, 5) if high < 300 * low else (1,)
    axis.set_major_locator(LogLocator(subs=steps) if high > 4 * low else MaxNLocator(4))
    plain, short = partial(np.format_float_positional, trim="-"), EngFormatter(sep="")  # never 1e-05 beside 0.0001
    axis.set_major_formatter(lambda value, _: short(value) if value >= 1_000 else plain(value, 4, fractional=False))
    axis.set_minor_formatter(NullFormatter())


def plot_digits(
    images: torch.Tensor,
    titles: Sequence[str] = (),
    *,
    title: str = "",
    columns: int = 10,
    width: float = WIDTH,
    cmap: str = "gray_r",
) -> np.ndarray:
    """A grid of digits on one common scale, ink dark on white.

    Args:
        images: (n, h, w), any number type.
        titles: one for each image, or none.
        title: of the whole figure.
        columns: images in a row.
        width: of the figure, in inches.
        cmap: another colour map; "RdBu_r" for signed values puts 0 at white.

    Returns:
        The array of Axes, (rows, columns).
    """
    rows = -(-len(images) // columns)
    height = rows * (width / columns + (0.25 if len(titles) else 0.08)) + 0.35
    figure, axes = plt.subplots(rows, columns, squeeze=False, figsize=(width, height))
    high = float(images.abs().max() if cmap == "RdBu_r" else images.max())
    low = -high if cmap == "RdBu_r" else float(images.min())
    for ax in axes.flat:
        ax.axis("off")
    for ax, image in zip(axes.flat, images):
        ax.imshow(image, cmap=cmap, vmin=low, vmax=high)
    for ax, text in zip(axes.flat, titles):
        ax.set_title(text, fontsize=9, pad=3)
    figure.suptitle(title, fontsize="medium")
    return axes


def plot_pixels(image: torch.Tensor, *, title: str = "", ax: Axes | None = None) -> Axes:
    """One digit with its grey level (0–255) written into every pixel."""
    ax = new_axes(ax, height=6.6)
    ax.imshow(image, cmap="gray_r", vmin=0, vmax=255)
    for (row, column), level in np.ndenumerate(image.numpy()):
        if level:
            ax.text(column, row, level, ha="center", va="center", fontsize=6, color="white" if level > 128 else "black")
    ax.set(title=title, xlabel="column (pixels)", ylabel="row (pixels)")
    return ax


def plot_heatmap(
    values: torch.Tensor, *, title: str = "", unit: str = "", cmap: str = "viridis", ax: Axes | None = None
) -> Axes:
    """A map (h, w) with a colour bar that carries the unit; pass "RdBu_r" for signed values, centred on 0."""
    ax = new_axes(ax, height=3.8)
    limit = float(values.abs().max()) if cmap == "RdBu_r" else None
    shown = ax.imshow(values, cmap=cmap, vmin=-limit if limit else None, vmax=limit)
    ax.figure.colorbar(shown, ax=ax, label=unit)
    ax.set(title=title, xlabel="column (pixels)", ylabel="row (pixels)")
    return ax


def plot_equation(parts: Sequence[torch.Tensor | str], titles: Sequence[str], *, title: str = "") -> np.ndarray:
    """Small maps in a row with signs between them: blue below 0, red above, each value written in if there is room.

    Args:
        parts: maps (h, w) on one common scale, and signs such as "·", "=" or "+".
        titles: one for each map.
        title: of the whole figure.

    Returns:
        The array of Axes, one for each part.
    """
    widths = [0.16 if isinstance(part, str) else 1 for part in parts]
    height = 0.75 + 6.4 / sum(widths)
    figure, axes = plt.subplots(1, len(parts), figsize=(WIDTH, height), gridspec_kw={"width_ratios": widths})
    limit, titles = max(float(part.abs().max()) for part in parts if not isinstance(part, str)), iter(titles)
    for ax, part in zip(axes, parts):
        if isinstance(part, str):
            ax.text(0.5, 0.5, part, ha="center", va="center", fontsize=18)
            ax.axis("off")
            continue
        ax.imshow(part, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set(title=next(titles), xticks=[], yticks=[])
        for (row, column), value in np.ndenumerate(np.asarray(part)) if max(part.shape) <= 6 else ():
            ink = "white" if abs(value) > 0.6 * limit else "black"
            ax.text(column, row, f"{round(value, 2) + 0.0:g}", ha="center", va="center", fontsize=9, color=ink)
    figure.suptitle(title, fontsize="medium")
    return axes


def plot_network(network: nn.Sequential, table: pd.DataFrame, *, title: str = "") -> Axes:
    """A network from left to right: a block for each layer that changes a map's size or its channels.

    A block is as high as its map and wider the more channels it has; below it stand channels × height × width, and how
    many pixels one of its values sees.

    Args:
        network: layers in a row, for images (1, 28, 28).
        table: its receptive fields (see `receptive_field.receptive_field_table`).
        title: of the figure.
    """
    values, blocks = torch.zeros(1, 1, 28, 28), [("image", (1, 28, 28), 1)]
    for name, layer in copy.deepcopy(network).eval().named_children():
        values = layer(values)
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.Linear)):
            field = table.set_index("layer").receptive_field[name]
            blocks.append((name, tuple(values.shape[1:]), field))
    ax, x = plt.subplots(figsize=(WIDTH, 2.9))[1], 0.0
    colours = {"image": GREY, "conv": BLUE, "pool": ORANGE, "linear": GREEN}
    for name, shape, field in blocks:
        width, height = 1 + np.log2(shape[0]), shape[1] if len(shape) > 1 else 1
        colour = next(colour for kind, colour in colours.items() if name.startswith(kind))
        ax.add_patch(Rectangle((x, 14 - height / 2), width, height, facecolor=colour, edgecolor="black"))
        ax.text(x + width / 2, 30, name, ha="center", fontsize=8)
        sizes = "\n×".join(map(str, shape))
        ax.text(x + width / 2, -2, f"{sizes}\n\nsees\n{field} px", ha="center", va="top", fontsize=8)
        x += width + 4
    ax.set(title=title, xlim=(-3, x), ylim=(-24, 34))
    ax.axis("off")
    return ax


def plot_class_balance(counts: dict[str, torch.Tensor], *, ax: Axes | None = None) -> Axes:
    """Share of each digit in up to two sets of labels, given as int64 counts (10,) by name."""
    shares = pd.DataFrame({name: (count / count.sum()).numpy() for name, count in counts.items()})
    ax = shares.plot.bar(ax=new_axes(ax), color=[BLUE, ORANGE], edgecolor="white", width=0.8, rot=0, ylim=(0, 0.14))
    for bar in ax.containers[-1]:
        bar.set_hatch("//")
    ax.axhline(0.1, color=GREY, linewidth=1, linestyle=":")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(title="How often each digit occurs", xlabel="digit", ylabel="share of the set")
    ax.legend(frameon=False, ncols=2, loc="upper right")
    return ax


def plot_scatter(points: np.ndarray, labels: torch.Tensor, *, title: str = "", ax: Axes | None = None) -> Axes:
    """A map of digits: each point of (n, 2) drawn as its own label, light from 0 to 4 and bold from 5 to 9."""
    ax = new_axes(ax, height=5.5)
    for (x, y), label in zip(points, labels.tolist()):
        weight = "bold" if label >= 5 else "normal"
        ax.text(x, y, str(label), color=DARK[label % 5], weight=weight, fontsize=8, ha="center", va="center")
    margin = 0.05 * np.ptp(points, axis=0)
    (left, bottom), (right, top) = points.min(0) - margin, points.max(0) + margin
    ax.set(title=title, xlim=(left, right), ylim=(bottom, top))
    ax.set(xlabel="first principal component", ylabel="second principal component")
    return ax


def plot_bars(values: dict[str, float], *, title: str = "", unit: str = "", ax: Axes | None = None) -> Axes:
    """Horizontal bars with their value written behind them, the first on top; a unit that starts with % ends at 100."""
    ax = new_axes(ax, height=0.4 * len(values) + 1.2)
    bars = ax.barh(list(values), list(values.values()), color=BLUE)
    ax.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}", padding=3)
    ax.invert_yaxis()
    ax.margins(x=0.25)
    ax.locator_params(axis="x", nbins=5)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    ax.set(title=title, xlabel=unit, **{"xlim": (0, 115), "xticks": range(0, 101, 20)} if unit.startswith("%") else {})
    return ax


def plot_points(points: pd.DataFrame, x: str, y: str, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Two columns of a table against each other on logarithmic axes, each point labelled with its row's name."""
    ax = new_axes(ax, height=3.8)
    ax.plot(points[x], points[y], "o", color=BLUE)
    # Neighbours get their labels on different sides, so that they do not cover each other.
    for number, (name, row) in enumerate(points.sort_values([x, y]).iterrows()):
        ax.annotate(f"  {name}", (row[x], row[y]), va="top" if number % 2 else "bottom", fontsize=9)
    ax.set(title=title, xlabel=x, ylabel=y, xscale="log", yscale="log")
    label_logarithmic(ax.xaxis)
    label_logarithmic(ax.yaxis)
    ax.margins(x=0.25, y=0.15)
    return ax


def plot_receptive_fields(image: torch.Tensor, table: pd.DataFrame, *, title: str = "") -> np.ndarray:
    """The field of the central output of each row of a receptive-field table, as a box on a digit (28, 28) of its own.

    Returns:
        The array of Axes, (rows, 3).
    """
    rows, side = -(-len(table) // 3), image.shape[0]
    figure, axes = plt.subplots(rows, 3, squeeze=False, figsize=(WIDTH, 2.5 * rows + 0.3))
    for ax in axes.flat:
        ax.axis("off")
    for ax, row in zip(axes.flat, table.itertuples()):
        ax.imshow(image, cmap="gray_r", extent=(0, side, side, 0), alpha=0.4)
        ax.add_patch(Rectangle((0, 0), side, side, fill=False, edgecolor=GREY, linewidth=1))
        corner = row.start + (row.output_size // 2) * row.jump - row.receptive_field / 2
        box = Rectangle((corner, corner), row.receptive_field, row.receptive_field, linewidth=2.5)
        box.set(fill=False, edgecolor=ORANGE)
        ax.add_patch(box)
        ax.set(xlim=(-4, side + 4), ylim=(side + 4, -4), title=f"{row.layer}: {row.receptive_field} px")
    figure.suptitle(title, fontsize="medium")
    return axes


def plot_loss(history: pd.DataFrame, *, title: str = "Loss", ax: Axes | None = None) -> Axes:
    """Loss of both splits over epochs, on a logarithmic scale; `history` as `Trained.table` gives it."""
    ax = new_axes(ax)
    _plot_both_splits(history, "loss", ax)
    ax.set(title=title, ylabel="cross-entropy (nats per image)", yscale="log")
    label_logarithmic(ax.yaxis)
    return ax


def _plot_both_splits(history: pd.DataFrame, quantity: str, ax: Axes) -> list[float]:
    """Training and held-out curve of a run, each labelled at its end, the higher one above; returns where they end."""
    splits = ("train", "test" if "test_loss" in history else "validation")
    ends = [history[f"{split}_{quantity}"].iloc[-1] for split in splits]
    for split, end, style in zip(splits, ends, (TRAIN, HELD_OUT)):
        ax.plot(history.index, history[f"{split}_{quantity}"], **style)
        side = "bottom" if end == max(ends) else "top"
        ax.annotate(f" {split}", (history.index[-1], end), color=style["color"], va=side, annotation_clip=False)
    ax.set(xlabel="epoch", xlim=(history.index[0] - 0.5, history.index[-1] * 1.2 + 0.5))
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ends


def plot_accuracy(history: pd.DataFrame, *, title="Accuracy", floor: float = 0.9, ax: Axes | None = None) -> Axes:
    """Accuracy of both splits over epochs; what is below `floor` is cut off, unless a curve ends there."""
    ax = new_axes(ax)
    ends = _plot_both_splits(history, "accuracy", ax)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(title=title, ylabel="images that are right", ylim=(floor if min(ends) > floor else 0, 1.05 - 0.05 * floor))
    return ax


def plot_curves(
    curves: dict[str, Sequence[float]], *, title: str = "", steps_per_unit=1, ax: Axes | None = None, **labels: str
) -> Axes:
    """Up to five curves by name, a value per step, on a logarithmic scale; one or two are labelled at their ends.

    Args:
        curves: by name. Earlier ones are wider, so that one below another still shows.
        title: of the figure.
        steps_per_unit: the horizontal axis counts steps divided by it, so that steps can be shown as epochs.
        ax: drawn on, or new.
        labels: `xlabel` and `ylabel`.
    """
    ax, few = new_axes(ax, height=3), len(curves) <= 2
    styles = zip((BLUE, ORANGE, GREEN, PURPLE, GREY), ("-", "--", ":", "-.", "-"), (3.2, 1.8, 1.8, 1.8, 1.8))
    for (name, values), (colour, style, width) in zip(curves.items(), styles):
        steps = np.arange(1, len(values) + 1) / steps_per_unit
        ax.plot(steps, values, style, color=colour, linewidth=width, label=name)
        if few:
            end = (steps[-1], list(values)[-1])
            ax.annotate(f" {name}", end, color=colour, va="center", annotation_clip=False)
    if not few:
        ax.legend(frameon=False)
    ax.margins(x=0.18 if few else 0.02)
    ax.set_xlim(left=0)
    ax.set(title=title, yscale="log", **labels)
    label_logarithmic(ax.yaxis)
    return ax


def plot_confusion_matrix(confusion: torch.Tensor, *, title: str, ax: Axes | None = None) -> Axes:
    """Counts (10, 10) of each label (rows) by answer (columns); the colour is the number of errors."""
    ax, counts = new_axes(ax, height=5.5), np.asarray(confusion)
    errors = counts * (1 - np.eye(10, dtype=int))
    ax.imshow(errors, cmap="Blues", vmin=0, vmax=max(1, errors.max()))
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if errors[row, column] > 0.6 * max(1, errors.max()) else "black"
        ax.text(column, row, count, color=colour, fontsize=9, ha="center", va="center")
    ax.set(title=title, xlabel="answer", ylabel="label", xticks=range(10), yticks=range(10))
    return ax


def plot_calibration(table: pd.DataFrame, *, title: str = "Calibration", ax: Axes | None = None) -> Axes:
    """Accuracy against confidence, a point per row of `evaluation.bin_by_confidence`; on the dotted line is honest.

    A bar is the 95 % interval of the share that is right.
    """
    ax = new_axes(ax, height=4.2)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    reach = np.clip([table["accuracy"] - table["low"], table["high"] - table["accuracy"]], 0, None)
    ax.errorbar(table["confidence"], table["accuracy"], yerr=reach, fmt="o", color=BLUE, capsize=3)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(title=title, xlabel="mean confidence of the bin", ylabel="share that is right")
    ax.set(xlim=(max(0, table["confidence"].min() - 0.08), 1.04), ylim=(max(0, table["low"].min() - 0.1), 1.04))
    return ax


def show(words: str) -> None:
    """Show the current figure in a notebook, and what can be seen in it in words.

    The words go along as alternative text, and folded below the figure, as most viewers do not read the first one out.
    """
    figure = plt.gcf()
    display(figure, metadata={"image/png": {"alt": words}})
    plt.close(figure)
    folded = f"<details><summary><small>The figure in words</small></summary>{html.escape(words)}</details>"
    display({"text/html": folded, "text/plain": f"The figure in words: {words}"}, raw=True)

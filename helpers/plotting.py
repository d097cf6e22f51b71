"""One function per figure: draws on given axes or new ones, returns them."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from sklearn.metrics import ConfusionMatrixDisplay

WIDTH = 7.0
# Colours that stay apart for colour-blind readers. Source: M. Okabe, K. Ito, "Color Universal Design" (2008).
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
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
    shorten = EngFormatter(sep="")
    axis.set_major_formatter(lambda value, _: shorten(value) if value >= 1_000 else f"{value:g}")
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


def plot_class_balance(counts: dict[str, torch.Tensor], *, ax: Axes | None = None) -> Axes:
    """Share of each digit in up to two sets of labels, given as int64 counts (10,) by name."""
    ax = new_axes(ax)
    for offset, (name, count), style in zip((-0.2, 0.2), counts.items(), ((BLUE, ""), (ORANGE, "//"))):
        share = (count / count.sum()).numpy()
        ax.bar(np.arange(10) + offset, share, width=0.4, label=name, color=style[0], hatch=style[1], edgecolor="white")
    ax.axhline(0.1, color=GREY, linewidth=1, linestyle=":")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(title="How often each digit occurs", xlabel="digit", ylabel="share of the set", xticks=range(10))
    ax.legend(frameon=False, ncols=2, loc="upper right")
    ax.set_ylim(0, 0.14)
    return ax


def plot_scatter(points: np.ndarray, labels: torch.Tensor, *, title: str = "", ax: Axes | None = None) -> Axes:
    """A map of digits: each point of (n, 2) drawn as its own label."""
    ax = new_axes(ax, height=5.5)
    colours = plt.get_cmap("tab10")
    for (x, y), label in zip(points, labels.tolist()):
        ax.text(x, y, str(label), color=colours(label), fontsize=7, ha="center", va="center")
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
    if unit.startswith("%"):
        ax.set(xlim=(0, 115), xticks=range(0, 101, 20))
    ax.xaxis.set_major_formatter("{x:,.0f}" if max(values.values()) >= 10 else "{x:g}")
    ax.set(title=title, xlabel=unit)
    return ax


def plot_points(
    points: pd.DataFrame, x: str, y: str, *, title: str = "", logarithmic: bool = True, ax: Axes | None = None
) -> Axes:
    """Two columns of a table against each other, each point labelled with its row's name."""
    ax = new_axes(ax, height=3.8)
    ax.plot(points[x], points[y], "o", color=BLUE)
    # Neighbours get their labels on different sides, so that they do not cover each other.
    for number, (name, row) in enumerate(points.sort_values([x, y]).iterrows()):
        ax.annotate(f"  {name}", (row[x], row[y]), va="top" if number % 2 else "bottom", fontsize=9)
    if logarithmic:
        ax.set(xscale="log", yscale="log")
        label_logarithmic(ax.xaxis)
        label_logarithmic(ax.yaxis)
    ax.margins(x=0.25, y=0.15)
    ax.set(title=title, xlabel=x, ylabel=y)
    return ax


def plot_receptive_fields(image: torch.Tensor, table: pd.DataFrame, *, title: str = "", ax: Axes | None = None) -> Axes:
    """The field of the central output of each row of a receptive-field table, as a box on a digit (28, 28)."""
    ax = new_axes(ax, height=5.5)
    ax.imshow(image, cmap="gray_r", extent=(0, image.shape[1], image.shape[0], 0), alpha=0.3)
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.7, len(table)))
    for number, (colour, row) in enumerate(zip(colours, table.itertuples())):
        centre = row.start + (row.output_size // 2) * row.jump
        corner, size = centre - row.receptive_field / 2, row.receptive_field
        style = ("-", "--", ":", "-.")[number % 4]
        ax.add_patch(
            Rectangle((corner, corner), size, size, fill=False, edgecolor=colour, linestyle=style, linewidth=2)
        )
        label_height = image.shape[0] * (len(table) - 1 - number) / max(1, len(table) - 1)
        ax.annotate(
            f"{row.layer}: {size} px",
            (corner + size, corner),
            (image.shape[1] + 6, label_height),
            color=colour,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "relpos": (0, 0.5), "shrinkB": 0},
        )
    low, high = -4, image.shape[0] + 4
    ax.set(title=title, xlim=(low, high + 8), ylim=(high, low), xlabel="column (pixels)", ylabel="row (pixels)")
    return ax


def _find_splits(history: pd.DataFrame) -> tuple[str, str]:
    """The names of the two splits that a history has columns for."""
    return "train", "test" if "test_loss" in history else "validation"


def _plot_both_splits(history: pd.DataFrame, quantity: str, ax: Axes) -> None:
    """Training and held-out curve of a run, each labelled at its end, the higher one above."""
    curves = {split: history[f"{split}_{quantity}"] for split in _find_splits(history)}
    highest = max(curve.iloc[-1] for curve in curves.values())
    for (split, curve), style in zip(curves.items(), (TRAIN, HELD_OUT)):
        ax.plot(curve.index, curve, **style)
        ax.annotate(
            f" {split}",
            (curve.index[-1], curve.iloc[-1]),
            color=style["color"],
            va="bottom" if curve.iloc[-1] == highest else "top",
            annotation_clip=False,
        )
    ax.set_xlabel("epoch")
    ax.set_xlim(history.index[0] - 0.5, history.index[-1] * 1.2 + 0.5)
    ax.xaxis.get_major_locator().set_params(integer=True)


def plot_loss(history: pd.DataFrame, *, title: str = "Loss", ax: Axes | None = None) -> Axes:
    """Loss of both splits over epochs, on a logarithmic scale; `history` as `Run.table` or `Record.table` gives it."""
    ax = new_axes(ax)
    _plot_both_splits(history, "loss", ax)
    ax.set(title=title, ylabel="cross-entropy (nats per image)", yscale="log")
    label_logarithmic(ax.yaxis)
    return ax


def plot_accuracy(
    history: pd.DataFrame, *, title: str = "Accuracy", floor: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Accuracy of both splits over epochs; what is below `floor` is cut off, unless the run never rises above it."""
    ax = new_axes(ax)
    _plot_both_splits(history, "accuracy", ax)
    highest = max(history[f"{split}_accuracy"].max() for split in _find_splits(history))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(title=title, ylabel="images that are right")
    ax.set_ylim(floor if highest > floor else 0, 1 + 0.05 * (1 - floor))
    return ax


def plot_curves(
    curves: dict[str, Sequence[float]],
    *,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    steps_per_unit: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """Up to five curves by name, a value per step, on a logarithmic scale; one or two are labelled at their ends.

    The horizontal axis counts steps divided by `steps_per_unit`, so that steps can be shown as epochs.
    """
    ax = new_axes(ax, height=3)
    styles = zip(("-", "--", ":", "-.", "-"), (BLUE, ORANGE, GREEN, PURPLE, GREY))
    for (name, values), (style, colour) in zip(curves.items(), styles):
        steps = np.arange(1, len(values) + 1) / steps_per_unit
        ax.plot(steps, values, style, color=colour, linewidth=1.8)
        ax.lines[-1].set_label(name)
        if len(curves) <= 2:
            end = (steps[-1], list(values)[-1])
            ax.annotate(f" {name}", end, color=colour, va="center", annotation_clip=False)
    if len(curves) > 2:
        ax.legend(frameon=False)
    ax.margins(x=0.18 if len(curves) <= 2 else 0.02)
    ax.set_xlim(left=0)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel, yscale="log")
    label_logarithmic(ax.yaxis)
    return ax


def plot_confusion_matrix(confusion: torch.Tensor, *, title: str, ax: Axes | None = None) -> Axes:
    """Counts (10, 10) of each label (rows) by answer (columns); the colour is the number of errors."""
    ax = new_axes(ax, height=5.5)
    counts = np.asarray(confusion)
    shown = ConfusionMatrixDisplay(counts).plot(ax=ax, cmap="Blues", colorbar=False, values_format="d")
    errors = counts * (1 - np.eye(10, dtype=int))
    shown.im_.set_data(errors)
    shown.im_.set_clim(0, max(1, errors.max()))
    for text, count in zip(shown.text_.flat, errors.flat):
        text.set_color("white" if count > 0.6 * errors.max() and count else "black")
    ax.set(title=title, xlabel="answer", ylabel="label")
    return ax


def plot_calibration(table: pd.DataFrame, *, title: str = "Calibration", ax: Axes | None = None) -> Axes:
    """Accuracy against confidence, a point per group of `evaluation.bin_by_confidence`; on the line is honest."""
    ax = new_axes(ax, height=4)
    lowest = min(table["confidence"].min(), table["accuracy"].min())
    ax.plot([lowest, 1], [lowest, 1], color=GREY, linestyle=":", linewidth=1)
    ax.plot(table["confidence"], table["accuracy"], "o", color=BLUE, alpha=0.6)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(title=title, xlabel="mean confidence of the group", ylabel="share that is right")
    return ax


def plot_robustness(curve: pd.DataFrame, change: str, *, ax: Axes | None = None) -> Axes:
    """Accuracy and mean confidence (columns) against the strength of a change (index)."""
    ax = new_axes(ax)
    ax.plot(curve.index, curve["accuracy"], color=BLUE, marker="o", label="accuracy")
    ax.plot(curve.index, curve["confidence"], color=ORANGE, marker="s", linestyle="--", label="confidence")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(title=change.partition(" (")[0], xlabel=change)
    ax.set_ylim(0, 1.04)
    if ax.get_subplotspec() is None or ax.get_subplotspec().is_first_col():
        ax.set_ylabel("share right, mean confidence")
        ax.legend(frameon=False, loc="lower left")
    return ax

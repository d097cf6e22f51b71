"""Figures of the lab's notebooks."""

import pandas as pd
from matplotlib.axes import Axes

from helpers.plotting import BLUE, ORANGE, label_logarithmic, new_axes


def plot_runs(runs: pd.Series, published: dict[str, float], *, title: str = "", ax: Axes | None = None) -> Axes:
    """Every run as a dot, the mean as a line, the published figure as a diamond; a row per network.

    Args:
        runs: wrong answers, indexed by network, one for each of its runs.
        published: the published number of wrong answers, by network.
        title: of the figure.
        ax: drawn on, or new.
    """
    names = list(dict.fromkeys(runs.index))
    ax = new_axes(ax, height=0.5 * len(names) + 1.3)
    for height, name in enumerate(names):
        wrong = runs.loc[[name]]
        ax.plot(wrong, [height] * len(wrong), "o", color=BLUE, alpha=0.6, label="one run")
        ax.plot([wrong.mean()] * 2, [height - 0.3, height + 0.3], color=BLUE, linewidth=2, label="mean of the runs")
        if name in published:
            ax.plot(published[name], height, "D", color=ORANGE, markerfacecolor="white", label="published")
    ax.set(title=title, xscale="log", xlabel="wrong of 10,000 test images", yticks=range(len(names)), yticklabels=names)
    label_logarithmic(ax.xaxis)
    ax.invert_yaxis()
    handles = dict(zip(*ax.get_legend_handles_labels()[::-1]))
    ax.figure.legend(handles.values(), handles, loc="outside lower center", ncols=3, frameon=False)
    return ax

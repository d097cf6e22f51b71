"""Every figure is drawn, on given axes or its own, with words on its axes."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes

from helpers import notebook, plotting
from helpers.models import build_model
from helpers.receptive_field import receptive_field_table
from lab.plotting import plot_runs

IMAGE = torch.randint(0, 256, (28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(100) % 10
RUN = pd.DataFrame(
    {
        "train_loss": [1.0, 0.5],
        "validation_loss": [0.9, 0.6],
        "train_accuracy": [0.95, 0.97],
        "validation_accuracy": [0.96, 0.97],
    },
    index=pd.Index([1, 2], name="epoch"),
)
FIGURES = {
    "plot_pixels": (IMAGE,),
    "plot_heatmap": (IMAGE.float(),),
    "plot_class_balance": ({"a": LABELS.bincount(), "b": LABELS.bincount()},),
    "plot_scatter": (np.random.default_rng(0).normal(size=(100, 2)), LABELS),
    "plot_bars": ({"one": 1.0, "two": 2_000.0},),
    "plot_points": (pd.DataFrame({"x": [1, 2], "y": [3, 4]}, index=["p", "q"]), "x", "y"),
    "plot_loss": (RUN,),
    "plot_accuracy": (RUN,),
    "plot_curves": ({"a": [0.1, 0.01], "b": [0.2, 0.2]},),
    "plot_confusion_matrix": (torch.eye(10, dtype=torch.int64),),
    "plot_calibration": (pd.DataFrame({"confidence": [0.5, 0.9], "accuracy": [0.4, 0.9], "low": 0.3, "high": 0.95}),),
}


@pytest.fixture(autouse=True)
def close_figures():
    plotting.set_style()
    yield
    plt.close("all")


def test_no_figure_is_forgotten():
    drawn = {name for name, _ in inspect.getmembers(plotting, inspect.isfunction) if name.startswith("plot_")}
    assert drawn == {*FIGURES, "plot_digits", "plot_receptive_fields", "plot_equation", "plot_network"}


@pytest.mark.parametrize("name", FIGURES)
def test_draws_on_its_own_axes_or_on_given_ones(name):
    function = getattr(plotting, name)
    options = {key: key for key in ("title", "unit", "xlabel") if key in inspect.signature(function).parameters}
    if name == "plot_curves":
        options |= {"xlabel": "steps", "ylabel": "loss"}
    ax = function(*FIGURES[name], **options)
    assert isinstance(ax, Axes) and ax.get_title() and ax.get_xlabel()
    ax.figure.canvas.draw()
    assert ax.figure.get_facecolor() == (1, 1, 1, 1)
    assert ax.get_ylabel() or name in ("plot_bars",)
    given = plt.subplots()[1]
    assert function(*FIGURES[name], **options, ax=given) is given


def test_digits_fill_a_grid_on_one_scale():
    images = torch.stack([torch.zeros(28, 28), torch.full((28, 28), 9.0), torch.full((28, 28), 5.0)])
    axes = plotting.plot_digits(images, ["a", "b", "c"], title="digits", columns=2)
    assert axes.shape == (2, 2) and axes[0, 1].get_title() == "b"
    assert [text.get_text() for text in axes[0, 0].figure.texts] == ["digits"]
    assert [ax.images[0].get_clim() for ax in axes.flat[:3]] == [(0, 9)] * 3
    signed = plotting.plot_digits(images - 8, cmap="RdBu_r")
    assert signed[0, 0].images[0].get_clim() == (-8, 8)


def test_grey_levels_can_be_read_on_light_and_dark_pixels():
    texts = plotting.plot_pixels(torch.tensor([[0, 60, 250]], dtype=torch.uint8)).texts
    assert [(text.get_text(), text.get_color()) for text in texts] == [("60", "black"), ("250", "white")]


def test_a_map_of_signed_values_has_white_at_0():
    ax = plotting.plot_heatmap(torch.tensor([[-1.0, 3.0]]), cmap="RdBu_r")
    assert ax.images[0].get_clim() == (-3, 3)


def test_each_digit_has_a_bar_in_each_set_and_a_tenth_is_marked():
    counts = {"training": torch.arange(10), "testing": torch.full((10,), 4)}
    ax = plotting.plot_class_balance(counts)
    first, second = ax.containers
    assert [bar.get_height() for bar in first] == pytest.approx([digit / 45 for digit in range(10)])
    assert [bar.get_height() for bar in second] == pytest.approx([0.1] * 10)
    assert {bar.get_hatch() for bar in second} == {"//"} and not any(bar.get_hatch() for bar in first)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [str(digit) for digit in range(10)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "testing"]
    assert list(ax.lines[0].get_ydata()) == [0.1, 0.1]


def test_a_map_of_digits_has_each_at_its_place_and_room_around():
    ax = plotting.plot_scatter(np.array([[0.0, 100], [10, 300], [4, 200]]), torch.tensor([4, 5, 9]))
    drawn = [(text.get_position(), text.get_text(), text.get_weight()) for text in ax.texts]
    assert drawn == [((0, 100), "4", "normal"), ((10, 300), "5", "bold"), ((4, 200), "9", "bold")]
    assert [text.get_color() for text in ax.texts] == [plotting.DARK[4], plotting.DARK[0], plotting.DARK[4]]
    assert (ax.get_xlim(), ax.get_ylim()) == (pytest.approx((-0.5, 10.5)), pytest.approx((90, 310)))


def test_bars_have_their_values_and_shares_end_at_100():
    ax = plotting.plot_bars({"one": 12.345, "two": 2_000.4})
    assert [bar.get_width() for bar in ax.patches] == [12.345, 2_000.4] and ax.yaxis_inverted()
    assert [text.get_text() for text in ax.texts] == ["12.3", "2,000"]
    assert plotting.plot_bars({"one": 98.0}, unit="% right").get_xlim() == (0, 115)


def test_points_stand_at_their_values_and_neighbours_labels_apart():
    ax = plotting.plot_points(pd.DataFrame({"x": [10, 1], "y": [40, 3]}, index=["p", "q"]), "x", "y")
    assert ax.lines[0].get_xydata().tolist() == [[10, 40], [1, 3]] and ax.get_xscale() == ax.get_yscale() == "log"
    ax.figure.canvas.draw()
    assert "2" in [tick.get_text() for tick in ax.get_xticklabels()], "in plain numbers"
    assert "20" in [tick.get_text() for tick in ax.get_yticklabels()]
    drawn = [(text.get_text().strip(), text.xy, text.get_va()) for text in ax.texts]
    assert drawn == [("q", (1, 3), "bottom"), ("p", (10, 40), "top")]


def test_pixels_of_a_map_are_named_by_row_and_column():
    (text,) = plotting.plot_pixels(torch.tensor([[0, 0], [0, 0], [0, 7]], dtype=torch.uint8)).texts
    assert text.get_position() == (1, 2) and text.get_text() == "7"
    shown = plotting.plot_heatmap(torch.tensor([[-1.0, 3.0], [0, 0]]), unit="nats")
    assert shown.images[0].get_clim() == (-1, 3) and shown.figure.axes[1].get_ylabel() == "nats"
    assert (shown.get_xlabel(), shown.get_ylabel()) == ("column (pixels)", "row (pixels)")


def test_curves_of_a_run_hold_its_numbers():
    loss, accuracy = plotting.plot_loss(RUN), plotting.plot_accuracy(RUN)
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        for line, split in zip(ax.lines, ("train", "validation")):
            assert line.get_xydata().tolist() == [[1, RUN[f"{split}_{name}"][1]], [2, RUN[f"{split}_{name}"][2]]]
        assert ax.get_xlabel() == "epoch" and [text.xy[0] for text in ax.texts] == [2, 2]
        assert ax.get_xlim() == pytest.approx((0.5, 2.9))
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert accuracy.get_ylim() == pytest.approx((0.9, 1.005))


def test_two_curves_are_labelled_at_their_ends_and_more_in_a_legend():
    two = plotting.plot_curves({"a": [0.4, 0.2], "b": [0.3, 0.1]}, steps_per_unit=4)
    assert [(text.get_text(), text.xy) for text in two.texts] == [(" a", (0.5, 0.2)), (" b", (0.5, 0.1))]
    assert two.get_legend() is None and two.get_xlim()[0] == 0 and two.get_yscale() == "log"
    three = plotting.plot_curves({name: [0.3, 0.1] for name in "abc"})
    assert not three.texts and [text.get_text() for text in three.get_legend().get_texts()] == ["a", "b", "c"]
    assert len({(line.get_color(), line.get_linestyle()) for line in three.lines}) == 3
    widths = [line.get_linewidth() for line in three.lines]
    assert widths[0] > widths[1], "one that lies below another still shows"


def test_a_curve_counts_steps_from_1_or_in_parts_of_an_epoch():
    for steps_per_unit, expected in ((1, [1, 2, 3, 4]), (2, [0.5, 1, 1.5, 2])):
        ax = plotting.plot_curves({"a": [0.4, 0.3, 0.2, 0.1]}, steps_per_unit=steps_per_unit)
        assert ax.lines[0].get_xdata().tolist() == expected


def test_both_splits_differ_by_more_than_colour():
    ax = plotting.plot_loss(RUN)
    styles = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in ax.lines}
    assert len(styles) == 2 and len({style for _, style, _ in styles}) == 2


def test_confusion_matrix_colours_errors_only():
    counts = 10 * torch.eye(10, dtype=torch.int64)
    ax = plotting.plot_confusion_matrix(counts, title="all right")
    assert ax.images[0].get_array().sum() == 0
    counts[1] = torch.tensor([10] + [0] * 9)
    ax = plotting.plot_confusion_matrix(counts, title="ones taken for zeros")
    assert ax.images[0].get_array()[1].tolist() == [10] + [0] * 9
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("answer", "label")
    assert {text.get_position(): text.get_text() for text in ax.texts}[0, 1] == "10", "column 0 of row 1"


def test_a_bar_of_the_calibration_reaches_from_low_to_high():
    ax = plotting.plot_calibration(*FIGURES["plot_calibration"])
    (bars,) = ax.containers
    assert bars.lines[0].get_xydata().tolist() == [[0.5, 0.4], [0.9, 0.9]]
    assert ax.get_xlim() == pytest.approx((0.42, 1.04)) and ax.get_ylim() == pytest.approx((0.2, 1.04))
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]], "where it is as sure as it is right"
    ends = [bar[:, 1].tolist() for bar in bars.lines[2][0].get_segments()]
    assert ends == [pytest.approx([0.3, 0.95])] * 2


@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_curves_are_labelled_with_their_split_and_the_labels_part(held_out):
    history = RUN.rename(columns=lambda name: name.replace("validation", held_out))
    for plot in (plotting.plot_loss, plotting.plot_accuracy):
        train, other = plot(history).texts
        assert (train.get_text(), other.get_text()) == (" train", f" {held_out}")
    train, other = plotting.plot_loss(history).texts
    assert (train.get_va(), other.get_va()) == ("top", "bottom")


def test_accuracy_that_ends_below_the_floor_stays_on_the_axes():
    for ends, lowest in (((0.95, 0.97), 0.9), ((0.93, 0.5), 0), ((0.2, 0.95), 0)):
        history = RUN.assign(train_accuracy=[0.95, ends[0]], validation_accuracy=[0.99, ends[1]])
        ax = plotting.plot_accuracy(history)
        assert ax.get_ylim()[0] == lowest and all(lowest <= text.xy[1] <= 1 for text in ax.texts)


def test_each_receptive_field_is_a_box_around_the_middle_of_its_own_digit():
    table = receptive_field_table(build_model("compact"))
    chosen = table[table.layer.isin(["conv1", "conv2", "conv4", "conv8"])]
    axes = plotting.plot_receptive_fields(IMAGE, chosen, title="fields")
    assert axes.shape == (2, 3) and [ax.get_title() for ax in axes.flat[:4]] == [
        *("conv1: 3 px", "conv2: 5 px", "conv4: 10 px", "conv8: 32 px")
    ]
    assert [text.get_text() for text in axes[0, 0].figure.texts] == ["fields"]
    frame, box = axes[0, 0].patches
    assert frame.get_width() == 28 and (box.get_width(), box.get_x()) == (3, 13)
    assert axes[1, 0].patches[1].get_x() == -2, "two pixels beyond the image on each side"


def test_a_figure_is_shown_with_its_words(monkeypatch):
    shown = []
    monkeypatch.setattr(plotting, "display", lambda content, **options: shown.append((content, options)))
    figure = plt.figure()
    plotting.show("a line that falls & <rises>")
    (image, options), (words, _) = shown
    assert image is figure and options["metadata"]["image/png"]["alt"] == "a line that falls & <rises>"
    assert "a line that falls &amp; &lt;rises&gt;" in words["text/html"] and "<details>" in words["text/html"]
    assert "a line that falls" in words["text/plain"] and not plt.get_fignums()


def test_text_on_the_map_of_digits_can_be_read():
    for colour in plotting.DARK:
        shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.5, colour  # WCAG 2.1, 1.4.3


def test_runs_show_each_run_their_mean_and_the_published_figure():
    ax = plot_runs(pd.Series([100, 100, 130, 50], index=["a", "a", "a", "b"]), {"a": 90})
    points = [line.get_xdata() for line in ax.lines]
    assert [list(x) for x in points] == [[100, 100, 130], [110, 110], [90], [50], [50, 50]]
    assert [text.get_text() for text in ax.figure.legends[0].texts] == ["one run", "mean of the runs", "published"]
    assert ax.yaxis_inverted(), "the first on top"
    ax.figure.canvas.draw()
    assert ax.get_xscale() == "log" and "100" in [tick.get_text() for tick in ax.get_xticklabels()]


def test_figures_are_saved_under_results(tmp_path, monkeypatch):
    assert notebook.RESULTS == notebook.HOME / "build", "only publishing may write to images/"
    monkeypatch.setattr(notebook, "RESULTS", tmp_path)
    plotting.plot_bars({"a": 1.0})
    notebook.save_figure("one")
    assert (tmp_path / "images" / "one.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.46, 1.55], ["1.5", "1.525"]),
        ([0.02, 2.0], ["0.05", "0.5"]),
        ([1e-4, 2.0], ["0.001", "0.1"]),
        ([1e-5, 1e-2], ["0.00001", "0.0001"]),
    ],
)
def test_logarithmic_axes_have_plain_numbers(values, expected):
    ax = plotting.plot_curves({"loss": values})
    ax.figure.canvas.draw()
    shown = [tick.label1.get_text() for tick in ax.yaxis.get_major_ticks()]
    assert set(expected) <= set(shown), shown
    assert not any(tick.label1.get_text() for tick in ax.yaxis.get_minor_ticks())


def test_an_equation_has_one_scale_and_writes_into_small_maps():
    large, small = torch.full((7, 7), -4.0), torch.tensor([[0.5, -0.004], [1 / 3, -4.0]])
    axes = plotting.plot_equation([large, "+", small], ["large", "small"], title="A sum")
    assert [len(ax.images) for ax in axes] == [1, 0, 1] and not axes[0].texts and axes[1].texts[0].get_text() == "+"
    assert axes[0].images[0].get_clim() == axes[2].images[0].get_clim() == (-4, 4)
    assert [ax.get_title() for ax in axes] == ["large", "", "small"]
    assert [text.get_text() for text in axes[0].figure.texts] == ["A sum"]
    assert [text.get_text() for text in axes[2].texts] == ["0.5", "0", "0.33", "-4"]
    assert [text.get_color() for text in axes[2].texts] == ["black", "black", "black", "white"]


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_drawn_by_the_sizes_of_its_maps_and_stays_as_it_is(training):
    network = build_model("lenet5_regularised").train(training)
    ax = plotting.plot_network(network, receptive_field_table(network), title="LeNet-5")
    names = ["image", "conv1", "pool1", "conv2", "pool2", "linear1", "linear2", "linear3"]
    assert [text.get_text() for text in ax.texts[::2]] == names and ax.get_title() == "LeNet-5"
    assert [block.get_height() for block in ax.patches] == [28, 24, 12, 8, 4, 1, 1, 1]
    widths = [block.get_width() for block in ax.patches]
    assert widths[0] == 1 and widths[1] == widths[2] < widths[3] == widths[4]
    lefts = np.array([block.get_x() for block in ax.patches])
    assert (lefts[1:] - lefts[:-1] >= np.add(widths[:-1], 2)).all(), "none covers its neighbour"
    assert ax.texts[7].get_text().split() == ["16", "×8", "×8", "sees", "14", "px"]
    assert network.training == training and network.norm1.running_mean.abs().sum() == 0

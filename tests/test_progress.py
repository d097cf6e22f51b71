"""Bars: where they are shown, and what that of a training says."""

import sys

import pytest

from helpers import progress
from helpers.progress import TrainingBar, open_bar
from helpers.recipes import Recipe
from helpers.training import fit

ROW = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.75, "learning_rate": 0.1, "seconds": 1.0}


@pytest.fixture(autouse=True)
def shell(monkeypatch):
    """A shell of unknown width, whoever runs the tests."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)


def frames(text: str) -> list[str]:
    """What was shown, one after the other."""
    return [frame.strip() for frame in text.split("\r") if frame.strip()]


def test_a_shell_has_its_bars_on_stderr_and_keeps_them(capsys):
    with open_bar(3, unit="step") as bar:
        bar.update(3)
    shown = capsys.readouterr()
    assert shown.out == "" and "3/3" in frames(shown.err)[-1] and shown.err.endswith("\n")


def test_a_notebook_has_its_bars_on_stdout_and_clears_them(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    with open_bar(3, unit="step") as bar:
        bar.update(3)
        bar.refresh()
    shown = capsys.readouterr()
    assert shown.err == "" and "3/3" in frames(shown.out)[-1]
    cleared = shown.out.rpartition("3/3")[2]
    assert cleared.endswith("\r") and not cleared.rsplit("\r", 2)[1].strip(), "the last that is written is blank"


def test_each_epoch_ends_with_its_true_figures(stripes, capsys, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 1e9)  # nothing is shown but at the end of an epoch
    recipe = Recipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)
    for held_out in (stripes.take(130), None):
        history = fit(recipe, stripes, held_out, device="cpu").history
        shown = frames(capsys.readouterr().err)
        assert history[0]["train_accuracy"] < 0.9, "or the first and the last epoch could be taken for each other"
        for row in history:
            figures = f"loss={row['train_loss']:.4f}, accuracy={row['train_accuracy']:.2%}"
            figures += f", validation={row['validation_accuracy']:.2%}]" if held_out else "]"
            (frame,) = [frame for frame in shown if f"| {13 * row['epoch']}/39 [" in frame and figures in frame][:1]
            assert frame.startswith(f"epoch {row['epoch']}/3:")


def test_within_an_epoch_the_figures_are_those_so_far(capsys, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    with TrainingBar([ROW], [4, 2]) as bar:
        bar.step(lambda: (0.25, 0.5))
        bar.bar.refresh()
    shown = frames(capsys.readouterr().err)[-1]
    assert shown.startswith("epoch 2/2:") and "5/6" in shown and "loss=0.2500, accuracy=50.00%]" in shown


def test_a_device_is_asked_for_figures_only_now_and_then(monkeypatch):
    asked = []
    with TrainingBar([], [4]) as bar:
        for now in (10.0, 10.2, 10.4, 10.7):
            monkeypatch.setattr(progress.time, "perf_counter", lambda now=now: now)
            bar.step(lambda now=now: asked.append(now) or (0.0, 0.0))
    assert asked == [10.0, 10.7]


def test_a_run_that_goes_on_starts_where_it_stopped(capsys):
    with TrainingBar([ROW], [13, 5, 5]):
        pass
    assert "13/23" in frames(capsys.readouterr().err)[0]


def test_a_bar_is_closed_when_a_training_breaks_off(capsys):
    with pytest.raises(ZeroDivisionError), TrainingBar([], [3]) as bar:
        raise ZeroDivisionError
    assert bar.bar.disable and capsys.readouterr().err.endswith("\n")

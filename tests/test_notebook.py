"""What a page finds at its top: the mode it runs in, and the folder where its long run is kept."""

import dataclasses
import importlib
import os
import tempfile
from pathlib import Path

import pytest
import torch

from helpers import notebook
from helpers.data import Split
from helpers.recipes import RECIPES


@pytest.fixture
def reload(monkeypatch):
    """The module as it is in another environment; afterwards as it was."""

    def reload_with(**environment):
        for name in ("COURSE_FAST", "COURSE_RUNS", "COURSE_PUBLISH"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return importlib.reload(notebook)

    yield reload_with
    monkeypatch.undo()
    importlib.reload(notebook)


@pytest.mark.parametrize(
    ("value", "fast"), [("1", True), ("true", True), ("Yes", True), ("on", True), ("0", False), ("", False)]
)
def test_fast_mode_is_asked_for_in_any_usual_spelling(reload, value, fast):
    assert reload(COURSE_FAST=value).FAST is fast


def test_fast_mode_shortens_images_and_epochs_and_full_mode_nothing(reload):
    split = Split(torch.zeros(2_500, 28, 28, dtype=torch.uint8))
    full = reload()
    assert len(full.shorten(split)) == 2_500 and full.shorten_recipe(RECIPES["compact"]) is RECIPES["compact"]
    fast = reload(COURSE_FAST="1")
    assert len(fast.shorten(split)) == 2_000
    assert fast.shorten_recipe(RECIPES["compact"]) == dataclasses.replace(RECIPES["compact"], epochs=2)
    single = dataclasses.replace(RECIPES["compact"], epochs=1)
    assert fast.shorten_recipe(single) == single, "nothing gets longer"


def test_a_long_run_is_kept_in_one_place_for_each_data_set_and_mode(reload, tmp_path):
    full = reload()
    assert full.find_run_folder("b", "mnist") == full.HOME / "build" / "runs" / "b-mnist"
    assert reload().find_run_folder("b", "mnist") == full.HOME / "build" / "runs" / "b-mnist", "after a restart"
    assert full.find_run_folder("b", "sample") != full.find_run_folder("b", "mnist")
    assert reload(COURSE_FAST="1").find_run_folder("b", "mnist").name == "b-mnist-fast"
    assert reload(COURSE_RUNS=str(tmp_path)).find_run_folder("b", "mnist") == tmp_path / "b-mnist"


def test_only_publishing_writes_to_the_project(reload):
    assert reload().RESULTS == notebook.HOME / "build"
    assert reload(COURSE_PUBLISH="1").RESULTS == notebook.HOME


def test_a_page_says_with_how_many_threads_it_computes(monkeypatch, capsys):
    monkeypatch.setattr(notebook, "choose_threads", lambda: "threads: 7; of some just now the fastest")
    notebook.start(3)
    assert ", full mode; threads: 7; of some just now the fastest" in capsys.readouterr().out
    assert torch.initial_seed() == 3


def test_a_figure_that_cannot_be_saved_does_not_stop_the_page(monkeypatch, tmp_path, capsys):
    (tmp_path / "images").write_text("in the way")
    monkeypatch.setattr(notebook, "RESULTS", tmp_path)
    notebook.save_figure("a")
    assert "the figure is not saved" in (said := capsys.readouterr().out) and "a.png cannot be written" in said
    (tmp_path / "images").unlink()
    notebook.save_figure("a")
    assert (tmp_path / "images" / "a.png").exists() and not capsys.readouterr().out


def test_where_the_course_is_read_only_its_results_lie_in_the_temporary_folder(reload, monkeypatch):
    assert reload().RUNS == notebook.HOME / "build" / "runs"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert Path(tempfile.gettempdir()) / "mnist-cnn-course" / "runs" == reload().RUNS
    assert Path(tempfile.gettempdir()) / "mnist-cnn-course" == notebook.RESULTS

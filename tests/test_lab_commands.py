"""The command line of the lab, as its user types it."""

import dataclasses
import json
import re

import pandas as pd
import pytest

from helpers import commands as helpers_commands
from helpers.checkpoints import save_trained
from helpers.data import Mnist
from helpers.models import build_model
from helpers.trained import Trained
from lab import commands, trials
from lab.recipes import ALL_RECIPES, LabRecipe
from lab.records import RecordError

SMALL = LabRecipe(model="lenet5", momentum=0.9, batch_size=32, epochs=1)


@pytest.fixture(autouse=True)
def tiny(stripes, monkeypatch, tmp_path) -> Mnist:
    """A data set that trains in a moment, a recipe for it, and files of its own."""
    mnist = Mnist(stripes, stripes.take(130), source="mnist")
    monkeypatch.setattr(helpers_commands.data, "load_mnist", lambda: mnist)
    monkeypatch.setitem(ALL_RECIPES, "quick", SMALL)
    monkeypatch.setattr(commands, "BUILD", tmp_path)
    monkeypatch.setattr(trials, "TABLE", tmp_path / "trials.csv")
    return mnist


@pytest.fixture
def sample(tiny, monkeypatch) -> None:
    """There is the sample only."""
    only = Mnist(tiny.train, tiny.test, source="sample")
    monkeypatch.setattr(helpers_commands.data, "load_mnist", lambda: only)


def test_reproduce_does_the_runs_it_is_asked_for(monkeypatch):
    done = []
    monkeypatch.setattr(commands, "reproduce_all", lambda runs, mnist, **_: done.append(runs) or [])
    assert commands.main(["reproduce", "quick", "--seeds", "0", "2"]) == 0
    assert commands.main(["reproduce", "mlp", "lenet5", "--seeds", "1"]) == 0
    assert done == [[("quick", 0), ("quick", 2)], [("lenet5", 1), ("mlp", 1)]]


def test_what_another_data_set_taught_is_kept_apart(tiny, monkeypatch, tmp_path):
    clothes = Mnist(tiny.train, tiny.test, source="fashion-mnist")
    monkeypatch.setattr(commands, "load_fashion_mnist", lambda: clothes)
    monkeypatch.setitem(ALL_RECIPES, "best", SMALL)
    places = {"FOLDER": (commands.records, "results"), "UNFINISHED": (commands, "runs"), "NETWORKS": (commands, "kept")}
    for name, (module, folder) in places.items():
        monkeypatch.setattr(module, name, tmp_path / folder)
    assert commands.main("reproduce best --seeds 0 --data fashion-mnist".split()) == 0
    assert [path.name for path in (tmp_path / "results" / "fashion-mnist").iterdir()] == ["best-0.json"]
    assert (tmp_path / "kept" / "fashion-mnist" / "best-0.pt").exists()
    assert not list((tmp_path / "results").glob("*.json")) and not list((tmp_path / "kept").glob("*.pt"))


@pytest.mark.parametrize("command", ["reproduce quick --seeds 0", "trial quick"])
def test_a_record_of_the_sample_is_refused(sample, command, capsys, monkeypatch):
    monkeypatch.setattr(commands, "reproduce_all", None)
    monkeypatch.setattr(commands, "run_trial", None)
    assert commands.main(command.split()) == 1
    assert "SAMPLE MODE" in (output := capsys.readouterr()).out and "Point MNIST_ROOT at it" in output.err


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("reproduce nobody mlp", "no recipe is called nobody; there are five_conv"),
        ("reproduce mlp --seeds -1", "from 0 to 1,000,000, not -1"),
        ("trial quick epochs=x", "epochs: .*'x'"),
        ("trial quick epochs=0", "epochs must be a whole number from 1 to 1e.06, not 0"),
        ("trial quick colour=red", "no field 'colour'"),
        ("trial quick learning_rate=nan", "not nan"),
        ("trial quick warm_up=7", "warm_up must be from 0 and below 1, not 7"),
        ("trial quick momentum=0 nesterov=true", "nesterov needs a momentum"),
        ("trial quick --held-out 60000", "from 10 to 50,000 images can be held out, not 60,000"),
        ("trial quick --seeds 2000000", "not 2000000"),
        ("test nothing.pt", "nothing.pt: does not exist"),
    ],
)
def test_what_cannot_be_is_one_line(command, problem, capsys, tmp_path):
    assert commands.main(command.split()) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert re.search(problem, line), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["trial", "nobody"], ["train", "quick"], ["fly"], []])
def test_what_is_no_command_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        commands.main(arguments)
    assert stop.value.code == 2 and "error: " in capsys.readouterr().err


def test_a_trial_adds_a_row_for_each_seed(capsys, tmp_path):
    assert commands.main(["trial", "quick", "batch_size=64", "--seeds", "0", "1", "--held-out", "40"]) == 0
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["seed"].tolist() == [0, 1] and table["batch_size"].tolist() == [64, 64]
    assert table["held_out"].tolist() == [40, 40] and table["nesterov"].tolist() == [False, False]
    assert "seed 1: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "function"), [("reproduce quick --seeds 0", "reproduce_all"), ("table", "update_readme")]
)
def test_what_goes_wrong_shows_in_the_exit_status(monkeypatch, capsys, command, function):
    monkeypatch.setattr(commands, function, lambda *_, **__: [RecordError("x.json", "is bad", "Delete it")])
    assert commands.main(command.split()) == 1
    assert "error: x.json: is bad. Delete it." in capsys.readouterr().err
    monkeypatch.setattr(commands, function, lambda *_, **__: [])
    assert commands.main(command.split()) == 0


@pytest.fixture
def rounds(monkeypatch, tmp_path) -> list[dict]:
    """What a benchmark measures, without measuring it; its record is kept in a folder of its own."""
    made = [{"entry": name, "seconds": 2.0, "accuracy": None} for name in ("fast", "sprint")]
    monkeypatch.setattr(commands, "run_benchmark", lambda *_, quick: {"quick": quick, "rounds": made})
    monkeypatch.setattr(commands.benchmark, "RECORD", tmp_path / "kept" / "benchmark.json")
    return made


def test_bench_prints_its_table_and_keeps_a_record(rounds, capsys, tmp_path):
    kept, quick = tmp_path / "kept" / "benchmark.json", tmp_path / "benchmark.json"
    assert commands.main(["bench", "--quick"]) == 0
    assert "times fast" in capsys.readouterr().out and not kept.exists()
    assert json.loads(quick.read_text()) == {"quick": True, "rounds": rounds}
    assert commands.main(["bench"]) == 0
    assert json.loads(kept.read_text()) == {"quick": False, "rounds": rounds}


def test_the_sample_s_seconds_are_of_no_use_to_others(sample, rounds, tmp_path):
    assert commands.main(["bench"]) == 0
    assert not (tmp_path / "kept").exists() and (tmp_path / "benchmark.json").exists()


def test_test_knows_the_lab_s_networks(capsys, tmp_path):
    recipe = dataclasses.replace(SMALL, model="separable-6-8-12-12", optimiser="muon")
    save_trained(tmp_path / "small.pt", Trained(build_model(recipe.model), recipe))
    assert commands.main(["test", str(tmp_path / "small.pt")]) == 0
    assert "of 130; 95 % interval" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["reproduce quick --seeds 0", "trial quick", "table", "bench --quick"])
def test_an_installed_package_alone_keeps_no_records(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(helpers_commands, "HOME", tmp_path / "site-packages")
    for name in ("reproduce_all", "run_trial", "update_readme", "run_benchmark"):
        monkeypatch.setattr(commands, name, None)
    assert commands.main(command.split()) == 1
    assert "is not the course's folder: run this in a clone" in capsys.readouterr().err


def test_a_damaged_table_is_found_before_a_trial_and_costs_none(tmp_path, monkeypatch, capsys):
    (tmp_path / "trials.csv").write_text("validation_accuracy,seed\n<<<<<<< HEAD\n")
    monkeypatch.setattr(commands, "run_trial", lambda *_: pytest.fail("a training that could not be kept"))
    assert commands.main(["trial", "quick", "--held-out", "40"]) == 1
    assert "trials.csv: row 2 is no trial" in capsys.readouterr().err

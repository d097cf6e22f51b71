"""Checkpoints: written whole or not at all, read without running what is in them."""

import dataclasses
import os
import pickle

import pytest
import torch

from helpers import checkpoints
from helpers.checkpoints import load_trained, read_checkpoint, read_published, save_trained, write_checkpoint
from helpers.errors import CheckpointError
from helpers.models import build_model
from helpers.notebook import CHECKPOINTS
from helpers.recipes import RECIPES, Recipe
from helpers.trained import Trained
from lab.recipes import ALL_RECIPES, LabRecipe
from lab.text_files import publish_hashes

# What a checkpoint said of its recipe before the lab was a package of its own.
OLD_FIELDS = {
    **{"model": "lenet5_regularised", "optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": False},
    **{"betas": (0.9, 0.999), "batch_size": 128, "epochs": 20, "focus": 1.0, "augmentation": None, "fading": False},
    **{"scaling": "unit", "schedule": "steps", "warm_up": 0.3, "decay_every": 15, "decay_factor": 0.1},
    **{"decay_unit": "epoch", "teacher": None, "softmax_before_loss": False, "precision": "float32"},
    "channels_last": True,
}


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.fixture
def run() -> Trained:
    """A finished run of two epochs, or what looks like it."""
    torch.manual_seed(0)
    recipe = Recipe(model="lenet5_regularised", epochs=2, scaling="raw", decay_every=3)
    history = [{"epoch": epoch, "train_loss": 0.5, "learning_rate": 0.01, "seconds": 7.0} for epoch in (1, 2)]
    return Trained(build_model(recipe.model), recipe, 3, history)


def test_a_saved_run_comes_back_but_for_its_seconds(run, tmp_path):
    run.network.to(memory_format=torch.channels_last)
    save_trained(tmp_path / "new" / "a.pt", run)
    stored = read_checkpoint(tmp_path / "new" / "a.pt")["model"].values()
    assert all(value.is_contiguous() for value in stored), "how weights lay in memory is not in the file"
    loaded = load_trained(tmp_path / "new" / "a.pt")
    assert (loaded.recipe, loaded.seed) == (run.recipe, 3)
    assert loaded.history == [{"epoch": epoch, "train_loss": 0.5, "learning_rate": 0.01} for epoch in (1, 2)]
    assert run.history[0]["seconds"] == 7.0, "the run itself keeps them"
    weights = loaded.network.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in run.network.state_dict().items())
    assert not loaded.network.training and [path.name for path in (tmp_path / "new").iterdir()] == ["a.pt"]


def test_half_precision_makes_half_the_file_and_loads_as_float32(run, tmp_path):
    save_trained(tmp_path / "whole.pt", run)
    save_trained(tmp_path / "half.pt", run, precision=torch.float16)
    stored = read_checkpoint(tmp_path / "half.pt")["model"]
    assert stored["conv1.weight"].dtype == torch.float16 and stored["norm1.num_batches_tracked"].dtype == torch.int64
    sizes = [(tmp_path / name).stat().st_size for name in ("half.pt", "whole.pt")]
    assert sizes[0] < 0.7 * sizes[1]
    for name, value in load_trained(tmp_path / "half.pt").network.state_dict().items():
        assert value.dtype == run.network.state_dict()[name].dtype
        assert torch.allclose(value, run.network.state_dict()[name], rtol=1e-3, atol=1e-7)
    assert run.network.conv1.weight.dtype == torch.float32


@pytest.mark.parametrize("kinds", [[Recipe], [Recipe, LabRecipe]])
def test_a_file_from_before_the_lab_is_read(run, tmp_path, monkeypatch, kinds):
    assert len(OLD_FIELDS) == 21
    monkeypatch.setattr("helpers.recipes.KINDS", kinds)
    content = {"recipe": OLD_FIELDS, "seed": 4, "history": run.history, "model": run.network.state_dict()}
    write_checkpoint(tmp_path / "old.pt", content)
    loaded = load_trained(tmp_path / "old.pt")
    assert {field: getattr(loaded.recipe, field) for field in dataclasses.asdict(run.recipe)} == dataclasses.asdict(
        Recipe(model="lenet5_regularised", momentum=0.9, scaling="unit", decay_every=15)
    )
    assert loaded.seed == 4 and torch.equal(loaded.network.conv1.weight, run.network.conv1.weight)


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"model": Evil()}, tmp_path / "evil2.pt")
    for name, problem in (("evil.pt", "is not a readable checkpoint"), ("evil2.pt", "it may run code of its own")):
        with pytest.raises(CheckpointError, match=problem) as caught:
            read_checkpoint(tmp_path / name)
        assert "weights_only" not in str(caught.value), "no word on how to load it all the same"
    assert "executed" not in capsys.readouterr().out


def test_missing_empty_cut_and_foreign_files(run, tmp_path):
    with pytest.raises(CheckpointError, match="does not exist. Train first"):
        read_checkpoint(tmp_path / "none.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is not a readable checkpoint"):
        read_checkpoint(tmp_path / "empty.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="holds a Tensor"):
        read_checkpoint(tmp_path / "tensor.pt")
    good = {"recipe": {"model": "mlp"}, "seed": 0, "history": [], "model": build_model("mlp").state_dict()}
    write_checkpoint(tmp_path / "good.pt", good)
    assert load_trained(tmp_path / "good.pt").recipe == Recipe(model="mlp")
    bad = [{"recipe": {"model": "resnet"}}, {"recipe": {"model": "mlp", "epochs": 0}}, {"recipe": {}}, {"recipe": 3}]
    bad += [{"model": {}}, {"model": run.network.state_dict()}, {"model": None}]
    without = [{name: value for name, value in good.items() if name != part} for part in good]
    for content in (*(good | change for change in bad), *without, {}):
        write_checkpoint(tmp_path / "foreign.pt", content)
        with pytest.raises(CheckpointError, match="foreign.pt: does not hold a network of this course"):
            load_trained(tmp_path / "foreign.pt")


def test_a_flipped_bit_is_found(tmp_path):
    write_checkpoint(tmp_path / "a.pt", {"zeros": torch.zeros(10_000)})
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert caught.value.problem.startswith("is damaged")
    (tmp_path / "a.pt").write_text("hello world")
    with pytest.raises(CheckpointError, match="is not a readable checkpoint"):
        read_checkpoint(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_checkpoint(tmp_path / "a.pt" / "b.pt", {})


def test_the_same_content_makes_the_same_file(tmp_path):
    for name in ("a.pt", "b.pt"):
        write_checkpoint(tmp_path / name, {"zeros": torch.zeros(10)})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "a.pt", {"epoch": 1})

    def disk_full(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", disk_full)
    with pytest.raises(CheckpointError, match="No space left on device.*Free some space"):
        write_checkpoint(tmp_path / "a.pt", {"epoch": 2})
    assert read_checkpoint(tmp_path / "a.pt") == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_the_committed_network_is_a_full_run_of_recipe_b():
    trained = load_trained(CHECKPOINTS / "compact.pt")
    fields = dataclasses.asdict(RECIPES["compact"])
    assert {name: getattr(trained.recipe, name) for name in fields} == fields
    assert len(trained.history) == trained.recipe.epochs
    assert sum(parameter.numel() for parameter in trained.network.parameters()) == 19_865
    assert 0.99 < trained.history[-1]["validation_accuracy"] < 1
    assert not any("seconds" in row for row in trained.history)


@pytest.mark.parametrize("seed", range(5))
def test_the_committed_teachers_are_full_runs_of_the_best_recipe(seed):
    trained = load_trained(CHECKPOINTS / f"best-{seed}.pt")
    assert (trained.recipe, trained.seed) == (ALL_RECIPES["best"], seed)
    assert len(trained.history) == trained.recipe.epochs and trained.history[-1]["train_accuracy"] > 0.99


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_weights_of_a_compiled_or_wrapped_network_are_read(run, tmp_path, prefix):
    save_trained(tmp_path / "a.pt", run)
    content = read_checkpoint(tmp_path / "a.pt")
    content["model"] = {prefix + name: value for name, value in content["model"].items()}
    write_checkpoint(tmp_path / "a.pt", content)
    assert torch.equal(load_trained(tmp_path / "a.pt").network.conv1.weight, run.network.conv1.weight)


def test_what_does_not_fit_is_no_dump_of_all_keys(run, tmp_path):
    write_checkpoint(tmp_path / "a.pt", {"recipe": {"model": "compact"}, "seed": 0, "history": [], "model": {}})
    with pytest.raises(CheckpointError) as caught:
        load_trained(tmp_path / "a.pt")
    assert "Missing key" in str(caught.value) and len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def test_a_file_is_the_one_whose_hash_was_published(run, tmp_path):
    for name in ("a.pt", "b.pt"):
        save_trained(tmp_path / name, run)
    publish_hashes(tmp_path)
    assert load_trained(tmp_path / "a.pt").seed == 3
    save_trained(tmp_path / "a.pt", dataclasses.replace(run, seed=4))
    save_trained(tmp_path / "new.pt", run)
    with pytest.raises(CheckpointError, match="a.pt: is not the file whose hash is in SHA256SUMS. Get the published"):
        load_trained(tmp_path / "a.pt")
    assert load_trained(tmp_path / "b.pt").seed == load_trained(tmp_path / "new.pt").seed == 3
    publish_hashes(tmp_path)
    assert load_trained(tmp_path / "a.pt").seed == 4


def test_all_committed_networks_are_published():
    assert (
        set(read_published(CHECKPOINTS)) == {path.name for path in CHECKPOINTS.glob("*.pt")}
        and len(read_published(CHECKPOINTS)) == 6
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_or_a_device_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(CheckpointError, match="is no file. Name a checkpoint"):
            read_checkpoint(path)


HISTORIES = {
    "no list": 3,
    "no rows": [1, 2],
    "a text for a number": [{"epoch": 1, "train_loss": "low"}],
    "no number": [{"epoch": 1, "train_loss": float("nan")}],
    "two first epochs": [{"epoch": 1, "train_loss": 1.0}] * 2,
    "an epoch too many": [{"epoch": number, "train_loss": 1.0} for number in (1, 2, 3)],
    "other columns": [{"epoch": 1, "train_loss": 1.0}, {"epoch": 2, "train_loss": 1.0, "seconds": 1.0}],
}


@pytest.mark.parametrize("kind", HISTORIES)
def test_a_history_that_cannot_be_is_refused(run, tmp_path, kind):
    save_trained(tmp_path / "a.pt", run)
    write_checkpoint(tmp_path / "a.pt", read_checkpoint(tmp_path / "a.pt") | {"history": HISTORIES[kind]})
    with pytest.raises(CheckpointError, match="a.pt: does not hold a network of this course"):
        load_trained(tmp_path / "a.pt")


def test_weights_that_are_no_numbers_are_refused(run, tmp_path):
    run.network.conv1.bias.data[0] = float("inf")
    save_trained(tmp_path / "a.pt", run)
    with pytest.raises(CheckpointError, match="its weights are not all numbers"):
        load_trained(tmp_path / "a.pt")


def test_a_list_of_hashes_may_be_written_in_any_usual_way(run, tmp_path):
    save_trained(tmp_path / "my net.pt", run)
    save_trained(tmp_path / "b.pt", run)
    publish_hashes(tmp_path)
    publish_hashes(tmp_path)
    digests = read_published(tmp_path)
    assert set(digests) == {"my net.pt", "b.pt"} and load_trained(tmp_path / "my net.pt").seed == 3
    (tmp_path / "SHA256SUMS").write_bytes(f"\n<<<<<<< HEAD\n{'0' * 64} *b.pt\n".encode() + b"\xff\n")
    with pytest.raises(CheckpointError, match="b.pt: is not the file whose hash"):
        load_trained(tmp_path / "b.pt")
    assert load_trained(tmp_path / "my net.pt").seed == 3

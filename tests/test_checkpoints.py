"""Checkpoints: written whole or not at all, read without running what is in them."""

import pickle

import pytest
import torch

from helpers.checkpoints import CheckpointError, load_network, read_checkpoint, write_checkpoint
from helpers.models import build_model
from helpers.notebook import CHECKPOINTS
from helpers.recipes import RECIPES


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_round_trip(tmp_path):
    network = build_model("mlp")
    write_checkpoint(tmp_path / "new" / "a.pt", {"recipe": {"model": "mlp"}, "model": network.state_dict(), "seed": 3})
    loaded, story = load_network(tmp_path / "new" / "a.pt")
    assert torch.equal(loaded.linear1.weight, network.linear1.weight) and not loaded.training
    assert story == {"recipe": {"model": "mlp"}, "seed": 3}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.pt"]


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"model": Evil()}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        with pytest.raises(CheckpointError, match="is not a readable checkpoint"):
            read_checkpoint(tmp_path / name)
    assert "executed" not in capsys.readouterr().out


def test_missing_empty_cut_and_foreign_files(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist. Train first"):
        read_checkpoint(tmp_path / "none.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is not a readable checkpoint"):
        read_checkpoint(tmp_path / "empty.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="holds a Tensor"):
        read_checkpoint(tmp_path / "tensor.pt")
    for content in ({}, {"recipe": {"model": "resnet"}, "model": {}}, {"recipe": {"model": "mlp"}, "model": {}}):
        write_checkpoint(tmp_path / "foreign.pt", content)
        with pytest.raises(CheckpointError, match="does not hold a network of this course"):
            load_network(tmp_path / "foreign.pt")


def test_a_flipped_bit_is_found(tmp_path):
    write_checkpoint(tmp_path / "a.pt", {"zeros": torch.zeros(10_000)})
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_checkpoint(tmp_path / "a.pt")
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
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(CheckpointError, match="cannot be written .No space left"):
        write_checkpoint(tmp_path / "a.pt", {"epoch": 2})
    assert read_checkpoint(tmp_path / "a.pt") == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_the_committed_network_is_a_full_run_of_recipe_b():
    network, story = load_network(CHECKPOINTS / "compact.pt")
    assert story["recipe"]["epochs"] == len(story["history"]) == RECIPES["compact"].epochs
    assert sum(parameter.numel() for parameter in network.parameters()) == 19_865
    assert 0.99 < story["history"][-1]["validation_accuracy"] < 1

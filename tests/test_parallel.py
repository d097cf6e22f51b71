"""Several processes that train together: the same weights as one alone, one log, one checkpoint, a clear end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from helpers.errors import InputError, TrainingError
from helpers.files import HOME
from helpers.parallel import Parallel, choose_gpu, first_process_first, join_processes
from helpers.recipes import Recipe
from helpers.trained import Trained
from helpers.training import Average, Plain, fit
from lab.recipes import LabRecipe

# 1,007 images: 11 steps an epoch, the last with 7 images, which two processes cannot halve. What is resumed after the
# first epoch meets a lower rate after the second, if its schedule was resumed, too.
QUICK = Recipe(model="lenet5", learning_rate=0.05, momentum=0.9, batch_size=100, epochs=3, decay_every=2)
SET_UP = f"""
import dataclasses, os, sys, time, torch
from pathlib import Path
from helpers.data import Split
from helpers.parallel import Parallel, join_processes
from helpers.recipes import Recipe
from helpers.training import fit, Plain
torch.set_num_threads(1)
FOLDER, RECIPE = Path(sys.argv[1]), {QUICK!r}
generator = torch.Generator().manual_seed(0)
SPLIT = Split(torch.randint(0, 256, (1_007, 28, 28), generator=generator, dtype=torch.uint8), torch.arange(1_007) % 10)
"""
TOGETHER = """
class Slow(Parallel):
    def share(self, index):
        if (FOLDER / "killed" / "last.pt").exists():
            (FOLDER / f"{os.environ['RANK']}.pid").write_text(str(os.getpid()))
            time.sleep(0.1)
        return super().share(index)

with join_processes() as tricks:
    whole = fit(RECIPE, SPLIT, SPLIT, seed=3, folder=FOLDER / "whole", tricks=tricks)
    resumed = fit(RECIPE, SPLIT, SPLIT, seed=3, folder=FOLDER / "half", tricks=tricks)
    rank = os.environ["RANK"]
    torch.save([trained.network.state_dict() for trained in (whole, resumed)], FOLDER / f"weights-{rank}.pt")
    torch.save([whole.history, resumed.history], FOLDER / f"history-{rank}.pt")
    print("printed by process", rank)
    fit(RECIPE, SPLIT, seed=3, folder=FOLDER / "killed", tricks=Slow)
"""


def launch(code: str, folder: Path) -> subprocess.Popen:
    """Two processes that run the code, as `torchrun` starts them."""
    script = folder / "script.py"
    script.write_text(SET_UP + code, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    # Where PyTorch for Windows comes without libuv, torchrun's store must do without it.
    environment |= {"USE_LIBUV": "0"} if sys.platform == "win32" else {}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd=folder, **pipes)


def test_two_processes_train_as_one_and_when_one_is_killed_the_other_says_so(tmp_path, stop_before):
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", str(tmp_path)])
        exec(SET_UP, names)
    alone = fit(QUICK, names["SPLIT"], names["SPLIT"], seed=3)
    with pytest.raises(KeyboardInterrupt):
        fit(QUICK, names["SPLIT"], names["SPLIT"], seed=3, folder=tmp_path / "half", tricks=stop_before(1))
    process, ends = launch(TOGETHER, tmp_path), time.monotonic() + 300
    while not (tmp_path / "1.pid").exists() or not (tmp_path / "1.pid").read_text():
        if process.poll() is not None or time.monotonic() > ends:
            process.terminate()
            pytest.fail(process.communicate(timeout=60)[1])
        time.sleep(0.05)
    os.kill(int((tmp_path / "1.pid").read_text()), getattr(signal, "SIGKILL", signal.SIGTERM))
    printed, errors = process.communicate(timeout=120)
    check_trained_together(tmp_path, alone)
    assert printed == "printed by process 0\n"
    assert process.returncode and "another process of this training has ended: start it again" in errors
    content = torch.load(tmp_path / "killed" / "last.pt", weights_only=True)
    assert len(content["history"]) == 1, "the first epoch is kept"


def check_trained_together(folder: Path, alone: Trained) -> None:
    for rank in (0, 1):
        for weights in torch.load(folder / f"weights-{rank}.pt"):
            for name, value in alone.network.state_dict().items():
                assert torch.allclose(weights[name], value, atol=1e-6), name
    for history in torch.load(folder / "history-0.pt"):
        for row, expected in zip(history, alone.history, strict=True):
            del row["seconds"]
            assert row["validation_accuracy"] and row == pytest.approx({name: expected[name] for name in row}, abs=1e-6)
    assert sorted(path.name for path in (folder / "whole").glob("*.pt")) == ["best.pt", "last.pt"]


@pytest.fixture
def alone(tmp_path):
    """A group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{(tmp_path / 'store').as_posix()}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_group_of_one_trains_as_the_plain_loop_does(alone, stripes):
    plain, parallel = (fit(QUICK, stripes, stripes, seed=1, tricks=tricks) for tricks in (Plain, Parallel))
    for name, value in plain.network.state_dict().items():
        assert torch.equal(parallel.network.state_dict()[name], value)


@pytest.mark.parametrize(("count", "batch_size", "refused"), [(8, 4, False), (7, 4, True), (6, 4, True), (3, 5, True)])
def test_a_last_batch_must_be_large_enough_to_be_shared(count, batch_size, refused, alone, monkeypatch):
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    recipe = Recipe(model="mlp", batch_size=batch_size)
    if refused:
        smallest = count % batch_size
        with pytest.raises(InputError, match=f"2 processes cannot share the last batch of {smallest}, .* fewer"):
            Parallel(recipe, count, torch.device("cpu"))
    else:
        assert Parallel(recipe, count, torch.device("cpu")).leads


def test_tricks_are_for_one_process(alone):
    with pytest.raises(InputError, match="tricks"):
        Parallel(LabRecipe(model="mlp", focus=0.5), 100, torch.device("cpu"))


def test_each_process_draws_its_own_changes_and_has_its_own_part_of_each_batch(alone, monkeypatch):
    orders, shares, drawn = [], [], []
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        process = Parallel(Recipe(model="mlp", batch_size=8), 24, torch.device("cpu"))
        torch.manual_seed(5)
        orders.append(process.order(0))
        shares.append(process.share(orders[-1][:8]))
        drawn.append(torch.rand(1).item())
        assert process.part == len(shares[-1]) / 8
    assert torch.equal(orders[0], orders[1]) and torch.equal(orders[0], orders[2])
    assert sorted(torch.cat(shares).tolist()) == sorted(orders[0][:8].tolist()) and len(set(drawn)) == 3


def test_means_are_over_the_images_of_all_processes(alone, monkeypatch):
    average = Average()
    average.add(torch.tensor(2.0), torch.eye(10)[:4], torch.tensor([0, 1, 2, 9]))
    other = torch.tensor([7.0, 1.0, 2.0])  # sums of another process: loss, right answers, images
    monkeypatch.setattr(dist, "all_reduce", lambda sums: sums.add_(other))
    process = Parallel(Recipe(model="mlp", batch_size=8), 24, torch.device("cpu"))
    assert process.total(average) == pytest.approx((15 / 6, 4 / 6))


@pytest.mark.parametrize(("rank", "expected"), [(0, ["block", "barrier"]), (1, ["barrier", "block"])])
def test_the_first_process_is_waited_for_once(rank, expected, alone, monkeypatch):
    done = []
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    monkeypatch.setattr(dist, "barrier", lambda: done.append("barrier"))
    with first_process_first():
        done.append("block")
    assert done == expected


def test_without_torchrun_nothing_is_joined():
    with join_processes() as tricks, first_process_first():
        assert tricks is Plain and not dist.is_initialized()


@pytest.fixture
def terminate():
    """What a signal to end does to the tests; it is put back."""
    before = signal.getsignal(signal.SIGTERM)
    yield before
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("error", [RuntimeError("[gloo/transport/tcp/pair.cc] closed"), dist.DistNetworkError("gone")])
def test_a_lost_connection_is_one_line_and_other_errors_stay_what_they_are(error, terminate, monkeypatch):
    for name in ("init_process_group", "destroy_process_group", "barrier"):
        monkeypatch.setattr(dist, name, lambda *_: None)
    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(TrainingError, match="start it again"), join_processes():
        raise error
    # The signal that torchrun sends then does not cut the word short.
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    with pytest.raises(RuntimeError, match="of another kind"), join_processes():
        raise RuntimeError("of another kind")
    signal.signal(signal.SIGTERM, terminate)
    with join_processes():
        assert signal.getsignal(signal.SIGTERM) != terminate
    assert signal.getsignal(signal.SIGTERM) == terminate


def test_a_group_that_does_not_come_about_is_one_line(terminate, monkeypatch):
    def fail(*_):
        raise dist.DistNetworkError("nobody answers")

    monkeypatch.setattr(dist, "init_process_group", fail)
    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(TrainingError, match="start it again"), join_processes():
        pytest.fail("there is no group")


@pytest.mark.parametrize(("name", "problem"), [("cuda", "only 1 GPUs are here"), ("mps", "set COURSE_DEVICE=cpu")])
def test_a_process_without_a_gpu_of_its_own_is_refused(name, problem, monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", name)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=problem):
        choose_gpu()

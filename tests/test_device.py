"""Where something is computed, and with how many threads."""

import pytest
import torch

from helpers import device
from helpers.device import choose_threads, measure_threads
from helpers.device import device as pick_device


@pytest.fixture(autouse=True)
def free(monkeypatch):
    """A machine of four cores, on which nobody has said how many threads there are to be; afterwards as it was."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "COURSE_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(device, "MOST_THREADS", 4)
    monkeypatch.setattr(device, "device", lambda: torch.device("cpu"))
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_fastest_device_at_hand_is_taken(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device() == torch.device(best)


def test_a_device_can_be_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, picked in (("cpu", "cpu"), ("", "cuda")):
        monkeypatch.setenv("COURSE_DEVICE", name)
        assert pick_device() == torch.device(picked)


@pytest.mark.parametrize(("seconds", "best"), [({1: 0.3, 2: 0.2, 4: 0.9}, 2), ({1: 0.3, 2: 0.28, 4: 5.0}, 1)])
def test_the_fastest_number_is_taken_and_said(monkeypatch, seconds, best):
    monkeypatch.setattr(device, "measure_threads", lambda counts: {count: seconds[count] for count in counts})
    for _ in range(2):  # the second time, all of them are tried again
        assert choose_threads() == f"threads: {best}; of 1, 2, 4 just now the fastest, or within 10% of it"
        assert torch.get_num_threads() == best


@pytest.mark.parametrize(("most", "counts"), [(1, None), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])])
def test_powers_of_two_and_all_cores_are_tried(monkeypatch, most, counts):
    tried = []
    monkeypatch.setattr(device, "MOST_THREADS", most)
    monkeypatch.setattr(device, "measure_threads", lambda counts: tried.append(counts) or dict.fromkeys(counts, 1.0))
    assert choose_threads().startswith("threads: 1")
    assert tried == ([] if counts is None else [counts])


def test_the_environment_overrules_and_a_gpu_needs_no_choice(monkeypatch):
    monkeypatch.setattr(device, "measure_threads", None)
    monkeypatch.setattr(device, "device", lambda: torch.device("cuda"))
    assert choose_threads() == "threads: 4"
    monkeypatch.setattr(device, "device", lambda: torch.device("cpu"))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    assert choose_threads() == "threads: 3, as OMP_NUM_THREADS says" and torch.get_num_threads() == 3


def test_a_measurement_is_fair_and_leaves_the_random_state(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # starting threads takes longer than the rest
    monkeypatch.setattr(device.time, "perf_counter", lambda: 0.01 * next(clock))
    state = torch.get_rng_state()
    seconds = measure_threads([1, 2])
    assert seconds == pytest.approx({1: 0.2, 2: 0.2}), "twenty rounds each, the first one not counted"
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(device.time, "perf_counter", lambda: next(clock))
    assert measure_threads([1, 2]) == {1: 1, 2: 1}, "a single round, where each step takes a second"

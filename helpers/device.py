"""Where to compute, and with how many threads."""

import os
import time

import torch
from torch import nn

MOST_THREADS = torch.get_num_threads()  # what torch itself would take: one for each core
# Fewer threads that are nearly as fast are taken: they wait less for each other.
ROUNDS, MOST_SECONDS, NEARLY = 20, 3.0, 1.1


def device() -> torch.device:
    """What `COURSE_DEVICE` names, or the fastest device at hand: CUDA, else Apple's MPS, else the CPU."""
    if name := os.environ.get("COURSE_DEVICE"):
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_threads() -> str:
    """Compute with as many threads as are fastest just now, by a measurement of a second; says how many, and why.

    The threads of a step wait for each other. On an idle machine two of them are faster than one; where another
    process has one of the cores, they can be ten times slower. `OMP_NUM_THREADS` in the environment overrules this.
    """
    if os.environ.get("OMP_NUM_THREADS"):
        return f"threads: {torch.get_num_threads()}, as OMP_NUM_THREADS says"
    counts = sorted({MOST_THREADS, *(2**power for power in range(MOST_THREADS.bit_length()))})
    if device().type != "cpu" or len(counts) == 1:
        return f"threads: {MOST_THREADS}"
    seconds = measure_threads(counts)
    best = next(count for count in counts if seconds[count] <= NEARLY * min(seconds.values()))
    torch.set_num_threads(best)
    return f"threads: {best}; of {', '.join(map(str, counts))} just now the fastest, or within {NEARLY - 1:.0%} of it"


def measure_threads(counts: list[int]) -> dict[int, float]:
    """Seconds of a training step of a small CNN by number of threads, in turns, so that all meet the same machine."""
    seconds, started = dict.fromkeys(counts, 0.0), time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    images = torch.zeros(64, 1, 28, 28)
    for number in range(ROUNDS + 1):
        for count in counts:
            torch.set_num_threads(count)
            begin = time.perf_counter()
            network(images).sum().backward()
            seconds[count] += (time.perf_counter() - begin) * (number > 0)  # the first one prepares much
        if number and time.perf_counter() - started > MOST_SECONDS:
            break
    return seconds

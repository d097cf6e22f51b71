"""Notebook 3."""

import math
from collections.abc import Callable

import numpy as np
import torch

from helpers.check import Choice, Code, Number, Page


def walk(loss_at: Callable, update: Callable, rate: float, steps: int) -> list[float]:
    """Where steps on a curve lead; `update` gives the new weight and velocity from weight, velocity, slope and rate."""
    weight, velocity, path = torch.tensor(0.0, requires_grad=True), torch.tensor(0.0), []
    for _ in range(steps):
        path.append(weight.item())
        (slope,) = torch.autograd.grad(loss_at(weight), weight)
        with torch.no_grad():
            weight, velocity = update(weight, velocity, slope, rate)
        weight.requires_grad_()
    return path


def momentum(weight, velocity, slope, rate):
    """What is asked for."""
    velocity = 0.9 * velocity + slope
    return weight - rate * velocity, velocity


def damped(weight, velocity, slope, rate):
    """A mean of slopes in place of their sum."""
    velocity = 0.9 * velocity + 0.1 * slope
    return weight - rate * velocity, velocity


def late(weight, velocity, slope, rate):
    """The weight is moved before the velocity is renewed."""
    return weight - rate * velocity, 0.9 * velocity + slope


SLIPS = {
    lambda weight, velocity, slope, rate: (weight - rate * slope, velocity): "This is plain descent: no velocity yet.",
    lambda weight, velocity, slope, rate: (weight - rate * 0.9 * slope, velocity): (
        "The velocity is forgotten from step to step: it must outlive the loop's turn."
    ),
    lambda weight, velocity, slope, rate: (weight + rate * (0.9 * velocity + slope), 0.9 * velocity + slope): (
        "It climbs: w ← w − η · v."
    ),
    lambda weight, velocity, slope, rate: (weight - rate * (velocity + slope), velocity + slope): (
        "The old velocity is to be multiplied by 0.9, or it never fades."
    ),
    lambda weight, velocity, slope, rate: (
        weight - rate * (0.9 * (0.9 * velocity + slope) + slope),
        0.9 * velocity + slope,
    ): "That looks one step ahead (Nesterov's momentum). Plain momentum steps by v itself.",
    damped: "Add the whole gradient, not a tenth of it: v ← 0.9 · v + gradient.",
    late: "First the velocity, then the step: yours goes by the velocity of the step before.",
}


def check_momentum(descend: Callable, loss_at: Callable) -> str | None:
    """Compares the weights of a descent with momentum at other rates and numbers of steps than the page's."""
    for rate, steps in ((0.5, 7), (2.0, 12), (1, 3)):
        path = [float(weight) for weight in descend(rate, steps)]
        right = walk(loss_at, momentum, rate, steps)
        if len(path) == steps and np.allclose(path, right, rtol=1e-3, atol=1e-3):
            continue
        if len(path) != steps:
            return f"{steps} steps give a list of {len(path)}: put the weight on it before each step."
        if np.allclose(path, walk(loss_at, momentum, rate, steps + 1)[1:], rtol=1e-3, atol=1e-3):
            return "Put the weight on the list before each step, so that it begins with 0."
        for update, thought in SLIPS.items():
            if np.allclose(path, walk(loss_at, update, rate, steps), rtol=1e-3, atol=1e-3):
                return thought
        return f"With rate {rate:g} its third weight is {path[2]:.4g}; by the two formulas it is {right[2]:.4g}."
    return None


def check_paired(in_errors: Callable) -> str | None:
    """Compares a paired statistic with the right one on made-up accuracies."""
    cases = (
        ([0.912, 0.905, 0.931, 0.898, 0.92], [0.901, 0.897, 0.925, 0.9, 0.908]),
        ([0.88, 0.91, 0.9], [0.9, 0.92, 0.94]),
        ([0.97, 0.981, 0.975, 0.969, 0.99, 0.985, 0.979], [0.972, 0.975, 0.97, 0.972, 0.98, 0.979, 0.975]),
    )
    for new, old in cases:
        result = float(in_errors(list(new), list(old)))
        gap, runs = np.subtract(new, old), len(new)
        right = gap.mean() / gap.std(ddof=1) * math.sqrt(runs)
        slips = {
            -right: "The sign: a better new rate should give a number above 0.",
            abs(right): "Keep the sign: it says which of the two is better.",
            right / math.sqrt(runs): "That is in standard deviations: the standard error is smaller by √n.",
            right / math.sqrt(runs) * runs: "The standard deviation is divided by √n, not by n.",
            gap.mean() / gap.std() * math.sqrt(runs): "Divide by n − 1 in the standard deviation: `ddof=1` in NumPy.",
            gap.mean() / math.sqrt((np.var(new, ddof=1) + np.var(old, ddof=1)) / runs): (
                "That takes the two lists as unrelated. Subtract seed by seed first."
            ),
            gap.mean(): "That is the mean difference: how many standard errors is it?",
        }
        if math.isclose(result, right, rel_tol=1e-6):
            continue
        near = [thought for slip, thought in slips.items() if math.isclose(result, slip, rel_tol=1e-6)]
        return near[0] if near else f"For {runs} pairs it gives {result:.4g}, and {right:.4g} is right."
    return None


page = Page(
    "03_training",
    exercises={
        "momentum": Code(
            test=check_momentum,
            asks="a function of (rate, steps)",
            worth="Where slopes keep their sign, the steps add up to 1 / (1 − 0.9) = 10 times plain ones.",
        ),
        "last batch": Number(
            value=3,
            mixups={
                4: "There are four batches. An image's share of the mean is 1 / 4 of 1 / the size of its batch.",
                1 / 3: "The other way round: the fewer in a batch, the more each of them counts.",
                1: "Each batch counts the same, so images in a smaller one do not.",
                2.5: "So it is against its fair share, 1 / 1,000. Against an image of another batch?",
                0.1: "Each of the four means counts a quarter, however few images it is of.",
            },
            hint="How many images has the last batch? What part of its batch's mean is one image, there and elsewhere?",
            worth="With batches of 250, or any size that divides 1,000, nothing would be wrong.",
        ),
        "B per step": Number(
            value=150,
            within=1,
            mixups={
                180: "It starts at 0.01, and so needs two divisions fewer.",
                10: "So many divisions. Each takes 15 steps.",
                15: "That is the first division: down to 0.001.",
                135: "There it is 10⁻¹¹: one more division.",
                165: "There it is 10⁻¹³ already.",
                9_380: "A divides every 938 steps. B counts to 15.",
            },
            hint="From 10⁻² to 10⁻¹² by tens, one of them every 15 steps.",
            worth="An epoch has 469 steps: all but the first third of the first one would be lost.",
        ),
        "twice the variance": Number(
            value=8,
            mixups={
                64: "So the variance grows. The spread is its root.",
                12: "Layers multiply; they do not add.",
                2 * 6**0.5: "Layers multiply: √2 · √2 · …",
                2**0.5: "That is one layer of six.",
                2: "That is the variance of one layer, or the spread after two.",
                2**2.5: "That is after five.",
                1 / 8: "That is for half the variance.",
            },
            within=0.1,
            hint="Twice the variance is √2 times the spread, in each of six layers.",
            worth="With one seed, the first loss was 21, not 3.1, and the epoch ended at 63 % right, not 92 %.",
        ),
        "shuffled labels": Choice(
            "The steps of check two, on shuffled labels. What happens?",
            {
                "a": (
                    "The loss stays near 2.30: there is nothing to find.",
                    "No rule, but 64 images can be told apart.",
                ),
                "b": ("It falls to nearly 0, and new images are recognised, too.", "By which rule? None was taught."),
                "c": (
                    "It falls to nearly 0; new images are right as by guessing.",
                    "Learning by heart needs no sense.",
                ),
                "d": ("It falls to nearly 0, faster than with the right labels.", "Right labels help: it is slower."),
            },
            right="c",
        ),
        "without augmentation": Choice(
            "One run with augmentation and one without, five epochs each. What can they show?",
            {
                "a": (
                    "Validation is better without: its images are not turned.",
                    "One run each, and seeds differ as much.",
                ),
                "b": (
                    "Validation is better with it: it has seen more.",
                    "In the long run, maybe. Seeds differ as much.",
                ),
                "c": (
                    "Nothing: both accuracies are luck.",
                    "Training accuracy differs by more: its images are easier.",
                ),
                "d": (
                    "Training is easier without; for validation it takes more seeds.",
                    "One run each tells large differences only. The next section measures what a seed does.",
                ),
            },
            right="d",
        ),
        "paired seeds": Code(
            test=check_paired,
            asks="a function of two lists",
            worth="Beyond about 2.8 for five pairs, chance alone would do it in less than one case of 20.",
        ),
    },
    questions=[
        Choice(
            "A loss curve is flat at 2.30 from the first step on, without a jump. Which is likelier?",
            {
                "a": ("The rate is far too high.", "Then there is a jump at the start."),
                "b": ("The rate is far too low.", "So it creeps; weights that let the signal fade look the same."),
                "c": ("The network has learnt all it can.", "2.30 is ln 10: it knows nothing."),
            },
            right="b",
        ),
        Choice(
            "Which order is right?",
            {
                "a": (
                    "forward, loss, zero, backward, step",
                    "Zero may also come first: what counts is before backward.",
                ),
                "b": ("forward, loss, backward, zero, step", "So the step would find no slopes any more."),
                "c": ("forward, backward, loss, step, zero", "Backward starts from the loss."),
                "d": ("forward, loss, step, backward, zero", "The step would come before its slopes."),
            },
            right="a",
        ),
        Choice(
            "Validation is better than training in the first epochs. Why?",
            {
                "a": (
                    "Validation images have leaked into training.",
                    "The gap would stay, and the plain reason is here.",
                ),
                "b": ("The validation set is easier.", "It is a random part of the same images."),
                "c": (
                    "Augmentation, dropout and the epoch's mean hold training back.",
                    "Validation has none of these.",
                ),
            },
            right="c",
        ),
        Choice(
            "What does `eval()` do?",
            {
                "a": ("It saves the work for slopes.", "That is `no_grad`; both are needed."),
                "b": ("It stops dropout, and batch norm takes its running averages.", "So no answer depends on luck."),
                "c": ("It freezes the weights.", "Weights change in `step` only."),
            },
            right="b",
        ),
        Choice(
            "All weights start at 0. What does LeNet-5 learn?",
            {
                "a": ("The same, but more slowly.", "A slope of 0 stays 0."),
                "b": ("Nothing at all.", "Nearly: its last biases can still learn how often each digit occurs."),
                "c": ("The same: steps lead away from 0.", "They need slopes for that; only the last biases have any."),
                "d": ("Nothing but the biases of its last layer.", "No signal passes, and no slope comes back."),
            },
            right="d",
        ),
    ],
)

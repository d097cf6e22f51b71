"""Every answer to every exercise, right and wrong, and whatever else a reader may put in its place."""

import ast
import dataclasses
import importlib
import json
import math
import re
import string
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import nn

from helpers import notebook
from helpers.check import Choice, Code, Number, Page, read_number
from helpers.data import Mnist, Split
from helpers.errors import InputError
from helpers.models import build_model
from helpers.recipes import RECIPES, Recipe
from helpers.trained import Predictions, Trained
from tools.notebook_rules import code_cells, find_notebooks, read_notebook

NOTEBOOKS = {path.stem[3:]: path for path in find_notebooks()}
PAGES = {name: importlib.import_module(f"helpers.answers.{name}").page for name in NOTEBOOKS}
EXERCISES = [(page, name) for page in PAGES for name in PAGES[page].exercises]
CHOICES = [(page, name) for page, name in EXERCISES if isinstance(PAGES[page].exercises[name], Choice)]
CHOICES += [(page, name) for page in PAGES for name in PAGES[page].questions]
NUMBERS = [(page, name) for page, name in EXERCISES if isinstance(PAGES[page].exercises[name], Number)]


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path):
    """What is answered here is forgotten afterwards."""
    for page in PAGES.values():
        monkeypatch.setattr(page, "path", tmp_path / "runs" / page.path.name)
        monkeypatch.setattr(page, "guesses", {})


def say(capsys, page: str, name: str, answer: object, *given) -> str:
    """What the page says to an answer, its last line."""
    capsys.readouterr()
    PAGES[page].check(name, answer, *given)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"{name}: ")
    return lines[-1].removeprefix(f"{name}: ")


# What pages hand over, in small.


def make_mnist(seed: int = 0) -> Mnist:
    """30 images of about 70 levels and 150 inked pixels each."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 90, (30, 28, 28), generator=generator)
    images[torch.rand(images.shape, generator=generator) > 0.2] = 0
    split = Split(images.to(torch.uint8), torch.arange(30) % 10)
    return Mnist(split, split.take(10), source="mnist")


def make_digits() -> tuple[Mnist, torch.Tensor]:
    """Per digit an image of k pixels of level g, and a distance: each way of ranking finds another digit."""
    rows = {0: (6, 1, 36), 1: (100, 10, 400), 2: (5, 10, 100), 3: (9, 10, 1), 4: (1, 1, 4)}
    images, distance = torch.zeros(10, 784, dtype=torch.uint8), torch.zeros(10)
    for digit in range(10):
        distance[digit], level, count = rows.get(digit, (20, 10, 25))
        images[digit, :count] = level
    split = Split(images.reshape(10, 28, 28), torch.arange(10))
    return Mnist(split, split, source="mnist"), distance


class Linear:
    """Scores that depend on every pixel's place and scale."""

    weights = np.random.default_rng(0).normal(size=784)

    def score(self, pixels, labels) -> float:
        return 0.5 + 0.4 * math.tanh((pixels @ self.weights).mean() / 20)


class Mover:
    """Right on a share of images that depends on where their one pixel has gone."""

    shares = {(0, -4): 0.6, (0, 4): 0.75, (-4, 0): 0.8, (4, 0): 0.9, (0, 0): 1.0}

    def predict(self, split: Split) -> Predictions:
        row, column = divmod(int(split.images[0].flatten().argmax()), 28)
        right = torch.arange(len(split)) < self.shares[column - 14, row - 14] * len(split)
        return Predictions(F.one_hot(torch.where(right, split.labels, split.labels + 1), 10).float(), split.labels)


def make_dots() -> Split:
    images = torch.zeros(20, 28, 28, dtype=torch.uint8)
    images[:, 14, 14] = 255
    return Split(images, torch.arange(20) % 9)


def make_trained() -> Trained:
    """A network of one layer, which a patch can move from one answer to another."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).requires_grad_(False)
    network[1].weight *= 2
    return Trained(network, Recipe(model="mlp"))


def make_predictions(seed: int = 0, images: int = 200) -> Predictions:
    """Some wrong and some unsure, in all combinations."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % 10
    logits = torch.randn(images, 10, generator=generator) + 6 * torch.rand(images, 1, generator=generator) * F.one_hot(
        (labels + (torch.rand(images, generator=generator) < 0.3)) % 10, 10
    )
    return Predictions(2 * logits, labels)


def make_summary() -> pd.DataFrame:
    rows = {"five_conv": (3, 0.9943, 0.0001), "compact": (3, 0.995, 0.0005)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["runs", "mean", "sd"])


def make_runs() -> dict:
    """LeNet-5 gains a little, the MLP much, in five runs each."""
    gains = {"lenet5": (0.003, -0.001, 0.001, 0.002, 0.0005), "mlp": (0.004, 0.005, 0.0045, 0.006, 0.003)}
    return {
        name: [
            SimpleNamespace(test_accuracy=0.98 + seed / 500 + gain, history={"test_accuracy": [0.98 + seed / 500] * 15})
            for seed, gain in enumerate(row)
        ]
        for name, row in gains.items()
    }


def loss_at(weight):
    """A valley whose slopes differ, like the page's."""
    return F.softplus(-weight * torch.tensor([0.5, 2.0, -0.3])).mean()


MNIST, (DIGITS, DISTANCE), DOTS = make_mnist(), make_digits(), make_dots()
TRAINED, PREDICTIONS, RUNS = make_trained(), make_predictions(), make_runs()
UNSURE, WRONG = PREDICTIONS.confidence < 0.99, ~PREDICTIONS.correct
ONCE = [make_predictions(seed, 60) for seed in range(5)]


# Right answers, worked out another way than the page does.


def measure_levels() -> float:
    return sum(len(set(image.flatten().tolist())) for image in MNIST.train.images) / 30


def measure_shifted() -> float:
    images = torch.cat([MNIST.train.images[:, :, -2:], MNIST.train.images[:, :, :-2]], 2)
    return Linear().score(((images.flatten(1) / 255 - 0.1307) / 0.3081).numpy(), None)


def measure_worst() -> float:
    """The largest fall of the last image's answer when 7 × 7 pixels become white."""
    image, falls = MNIST.train.images[29], []
    digit = int(TRAINED.predict(MNIST.train).predicted[29])
    for row in range(-3, 25):
        for column in range(-3, 25):
            falls.append(image.clone())
            falls[-1][max(row, 0) : row + 7, max(column, 0) : column + 7] = 0
    p = TRAINED.predict(Split(torch.stack([image, *falls]))).probabilities[:, digit]
    return float(p[0] - p[1:].min())


def descend(rate, steps, **options):
    weight, path = torch.tensor(0.0, requires_grad=True), []
    optimiser = torch.optim.SGD([weight], lr=rate, **{"momentum": 0.9, **options})
    for _ in range(steps):
        path.append(weight.item())
        optimiser.zero_grad()
        loss_at(weight).backward()
        optimiser.step()
    return path


def in_errors(new, old):
    return scipy.stats.ttest_rel(new, old).statistic


def block(inputs, outputs, kernel, padding=0, parts=(nn.BatchNorm2d, nn.ReLU)):
    norms = [part(outputs) if part is nn.BatchNorm2d else part() for part in parts]
    return [nn.Conv2d(inputs, outputs, kernel, padding=padding), *norms]


def make_recipe_b(end=None, pool=nn.MaxPool2d, padding=1, **options) -> nn.Sequential:
    return nn.Sequential(
        *(*block(1, 20, 3, **options), *block(20, 30, 3, **options), pool(2), *block(30, 10, 1, **options)),
        *(*block(10, 25, 3, padding, **options), *block(25, 25, 3, **options), pool(2)),
        *(*block(25, 10, 1, **options), *block(10, 30, 3, **options), nn.Conv2d(30, 10, 3)),
        *((nn.Flatten(),) if end is None else end),
    )


SLANTED = torch.tensor([[-1.0, -1, 2], [-1, 2, -1], [2, -1, -1]])
SAID, ASKED = (torch.tensor([8] * 70 + [1] * 30 + [0] * 20), torch.tensor([8] * 12 + [1] * 50 + [0] * 58))
BOXES = torch.zeros(2, 28, 28, dtype=torch.uint8)
BOXES[:, 3:24, 8:20] = 99
SURENESS = torch.tensor([0.9999] * 2 + [0.995] * 3 + [0.95] * 4 + [0.5] * 17)
LETTERS = Predictions(torch.cat([(9 * SURENESS / (1 - SURENESS)).log()[:, None], torch.zeros(26, 9)], dim=1))


RIGHT = {  # by page and exercise: right answers, then what the page hands over
    ("data_exploration", "grey levels"): ([measure_levels(), measure_levels() + 2], MNIST),
    ("data_exploration", "most varied"): ([0, 0.0, torch.tensor(0)], DIGITS, DISTANCE),
    ("data_exploration", "own white"): (
        [-np.mean(MNIST.train.images[0].numpy()) / np.std(MNIST.train.images[0].numpy(), ddof=1)],
        MNIST,
    ),
    ("data_exploration", "shifted"): ([measure_shifted()], Linear(), MNIST.train),
    ("data_exploration", "sort key"): ([lambda name: int(name.split("_")[0]), lambda name: int(name[:-6])],),
    ("data_exploration", "fill"): ([-0.4242, -0.1307 / 0.3081, np.float32(-0.424)],),
    ("cnn_architecture", "slanted kernel"): (
        [SLANTED, SLANTED.tolist(), SLANTED.numpy(), SLANTED / 9, SLANTED - 0.5, torch.eye(3).flip(1) - 1 / 3],
    ),
    ("cnn_architecture", "two poolings"): ([4],),
    ("cnn_architecture", "recipe B"): ([make_recipe_b(), build_model("compact").train()],),
    ("cnn_architecture", "conv1 work"): ([121_680],),
    ("cnn_architecture", "convolutions"): ([14],),
    ("training", "momentum"): ([descend], loss_at),
    ("training", "last batch"): ([3, 3.0],),
    ("training", "B per step"): ([150],),
    ("training", "twice the variance"): ([8, 2**3],),
    ("training", "paired seeds"): ([in_errors],),
    ("evaluation", "test images"): ([871_111, 1_000_000, 815_600, 10_000 * (0.14 / 0.015) ** 2],),
    ("evaluation", "precision of always 1"): ([0.1], DOTS.take(10)),
    ("evaluation", "images to check"): ([int(UNSURE.sum()), UNSURE.sum()], PREDICTIONS),
    ("evaluation", "errors left"): ([int((WRONG & ~UNSURE).sum())], PREDICTIONS),
    ("evaluation", "four pixels up"): ([0.6], Mover(), DOTS),
    ("evaluation", "45 in common"): ([0.04, 0.0414, 2 * sum(math.comb(20, k) for k in range(6)) / 2**20],),
    ("evaluation", "worst error"): ([measure_worst()], TRAINED, MNIST.train, torch.tensor([29, 3])),
    ("evaluation", "grey levels of 255"): ([25.5, 25, 26],),
    ("digits_from_elsewhere", "most frequent answer"): ([70], SAID, ASKED),
    ("digits_from_elsewhere", "prepared size"): ([21, 21.2, torch.tensor(20.8)], BOXES),
    ("digits_from_elsewhere", "six upside down"): ([9],),
    ("digits_from_elsewhere", "letters above 99"): ([5], LETTERS),
    ("clinic", "floor"): ([1.461, -math.log(math.e / (math.e + 9))],),
    ("clinic", "drawn before"): ([0.75, 3 / 4],),
    ("comparing_networks", "A's lower end"): ([0.9943 - 4.30265 * 0.0005 * (4 / 3) ** 0.5], make_summary()),
    ("comparing_networks", "LeNet-5's p"): (
        [scipy.stats.ttest_1samp((0.003, -0.001, 0.001, 0.002, 0.0005), 0).pvalue],
        RUNS,
    ),
    ("comparing_networks", "what differs"): (
        [["epochs", "batch_size", "augmentation"], ("momentum", "scaling", "decay_every", "epochs")],
    ),
    ("comparing_networks", "runs of each"): ([44, 43.56],),
    ("comparing_networks", "wrong of 128"): ([3, 3.02],),
    ("comparing_networks", "batch size"): ([25],),
    ("faster_and_smaller", "Amdahl's law"): ([lambda p, k: 1 / ((1 - p) + p / k)],),
    ("faster_and_smaller", "A at best"): (
        [3 * 39_748_864 * 60_000 * 13 / 65e9],
        {"torch.float32": 65e9, "torch.bfloat16": 190e9},
    ),
    ("faster_and_smaller", "at temperature 3"): ([0.73, 0.7274],),
    ("faster_and_smaller", "shared errors"): (
        [sum(all(int(one.predicted[i]) != i % 10 for one in ONCE) for i in range(60))],
        ONCE,
    ),
}


NUMERIC = {  # with the same data: the least and the greatest number that is right, and each mix-up's
    ("data_exploration", "grey levels"): ((71.2667, 77.2667), (156.067, 256)),
    ("data_exploration", "most varied"): ((0, 0), (1, 2, 3)),
    ("data_exploration", "own white"): ((-0.41092, -0.402783), (-0.424213, 0.406852, -0.032563, 0)),
    ("data_exploration", "shifted"): ((0.576328, 0.580328), (0.596983, 0.481818, 0.560942, 0.592735)),
    ("data_exploration", "fill"): ((-0.428455, -0.419971), (0, -0.1307, 0.424213, 2.82149)),
    ("cnn_architecture", "two poolings"): ((4, 4), (1, 2, 3, 8)),
    ("cnn_architecture", "conv1 work"): ((120_463, 122_897), (180, 200, 141_120, 6_084, 13_520, 135_200, 2_433_600)),
    ("cnn_architecture", "convolutions"): ((14, 14), (13, 10, 9, 27, 7, 13.5)),
    ("training", "last batch"): ((2.97, 3.03), (4, 0.333333, 1, 2.5, 0.1)),
    ("training", "B per step"): ((149, 151), (180, 10, 15, 135, 165, 9_380)),
    ("training", "twice the variance"): ((7.9, 8.1), (64, 12, 4.89898, 1.41421, 2, 5.65685, 0.125)),
    ("evaluation", "test images"): ((690_000, 1_050_000), (93_333, 100, 87, 10_000, 218_000)),
    ("evaluation", "precision of always 1"): ((0.099, 0.101), (1, 0.1, 0.9, 0)),
    ("evaluation", "images to check"): ((141.5, 142.5), (58, 93, 78)),
    ("evaluation", "errors left"): ((12.5, 13.5), (91, 78, 142)),
    ("evaluation", "four pixels up"): ((0.596, 0.604), (0.75, 0.8, 0.9, 1)),
    ("evaluation", "45 in common"): ((0.0398895, 0.0428895), (0.390927, 0.0206947, 0.0253473, 0.0441713, 0.25)),
    ("evaluation", "worst error"): ((0.0321095, 0.0421095), (0.0221192, 0.150346, -0.0371095)),
    ("evaluation", "grey levels of 255"): ((25, 26), (0.1, 10, 0.32457, 78.4, 82.7653)),
    ("digits_from_elsewhere", "most frequent answer"): ((70, 70), (8, 12, 30)),
    ("digits_from_elsewhere", "prepared size"): ((20.7, 21.3), (28, 12)),
    ("digits_from_elsewhere", "six upside down"): ((8.91, 9.09), (6, 8)),
    ("digits_from_elsewhere", "letters above 99"): ((5, 5), (9, 21, 2)),
    ("clinic", "floor"): ((1.45115, 1.47115), (0, 2.30259, 2.19722, 0.231969)),
    ("clinic", "drawn before"): ((0.745, 0.755), (0.25, 0.1875, 1, 0)),
    ("comparing_networks", "A's lower end"): ((0.991756, 0.991876), (0.993803, 0.996784, 0.993168, 0.993058, 0.992149)),
    ("comparing_networks", "LeNet-5's p"): ((0.176152, 0.184152), (0.000843833, 0.0900759, 0.600008)),
    ("comparing_networks", "runs of each"): ((42.9556, 44.1556), (87.1111, 21.7778, 9.33333, 21.3422, 435_556)),
    ("comparing_networks", "wrong of 128"): ((2.9, 3.1), (190.054, 2.365, 0.02365, 124.973)),
    ("comparing_networks", "batch size"): ((25, 25), (40, 20, 16, 50, 32, 30, 33, 31)),
    ("faster_and_smaller", "A at best"): ((1416.65, 1445.27), (476.986, 953.973, 110.074, 1311.71, 0.0238493, 489.539)),
    ("faster_and_smaller", "at temperature 3"): (
        (0.721402, 0.733402),
        (0.863636, 0.316667, 0.272598, 0.999854, 0.813395, 0.581068, 2.6684),
    ),
    ("faster_and_smaller", "shared errors"): ((-0.5, 0.5), (56, 24, 140, 8, 29)),
}


LETTERS = {  # of the exercises to choose from and of the quick questions, in the page's order
    "data_exploration": "bcabd",
    "cnn_architecture": "bcdacbd",
    "training": "cdbacbd",
    "evaluation": "ccabdb",
    "digits_from_elsewhere": "bacbcab",
    "clinic": "defaikdalbbacba",
    "comparing_networks": "bdcad",
    "faster_and_smaller": "abcada",
}


def test_there_is_a_right_answer_to_every_exercise():
    assert [*RIGHT] == [asked for asked in EXERCISES if asked not in CHOICES]


@pytest.mark.parametrize(("page", "name"), EXERCISES)
def test_the_right_answer_is_right(page, name, capsys):
    exercise = PAGES[page].exercises[name]
    answers, *given = RIGHT.get((page, name)) or ([exercise.right, f" {exercise.right.upper()} "],)
    for answer in answers:
        assert say(capsys, page, name, answer, *given) == f"right. {exercise.worth}"


@pytest.mark.parametrize(("page", "name"), NUMBERS)
def test_each_mixup_is_told_what_led_to_it(page, name, capsys):
    exercise, given = PAGES[page].exercises[name], RIGHT[page, name][1:]
    values = {value(*given) if callable(value) else value for value in exercise.mixups}
    assert len(values) == len(exercise.mixups) >= 2
    for value, thought in exercise.mixups.items():
        number = value(*given) if callable(value) else value
        if (page, name, number) == ("evaluation", "precision of always 1", 0.1):
            continue  # this is right among ten digits, and tried below
        assert say(capsys, page, name, number, *given) == f"not yet. {thought}" != f"not yet. {exercise.hint}"
    assert say(capsys, page, name, 123_456_789.1, *given) == f"not yet. {exercise.hint}"


@pytest.mark.parametrize(("page", "name"), NUMBERS)
def test_what_is_right_and_what_is_mixed_up_are_the_numbers_meant(page, name):
    exercise, given = PAGES[page].exercises[name], RIGHT[page, name][1:]
    (low, high), mixed_up = NUMERIC[page, name]
    edge = 0.03 * (high - low)
    assert exercise.judge(low + edge, *given) is exercise.judge(high - edge, *given) is None
    assert exercise.judge(low - edge - 1e-6, *given) and exercise.judge(high + edge + 1e-6, *given)
    assert [value(*given) if callable(value) else value for value in exercise.mixups] == pytest.approx(mixed_up, 1e-4)


def test_ones_are_counted_not_assumed(capsys):
    labels = torch.tensor([1, 1, 1, 0])
    split = Split(torch.zeros(4, 28, 28, dtype=torch.uint8), labels)
    ask = ("evaluation", "precision of always 1")
    assert "right. " in say(capsys, *ask, 0.75, split)
    assert "equally frequent" in say(capsys, *ask, 0.1, split)


@pytest.mark.parametrize(("page", "name"), CHOICES)
def test_each_choice_is_told_why(page, name, capsys):
    exercise = PAGES[page].exercises.get(name) or PAGES[page].questions[name]
    assert (
        list(exercise.options) == list(string.ascii_lowercase[: len(exercise.options)]) and len(exercise.options) >= 3
    )
    assert exercise.question and exercise.question.endswith("?")
    for letter, (_, reply) in exercise.options.items():
        verdict = "right" if letter == exercise.right else "not yet"
        assert reply and say(capsys, page, name, letter) == f"{verdict}. {reply}"
    for parts in zip(*exercise.options.values()):
        assert len(set(parts)) == len(exercise.options)
    assert "answer with " in say(capsys, page, name, "z")


def test_letters_are_those_meant_and_mixed():
    for name, page in PAGES.items():
        choices = [asked for asked in (*page.exercises.values(), *page.questions.values()) if isinstance(asked, Choice)]
        assert "".join(choice.right for choice in choices) == LETTERS[name]
        letters = [question.right for question in page.questions.values()]
        assert len(letters) == 5 and len(set(letters)) >= 3


@pytest.mark.parametrize(("page", "name"), NUMBERS)
def test_no_hint_holds_the_answer(page, name):
    exercise = PAGES[page].exercises[name]
    if not callable(exercise.value):
        said = {float(number.strip(".,").replace(",", "")) for number in re.findall(r"\d[\d,.]*", exercise.hint)}
        assert not [number for number in said if exercise.judge(number) is None]


# Code that is nearly right, and a piece of what is said to it.


def damped(rate, steps):
    weight, velocity, path = torch.tensor(0.0, requires_grad=True), 0.0, []
    for _ in range(steps):
        path.append(weight.item())
        (slope,) = torch.autograd.grad(loss_at(weight), weight)
        velocity = 0.9 * velocity + 0.1 * slope
        weight = (weight - rate * velocity).detach().requires_grad_()
    return path


def cheat(names):
    """Whatever equals everything."""

    class Same:
        __eq__ = __ge__ = __le__ = lambda self, other: True
        __hash__ = object.__hash__

    return Same()


FALL = SLANTED.flip(1)
WRONG_CODE = {
    ("data_exploration", "sort key"): {
        "by itself": lambda name: name,
        "by label": lambda name: int(name.split("_")[1][0]),
        "It begins with": lambda name: -int(name.split("_")[0]),
        "It begins with 2_7": len,
        "It begins with 2_7.png,": lambda name: 0,
        "ends in ValueError": int,
    },
    ("cnn_architecture", "slanted kernel"): {
        "strokes that fall": FALL,
        "negative value": -SLANTED,
        "plain ink as well": torch.eye(3).flip(1),
        "strokes that stand upright": [[1, 0, -1]] * 3,
        "strokes that lie level": [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]],
        "not answer to such a stroke at all": torch.zeros(3, 3),
        "does not answer": torch.full((3, 3), math.nan),
        "plain ink": torch.ones(3, 3),
        "(5, 5)": torch.eye(5),
        "shape (1, 1, 3, 3)": SLANTED[None, None],
        "ends in ValueError": [[1, 2], [3]],
    },
    ("cnn_architecture", "recipe B"): {
        "batch norms are missing": make_recipe_b(parts=(nn.ReLU,)),
        "a batch norm that it should not": make_recipe_b((nn.BatchNorm2d(10), nn.Flatten())),
        "ReLUs and the order": make_recipe_b(parts=(nn.BatchNorm2d,)),
        "the ReLUs and the order in": make_recipe_b(parts=(nn.ReLU, nn.BatchNorm2d)),
        "computes something else": make_recipe_b(pool=nn.AvgPool2d),
        "the order in each block": make_recipe_b((nn.ReLU(), nn.Flatten())),
        "`nn.Flatten()` is missing": make_recipe_b(()),
        "ends in RuntimeError": make_recipe_b(padding=0),
        "give (4, 40)": make_recipe_b(padding=2),
        "with a linear layer": nn.Sequential(make_recipe_b(), nn.Linear(10, 10)),
        "compare each layer": nn.Sequential(make_recipe_b(), nn.Conv2d(10, 10, 1)),
        "1 of 8 convolutions so far": nn.Sequential(*block(1, 20, 3)),
        "0 of 8 convolutions so far": nn.ReLU(),
    },
    ("training", "momentum"): {
        "plain descent": lambda rate, steps: descend(rate, steps, momentum=0),
        "one step ahead": lambda rate, steps: descend(rate, steps, nesterov=True),
        "not a tenth of it": damped,
        "begins with 0": lambda rate, steps: descend(rate, steps + 1)[1:],
        "give a list of": lambda rate, steps: descend(rate, steps + 1),
        "its third weight is 0;": lambda rate, steps: [0.0] * steps,
        "its third weight is nan": lambda rate, steps: [math.nan] * steps,
        "multiplied by 0.9": lambda rate, steps: descend(rate, steps, momentum=1.0),
        "third weight": lambda rate, steps: descend(rate, steps, momentum=0.8),
        "ends in TypeError": lambda rate, steps: None,
    },
    ("training", "paired seeds"): {
        "The sign": lambda new, old: in_errors(old, new),
        "Keep the sign": lambda new, old: abs(in_errors(new, old)),
        "in standard deviations": lambda new, old: in_errors(new, old) / len(new) ** 0.5,
        "not by n": lambda new, old: in_errors(new, old) * len(new) ** 0.5,
        "ddof=1": lambda new, old: in_errors(new, old) * (len(new) / (len(new) - 1)) ** 0.5,
        "as unrelated": lambda new, old: scipy.stats.ttest_ind(new, old).statistic,
        "That is the mean difference": lambda new, old: np.mean(new) - np.mean(old),
        "it gives nan": lambda new, old: math.nan,
        "it gives 1,": lambda new, old: 1,
    },
    ("comparing_networks", "what differs"): {
        "no field": ["epochs", "batch size", "momentum"],
        "network itself": ["model", "epochs", "momentum"],
        "0.01 in both": ["learning_rate", "epochs", "momentum"],
        "2 of three so far": ["epochs", "momentum"],
        "1 of three": ["epochs"] * 3,
        "0 of three": [],
        "each in quotes": [1, 2, 3],
    },
    ("faster_and_smaller", "Amdahl's law"): {
        "time that is left": lambda p, k: 1 - p + p / k,
        "So much faster is the part": lambda p, k: k,
        "Times add up": lambda p, k: 1 - p + p * k,
        "the new time first": lambda p, k: p * k,
        "the limit": lambda p, k: 1 / (1 - p) if p < 1 else k,
        "the time of the part": lambda p, k: p / k,
        "it gives nan": lambda p, k: math.nan,
        "For p = 0.7": lambda p, k: 1 / 0.55 if p == 0.6 else 1,
    },
}


def test_wrong_code_is_tried_for_every_exercise_that_asks_for_some():
    assert list(WRONG_CODE) == [
        (page, name) for page, name in EXERCISES if isinstance(PAGES[page].exercises[name], Code)
    ]


@pytest.mark.parametrize(("page", "name"), WRONG_CODE)
def test_code_that_is_nearly_right_is_told_what_is_wrong(page, name, capsys):
    for piece, answer in WRONG_CODE[page, name].items():
        said = say(capsys, page, name, answer, *RIGHT[page, name][1:])
        assert piece in said and not said.startswith("right"), (piece, said)


def test_an_answer_is_left_as_it_was(capsys):
    network, kernel = make_recipe_b().train(), SLANTED.clone().requires_grad_()
    before = [value.clone() for value in network.state_dict().values()]
    say(capsys, "cnn_architecture", "recipe B", network)
    assert network.training and all(map(torch.equal, before, network.state_dict().values()))
    assert "right" in say(capsys, "cnn_architecture", "slanted kernel", kernel)


# Anything.


class Hostile:
    """Nothing can be done with it."""

    def __eq__(self, other):
        raise RuntimeError("compared")

    __bool__ = __len__ = __iter__ = __call__ = __float__ = __eq__
    __hash__ = object.__hash__


def fails(*anything):
    raise ZeroDivisionError("by design\nand over two lines")


BAD = {
    "text": "twelve",
    "number in quotes": "121680",
    "empty text": "",
    "bytes": b"12",
    "bool": True,
    "numpy bool": np.bool_(True),
    "nan": math.nan,
    "inf": -math.inf,
    "tensor nan": torch.tensor(math.nan),
    "complex": 1j,
    "complex tensor": torch.tensor(1j),
    "huge": 10**400,
    "list": [1, 2, 3],
    "empty list": [],
    "nested list": [[1], [2, 3]],
    "tuple of objects": (None, fails, 3),
    "dict": {"answer": 3},
    "set": {1},
    "tensor of many": torch.zeros(2, 3),
    "empty tensor": torch.zeros(0),
    "meta tensor": torch.zeros((), device="meta"),
    "sparse tensor": torch.eye(3).to_sparse(),
    "array of many": np.zeros((3, 3, 3)),
    "array of objects": np.array([None, "x"], dtype=object),
    "array of text": np.array("3"),
    "table": pd.DataFrame({"a": [1]}),
    "class": Page,
    "type": int,
    "function that raises": fails,
    "function without arguments": lambda: 3,
    "function that gives None": lambda *anything: None,
    "function that equals everything": cheat,
    "module": math,
    "generator": (number for number in range(3)),
    "hostile object": Hostile(),
    "layer": nn.Linear(3, 3),
    "untrained layer": nn.LazyConv2d(3, 3),
}


@pytest.mark.parametrize("kind", BAD)
def test_nothing_else_is_right_or_ends_in_a_traceback(kind, capsys):
    for page, name in [*EXERCISES, *((page, "question 1") for page in PAGES)]:
        said = say(capsys, page, name, BAD[kind], *RIGHT.get((page, name), ([],))[1:])
        assert said and not said.startswith(("right", "no answer yet")) and "\n" not in said, (name, said)


NO_NUMBERS = (
    True,
    np.bool_(True),
    torch.tensor(True),
    "1",
    b"1",
    [1],
    (1,),
    torch.ones(2),
    math.nan,
    math.inf,
    -(10**400),
    1j,
)


@pytest.mark.parametrize("answer", NO_NUMBERS, ids=repr)
def test_only_a_finite_number_is_a_number(answer):
    with pytest.raises(InputError):
        read_number(answer)


NUMBER_ONE = (1, 1.0, np.int64(1), np.float16(1), np.ones((1, 1)), torch.ones(1, requires_grad=True), Fraction(1))


@pytest.mark.parametrize("answer", (*NUMBER_ONE, torch.ones((), dtype=torch.bfloat16)), ids=repr)
def test_a_number_may_come_in_any_kind(answer):
    assert read_number(answer) == 1


def test_what_is_no_answer_does_not_count_as_a_try(capsys):
    page = PAGES["cnn_architecture"]
    for name, answer in (("conv1 work", "121680"), ("black images", 3), ("recipe B", nn.ReLU()), ("conv1 work", None)):
        say(capsys, "cnn_architecture", name, answer)
    assert not page.path.exists()


def test_what_a_page_hands_over_may_be_spoilt(capsys):
    for given in ((), (None,), (3, 4), (Hostile(), Hostile())):
        assert "from the top" in say(capsys, "data_exploration", "shifted", 0.64, *given)


def test_per_cent_for_a_share_is_said(capsys):
    assert "per cent" in say(capsys, "comparing_networks", "A's lower end", 99.18, make_summary())
    assert "per cent" in say(capsys, "evaluation", "precision of always 1", 10, DOTS.take(10))


def test_a_margin_lets_no_mixup_pass_for_another_number():
    exercise = Number(0.99, worth="w", hint="h", mixups={0.98: "m"}, within=0.0001)
    answers = {0.99005: None, 0.98005: "m", 0.985: "h", 0.9805: "h", 0.9: "h", 99.005: "s"}
    said = {answer: exercise.judge(answer) for answer in answers}
    assert "per cent" in said.pop(99.005) and said == {key: text for key, text in answers.items() if text != "s"}
    coarse = Number(900, worth="w", hint="h", mixups={100: "m"}, within=400)
    assert [coarse.judge(number) for number in (500, 1300, 100.9, 102)] == [None, None, "m", "h"]


def test_options_are_shown_before_and_after_an_answer(capsys):
    page = PAGES["data_exploration"]
    for answer in (None, "a", 7):
        page.ask(2, answer)
        question, *options = capsys.readouterr().out.splitlines()
        assert question == f"question 2: {page.questions['question 2'].question}"
        assert [line[:5] for line in options[:3]] == ["   a)", "   b)", "   c)"] and len(options) == 3 + (
            answer is not None
        )
    assert options[3] == 'question 2: answer with "a", "b" or "c", in quotes'
    page.check("fill", ...)
    assert capsys.readouterr().out == "fill: no answer yet; put a number in place of None\n"
    with pytest.raises(InputError, match="nothing on this page is called 'question 6'"):
        page.ask(6, "a")


# What is kept.


def make_page(**options) -> Page:
    page = Page("test", {"one": Number(1, worth="w", hint="h"), "two": Number(2, worth="w", hint="h")}, [])
    page.path = PAGES["data_exploration"].path
    return page


def report(capsys, page) -> str:
    capsys.readouterr()
    page.progress()
    return capsys.readouterr().out


def test_progress_counts_first_tries_and_lasts(capsys):
    page = make_page()
    assert report(capsys, page) == "0 of 2 answered, 0 at the first try\n"
    page.check("one", 1)
    page.check("two", 7)
    assert report(capsys, page) == "1 of 2 answered, 1 at the first try\n"
    page.check("two", 2)
    assert report(capsys, page) == "2 of 2 answered, 1 at the first try\n"
    for _ in range(2):
        page.check("two", 7)
        page.check("one", 2)
    assert report(capsys, make_page()) == "2 of 2 answered, 1 at the first try\n", "what was right once, stays so"
    assert json.loads(page.path.read_text()) == {"one": {"tries": 1, "right": True}, "two": {"tries": 2, "right": True}}
    del page.exercises["two"]
    assert report(capsys, page) == "1 of 1 answered, 1 at the first try\n", (
        "what the page no longer asks does not count"
    )


def test_a_page_keeps_its_answers_among_the_runs():
    assert Page("01_x", {}, []).path == notebook.RUNS / "answers-01_x.json"
    assert len({page.path for page in PAGES.values()}) == len(PAGES)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"\xff\xfe", b"[1]", b"3", b'{"one": 1}', b'{"one": {"tries": Infinity, "right": true}}', b"[" * 10**5],
)
def test_a_damaged_file_is_begun_anew(damaged, capsys):
    page = make_page()
    page.path.parent.mkdir()
    page.path.write_bytes(damaged)
    assert report(capsys, page) == "0 of 2 answered, 0 at the first try\n"
    page.check("one", 1)
    assert report(capsys, page) == "1 of 2 answered, 1 at the first try\n"


def test_where_nothing_can_be_written_the_page_goes_on(capsys):
    page = make_page()
    page.path.parent.write_text("a file where the folder should be")
    page.check("one", 1)
    assert "right. w" in capsys.readouterr().out
    assert report(capsys, page) == "0 of 2 answered, 0 at the first try\n"


def test_a_guess_is_shown_beside_what_came_out(capsys):
    page = make_page()
    page.compare("share", 0.5)
    page.guess("share", None)
    page.compare("share", 0.5)
    assert capsys.readouterr().out == ""
    page.guess("share", " a\nhalf ")
    page.compare("share", 0.5)
    assert capsys.readouterr().out == "share: you said a half, it is 0.5\n"
    page.guess("share", torch.zeros(500))
    page.compare("share", 0.5)
    assert len(capsys.readouterr().out) < 100


# The notebooks.


def list_calls(path) -> list[tuple[str, object, int, int]]:
    """Each call of a page's method: method, first argument, how many arguments, number of the cell."""
    calls = []
    for number, cell in enumerate(code_cells(read_notebook(path))):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("page."):
                first = node.args[0].value if node.args else None
                calls.append((node.func.attr, first, len(node.args), number))
    return calls


@pytest.mark.parametrize("path", find_notebooks(), ids=lambda path: path.stem)
def test_a_notebook_uses_its_page_and_all_of_it(path):
    page, calls = PAGES[path.stem[3:]], list_calls(path)
    checked = {name: arguments - 2 for method, name, arguments, _ in calls if method == "check"}
    assert checked == {name: len(RIGHT.get((path.stem[3:], name), [()])) - 1 for name in page.exercises}
    assert list(checked) == list(page.exercises), "in the order of the page"
    assert [name for method, name, *_ in calls if method == "ask"] == [1, 2, 3, 4, 5]
    assert [method for method, *_ in calls][-6:] == ["ask"] * 5 + ["progress"]
    cells = {
        method: {name: cell for called, name, _, cell in calls if called == method} for method in ("guess", "compare")
    }
    assert cells["guess"].keys() == cells["compare"].keys() and len(cells["guess"]) >= 4
    assert all(cell < cells["compare"][name] for name, cell in cells["guess"].items())
    (line,) = [
        line for cell in code_cells(read_notebook(path)) for line in cell.source.splitlines() if " import page" in line
    ]
    assert line == f"from helpers.answers.{path.stem[3:]} import page"


@pytest.mark.parametrize("path", find_notebooks(), ids=lambda path: path.stem)
def test_every_exercise_is_answered_below_it_and_solved_below_that(path):
    cells = read_notebook(path).cells
    exercises = [number for number, cell in enumerate(cells) if "**Exercise.**" in cell.source]
    assert exercises
    for number in exercises:
        assert cells[number].cell_type == "markdown" and "<details>" not in cells[number].source
        assert "page.check(" in cells[number + 1].source and cells[number + 1].cell_type == "code"
        assert cells[number + 2].source.startswith("<details><summary>Solution</summary>")


def test_no_cell_holds_an_answer():
    for path in find_notebooks():
        for cell in code_cells(read_notebook(path)):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("page.check", "page.ask", "page.guess"):
                    given = ast.unparse(node.args[1])
                    names = {
                        ast.unparse(n.targets[0]): ast.unparse(n.value)
                        for n in ast.parse(cell.source).body
                        if isinstance(n, ast.Assign)
                    }
                    assert given == "None" or names[given] == "None" or given == "mine"


def read_solution(page: str, piece: str) -> dict:
    """What the folded Python of a notebook defines."""
    (source,) = [
        cell.source
        for cell in read_notebook(NOTEBOOKS[page]).cells
        if cell.source.startswith("<det") and piece in cell.source
    ]
    names = {"torch": torch, "nn": nn, "pd": pd, "loss_at": loss_at, "dataclasses": dataclasses, "RECIPES": RECIPES}
    code = re.search(r"```python\n(.*?)```", source, re.DOTALL)
    exec(code[1].partition("plotting.")[0] if code else re.search(r"`(by_id = .*?)`", source)[1], names)
    return names


@pytest.mark.parametrize(
    ("page", "name", "defined"),
    [
        ("data_exploration", "sort key", "by_id"),
        ("cnn_architecture", "slanted kernel", "slanted"),
        ("cnn_architecture", "recipe B", "mine"),
        ("training", "momentum", "descend_with_momentum"),
        ("training", "paired seeds", "in_errors"),
    ],
)
def test_folded_code_is_right(page, name, defined, capsys):
    solved = read_solution(
        page,
        "def block("
        if defined == "mine"
        else f"{defined} = "
        if defined in ("by_id", "slanted")
        else f"def {defined}(",
    )
    assert say(capsys, page, name, solved[defined], *RIGHT[page, name][1:]).startswith("right. ")

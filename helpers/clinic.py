"""The clinic of notebook 6: eight runs, what is written down about each, and the tests that can be ordered.

Whoever reads on sees what ails them: the page comes first.
"""

import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.ticker import PercentFormatter
from torch import nn

from helpers import plotting
from helpers.augmentation import crop_and_rotate, rotate
from helpers.data import Split, normalise
from helpers.errors import InputError
from helpers.models import lenet5, lenet5_regularised

IMAGES, HELD_OUT, EPOCHS, MOST_TESTS = 4_000, 1_000, 6, 2
Scale = Callable[[torch.Tensor], torch.Tensor]


class Chart:
    """What is written down about a run while it trains, without a word on causes.

    Args:
        digits: the first 4,000 of them are what a run has, 1,000 of these for validation.
        name: as the figures call it.

    Attributes:
        losses, norms: of each step: the loss, and the length of the gradient that the step was made with.
        history: a row for each epoch, as `plotting.plot_loss` wants it.
        confusion: counts (10, 10) of each validation label (rows) by answer (columns), after the last epoch.
        ordered: the tests that were made.
    """

    def __init__(self, digits: Split, name: str = ""):
        self.pixels, self.labels = digits.images[:IMAGES, None].float() / 255, digits.labels[:IMAGES]
        self.name, self.story, self.ordered = name, "", []
        self.losses, self.norms, self.rights, self.rows, self.ends = [], [], [], [], [0]
        self.seen = torch.zeros(len(self.labels), dtype=torch.bool)

    def split(self, seed: int, images: int = IMAGES) -> tuple[torch.Tensor, torch.Tensor]:
        """Places of training and of validation images, three to one, drawn at random."""
        count = min(images, len(self.labels))
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        self.train, self.validation = order[count // 4 :], order[: count // 4]
        return self.train, self.validation

    def watch(self, network: nn.Module, story: str) -> nn.Module:
        """The network itself; its weights are kept, as they are before the first step, with what its owner says."""
        self.network, self.story = network.to(memory_format=torch.channels_last), story  # 0.85 of the time
        self.before = {name: value.detach().clone() for name, value in network.named_parameters()}
        return network

    def batches(self, places: torch.Tensor, size: int = 64) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images float (b, 1, 28, 28) from 0 to 1, and their labels, in random order."""
        for index in places[torch.randperm(len(places))].split(size):
            self.seen[index] = True
            yield self.pixels[index], self.labels[index]

    def note(self, images: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor, loss: torch.Tensor) -> None:
        """Write down a step."""
        self.batch, gradients = (images, labels), [value.grad.norm() for value in self.network.parameters()]
        self.losses.append(loss.item())
        self.norms.append(torch.stack(gradients).norm().item())
        self.rights.append((logits.argmax(1) == labels).float().mean().item())

    @torch.no_grad()
    def measure(self, validation: torch.Tensor, scale: Scale) -> None:
        """Write down an epoch: its steps, and loss and answers on the validation images, scaled by `scale`."""
        self.scale, labels = scale, self.labels[validation]
        logits = self.network(scale(self.pixels[validation]))
        self.confusion = torch.bincount(10 * labels + logits.argmax(1), minlength=100).view(10, 10)
        row = {"epoch": len(self.rows) + 1, "train_loss": np.mean(self.losses[self.ends[-1] :])}
        row["validation_loss"] = F.cross_entropy(logits, labels).item()
        row["train_accuracy"] = np.mean(self.rights[self.ends[-1] :])
        self.rows.append(row | {"validation_accuracy": (self.confusion.trace() / len(labels)).item()})
        self.ends.append(len(self.losses))

    @property
    def history(self) -> pd.DataFrame:
        """Loss and accuracy of both splits by epoch; training is measured while it learns."""
        return pd.DataFrame(self.rows).set_index("epoch")

    @property
    def last(self) -> pd.Series:
        """The last epoch's row."""
        return self.history.iloc[-1]

    def find_confusion(self) -> tuple[int, int, float]:
        """The most frequent mistake: label, answer, and the share of that label."""
        wrong = self.confusion * (1 - torch.eye(10, dtype=torch.int64))
        label, answer = divmod(wrong.argmax().item(), 10)
        return label, answer, (wrong[label, answer] / self.confusion[label].sum()).item()


def report(chart: Chart) -> None:
    """Print what the owner says, and the numbers of the last epoch."""
    last, (label, answer, share) = chart.last, chart.find_confusion()
    never = [str(digit) for digit in range(10) if chart.confusion[:, digit].sum() == 0]
    print(f"{chart.name}: {chart.story}; {len(chart.train):,} training and {len(chart.validation):,} validation images")
    print(f"loss: first step {chart.losses[0]:.2f}; last epoch {last.train_loss:.3g}", end="")
    print(f", on validation {last.validation_loss:.3g}")
    print(f"right: {last.train_accuracy:.1%} while learning, {last.validation_accuracy:.1%} on validation")
    print(f"most frequent mistake: {label} called {answer}, {share:.0%} of all {label}s; ", end="")
    print(f"never answered: {', '.join(never) or 'none'}")


def plot_chart(chart: Chart) -> None:
    """Three panels: loss of each step and on validation, share that is right, answers by label; and the report."""
    axes = plt.subplots(1, 3, figsize=(plotting.WIDTH + 1.6, 2.9), gridspec_kw={"width_ratios": (1.25, 1, 1)})[1]
    steps = np.interp(np.arange(len(chart.losses)) + 1, chart.ends, range(len(chart.ends)))
    axes[0].plot(steps, chart.losses, color=plotting.BLUE, linewidth=0.8, label="train, each step")
    axes[0].plot(chart.history.index, chart.history.validation_loss, **plotting.HELD_OUT, label="validation")
    axes[0].set(title=f"{chart.name}: loss", xlabel="epoch", ylabel="nats per image", yscale="log")
    plotting.label_logarithmic(axes[0].yaxis)
    for split, style in (("train", plotting.TRAIN), ("validation", plotting.HELD_OUT)):
        axes[1].plot(chart.history.index, chart.history[f"{split}_accuracy"], **style, label=split)
    axes[1].set(title="share that is right", xlabel="epoch", ylim=(0, 1.04))
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    for ax in axes[:2]:
        ax.legend(frameon=False, fontsize=8)
        ax.xaxis.get_major_locator().set_params(integer=True)
    shares = (chart.confusion / chart.confusion.sum(1, keepdim=True).clamp(1)).numpy()
    axes[2].imshow(shares, cmap="gray_r", vmin=0, vmax=1)
    axes[2].set(title="validation answers", xlabel="answer", ylabel="label", xticks=range(10), yticks=range(10))
    axes[2].tick_params(labelsize=7)
    axes[2].grid(False)
    report(chart)


# The runs. Each is the plain loop of notebook 3; in six of them, one line is not as it should be.


def reference(chart: Chart) -> None:
    """A run as it should be."""
    train, validation = chart.split(seed=0)
    network = chart.watch(lenet5(), "LeNet-5")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for _ in range(EPOCHS):
        network.train()
        for images, labels in chart.batches(train, size=64):
            images = normalise(images)
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


def patient_1(chart: Chart) -> None:
    """The first."""
    train, validation = chart.split(seed=0)
    layers = [*lenet5_regularised(), nn.Softmax(dim=1)]
    network = chart.watch(nn.Sequential(*layers), "LeNet-5 with batch norm and dropout")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(EPOCHS):
        network.train()
        for images, labels in chart.batches(train, size=64):
            images = normalise(images)
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


def patient_2(chart: Chart) -> None:
    """The second."""
    train, validation = chart.split(seed=0)
    network = chart.watch(lenet5(), "LeNet-5")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for _ in range(EPOCHS):
        network.train()
        for images, labels in chart.batches(train, size=64):
            images = normalise(images)[torch.randperm(len(images))]
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


def patient_3(chart: Chart) -> None:
    """The third."""
    train, validation = chart.split(seed=0)
    network = chart.watch(lenet5_regularised(), "LeNet-5 with batch norm and dropout, images turned at random")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for _ in range(EPOCHS):
        network.train()
        for images, labels in chart.batches(train, size=64):
            images = normalise(crop_and_rotate(images))
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


def patient_4(chart: Chart) -> None:
    """The fourth."""
    train, validation = chart.split(seed=0)
    network = chart.watch(lenet5(), "LeNet-5")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for _ in range(EPOCHS):
        network.train()
        for images, labels in chart.batches(train, size=64):
            images = normalise(images)
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, lambda images: 255 * images)


def patient_5(chart: Chart) -> None:
    """The fifth."""
    train, validation = chart.split(seed=0)
    network = chart.watch(lenet5_regularised(), "LeNet-5 with batch norm and dropout, images turned at random")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for _ in range(EPOCHS):
        network.train()
        for images, labels in chart.batches(train, size=64):
            degrees = torch.empty(len(images)).uniform_(-180, 180)
            images = normalise(rotate(images, degrees))
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


def patient_6(chart: Chart) -> None:
    """The sixth."""
    train, validation = chart.split(seed=0)
    network = chart.watch(lenet5_regularised(), "LeNet-5 with batch norm and dropout")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.005, momentum=0.9)
    for _ in range(EPOCHS):
        network.train()
        for images, labels in chart.batches(train, size=64):
            images = normalise(images)
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


def patient_7(chart: Chart) -> None:
    """The seventh."""
    train, validation = chart.split(seed=0)
    network = chart.watch(lenet5(), "LeNet-5, batches of 8")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.002, momentum=0.9)
    for _ in range(5):
        network.train()
        for images, labels in chart.batches(train, size=8):
            images = normalise(images)
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


def patient_8(chart: Chart) -> None:
    """The eighth."""
    network = chart.watch(lenet5(), "LeNet-5, batches of 32")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(16):
        train, validation = chart.split(seed=epoch, images=1_600)
        network.train()
        for images, labels in chart.batches(train, size=32):
            images = normalise(images)
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            chart.note(images, labels, logits, loss)
        network.eval()
        chart.measure(validation, normalise)


RUNS = (patient_1, patient_2, patient_3, patient_4, patient_5, patient_6, patient_7, patient_8)
PATIENTS = dict(enumerate(RUNS, 1))
# What is wrong in a run's code, and what cures it. Where there is nothing to cure, there is no entry.
CURES = {
    1: ("[*lenet5_regularised(), nn.Softmax(dim=1)]", "[*lenet5_regularised()]"),
    2: ("normalise(images)[torch.randperm(len(images))]", "normalise(images)"),
    4: ("chart.measure(validation, lambda images: 255 * images)", "chart.measure(validation, normalise)"),
    5: (".uniform_(-180, 180)", ".uniform_(-15, 15)"),
    6: ("loss.backward()", "optimiser.zero_grad()\n            loss.backward()"),
    8: ("chart.split(seed=epoch, images=1_600)", "chart.split(seed=0, images=1_600)"),
}


def change(run: Callable[[Chart], None], changes: Mapping[str, str]) -> Callable[[Chart], None]:
    """A run with pieces of its code replaced.

    Args:
        run: `reference` or a patient.
        changes: what stands there, exactly once, and what is to stand there instead.

    Raises:
        InputError: a piece is not there once.
    """
    source = textwrap.dedent(inspect.getsource(run))
    for old, new in changes.items():
        if source.count(old) != 1:
            raise InputError(f"{old!r} stands in the code {source.count(old)} times, not once")
        source = source.replace(old, new)
    names = dict(globals())
    exec(source, names)
    return names[run.__name__]


def admit(patient: int | None, digits: Split, *, seed: int = 0, changes: Mapping[str, str] | None = None) -> Chart:
    """Train a patient, here and now.

    Args:
        patient: its number; None for the healthy run that the page begins with.
        digits: 4,000 of these are used.
        seed: of weights, order and chance.
        changes: see `change`.

    Raises:
        InputError: there is no such patient, or a change does not fit.
    """
    if patient is not None and patient not in PATIENTS:
        raise InputError(f"there is no patient {patient!r}; they are numbered 1 to {len(PATIENTS)}")
    run, name = (reference, "healthy run") if patient is None else (PATIENTS[patient], f"patient {patient}")
    chart = Chart(digits, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        (change(run, changes) if changes else run)(chart)
    return chart


def cure(patient: int, digits: Split, *, seed: int = 0) -> Chart:
    """Print the line that was wrong and the one that replaces it, and train the patient so.

    Raises:
        InputError: nothing is to be cured.
    """
    if patient not in CURES:
        raise InputError(f"patient {patient!r} needs no cure; those who do are {', '.join(map(str, CURES))}")
    old, new = CURES[patient]
    print(f"patient {patient}: {old}  →  {' '.join(new.split())}")
    return admit(patient, digits, seed=seed, changes={old: new})


def show_gradients(chart: Chart) -> None:
    """The length of the gradient that each step was made with."""
    print(f"length of the gradient: first step {chart.norms[0]:.2g}, ", end="")
    print(f"median {np.median(chart.norms):.2g}, last 20 steps {np.mean(chart.norms[-20:]):.2g}")
    curves = {chart.name: np.clip(chart.norms, 1e-6, None)}
    plotting.plot_curves(curves, title="Gradient of each step", xlabel="step", ylabel="length")
    plotting.show("One curve over steps: the length of the gradient that each step was made with.")


def show_batch(chart: Chart) -> None:
    """Ten images of the last training batch as the network got them, with the labels that the loss got."""
    images, labels = (part[:10] for part in chart.batch)
    plotting.plot_digits(images[:, 0], [str(label) for label in labels.tolist()], title="From the last training batch")
    plotting.show("Digits of the last training batch in a row, the label that the loss got above each.")


@torch.no_grad()
def show_modes(chart: Chart) -> None:
    """Share that is right in train and in eval mode, on images that are normalised and else unchanged."""
    for name, places in (("training", chart.train), ("validation", chart.validation)):
        images, labels = normalise(chart.pixels[places]), chart.labels[places]
        rights = {}
        for mode in ("train", "eval"):
            network = copy.deepcopy(chart.network).train(mode == "train")  # in train mode, batch norm would remember
            with torch.random.fork_rng(devices=[]):
                rights[mode] = (network(images).argmax(1) == labels).float().mean().item()
        print(f"{name} images, unchanged: {rights['train']:.1%} right in train mode, {rights['eval']:.1%} in eval mode")


def share_of_dead(chart: Chart) -> dict[str, float]:
    """For each ReLU, the share of its outputs that are 0 for every one of 500 training images."""
    values, shares = normalise(chart.pixels[chart.train[:500]]), {}
    with torch.no_grad():
        for layer in chart.network.eval():
            values = layer(values)
            if isinstance(layer, nn.ReLU):
                dead = values.transpose(0, 1).flatten(1).amax(1) == 0
                shares[f"ReLU {len(shares) + 1}"] = dead.float().mean().item()
    return shares


def show_relus(chart: Chart) -> None:
    """How many channels of each ReLU never answer."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in share_of_dead(chart).items())
    print(f"channels that are 0 for all of 500 training images: {shares}")


def show_weights(chart: Chart) -> None:
    """How far each layer's weights have moved, against their length at the start."""
    moved = {
        name.removesuffix(".weight"): (value.detach() - chart.before[name]).norm() / chart.before[name].norm()
        for name, value in chart.network.named_parameters()
        if value.dim() > 1
    }
    print("way of the weights, as a share of their length at the start:")
    print(", ".join(f"layer {number} {way:.1%}" for number, way in enumerate(moved.values(), 1)))


def show_pixels(chart: Chart) -> None:
    """Least, mean and greatest input of both splits, as the network got them."""
    for name, images in (("training", chart.batch[0]), ("validation", chart.scale(chart.pixels[chart.validation]))):
        print(f"{name}: from {images.min():.2f} to {images.max():.2f}, mean {images.mean():.2f}")


def show_overlap(chart: Chart) -> None:
    """How many of the validation images were in a training batch at some time."""
    count = chart.seen[chart.validation].sum().item()
    print(f"{count:,} of the {len(chart.validation):,} validation images were in a training batch")


TESTS = {
    "gradient norms": show_gradients,
    "a batch with its labels": show_batch,
    "train and eval mode": show_modes,
    "dead ReLUs": show_relus,
    "weights before and after": show_weights,
    "pixels": show_pixels,
    "images in both sets": show_overlap,
}


def order(chart: Chart, *tests: object) -> None:
    """Make tests by their names, two for each patient at most; None orders nothing."""
    known = {title.lower(): title for title in TESTS}
    for test in tests or (None,):
        name = " ".join(test.split()).lower() if isinstance(test, str) else test
        if name is None or name is ...:
            print(f"{chart.name}: nothing ordered, {MOST_TESTS - len(chart.ordered)} of {MOST_TESTS} tests left")
        elif not isinstance(name, str) or name not in known:
            print(f"there is no test {test!r}; there are: {', '.join(TESTS)}")
        elif known[name] not in chart.ordered and len(chart.ordered) >= MOST_TESTS:
            print(f"{chart.name} has had {' and '.join(chart.ordered)}: {MOST_TESTS} tests are all it is granted")
        else:
            chart.ordered += [known[name]] * (known[name] not in chart.ordered)
            TESTS[known[name]](chart)


def summarise(chart: Chart) -> dict[str, float]:
    """The numbers of a run that a table holds: its last epoch, and what the tests find."""
    moved = [(now.detach() - chart.before[name]).norm() for name, now in chart.network.named_parameters()]
    start = torch.stack([value.norm() for value in chart.before.values()]).norm()
    return {
        "train loss": chart.last.train_loss,
        "validation loss": chart.last.validation_loss,
        "train": chart.last.train_accuracy,
        "validation": chart.last.validation_accuracy,
        "worst step": max(chart.losses),
        "gradient": float(np.median(chart.norms)),
        "moved": (torch.stack(moved).norm() / start).item(),
        "dead": max(share_of_dead(chart).values()),
        "shared": chart.seen[chart.validation].float().mean().item(),
    }


def plot_before_after(charts: Mapping[int, tuple[Chart, Chart]]) -> None:
    """Validation loss and accuracy of each patient, sick (dashed, squares) and cured (solid, dots)."""
    axes = plt.subplots(2, len(charts), figsize=(plotting.WIDTH + 2.5, 4.2), squeeze=False)[1]
    for column, (number, pair) in enumerate(charts.items()):
        for chart, style, name in zip(pair, (plotting.HELD_OUT, plotting.TRAIN), ("sick", "cured")):
            style = style | {"markersize": 3}
            axes[0, column].plot(chart.history.index, chart.history.validation_loss, **style, label=name)
            axes[1, column].plot(chart.history.index, chart.history.validation_accuracy, **style)
        axes[0, column].set(title=f"patient {number}", yscale="log")
        plotting.label_logarithmic(axes[0, column].yaxis)
        axes[1, column].set(xlabel="epoch", ylim=(0, 1.04))
        axes[1, column].yaxis.set_major_formatter(PercentFormatter(1))
        for ax in axes[:, column]:
            ax.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("validation loss")
    axes[1, 0].set_ylabel("validation images right")
    axes[0, 0].legend(frameon=False, fontsize=8)

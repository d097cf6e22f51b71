"""Each patient of notebook 6 has the fault that it is said to have, its cure removes it, and nothing tells on it."""

import inspect
import re
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from helpers import clinic
from helpers.answers.clinic import DIAGNOSES, page
from helpers.data import MEAN, STD, Split
from helpers.errors import InputError
from tools.notebook_rules import find_notebooks, read_notebook

RIGHT = dict(zip(clinic.PATIENTS, "efaikdal"))
ILL = sorted(clinic.CURES)
(PATH,) = [path for path in find_notebooks() if path.stem.endswith("_clinic")]
CELLS = {cell.id: cell for cell in read_notebook(PATH).cells}
# What no cell, figure, name or message says before a reader has answered.
TELLING = (
    "softmax|zero|shuffl|step with|out of|leak|both|shared|scal|255|turned far|upside|dead|rate|wrong|fault|healthy$"
)


@cache
def spots() -> Split:
    """160 images with a spot at their top, whose grey level says the label."""
    labels = torch.arange(160) % 10
    images = torch.zeros(160, 28, 28, dtype=torch.uint8)
    images[:, 3:8, 10:18] = (100 + 10 * labels)[:, None, None].to(torch.uint8)
    return Split(images, labels)


@cache
def run(patient: int | None, cured: bool = False) -> clinic.Chart:
    return clinic.cure(patient, spots()) if cured else clinic.admit(patient, spots())


def pixels(chart: clinic.Chart) -> torch.Tensor:
    """Grey levels of the last training batch."""
    return (chart.batch[0][:, 0] * STD + MEAN) * 255


def levels_fit(chart: clinic.Chart) -> bool:
    """Whether the images of the last batch are those of their labels."""
    return torch.allclose(pixels(chart).amax((1, 2)), 100.0 + 10 * chart.batch[1], atol=1)


def test_first_makes_probabilities_of_its_logits():
    images = torch.rand(5, 1, 28, 28)
    sick, cured = (run(1, cured).network.eval()(images) for cured in (False, True))
    assert torch.allclose(sick.sum(1), torch.ones(5)) and sick.min() >= 0
    assert cured.min() < 0
    assert min(run(1).losses) > 1.46


def test_second_has_labels_of_other_images():
    assert not levels_fit(run(2)) and levels_fit(run(2, cured=True))


def test_third_and_seventh_are_well():
    for number in (3, 7):
        chart = run(number)
        assert torch.equal(chart.scale(chart.pixels), run(None).scale(chart.pixels))
        assert not chart.seen[chart.validation].any() and chart.seen[chart.train].all()
        assert not any(isinstance(layer, nn.Softmax) for layer in chart.network)
        assert np.median(chart.norms) < 10
        with pytest.raises(InputError, match="needs no cure; those who do are 1, 2, 4, 5, 6, 8"):
            clinic.cure(number, spots())
    assert levels_fit(run(7))
    assert pixels(run(3))[:, 17:].amax() < 1, "turned, but not far"
    assert len(run(7).batch[1]) <= 8


def test_fourth_is_measured_on_other_pixels():
    sick, cured = run(4), run(4, cured=True)
    assert sick.scale(sick.pixels).max() > 150 and sick.batch[0].max() < 3
    assert cured.scale(cured.pixels).max() < 3
    for one, other in zip(sick.network.parameters(), cured.network.parameters()):
        assert torch.equal(one, other), "its training has no fault"
    assert sick.last.validation_loss != cured.last.validation_loss


def test_fifth_is_turned_all_the_way():
    low = {cured: (pixels(run(5, cured))[:, 17:].amax((1, 2)) > 50).float().mean() for cured in (False, True)}
    assert low[False] > 0.25 and low[True] == 0


def test_sixth_adds_up_its_gradients():
    sick, cured = run(6), run(6, cured=True)
    assert sick.losses[0] == cured.losses[0] and sick.norms[0] == cured.norms[0]
    assert np.mean(sick.norms[-5:]) > 3 * np.mean(cured.norms[-5:])


def test_eighth_has_learnt_from_what_it_is_measured_on():
    sick, cured = run(8), run(8, cured=True)
    assert sick.seen[sick.validation].all()
    assert not cured.seen[cured.validation].any()


@pytest.mark.parametrize("number", clinic.PATIENTS)
def test_a_patient_differs_from_the_healthy_loop_by_its_fault(number):
    """Beside its fault, only what each run may choose: network, rate, size of batches, epochs, augmentation."""
    run = clinic.PATIENTS[number]
    source = inspect.getsource(run)
    if number in ILL:
        old, new = clinic.CURES[number]
        assert source.count(old) == 1 and old != new
        source = source.replace(old, new)
    known = {line.strip() for line in inspect.getsource(clinic.reference).splitlines()}
    others = [line.strip() for line in source.splitlines() if line.strip() not in known]
    free = (
        r'def |"""|layers = |network = |optimiser = |for |degrees = |images = |train, validation = chart\.split\(seed=0'
    )
    assert not [line for line in others if not re.match(free, line)]
    assert not re.search(r"randperm|Softmax|255|180|seed=epoch", source)
    assert source.index("zero_grad()") < source.index("backward()") < source.index(".step()")


@pytest.mark.parametrize("number", clinic.PATIENTS)
def test_the_solution_quotes_the_line(number):
    solution = CELLS[f"p{number}-solution"].source
    quoted = re.findall(r"```python\n(.*?)```", solution, re.DOTALL)
    source = inspect.getsource(clinic.PATIENTS[number])
    assert len(quoted) == (number in ILL)
    for line in (line for block in quoted for line in block.splitlines()):
        assert source.count(f" {line}\n") == 1
    if number in ILL:
        assert clinic.CURES[number][0] in quoted[0]
    assert solution.startswith("<details>") and f"**{RIGHT[number]}.**" in solution


@pytest.mark.parametrize("number", clinic.PATIENTS)
def test_each_diagnosis_has_an_answer_of_its_own(number):
    exercise = page.exercises[f"patient {number}"]
    assert {letter: text for letter, (text, _) in exercise.options.items()} == DIAGNOSES and len(DIAGNOSES) == 12
    replies = {reply for _, reply in exercise.options.values()}
    assert len(replies) == 12 and not replies & {*DIAGNOSES.values()}
    assert [letter for letter in DIAGNOSES if exercise.judge(letter) is None] == [RIGHT[number]]


@pytest.mark.parametrize("number", clinic.PATIENTS)
def test_nothing_tells_before_the_answer(number, capsys, monkeypatch):
    cells = [CELLS[f"p{number}{part}"] for part in ("", "-check", "-ask", "-answer")]
    for cell in cells:
        said = re.sub(r"raise|generate|validation_loss|train_loss", "", f"{cell.source} {cell.metadata}")
        if cell.id == f"p{number}":
            said = said.replace("both", "").replace("healthy run", "")
        if cell.id == f"p{number}-ask":
            said = re.sub(r"What is wrong|healthy run|separate", "", said)
        assert not re.search(TELLING, said.lower()), cell.id
    chart = run(number)
    clinic.plot_chart(chart)
    clinic.order(chart, None)
    words = [text.get_text() for ax in plt.gcf().axes for text in (ax.title, ax.xaxis.label, ax.yaxis.label)]
    plt.close("all")
    assert clinic.PATIENTS[number].__name__ == f"patient_{number}" and chart.name == f"patient {number}"
    assert not re.search(TELLING, f"{capsys.readouterr().out} {words} {clinic.PATIENTS[number].__doc__}".lower())


def test_two_tests_at_most(capsys, monkeypatch):
    monkeypatch.setattr(clinic.plotting, "show", lambda words: plt.close("all"))
    chart = clinic.admit(None, spots())
    clinic.order(chart, None)
    assert "nothing ordered, 2 of 2 tests left" in capsys.readouterr().out
    clinic.order(chart, " Pixels ", "gradient  norms")
    assert "training: from -0.42" in capsys.readouterr().out
    clinic.order(chart, "dead ReLUs")
    assert capsys.readouterr().out == ("healthy run has had pixels and gradient norms: 2 tests are all it is granted\n")
    clinic.order(chart, "pixels")
    assert "training: from" in capsys.readouterr().out, "one that was made is shown again"
    assert chart.ordered == ["pixels", "gradient norms"]


@pytest.mark.parametrize("wrong", ["blood count", 3, ["pixels"], "", 2.5, b"pixels"])
def test_a_test_that_there_is_not(wrong, capsys):
    clinic.order(run(None), wrong)
    said = capsys.readouterr().out
    assert said == f"there is no test {wrong!r}; there are: {', '.join(clinic.TESTS)}\n"
    assert run(None).ordered == []


@pytest.mark.parametrize("name", clinic.TESTS)
def test_each_test_says_something(name, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(clinic.plotting, "show", lambda words: (shown.append(words), plt.close("all")))
    clinic.TESTS[name](run(8))
    said = capsys.readouterr().out
    assert shown or said
    if name == "images in both sets":
        assert said == "40 of the 40 validation images were in a training batch\n"
    if name == "weights before and after":
        assert len(re.findall(r"layer \d [\d.]+%", said)) == 5
    assert not run(8).network.training


def test_dead_channels_are_found():
    chart = clinic.admit(None, spots(), changes={"range(EPOCHS)": "range(1)"})
    before = clinic.share_of_dead(chart)
    with torch.no_grad():
        chart.network.conv2.bias.fill_(-1_000)
    assert before["ReLU 2"] < 0.5 and clinic.share_of_dead(chart)["ReLU 2"] == 1


def test_what_is_written_down_is_right():
    chart = run(None)
    assert chart.confusion.sum() == 40 and len(chart.history) == clinic.EPOCHS
    assert len(chart.losses) == len(chart.norms) == clinic.EPOCHS * 2
    assert chart.last.train_loss == pytest.approx(np.mean(chart.losses[-2:]))
    images, labels = chart.scale(chart.pixels[chart.validation]), chart.labels[chart.validation]
    with torch.no_grad():
        right = (chart.network(images).argmax(1) == labels).float().mean()
    assert chart.last.validation_accuracy == pytest.approx(right.item())
    chart.confusion = torch.eye(10, dtype=torch.int64) * 5
    chart.confusion[4, 9], chart.confusion[9, 9] = 5, 7
    assert chart.find_confusion() == (4, 9, 0.5)
    run.cache_clear()


@pytest.fixture
def known(monkeypatch) -> clinic.Chart:
    """A chart whose every number is known; of its network, the second channel is dead, and all weights have tripled."""
    chart = clinic.Chart(spots(), "a run")
    chart.split(seed=0)
    layers = nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 784, 10)
    network = chart.watch(nn.Sequential(*layers), "its owner")
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(3)
    network[0].bias.data = torch.tensor([50.0, -50.0])
    chart.losses, chart.norms, chart.ends = [4.0, 2.0, 1.0, 8.0, 0.5, 0.5], [1.0, 3.0, 2.0, 9.0, 4.0, 2.0], [0, 2, 6]
    names = ("epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
    chart.rows = [dict(zip(names, (1, 3.0, 2.5, 0.25, 0.3))), dict(zip(names, (2, 2.5, 1.5, 0.5, 0.625)))]
    chart.confusion = torch.zeros(10, 10, dtype=torch.int64)
    chart.confusion.fill_diagonal_(3)[2, 7], chart.confusion[:, 5] = 1, 0
    chart.batch = (torch.full((12, 1, 28, 28), -0.25), torch.arange(12) % 10)
    chart.scale = lambda images: 2 * images
    chart.seen[chart.validation[:10]] = True
    monkeypatch.setattr(clinic.plotting, "show", lambda words: None)
    yield chart
    plt.close("all")


def test_a_row_of_the_table(known):
    row = clinic.summarise(known)
    assert list(row.values())[:6] == [2.5, 1.5, 0.5, 0.625, 8.0, 2.5] and row["shared"] == 0.25 and row["dead"] == 0.5
    before = torch.cat([value.flatten() for value in known.before.values()])
    now = torch.cat([value.detach().flatten() for value in known.network.parameters()])
    assert row["moved"] == pytest.approx(((now - before).norm() / before.norm()).item(), rel=1e-5)


def test_a_chart_shows_its_numbers(known, capsys):
    clinic.plot_chart(known)
    losses, shares, answers = plt.gcf().axes
    steps, validation = losses.lines
    assert np.allclose(steps.get_xdata(), [0.5, 1, 1.25, 1.5, 1.75, 2]) and list(steps.get_ydata()) == known.losses
    assert list(validation.get_xdata()) == [1, 2] and list(validation.get_ydata()) == [2.5, 1.5]
    assert [list(line.get_ydata()) for line in shares.lines] == [[0.25, 0.5], [0.3, 0.625]]
    assert [line.get_label() for line in shares.lines] == ["train", "validation"] and losses.get_yscale() == "log"
    matrix = answers.images[0].get_array()
    assert matrix[2, 7] == 0.25 and matrix[2, 2] == 0.75 and matrix[5].max() == 0 and matrix[4, 4] == 1
    assert (answers.get_xlabel(), answers.get_ylabel()) == ("answer", "label")
    assert capsys.readouterr().out.splitlines() == [
        "a run: its owner; 120 training and 40 validation images",
        "loss: first step 4.00; last epoch 2.5, on validation 1.5",
        "right: 50.0% while learning, 62.5% on validation",
        "most frequent mistake: 2 called 7, 25% of all 2s; never answered: 5",
    ]


def test_the_tests_say_what_is_so(known, capsys):
    clinic.show_gradients(known)
    assert capsys.readouterr().out == "length of the gradient: first step 1, median 2.5, last 20 steps 3.5\n"
    assert list(plt.gca().lines[0].get_ydata()) == known.norms
    clinic.show_batch(known)
    assert [ax.get_title() for ax in plt.gcf().axes] == [str(digit) for digit in range(10)]
    clinic.show_relus(known)
    clinic.show_pixels(known)
    pixels = known.pixels[known.validation]
    assert capsys.readouterr().out.splitlines() == [
        "channels that are 0 for all of 500 training images: ReLU 1 50%",
        "training: from -0.25 to -0.25, mean -0.25",
        f"validation: from 0.00 to {2 * pixels.max():.2f}, mean {2 * pixels.mean():.2f}",
    ]
    clinic.show_weights(known)
    assert capsys.readouterr().out.endswith("layer 1 200.0%, layer 2 200.0%\n")


def test_both_modes_and_both_splits_are_told_apart(known, capsys):
    known.network = nn.Sequential(nn.Dropout(1.0), nn.Flatten(), nn.Linear(784, 10))
    with torch.no_grad():  # all dropped, it answers 0; else 0 for a dark spot, 9 for a bright one
        known.network[2].weight.zero_()[9, 28 * 4 + 12] = 1
        known.network[2].bias.zero_()[0] = (145 / 255 - MEAN) / STD
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    clinic.show_modes(known)
    assert torch.equal(torch.rand(2), expected) and known.network.training
    for line, places in zip(capsys.readouterr().out.splitlines(), (known.train, known.validation)):
        labels = known.labels[places]
        trained, measured = ((labels == 0).float().mean(), ((labels == 0) | (labels == 9)).float().mean())
        assert line.endswith(f"unchanged: {trained:.1%} right in train mode, {measured:.1%} in eval mode")


def test_sick_and_cured_stand_side_by_side(known):
    cured = clinic.Chart(spots(), "cured")
    cured.rows = [{name: value / 2 for name, value in row.items()} | {"epoch": row["epoch"]} for row in known.rows]
    clinic.plot_before_after({2: (known, cured), 5: (cured, known)})
    first, other, below, _ = plt.gcf().axes
    assert (first.get_title(), other.get_title()) == ("patient 2", "patient 5")
    assert [list(line.get_ydata()) for line in first.lines] == [[2.5, 1.5], [1.25, 0.75]]
    assert [list(line.get_ydata()) for line in other.lines] == [[1.25, 0.75], [2.5, 1.5]]
    assert [list(line.get_ydata()) for line in below.lines] == [[0.3, 0.625], [0.15, 0.3125]]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["sick", "cured"]


def test_a_change_that_does_not_fit_is_refused():
    for changes in ({"lr=7": "lr=8"}, {"images": "pictures"}):
        with pytest.raises(InputError, match="stands in the code .* times, not once"):
            clinic.admit(None, spots(), changes=changes)
    for wrong in (0, 9, "1"):
        with pytest.raises(InputError, match="there is no patient .*; they are numbered 1 to 8"):
            clinic.admit(wrong, spots())


def test_the_page_goes_on_with_the_same_random_numbers():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    clinic.admit(None, spots(), changes={"range(EPOCHS)": "range(1)"})
    assert torch.equal(torch.rand(3), expected)
    one, other = (clinic.admit(4, spots(), seed=1).losses for _ in range(2))
    assert one == other != run(4).losses

"""Published against measured, and the table in the README."""

import dataclasses
import math

import pytest
import scipy.stats
import torch

from helpers.models import build_model, count_parameters
from helpers.trained import Predictions
from lab import comparison, results_table
from lab.comparison import combine, compare_on_images, compare_over_seeds, summarise, tabulate_costs, tabulate_runs
from lab.recipes import ALL_RECIPES
from lab.records import Record, RecordError, write_record
from lab.results_table import BEGIN, END, make_results_table, update_readme


def make(recipe: str, seed: int, wrong: list[int], seconds=(2.0, 1.0)) -> Record:
    """A record of a run with the given wrong images out of 100."""
    epochs, model = ALL_RECIPES[recipe].epochs, ALL_RECIPES[recipe].model
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    confusion[0, 0], confusion[0, 1] = 100 - len(wrong), len(wrong)
    return Record(
        recipe=recipe,
        seed=seed,
        settings=dataclasses.asdict(ALL_RECIPES[recipe]),
        images=60_000,
        parameters=count_parameters(build_model(model)),
        epochs=epochs,
        validation_accuracy=None,
        test_accuracy=1 - len(wrong) / 100,
        test_wrong=wrong,
        confusion=confusion.tolist(),
        seconds=sum(seconds),
        device="cpu",
        versions={},
        history={
            "train_loss": [1.0] * epochs,
            "train_accuracy": [0.5] * epochs,
            "test_loss": [1.0] * epochs,
            "test_accuracy": [1 - len(wrong) / 100] * epochs,
            "learning_rate": [0.1] * epochs,
            "seconds": [seconds[0], seconds[1], *[seconds[0]] * (epochs - 2)],
        },
    )


LENET = [make("lenet5", 0, [1, 2, 3]), make("lenet5", 1, [1, 2]), make("lenet5", 2, [1])]
MLP = [make("mlp", 0, [3, *range(10, 20)]), make("mlp", 1, [*range(10, 18)])]


@pytest.mark.parametrize("seconds", [(2.35, 1.5), (3.0, 0.7)])
def test_epochs_of_few_images_are_not_taken_for_whole_ones(seconds):
    assert ALL_RECIPES["fast"].count_steps(60_000) == 235 + 4 * 70
    assert tabulate_runs([make("fast", 0, [1], seconds)])["seconds"].tolist() == [pytest.approx(5.15)]


def test_runs_and_costs():
    runs = tabulate_runs(LENET + MLP)
    assert runs["wrong"].tolist() == [3, 2, 1, 11, 8]
    assert runs["seconds"].tolist() == [20.0] * 5, "the fastest epoch counts"
    costs = tabulate_costs(LENET + MLP)
    assert costs.loc["lenet5"].to_dict() == {"parameters": 44_426, "multiply-adds": 281_640, "seconds": 20, "wrong": 2}
    assert costs.loc["mlp", "multiply-adds"] == 784 * 56 + 56 * 28 + 28 * 10


def test_summary_by_hand():
    row = summarise(LENET).loc["lenet5"]
    assert (row["published"], row["runs"]) == (0.9877, 3)
    assert row["mean"] == pytest.approx(0.98) and row["sd"] == pytest.approx(0.01)
    reach = 4.302653 * 0.01 / 3**0.5  # Student's t for two degrees of freedom, from a table
    assert (row["low"], row["high"]) == (pytest.approx(0.98 - reach), pytest.approx(0.98 + reach))
    assert row["difference"] == pytest.approx(0.98 - 0.9877)


def test_paired_on_images_only_for_seeds_that_both_have():
    table = compare_on_images(LENET[::-1], MLP)
    assert sorted(table.index) == [0, 1]
    assert table.loc[0, ["only_one", "only_other"]].tolist() == [10, 2]
    assert table.loc[0, "p"] == pytest.approx(2 * scipy.stats.binom.cdf(2, 12, 0.5))
    assert table.loc[1, ["only_one", "only_other"]].tolist() == [8, 2]


def test_over_seeds_by_hand():
    difference, p = compare_over_seeds(LENET, MLP)
    assert difference == pytest.approx(0.98 - 0.905)
    # Welch: variances 0.01²/3 and 0.0212²/2 give t = 4.6669 with 1.3057 degrees of freedom.
    spread = 0.0001 / 3 + 0.00045 / 2
    freedom = spread**2 / ((0.0001 / 3) ** 2 / 2 + (0.00045 / 2) ** 2)
    assert p == pytest.approx(2 * scipy.stats.t.sf(difference / spread**0.5, freedom))
    assert compare_over_seeds(MLP, LENET) == (pytest.approx(-difference), pytest.approx(p))


def test_a_single_run_has_a_mean_and_no_spread(tmp_path):
    row = summarise(LENET[:1]).loc["lenet5"]
    assert row["mean"] == pytest.approx(0.97) and row[["sd", "low", "high"]].isna().all()
    difference, p = compare_over_seeds(LENET[:1], MLP)
    assert difference == pytest.approx(0.97 - 0.905) and math.isnan(p)
    write_record(LENET[0], tmp_path)
    assert "| 98.77% | 97.00% (1) | one run has none |" in make_results_table(tmp_path)[0]
    write_record(LENET[1], tmp_path)
    assert " (2) | " in make_results_table(tmp_path)[0] and "one run has none" not in make_results_table(tmp_path)[0]


def test_published_figures_are_of_known_recipes():
    assert {name: round(figure.accuracy, 4) for name, figure in comparison.PUBLISHED.items()} == {
        "five_conv": 0.9955,
        "compact": 0.9952,
        "mlp": 0.9714,
        "lenet5": 0.9877,
        "lenet5_regularised": 0.9886,
        "small_vgg": 0.984,
    }


def test_the_readme_shows_what_the_records_say(tmp_path):
    text = results_table.README.read_text(encoding="utf-8")
    assert make_results_table()[0] == text.partition(BEGIN)[2].partition(END)[0], "run `make results`"


def test_the_table_replaces_the_old_one_and_nothing_else(tmp_path):
    for record in LENET:
        write_record(record, tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{BEGIN}old\n{END}below\n", encoding="utf-8")
    assert update_readme(readme, tmp_path) == []
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"above\n{BEGIN}| ") and text.endswith(f"|\n{END}below\n") and "old" not in text
    assert "| C | LeNet-5 | 44,426 | 98.77% | 98.00% ± 1.00 (3) | 95.52% to 100.48% | 20 s |" in text
    readme.write_text("no marks", encoding="utf-8")
    with pytest.raises(RecordError, match="README.md: has no marks"):
        update_readme(readme, tmp_path)
    assert readme.read_text(encoding="utf-8") == "no marks"


def test_a_table_of_nothing_is_refused_and_bad_records_are_reported(tmp_path):
    with pytest.raises(RecordError, match="holds no record that the table shows"):
        make_results_table(tmp_path)
    write_record(LENET[0], tmp_path)
    (tmp_path / "mlp-0.json").write_text("{}")
    table, (error,) = make_results_table(tmp_path)
    assert "LeNet-5" in table and "mlp-0.json" in str(error)


def test_our_own_recipes_follow_the_published_ones(tmp_path):
    for record in (*LENET, make("small_2k", 0, [1]), make("small_2k", 1, [1, 2, 3])):
        write_record(record, tmp_path)
    last = make_results_table(tmp_path)[0].splitlines()[-1]
    assert last.startswith("| ours | `small_2k` | 1,962 |  | 98.00% ± 1.41 (2) |") and last.endswith("| 15.0 s |")


def make_predictions(probabilities: list[list[float]], labels: list[int]) -> Predictions:
    return Predictions((torch.tensor(probabilities) + 1e-9).log(), torch.tensor(labels))


def test_combining_averages_probabilities():
    first = make_predictions([[0.9, 0.0, 0.1], [0.0, 0.6, 0.4]], [0, 0])
    second = make_predictions([[0.0, 0.5, 0.5], [0.8, 0.0, 0.2]], [0, 0])
    both = combine([first, second])
    assert torch.allclose(both.probabilities, (first.probabilities + second.probabilities) / 2, atol=1e-6)
    assert both.predicted.tolist() == [0, 0] and torch.equal(both.labels, first.labels)
    sure = Predictions(torch.tensor([[200.0, *[0.0] * 9]]), torch.zeros(1, dtype=torch.long))
    assert combine([sure, sure]).logits.isfinite().all()


def test_only_answers_about_the_same_images_are_combined():
    first = make_predictions([[0.9, 0.1], [0.6, 0.4]], [0, 0])
    other = Predictions(first.logits, first.labels + 1)
    fewer, unknown = make_predictions([[0.9, 0.1]], [0]), Predictions(first.logits)
    for predictions in ([], [first, other], [first, fewer], [first, unknown], [unknown]):
        with pytest.raises(ValueError, match="same images"):
            combine(predictions)

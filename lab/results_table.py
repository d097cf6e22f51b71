"""The table of results in README.md, made from the records."""

from pathlib import Path

from helpers.files import HOME
from lab import records
from lab.comparison import PUBLISHED, summarise, tabulate_costs
from lab.recipes import OURS
from lab.records import RecordError, read_records
from lab.text_files import replace_text

README = HOME / "README.md"
BEGIN, END = "<!-- results: written by `make results` -->\n", "<!-- end of results -->\n"
HEAD = """\
| | Network | Parameters | Published | Measured: mean ± sd (runs) | 95 % interval of the mean | Training |
| --- | --- | --- | --- | --- | --- | --- |
"""


def make_results_table(folder: Path = records.FOLDER) -> tuple[str, list[RecordError]]:
    """A Markdown table with a row for each published network and for each recipe of the course's own.

    Returns:
        The table, and what is wrong with records that cannot be used.

    Raises:
        RecordError: there is no record at all.
    """
    found, errors = read_records(folder)
    found = [record for record in found if record.recipe in PUBLISHED or record.recipe in OURS]
    if not found:
        raise RecordError(folder, "holds no record that the table shows", "Run `make results`")
    costs, rows = tabulate_costs(found), []
    for row in summarise(found).itertuples():
        network, cost = PUBLISHED.get(row.Index), costs.loc[row.Index]
        cells = [network.project, network.title] if network else ["ours", f"`{row.Index}`"]
        cells += [f"{cost.parameters:,.0f}", f"{network.accuracy:.2%}" if network else ""]
        if row.runs > 1:
            cells += [f"{row.mean:.2%} ± {100 * row.sd:.2f} ({row.runs})", f"{row.low:.2%} to {row.high:.2%}"]
        else:
            cells += [f"{row.mean:.2%} (1)", "one run has none"]
        rows.append("| " + " | ".join([*cells, f"{cost.seconds:,.{int(cost.seconds < 20)}f} s"]) + " |\n")
    return HEAD + "".join(rows), errors


def update_readme(readme: Path = README, folder: Path = records.FOLDER) -> list[RecordError]:
    """Put the table between its two marks in the README; returns what is wrong with records that cannot be used.

    Raises:
        RecordError: the README has no such marks, or there is nothing to put between them.
    """
    table, errors = make_results_table(folder)
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RecordError(readme, "has no marks for the table of results", f"Add {BEGIN.strip()} and {END.strip()}")
    replace_text(readme, before + BEGIN + table + END + after)
    return errors

"""Progress bars: where they are shown, and what the one of a training says."""

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

REFRESH_SECONDS = 0.5


def open_bar(total: int, **options) -> tqdm:
    """A bar over `total` steps. A notebook shows it until it is done, a shell keeps it (on stderr).

    In a notebook, stderr has a red background, and a page full of finished bars is no use to its reader.
    """
    in_notebook = "ipykernel" in sys.modules
    where = {"file": sys.stdout, "leave": False} if in_notebook else {"file": sys.stderr, "leave": True}
    return tqdm(total=total, mininterval=REFRESH_SECONDS, dynamic_ncols=True, **where, **options)


class TrainingBar:
    """A bar over all steps of a run; at the end of each epoch it says what the history says of it.

    Args:
        history: of the run, a row per finished epoch (see `Trained.history`); it grows while the bar is shown.
        steps: of each epoch.
    """

    def __init__(self, history: list[dict], steps: list[int]):
        self.history, self.epochs, self.shown = history, len(steps), 0.0
        self.bar = open_bar(sum(steps), initial=sum(steps[: len(history)]), unit="step")

    def __enter__(self) -> "TrainingBar":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def step(self, result: Callable[[], tuple[float, float]]) -> None:
        """One step is done; twice a second at most, show the `result` of the epoch so far: loss and accuracy."""
        self.bar.update()
        if not self.bar.disable and time.perf_counter() - self.shown > REFRESH_SECONDS:
            self.shown = time.perf_counter()  # asking a GPU for its numbers makes it wait
            self._show(len(self.history) + 1, *result())

    def end_epoch(self) -> None:
        """Show the true figures of the last finished epoch."""
        row = self.history[-1]
        self._show(row["epoch"], row["train_loss"], row["train_accuracy"], row.get("validation_accuracy"))
        self.bar.refresh()

    def _show(self, epoch: int, loss: float, accuracy: float, validation: float | None = None) -> None:
        figures = {"loss": f"{loss:.4f}", "accuracy": f"{accuracy:.2%}"}
        if validation is not None:
            figures["validation"] = f"{validation:.2%}"
        self.bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
        self.bar.set_postfix(figures, refresh=False)

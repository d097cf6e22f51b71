"""Training by several processes, on one machine or many, that `torchrun` starts: each computes its part of a batch.

PyTorch's DistributedDataParallel gives all of them the same weights and adds up their gradients. What a step learns
from is the recipe's batch, whatever the number of processes; only batch norm sees less, as each process takes the
mean and spread of its own part.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from helpers.device import device
from helpers.errors import InputError, TrainingError
from helpers.recipes import Recipe
from helpers.trained import Trained
from helpers.training import Average, Plain

FAR_SEED = 500_009  # far from the seeds of the other epochs; of a seed, torch takes the last 32 bits
ENDED = "another process of this training has ended: start it again, and it goes on from its last finished epoch"


class Parallel(Plain):
    """This process's part in a training by all of them; the first of them keeps its files and shows its progress.

    Args:
        recipe: what is trained.
        count: n, the number of training images.
        device: where this process computes.

    Raises:
        InputError: the recipe has tricks, or a batch is too small to be shared.
    """

    def __init__(self, recipe: Recipe, count: int, device: torch.device):
        super().__init__(recipe, count, device)
        self.rank, self.processes, self.part = dist.get_rank(), dist.get_world_size(), 1.0
        self.leads = self.rank == 0
        smallest = count % recipe.batch_size or min(count, recipe.batch_size)
        if recipe.needs_tricks:
            raise InputError("a recipe with tricks is trained by one process")
        if smallest < 2 * self.processes:
            raise InputError(
                f"{self.processes} processes cannot share the last batch of {smallest}, as each needs two images: "
                "choose another batch size, or fewer processes"
            )

    def begin(self, trained: Trained, optimiser: torch.optim.Optimizer, scheduler) -> nn.Module:
        """What the first process took up from its folder, for all: weights, optimiser, schedule, history."""
        states = [optimiser.state_dict(), scheduler.state_dict(), trained.history]
        dist.broadcast_object_list(states, device=self.device)
        optimiser.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
        trained.history[:] = states[2]
        network = DistributedDataParallel(trained.network)
        network.register_comm_hook(None, self._add_up)
        return network

    def order(self, epoch: int) -> torch.Tensor:
        """The same order in every process; what is drawn after it, such as dropout, is each one's own."""
        order = super().order(epoch)
        if not self.leads:
            torch.manual_seed(torch.initial_seed() + self.rank * FAR_SEED)
        return order

    def share(self, index: torch.Tensor) -> torch.Tensor:
        """Every so-many-th place of a batch: all processes together have each once."""
        mine = index[self.rank :: self.processes]
        self.part = len(mine) / len(index)
        return mine

    def total(self, average: Average) -> tuple[float, float]:
        """Mean loss and accuracy of what all processes have learnt from."""
        sums = torch.stack([average.loss, average.correct.float(), average.loss.new_tensor(average.count)])
        dist.all_reduce(sums)
        loss, correct, count = sums.tolist()
        return loss / count, correct / count

    def _add_up(self, _, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        """The gradient of the whole batch's mean loss; DDP's own mean would weigh an image of a small part more."""
        mine = bucket.buffer().mul_(self.part)
        return dist.all_reduce(mine, async_op=True).get_future().then(lambda future: future.value()[0])


@contextlib.contextmanager
def join_processes() -> Iterator[Callable[..., Plain]]:
    """Join those that `torchrun` started with this one, if it did; gives what `training.fit` takes as its `tricks`.

    What the block prints, and its progress bar, is the first process's alone.

    Raises:
        InputError: there are more processes than GPUs.
        TrainingError: another process has ended before its time.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield Plain
        return
    choose_gpu()
    with contextlib.ExitStack() as opened:
        # torchrun ends the others with a signal when one of them has died.
        before = signal.signal(signal.SIGTERM, raise_ended)
        try:
            dist.init_process_group("nccl" if device().type == "cuda" and dist.is_nccl_available() else "gloo")
            opened.callback(dist.destroy_process_group)
            if dist.get_rank():
                nowhere = opened.enter_context(Path(os.devnull).open("w"))
                opened.enter_context(contextlib.redirect_stdout(nowhere))
                opened.enter_context(contextlib.redirect_stderr(nowhere))
            yield Parallel
            dist.barrier()
            signal.signal(signal.SIGTERM, before)
        except RuntimeError as error:
            if "gloo" in str(error) or isinstance(error, dist.DistError):
                raise_ended()
            raise


def raise_ended(*_) -> None:
    """Raise TrainingError: the training is over for this process, too; takes what a signal gives its handler."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one that comes now would end the process before it has said so
    raise TrainingError(ENDED)


def choose_gpu() -> None:
    """Take the GPU of this process's number on its machine, where the device is one.

    Raises:
        InputError: it has none, or the device is Apple's, which cannot send what it computes.
    """
    number = int(os.environ["LOCAL_RANK"])
    if device().type == "cuda":
        if number >= torch.cuda.device_count():
            raise InputError(f"only {torch.cuda.device_count()} GPUs are here: start as many processes")
        torch.cuda.set_device(number)
    elif device().type != "cpu":
        raise InputError(f"processes cannot train together on {device()}: set COURSE_DEVICE=cpu")


@contextlib.contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process go through the block alone, and then the others: what it downloads, they find."""
    together = dist.is_available() and dist.is_initialized()
    if together and dist.get_rank():
        dist.barrier()
    yield
    if together and not dist.get_rank():
        dist.barrier()

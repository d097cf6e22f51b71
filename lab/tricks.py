"""What the lab's recipes change in the training loop: which images an epoch learns from, and from whom."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from helpers.errors import InputError
from helpers.recipes import Recipe
from helpers.training import Plain
from lab.recipes import extend

# Of the loss; the labels have the rest.
SHARE = 0.9
# Better than 1 on images held out of training.
TEMPERATURE = 3.0


class Chooser:
    """Remembers how hard each image was when it was last seen, and chooses by that.

    Args:
        count: n, the number of training images.
        device: where losses and choices live.

    Attributes:
        losses: float (n,), the cross-entropy of each image when it was last seen.

    Source: learning more often from what has a high loss is the idea of A. Jiang and others, arXiv:1910.00762.
    """

    def __init__(self, count: int, device: torch.device):
        self.losses = torch.zeros(count, device=device)

    def choose(self, count: int) -> torch.Tensor:
        """So many images, int64 (count,), in random order; all n if there are no more than that.

        One half are those with the highest losses, the other half is drawn from the rest, so that none is forgotten.
        """
        if count >= len(self.losses):
            return torch.randperm(len(self.losses)).to(self.losses.device)
        ranked = self.losses.argsort(descending=True, stable=True)
        hardest, rest = ranked[: count // 2], ranked[count // 2 :]
        drawn = rest[torch.randperm(len(rest))[: count - len(hardest)].to(rest.device)]
        return torch.cat([hardest, drawn])[torch.randperm(count).to(rest.device)]

    @torch.no_grad()
    def remember(self, index: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Keep the losses of a batch: its places (b,), its logits (b, 10) and its labels (b,)."""
        self.losses[index] = F.cross_entropy(logits.float(), labels, reduction="none")

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on from here."""
        return {"losses": self.losses}

    def load_state_dict(self, state: dict) -> None:
        """Take up what `state_dict` gave."""
        self.losses.copy_(state["losses"])


class Teachers:
    """Trained networks, of which one, drawn at random, answers for each batch.

    Cross-entropy is linear in its target: on average, a student of one at a time learns from the mean of them all.
    A sure answer says nothing but the label; divided by a temperature, logits show which digits come next.

    Args:
        networks: on the device of the student.

    Sources: G. Hinton and others, arXiv:1503.02531; that teachers see the images as augmented for the student is the
    idea of L. Beyer and others, arXiv:2106.05237.
    """

    def __init__(self, networks: Sequence[nn.Module]):
        self.networks = [network.eval() for network in networks]

    def __bool__(self) -> bool:
        return bool(self.networks)

    def compute_loss(self, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Cross-entropy () of a student's logits (b, 10), against an answer to the same images (b, 1, 28, 28).

        Softer answers have smaller gradients; the square of the temperature makes up for that.
        """
        drawn = self.networks[int(torch.randint(len(self.networks), ()))]
        with torch.no_grad():
            answer = (drawn(images).float() / TEMPERATURE).softmax(1)
        return TEMPERATURE**2 * F.cross_entropy(logits / TEMPERATURE, answer)


class Tricks(Plain):
    """Hard images and teachers, for recipes that have them.

    Args:
        recipe: what is trained.
        count: n, the number of training images.
        device: where images and loss live.
        teachers: trained networks, for a recipe that has a `teacher`.

    Raises:
        InputError: the recipe has a teacher and no networks are there to teach, or the other way round.
    """

    def __init__(self, recipe: Recipe, count: int, device: torch.device, teachers: Sequence[nn.Module] = ()):
        recipe = extend(recipe)
        super().__init__(recipe, count, device)
        if bool(recipe.teacher) != bool(teachers):
            raise InputError(f"the recipe's teacher is {recipe.teacher}, and {len(teachers)} networks are given")
        layout = recipe.layout(device)
        self.teachers = Teachers([network.to(device, memory_format=layout) for network in teachers])
        self.chooser = Chooser(count, device) if recipe.focus < 1 else None

    def order(self, epoch: int) -> torch.Tensor:
        """All images in the first epoch, a choice in the others."""
        if self.chooser is None:
            return super().order(epoch)
        return self.chooser.choose(self.recipe.steps_in_epoch(epoch, self.count) * self.recipe.batch_size)

    def loss(self, images: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss () of a batch, most of it against a teacher's answer, if there is one."""
        loss = super().loss(images, logits, labels)
        if self.teachers:
            with self.recipe.autocast(self.device):
                taught = self.teachers.compute_loss(images, logits.float())
            loss = torch.lerp(loss, taught, SHARE)
        return loss

    def seen(self, index: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Remember how hard the images of a batch were."""
        if self.chooser is not None:
            self.chooser.remember(index, logits, labels)

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on from here."""
        return self.chooser.state_dict() if self.chooser else {}

    def load_state_dict(self, state: dict) -> None:
        """Take up what `state_dict` gave."""
        if self.chooser:
            self.chooser.load_state_dict(state)

"""Which images an epoch learns from: all of them at first, then the hard ones and a sample of the others."""

import torch
import torch.nn.functional as F


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

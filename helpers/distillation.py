"""Learning from trained networks as well as from labels: their answers say what else an image looks like."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

# Of the loss; the labels have the rest.
SHARE = 0.9
# Better than 1 on images held out of training.
TEMPERATURE = 3.0


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

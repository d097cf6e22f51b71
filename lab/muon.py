"""Muon: momentum whose steps are made equally long in every direction of a layer's weights."""

from collections.abc import Iterable

import torch
from torch import nn

# A polynomial a·s + b·s³ + c·s⁵ whose repetition brings singular values s of at most 1, but for tiny ones, to about
# 0.7 to 1.2, and does so in few rounds; from K. Jordan and others, "Muon" (2024), kellerjordan.github.io/posts/muon.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
# What is no kernel, batch norm and the last layer, learns by plain momentum at so many times the learning rate.
OTHERS = 4.0


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix (r, c) with its singular values pulled to about 1, and its directions kept (Newton–Schulz).

    Each round multiplies the matrix from the left by a small square, `factor`. The product of all of these is found
    first, so that the matrix itself is multiplied once only.
    """
    rows, columns = matrix.shape
    if rows > columns:
        return orthogonalise(matrix.T).T
    matrix = matrix / (matrix.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    identity = turn = torch.eye(rows, device=matrix.device)
    square = matrix @ matrix.T
    for _ in range(ROUNDS):
        factor = a * identity + b * square + c * square @ square
        square, turn = factor @ square @ factor, factor @ turn
    return turn @ matrix


class Muon(torch.optim.Optimizer):
    """Nesterov momentum; the step of a convolution's kernels is orthogonalised before it is taken.

    Kernels (out, in, h, w) count as matrices (out, in·h·w). A gradient points mostly in a few directions; with each
    singular value at about 1, the kernels also learn what the others say.

    Args:
        weights: what to learn.
        lr: of kernels; everything else learns with `OTHERS` times as much.
        momentum: share of the last direction that is kept.

    Source: K. Jordan and others, as above. There is a `torch.optim.Muon`, but it takes matrices only.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, momentum: float):
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """Learn from the gradients that the weights hold."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, **group)

    def _move(self, weight: nn.Parameter, lr: float, momentum: float, **_) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].mul_(momentum).add_(weight.grad)
        direction = weight.grad.add(state["momentum"], alpha=momentum)
        if weight.ndim < 4:
            weight.add_(direction, alpha=-OTHERS * lr)
            return
        weight.add_(orthogonalise(direction.flatten(1)).view_as(weight), alpha=-lr)

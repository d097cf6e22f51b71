"""Steps of equal length in every direction."""

import pytest
import torch
from torch import nn

from lab.muon import OTHERS, Muon, orthogonalise


@pytest.mark.parametrize("shape", [(16, 25), (64, 576), (32, 9), (5, 5)])
def test_singular_values_come_near_1_and_directions_stay(shape):
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.logspace(0, -1.5, min(shape))
    turned = left.T @ orthogonalise(left * values @ right * 1e-4) @ right.T
    assert turned.diagonal().min() > 0.6 and turned.diagonal().max() < 1.3
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-4


def test_no_gradient_no_step():
    assert not orthogonalise(torch.zeros(3, 4)).any()


def make_weights(shape=(4,)):
    torch.manual_seed(1)
    kernel, other = nn.Parameter(torch.randn(4, 2, 3, 3)), nn.Parameter(torch.randn(shape))
    return kernel, other, Muon([kernel, other], lr=0.1, momentum=0.6)


def test_kernels_take_an_orthogonal_step():
    kernel, _, optimiser = make_weights()
    before = kernel.detach().clone()
    kernel.grad = torch.randn_like(kernel)
    optimiser.step()
    assert torch.allclose(kernel, before - 0.1 * orthogonalise(kernel.grad.flatten(1)).view_as(kernel), atol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (10, 4)])
def test_everything_else_takes_the_steps_of_nesterov_sgd(shape):
    _, other, optimiser = make_weights(shape)
    twin = nn.Parameter(other.detach().clone())
    expected = torch.optim.SGD([twin], lr=OTHERS * 0.1, momentum=0.6, nesterov=True)
    for _ in range(3):
        other.grad = twin.grad = torch.randn(shape)
        optimiser.step()
        expected.step()
    assert torch.allclose(other, twin, atol=1e-6)


def test_kernels_keep_their_momentum():
    kernel, _, optimiser = make_weights()
    first, second = torch.randn(2, *kernel.shape)
    for gradient in (first, second):
        kernel.grad, before = gradient, kernel.detach().clone()
        optimiser.step()
    direction = second + 0.6 * (second + 0.6 * first)
    assert torch.allclose(kernel, before - 0.1 * orthogonalise(direction.flatten(1)).view_as(kernel), atol=1e-5)


def test_weights_without_a_gradient_stay():
    kernel, other, optimiser = make_weights()
    before, other.grad = kernel.detach().clone(), torch.ones(4)
    optimiser.step()
    assert torch.equal(kernel, before)

"""On a GPU, where there is one: what it computes is compared with the CPU's before it is believed.

`COURSE_TEST_DEVICE=cuda` names the device; `cpu` tries out these tests themselves.
"""

import copy
import os
from dataclasses import replace

import pytest
import torch

from helpers.augmentation import crop_and_rotate, rotate
from helpers.checkpoints import load_trained
from helpers.data import Batches, Mnist, Split
from helpers.notebook import CHECKPOINTS
from helpers.recipes import RECIPES, Recipe
from helpers.trained import Trained
from helpers.training import fit

THERE = (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
DEVICE = os.environ.get("COURSE_TEST_DEVICE") or next((name for name, there in THERE if there), "")
pytestmark = pytest.mark.skipif(not DEVICE, reason="no GPU is here")
QUICK = Recipe(model="lenet5_regularised", learning_rate=0.02, momentum=0.9, batch_size=40, epochs=6)


@pytest.fixture(scope="module")
def compact() -> Trained:
    return load_trained(CHECKPOINTS / "compact.pt")


def test_answers_are_those_of_the_cpu(compact, mnist: Mnist):
    some = mnist.test.take(500)
    ours, cpu = (compact.predict(some, device).logits for device in (DEVICE, "cpu"))
    assert torch.allclose(ours, cpu, atol=5e-3) and torch.equal(ours.argmax(1), cpu.argmax(1))


@pytest.mark.parametrize("name", ["five_conv", "compact", "lenet5", "mlp", "lenet5_regularised", "small_vgg"])
def test_a_step_of_every_network_is_that_of_the_cpu(name, mnist: Mnist):
    """The same weights, images and loss give the same slopes, but for rounding; dropout is out of it."""
    recipe, slopes = replace(RECIPES[name], epochs=1, augmentation=None), []
    started = fit(recipe, mnist.train.take(256), device="cpu").network
    for device in (DEVICE, "cpu"):
        network = copy.deepcopy(started).to(device, memory_format=recipe.layout(torch.device(device))).eval()
        ((images, labels),) = Batches(mnist.test.take(100), 100, torch.device(device), scaling=recipe.scaling)
        recipe.compute_loss(network(images), labels).backward()
        slopes.append(torch.cat([weight.grad.cpu().flatten() for weight in network.parameters()]))
    assert torch.allclose(*slopes, rtol=0.01, atol=0.001 * slopes[1].abs().max().item())


def test_turned_images_are_those_of_the_cpu(mnist: Mnist):
    images, degrees = mnist.test.images[:50, None].float() / 255, torch.linspace(-15, 15, 50)
    assert (rotate(images.to(DEVICE), degrees.to(DEVICE)).cpu() - rotate(images, degrees)).abs().mean() < 0.002
    again = crop_and_rotate(images.to(DEVICE))
    assert again.device.type == torch.device(DEVICE).type and again.isfinite().all() and again.amax() <= 1.001


def test_training_learns_as_on_the_cpu(stripes: Split):
    ours, cpu = (fit(QUICK, stripes, stripes, seed=1, device=device).history[-1] for device in (DEVICE, "cpu"))
    assert ours["validation_accuracy"] > 0.95 and cpu["validation_accuracy"] > 0.95
    assert abs(ours["train_loss"] - cpu["train_loss"]) < 0.3


def test_a_resumed_run_ends_in_the_same_weights(stripes: Split, tmp_path, stop_before):
    with pytest.raises(KeyboardInterrupt, match="2 of 6 epochs are saved"):
        fit(QUICK, stripes, seed=1, device=DEVICE, folder=tmp_path, tricks=stop_before(2))
    resumed = fit(QUICK, stripes, seed=1, device=DEVICE, folder=tmp_path)
    undisturbed = fit(QUICK, stripes, seed=1, device=DEVICE)
    for name, value in undisturbed.network.state_dict().items():
        assert torch.allclose(resumed.network.state_dict()[name], value, atol=0 if DEVICE == "cuda" else 1e-4)

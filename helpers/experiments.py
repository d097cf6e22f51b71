"""Published recipes with one thing changed, to see what that one thing does."""

from dataclasses import replace

from helpers.recipes import RECIPES

EXPERIMENTS = {
    "small_vgg_normalised": replace(RECIPES["small_vgg"], scaling="normalised"),
}
ALL_RECIPES = RECIPES | EXPERIMENTS

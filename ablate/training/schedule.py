"""The learning rate as a pure function of the step, so that a resumed run has the same."""

import math

from ablate.config.schema import Recipe


def total_steps(recipe: Recipe, per_epoch: int) -> int:
    """The length of a run in steps; an epoch has `per_epoch` of them."""
    return recipe.iterations if recipe.iterations is not None else (recipe.epochs or 0) * per_epoch


def learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """The learning rate of 0-based `step` of `total`: a tenth in warm-up ([A] §4.2), and then as the schedule says.

    "steps": divided by 10 at each milestone ([A] §4.2); a milestone m is at step round(m · total): of 64,000 steps, 0.5
    is step 32,000. "cosine": times (1 + cos(π · step / total)) / 2 (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5
    without restarts).
    """
    if step < round(recipe.warmup * total):
        return recipe.learning_rate / 10
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * step / total)) / 2
    passed = sum(step >= round(milestone * total) for milestone in recipe.milestones)
    return recipe.learning_rate / 10**passed

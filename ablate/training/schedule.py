"""The learning rate as a pure function of the step, so that resuming, warm-up and a shorter run cannot put it wrong."""

from ablate.config.schema import Recipe


def total_steps(recipe: Recipe, per_epoch: int) -> int:
    """The length of a run in steps, of which an epoch has `per_epoch`."""
    return recipe.iterations if recipe.iterations is not None else (recipe.epochs or 0) * per_epoch


def learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """The rate of 0-based `step` of `total` ([A] §4.2): a tenth while warming up, a tenth more at each milestone.

    A milestone at fraction m is reached at step round(m · total): of 64,000 steps, 0.5 is step 32,000.
    """
    if step < round(recipe.warmup * total):
        return recipe.learning_rate / 10
    passed = sum(step >= round(milestone * total) for milestone in recipe.milestones)
    return recipe.learning_rate / 10**passed

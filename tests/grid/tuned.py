"""What tests of tuning share: an interval, and errors that have a best value in it."""

import math

RATE = "recipe.learning_rate=tag(log,interval(0.003,0.3))"


def distance(best):
    """An error of a run by its learning rate, lowest at `best`."""
    return lambda config: round(5 + 10 * abs(math.log10(config.recipe.learning_rate / best)), 2)

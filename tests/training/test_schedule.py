import pytest
import torch

from ablate.base.errors import ConfigError
from ablate.training.schedule import learning_rate, total_steps

SHAPE = [(0, 0.01), (399, 0.01), (400, 0.1), (31999, 0.1), (32000, 0.01), (47999, 0.01), (48000, 0.001), (63999, 0.001)]


@pytest.mark.parametrize(("step", "rate"), SHAPE)
def test_rate_of_the_papers_recipe(step, rate, resolve):
    recipe = resolve("recipe=he2016").recipe
    assert (recipe.iterations, recipe.batch, recipe.momentum, recipe.weight_decay) == (64000, 128, 0.9, 1e-4)
    assert learning_rate(step, 64000, recipe) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.01), (3, 0.01), (4, 0.1), (319, 0.1), (320, 0.01), (479, 0.01), (480, 0.001), (639, 0.001)],
)
def test_shorter_run_keeps_the_shape(step, rate, resolve):
    recipe = resolve("recipe=he2016", "iterations=640").recipe
    assert recipe.iterations == 640
    assert learning_rate(step, 640, recipe) == pytest.approx(rate, rel=1e-12)


def test_rate_of_the_digits_recipe(resolve):
    recipe = resolve("recipe=digits").recipe
    rates = [learning_rate(step, 400, recipe) for step in (0, 7, 8, 199, 200, 299, 300, 399)]
    assert rates == pytest.approx([0.002, 0.002, 0.02, 0.02, 0.002, 0.002, 0.0002, 0.0002])


@pytest.mark.parametrize(("length", "steps"), [("epochs=3", 30), ("iterations=7", 7)])
def test_length_is_in_steps_or_whole_epochs(length, steps, resolve):
    assert total_steps(resolve(length).recipe, per_epoch=10) == steps


def test_cosine_is_that_of_torch(resolve):
    recipe = resolve("recipe=modern", "iterations=50").recipe
    optimizer = torch.optim.SGD([torch.zeros(1)], recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    for step in range(50):
        assert learning_rate(step, 50, recipe) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("recipe.schedule=line",), "recipe.schedule=line is invalid: use steps or cosine"),
        (("recipe.schedule=cosine",), "recipe.milestones have no effect on recipe.schedule=cosine"),
        (("recipe.nesterov=true", "recipe.momentum=0"), "recipe.nesterov=true needs recipe.momentum above 0"),
    ],
)
def test_schedule_that_contradicts_itself_is_refused(words, part, resolve):
    with pytest.raises(ConfigError, match=part):
        resolve(*words)

import pytest

from ablate.training.schedule import learning_rate

SHAPE = [(0, 0.01), (399, 0.01), (400, 0.1), (31999, 0.1), (32000, 0.01), (47999, 0.01), (48000, 0.001), (63999, 0.001)]


@pytest.mark.parametrize(("step", "rate"), SHAPE)
def test_the_rate_of_the_papers_recipe(step, rate, resolve):
    recipe = resolve("recipe=he2016").recipe
    assert (recipe.iterations, recipe.batch, recipe.momentum, recipe.weight_decay) == (64000, 128, 0.9, 1e-4)
    assert learning_rate(step, 64000, recipe) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.01), (3, 0.01), (4, 0.1), (319, 0.1), (320, 0.01), (479, 0.01), (480, 0.001), (639, 0.001)],
)
def test_a_run_of_a_hundredth_keeps_the_shape(step, rate, resolve):
    recipe = resolve("recipe=he2016", "iterations=640").recipe
    assert recipe.iterations == 640
    assert learning_rate(step, 640, recipe) == pytest.approx(rate, rel=1e-12)


def test_the_rate_depends_on_nothing_but_the_step(resolve):
    recipe = resolve("recipe=he2016").recipe
    forward = [learning_rate(step, 64000, recipe) for step in range(0, 64000, 997)]
    backward = [learning_rate(step, 64000, recipe) for step in reversed(range(0, 64000, 997))]
    assert forward == backward[::-1]


def test_the_recipe_of_digits_warms_up_for_a_fiftieth(resolve):
    recipe = resolve("recipe=digits").recipe
    rates = [learning_rate(step, 400, recipe) for step in (0, 7, 8, 199, 200, 299, 300, 399)]
    assert rates == pytest.approx([0.002, 0.002, 0.02, 0.02, 0.002, 0.002, 0.0002, 0.0002])

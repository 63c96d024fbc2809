"""What is known of a dataset without reading it, against the dataset and the sizes that its authors give."""

import pytest

from ablate.base.errors import ConfigError
from ablate.data.digits import load_digits
from ablate.data.facts import FACTS, check


def test_facts_of_digits_are_those_of_the_dataset():
    digits, facts = load_digits(), FACTS["digits"]
    assert (facts.shape, facts.classes, facts.train) == (digits.shape, len(digits.classes), len(digits.train_y))


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_has_50000_training_images_of_32x32_pixels_in_colour(name, classes):
    facts = FACTS[name]
    assert (facts.shape, facts.classes, facts.train) == ((3, 32, 32), classes, 50_000)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.shift=7"], None),
        (["data.shift=8"], "data.shift=8 is invalid: use less than the images' side, 8 pixels"),
        (["recipe.batch=1297"], None),
        (["recipe.batch=1298"], "recipe.batch=1298 is more than the 1297 training images of data=digits"),
        (["data.validation=1233"], None),
        (["data.validation=1234"], "recipe.batch=64 is more than the 63 training images of data=digits"),
        (["data.validation=1300"], "recipe.batch=64 is more than the 0 training images of data=digits"),
        (["data=cifar10", "data.shift=32"], "data.shift=32 is invalid: use less than the images' side, 32 pixels"),
        (["data=cifar10", "recipe.batch=50000"], None),
        (["data=cifar10", "data.size=16"], None),
        (
            ["data=cifar10", "data.size=16", "data.shift=16"],
            "data.shift=16 is invalid: use less than the images' side, 16 pixels",
        ),
        (["data=cifar10", "data.size=12"], "data.size=12 is invalid: use a divisor of the images' side, 32 pixels"),
    ],
)
def test_runs_that_need_larger_or_more_images_are_refused(overrides, message, resolve):
    config = resolve(*overrides)
    if message is None:
        check(config)
    else:
        with pytest.raises(ConfigError) as caught:
            check(config)
        assert str(caught.value) == message


def test_facts_of_a_folder_are_not_known(resolve):
    config = resolve("data.shift=9")
    config.data.name = "folder"
    check(config)

from dataclasses import replace
from itertools import product

import pytest
import torch

from ablate.base.errors import ConfigError
from ablate.data.dataset import Dataset, hold_out, smaller
from ablate.data.load import load


def numbered(count=50):
    x = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, 8, 8).contiguous()
    return Dataset(x, torch.arange(count), x[:5], torch.arange(5), ("a", "b"))


def test_held_out_images_replace_the_test_set():
    kept = hold_out(numbered(), 20)
    assert kept.evaluated_on == "validation"
    assert (len(kept.train_x), len(kept.test_x)) == (30, 20)
    train, held = kept.train_y.tolist(), kept.test_y.tolist()
    assert sorted(train + held) == list(range(50))
    assert sorted(held) != list(range(20))  # drawn at random: a folder is in order of classes
    for x, y in ((kept.train_x, train), (kept.test_x, held)):
        assert x[:, 0, 0, 0].tolist() == y


def test_held_out_images_are_those_of_the_records():
    """Other images would be another validation set under the same signature."""
    assert hold_out(numbered(), 8).test_y.tolist() == [44, 39, 7, 6, 17, 29, 21, 37]
    assert hold_out(numbered(), 1).test_y.tolist() == [44]


def test_held_out_images_do_not_depend_on_the_global_generator():
    torch.manual_seed(1)
    one = hold_out(numbered(), 20)
    torch.manual_seed(2)
    assert hold_out(numbered(), 20).test_y.equal(one.test_y)


def test_holding_out_no_image_changes_nothing():
    dataset = numbered()
    assert hold_out(dataset, 0) is dataset


@pytest.mark.parametrize("count", [50, 51])
def test_holding_out_all_images_is_refused(count):
    with pytest.raises(ConfigError, match=f"data.validation={count} leaves no image to train on: there are 50$"):
        hold_out(numbered(), count)


def test_configuration_holds_out_digits(resolve):
    dataset = load(resolve("data.validation=297").data)
    assert (len(dataset.train_y), len(dataset.test_y), dataset.evaluated_on) == (1000, 297, "validation")


@pytest.mark.parametrize("shift", [8, 9])
def test_shift_of_a_whole_image_is_refused(shift, resolve):
    sentence = rf"^data.shift={shift} must be below the side of the images, which are 8 high and 8 wide$"
    with pytest.raises(ConfigError, match=sentence):
        load(resolve(f"data.shift={shift}").data)


def test_unknown_dataset_is_refused(resolve):
    with pytest.raises(ConfigError, match=r"^data.name=mnist is invalid: use one of digits, cifar10, "):
        load(resolve("data.name=mnist").data)
    with pytest.raises(ConfigError, match=r"^data.name=mnist is not one of digits, .*, imagenet$"):
        load(replace(resolve().data, name="mnist"))


def test_smaller_images_are_means_of_squares_rounded():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8, generator=generator)
    y = torch.arange(7)
    found = smaller(Dataset(x, y, x[:2], y[:2], ("a",)), 4)
    assert found.shape == (3, 4, 4)
    for image, channel, row, column in product(range(2), range(3), range(4), range(4)):
        square = x[image, channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].tolist()
        expected = round(sum(map(sum, square)) / 4)  # halves to even, in Python as in torch
        place = image, channel, row, column
        assert found.train_x[place] == found.test_x[place] == expected
    assert found.train_x.dtype == torch.uint8
    for side in (3, 16):
        with pytest.raises(ConfigError, match=f"data.size={side} is invalid: images of 8x8 can be reduced"):
            smaller(Dataset(x, y, x, y, ("a",)), side)

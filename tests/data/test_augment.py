import pytest
import torch

from ablate.data.augment import crop_and_flip, draw


def same(one, other):
    return one.order.equal(other.order), one.offsets.equal(other.offsets), one.flips.equal(other.flips)


def test_a_seed_and_an_epoch_decide_the_draw_whatever_was_drawn_before():
    one = draw(5, 3, 500, shift=4, flip=True)
    torch.rand(100)
    draw(1, 1, 10, shift=1, flip=True)
    assert same(one, draw(5, 3, 500, shift=4, flip=True)) == (True, True, True)


@pytest.mark.parametrize(("seed", "epoch"), [(5, 4), (4, 3), (6, 3), (3, 5), (4, 4), (2**32 - 1, 3)])
def test_other_epochs_and_other_seeds_draw_otherwise(seed, epoch):
    assert same(draw(5, 3, 500, shift=4, flip=True), draw(seed, epoch, 500, shift=4, flip=True)) == (False,) * 3


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    draw(0, 0, 100, shift=1, flip=True)
    assert torch.get_rng_state().equal(before)


def test_an_epoch_shows_every_picture_once():
    order = draw(0, 0, 1297, shift=1, flip=False).order
    assert order.sort().values.equal(torch.arange(1297))
    assert not order.equal(torch.arange(1297))


def test_all_offsets_occur_evenly_and_half_of_the_pictures_flip():
    augmentation = draw(0, 0, 50000, shift=4, flip=True)
    for axis in (0, 1):
        counts = torch.bincount(augmentation.offsets[:, axis], minlength=9)
        assert len(counts) == 9
        assert ((counts - 50000 / 9).abs() < 5 * (50000 * 8 / 81) ** 0.5).all()
    assert abs(augmentation.flips.sum().item() - 25000) < 5 * 12500**0.5


@pytest.mark.parametrize("shift", [0, 1, 4])
@pytest.mark.parametrize("flip", [True, False])
def test_crop_and_flip_is_what_a_loop_over_pictures_does(shift, flip):
    batch = torch.randn(30, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    augmentation = draw(1, 2, 30, shift=shift, flip=flip)
    got = crop_and_flip(batch, augmentation.offsets, augmentation.flips, shift=shift)
    for index, image in enumerate(batch):
        padded = torch.zeros(3, 6 + 2 * shift, 7 + 2 * shift)
        padded[:, shift : shift + 6, shift : shift + 7] = image
        top, left = augmentation.offsets[index].tolist()
        wanted = torch.zeros(3, 6, 7)
        for row in range(6):
            for column in range(7):
                to = 6 - column if augmentation.flips[index] else column
                wanted[:, row, to] = padded[:, top + row, left + column]
        assert got[index].equal(wanted)


def test_digits_shift_by_one_and_never_flip(resolve):
    data = resolve().data
    assert (data.name, data.shift, data.flip) == ("digits", 1, False)
    assert not draw(0, 0, 1000, shift=data.shift, flip=data.flip).flips.any()


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_padded_by_four_and_flipped_and_brings_the_papers_recipe(name, resolve):
    config = resolve(f"data={name}")
    assert (config.data.name, config.data.shift, config.data.flip, config.recipe.name) == (name, 4, True, "he2016")
    assert resolve(f"data={name}", "recipe=digits").recipe.name == "digits"

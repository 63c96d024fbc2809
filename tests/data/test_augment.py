import hashlib

import pytest
import torch

from ablate.data.augment import augmentation, crop_and_flip


def same(one, other):
    return one.order.equal(other.order), one.offsets.equal(other.offsets), one.flips.equal(other.flips)


def test_augmentation_depends_only_on_seed_and_epoch():
    one = augmentation(5, 3, 500, shift=4, flip=True)
    torch.rand(100)
    augmentation(1, 1, 10, shift=1, flip=True)
    assert same(one, augmentation(5, 3, 500, shift=4, flip=True)) == (True, True, True)


def test_augmentation_is_drawn_from_the_hash_of_seed_and_epoch():
    """Another stream would be another augmentation under the same signature."""
    state = int.from_bytes(hashlib.sha256(b"5/augment/3").digest()[:4], "big")
    generator = torch.Generator().manual_seed(state)
    drawn = augmentation(5, 3, 500, shift=4, flip=True)
    assert drawn.order.equal(torch.randperm(500, generator=generator))
    assert drawn.offsets.equal(torch.randint(9, (500, 2), generator=generator))
    assert drawn.flips.equal(torch.randint(2, (500,), generator=generator) == 1)


@pytest.mark.parametrize(("seed", "epoch"), [(5, 4), (4, 3), (6, 3), (3, 5), (4, 4), (2**32 - 1, 3)])
def test_augmentation_differs_between_epochs_and_between_seeds(seed, epoch):
    assert (
        same(augmentation(5, 3, 500, shift=4, flip=True), augmentation(seed, epoch, 500, shift=4, flip=True))
        == (False,) * 3
    )


def test_global_generator_is_not_used():
    before = torch.get_rng_state()
    augmentation(0, 0, 100, shift=1, flip=True)
    assert torch.get_rng_state().equal(before)


def test_epoch_shows_every_image_once():
    order = augmentation(0, 0, 1297, shift=1, flip=False).order
    assert order.sort().values.equal(torch.arange(1297))
    assert not order.equal(torch.arange(1297))


def test_offsets_are_uniform_and_half_of_the_images_flip():
    drawn = augmentation(0, 0, 50000, shift=4, flip=True)
    for axis in (0, 1):
        counts = torch.bincount(drawn.offsets[:, axis], minlength=9)
        assert len(counts) == 9
        assert ((counts - 50000 / 9).abs() < 5 * (50000 * 8 / 81) ** 0.5).all()
    assert abs(drawn.flips.sum().item() - 25000) < 5 * 12500**0.5


@pytest.mark.parametrize("shift", [0, 1, 4])
@pytest.mark.parametrize("flip", [True, False])
def test_crop_and_flip_equals_a_loop_over_images(shift, flip):
    batch = torch.randn(30, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    drawn = augmentation(1, 2, 30, shift=shift, flip=flip)
    got = crop_and_flip(batch, drawn.offsets, drawn.flips, shift=shift)
    for index, image in enumerate(batch):
        padded = torch.zeros(3, 6 + 2 * shift, 7 + 2 * shift)
        padded[:, shift : shift + 6, shift : shift + 7] = image
        top, left = drawn.offsets[index].tolist()
        wanted = torch.zeros(3, 6, 7)
        for row in range(6):
            for column in range(7):
                to = 6 - column if drawn.flips[index] else column
                wanted[:, row, to] = padded[:, top + row, left + column]
        assert got[index].equal(wanted)


def test_digits_shift_by_one_and_never_flip(resolve):
    data = resolve().data
    assert (data.name, data.shift, data.flip) == ("digits", 1, False)
    assert not augmentation(0, 0, 1000, shift=data.shift, flip=data.flip).flips.any()


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_has_the_papers_augmentation_and_recipe(name, resolve):
    config = resolve(f"data={name}")
    assert (config.data.name, config.data.shift, config.data.flip, config.recipe.name) == (name, 4, True, "he2016")
    assert resolve(f"data={name}", "recipe=digits").recipe.name == "digits"

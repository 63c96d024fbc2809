import numpy
import pytest
import torch

from ablate.base.errors import ConfigError
from ablate.data.augment import augmentation
from ablate.data.batches import ResidentBatches
from ablate.data.dataset import Dataset, normalise, per_pixel_mean


def numbered(count):
    """Images whose pixels are all their label."""
    y = torch.arange(count)
    x = y.to(torch.uint8)[:, None, None, None].expand(count, 1, 8, 8).contiguous()
    return Dataset(x, y, x, y, ("a", "b"))


def test_mean_is_subtracted_pixel_by_pixel():
    generator = numpy.random.default_rng(0)
    train = generator.integers(0, 256, (5003, 3, 4, 5), dtype=numpy.uint8)  # more than one part of 5,000
    mean = per_pixel_mean(torch.from_numpy(train))
    wanted = (train.astype(float) / 255).mean(0, keepdims=True)
    numpy.testing.assert_allclose(mean.numpy(), wanted, rtol=1e-6)
    batch = normalise(torch.from_numpy(train[:7]), mean)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    numpy.testing.assert_allclose(batch.numpy(), train[:7].astype(float) / 255 - wanted, atol=1e-6)


def test_epochs_follow_their_order_and_drop_the_last_smaller_batch():
    batches = ResidentBatches(numbered(50), 16, seed=3, shift=0, flip=False)
    assert batches.per_epoch == 3
    for epoch in (0, 1):
        batches.begin_epoch(epoch)
        order = augmentation(3, epoch, 50, shift=0, flip=False).order
        for index in range(3):
            x, y = batches.next()
            batches.index += 1
            assert y.equal(order[16 * index : 16 * (index + 1)])
            torch.testing.assert_close(x[:, 0, 0, 0], y / 255 - 24.5 / 255)


def test_epoch_can_begin_at_any_batch():
    batches = ResidentBatches(numbered(50), 16, seed=3, shift=0, flip=False)
    batches.begin_epoch(5, index=2)
    assert batches.next()[1].equal(augmentation(3, 5, 50, shift=0, flip=False).order[32:48])


def test_later_epochs_use_the_memory_of_the_first():
    batches = ResidentBatches(numbered(50), 16, seed=3, shift=2, flip=True)
    places = []
    for epoch in (0, 1):
        batches.begin_epoch(epoch)
        parts = batches.augmentation
        places.append([part.data_ptr() for part in (parts.order, parts.offsets, parts.flips, batches.index)])
    assert places[0] == places[1]


def test_dataset_smaller_than_a_batch_is_refused():
    with pytest.raises(ConfigError, match=r"^recipe.batch=64 is more than the 63 training images$"):
        ResidentBatches(numbered(63), 64, seed=0, shift=0, flip=False)
    assert ResidentBatches(numbered(64), 64, seed=0, shift=0, flip=False).per_epoch == 1

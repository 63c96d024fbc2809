import numpy
import torch
from sklearn.datasets import load_digits as read_digits

from ablate.data.digits import load_digits


def test_digits_are_split_into_1297_and_500_of_all_ten_classes():
    digits = load_digits()
    assert (len(digits.train_x), len(digits.train_y), len(digits.test_x), len(digits.test_y)) == (1297, 1297, 500, 500)
    assert digits.classes == tuple("0123456789")
    assert (digits.channels, digits.evaluated_on) == (1, "test")
    assert digits.train_y.dtype == digits.test_y.dtype == torch.int64
    train, test = (torch.bincount(y, minlength=10) for y in (digits.train_y, digits.test_y))
    assert ((test - (train + test) * 500 / 1797).abs() <= 1).all()  # stratified within one image


def test_digits_are_scikit_learns_pictures_each_with_its_label_and_none_in_both_parts():
    digits, bunch = load_digits(), read_digits()
    x = torch.cat([digits.train_x, digits.test_x])
    assert x.dtype == torch.uint8
    assert x.shape == (1797, 1, 8, 8)
    y = torch.cat([digits.train_y, digits.test_y])
    ours = sorted((image.tobytes(), label) for image, label in zip(x.numpy(), y.tolist(), strict=True))
    inked = numpy.floor(bunch.images / 16 * 255 + 0.5).astype(numpy.uint8)
    half = bunch.images * 255 % 16 == 8  # 127.5 may be rounded either way
    inked[half] = x.max() // 2 + 1
    theirs = sorted((image.tobytes(), int(label)) for image, label in zip(inked, bunch.target, strict=True))
    assert ours == theirs  # as multisets: each image once, so the parts share none


def test_the_split_is_the_same_every_time_whatever_the_global_generators():
    one = load_digits()
    numpy.random.seed(5)
    torch.manual_seed(5)
    assert load_digits().train_x.equal(one.train_x)

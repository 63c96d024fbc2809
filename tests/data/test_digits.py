import numpy
import torch
from sklearn.datasets import load_digits as read_digits
from sklearn.model_selection import train_test_split

from ablate.data.digits import load_digits


def test_digits_are_split_into_1297_and_500_of_all_ten_classes():
    digits = load_digits()
    assert (len(digits.train_x), len(digits.train_y), len(digits.test_x), len(digits.test_y)) == (1297, 1297, 500, 500)
    assert digits.classes == tuple("0123456789")
    assert (digits.shape, digits.evaluated_on) == ((1, 8, 8), "test")
    assert digits.train_y.dtype == digits.test_y.dtype == torch.int64
    train, test = (torch.bincount(y, minlength=10) for y in (digits.train_y, digits.test_y))
    assert ((test - (train + test) * 500 / 1797).abs() <= 1).all()  # stratified within one image


def test_images_labels_and_split_are_those_of_scikit_learn():
    digits, source = load_digits(), read_digits()
    order = train_test_split(numpy.arange(1797), test_size=500, stratify=source.target, random_state=0)
    parts = ((digits.train_x, digits.train_y), (digits.test_x, digits.test_y))
    for (x, y), index in zip(parts, order, strict=True):
        assert x.dtype == torch.uint8
        assert numpy.array_equal(x.numpy(), numpy.round(source.images[index, None] * 255 / 16))
        assert numpy.array_equal(y.numpy(), source.target[index])

"""scikit-learn's 1,797 handwritten digits, 8×8, one channel: real images without a download."""

import numpy
import torch
from sklearn.datasets import load_digits as read_digits
from sklearn.model_selection import train_test_split

from ablate.data.dataset import Dataset

TEST = 500


def load_digits() -> Dataset:
    """1,297 to train, 500 to test: one stratified split, the same for every seed and every machine."""
    bunch = read_digits()
    # The set counts ink from 0 to 16; uint8 spans 0 to 255.
    pixels = numpy.round(bunch.images * (255 / 16)).astype(numpy.uint8)[:, None]
    labels = bunch.target.astype(numpy.int64)
    train, test = train_test_split(numpy.arange(len(labels)), test_size=TEST, stratify=labels, random_state=0)
    x, y = torch.from_numpy(pixels), torch.from_numpy(labels)
    return Dataset(x[train], y[train], x[test], y[test], tuple(str(name) for name in bunch.target_names))

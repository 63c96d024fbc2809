"""The 1,797 handwritten digits that scikit-learn ships, 8×8, one channel: real images without a download.

digits.npz holds them as `images`, uint8 (1797, 8, 8), and `labels`, in the order of one stratified split. It was made
from scikit-learn, whose import takes a second: sklearn.datasets.load_digits, its 0 to 16 scaled to 0 to 255, and
sklearn.model_selection.train_test_split(test_size=500, stratify=labels, random_state=0).

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, doi:10.24432/C50P49, CC BY 4.0.
"""

from pathlib import Path

import numpy
import torch

from ablate.data.dataset import Dataset

TRAIN = 1297


def load_digits() -> Dataset:
    """1,297 images to train on and 500 to test on, the same for every seed and on every machine."""
    with numpy.load(Path(__file__).with_name("digits.npz")) as arrays:
        x, y = torch.from_numpy(arrays["images"])[:, None], torch.from_numpy(arrays["labels"]).long()
    return Dataset(x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:], tuple("0123456789"))

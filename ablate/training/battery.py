"""Checks of a shortcut, a unit or a network before it is trained: the same for all that ships and for one's own.

    ablate check layerscale.LayerScale

Each check builds the shallowest network with units of every kind: in CIFAR's, one that keeps the shape and two that
change it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from ablate.base.errors import AblateError, one_line
from ablate.config.schema import Config
from ablate.models.generators import generators, restore_generators
from ablate.training.checks import CHECKS, IMAGES, Bench, shapes

CPU = torch.device("cpu")


class Finding(NamedTuple):
    """What one check found: `wrong` is empty where it holds."""

    check: str
    wrong: str


def battery(config: Config, shape: tuple[int, int, int]) -> Iterator[Finding]:
    """Every check of CHECKS, on images of `shape` (C, H, W), one after another. Where the network cannot be built or
    called, nothing else can be checked.
    """
    images = torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    bench = Bench(config, images)
    for name, check in CHECKS.items():
        before = generators(CPU)
        try:
            wrong = check(bench) or ""
        except AblateError as error:
            wrong = str(error)
        except (Exception, SystemExit) as error:  # of custom code
            wrong = f"it fails: {one_line(error)}"
        finally:
            restore_generators(before, CPU)
        yield Finding(name, wrong)
        if wrong and check is shapes:
            return

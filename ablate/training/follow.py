"""What a process does that follows the leader of its group: the leader's runs, without records."""

import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from ablate.base.signals import SIGNALS
from ablate.config.compose import from_tree
from ablate.training.group import Group, LeaderEnded, group
from ablate.training.loop import NullObserver
from ablate.training.setup import Setup


@dataclass(frozen=True)
class Order:
    """A run to take part in: its resolved configuration as plain values, the precision and number of threads that the
    leader chose, and the state of the checkpoint that it resumes from.
    """

    tree: dict[str, Any]
    precision: torch.dtype
    threads: int
    resume: dict[str, Any] | None


def follow() -> None:
    """Take part in the leader's runs until it ends. Raises an error of this process, after the leader has its sentence.

    Signals are ignored: the leader answers them.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    together = group()
    assert isinstance(together, Group)
    try:
        while (order := together.receive()) is not None:
            with suppress(LeaderEnded):
                _take_part(together, order)
    except (Exception, SystemExit) as error:  # custom code may end the process
        together.failed(error)
        raise
    together.end()


def _take_part(together: Group, order: Order) -> None:
    torch.set_num_threads(order.threads)
    try:
        with together.together():
            training = Setup(from_tree(order.tree)).start(warn=lambda sentence: None, precision=order.precision)
    except Exception:
        return  # the leader has every process's reason
    training.join()
    training.train(NullObserver(), order.resume)

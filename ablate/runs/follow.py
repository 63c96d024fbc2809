"""What a process does that follows the leader of its group: the leader's runs, without records."""

import signal
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ablate.base.errors import AblateError
from ablate.base.signals import SIGNALS
from ablate.config.compose import from_tree
from ablate.config.resolve import settle
from ablate.config.schema import Config
from ablate.runs.code import changes, check_imported
from ablate.runs.identity import folder_name
from ablate.runs.provenance import versions
from ablate.training.group import Group, LeaderEnded, disconnected, group
from ablate.training.loop import NullObserver
from ablate.training.setup import Setup


@dataclass(frozen=True)
class Order:
    """A run to take part in: its resolved configuration as plain values, the hashes of its code, the precision and
    number of threads that the leader chose, the state of the checkpoint that it resumes from, and the leader's torch.
    """

    tree: dict[str, Any]
    code: dict[str, str]
    precision: torch.dtype
    threads: int
    resume: dict[str, Any] | None
    torch: str = field(default_factory=lambda: versions()["torch"])


def follow() -> None:
    """Take part in the leader's runs until it ends. Raises an error of this process, after the leader has its sentence.

    Signals are ignored: the leader answers them.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    together = group()
    assert isinstance(together, Group)
    here = together.place
    try:
        while (order := together.receive()) is not None:
            with suppress(LeaderEnded):
                _take_part(together, order)
    except (Exception, SystemExit) as error:  # custom code may end the process
        if reason := disconnected(error):
            raise AblateError(f"process {here.rank} of {here.size} ended: {reason}") from error
        together.failed(error)
        raise
    together.end()


def _take_part(together: Group, order: Order) -> None:
    torch.set_num_threads(order.threads)
    try:
        with together.together():
            training = Setup(checked(order)).start(warn=lambda sentence: None, precision=order.precision)
    except (Exception, SystemExit):
        return  # the leader has every process's reason
    training.train(NullObserver(), order.resume)


def checked(order: Order) -> Config:
    """The configuration of a run. Raises AblateError if code, images or torch are not the leader's: each machine has
    its own copies.
    """
    config = settle(from_tree(order.tree))
    tree, here = asdict(config), versions()["torch"]
    changed = changes(tree, order.code)
    if here != order.torch:
        changed.append(f"torch {order.torch} and {here}")
    if not changed and folder_name(tree) != folder_name(order.tree):
        changed = ["images or initial weights"]
    if changed:
        raise AblateError(f"{socket.gethostname()} does not have what process 0 has: {', '.join(changed)} differ")
    check_imported(tree)
    return config

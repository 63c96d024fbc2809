"""The processes that train one run together, one on each GPU, and how they keep in step.

torchrun --standalone --nproc-per-node 4 -m ablate net=resnet50 data=imagenet data.root=images

Process 0 leads: it alone composes configurations, holds locks and writes records. The others follow it
(`ablate.runs.follow`). All take the same steps, each on its part of every batch.
"""

import functools
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, ProcessGroup
from torch.distributed.rendezvous import rendezvous

from ablate.base.errors import AblateError, one_line
from ablate.base.place import ADDRESS, ALONE, Place, place

JOINING = timedelta(minutes=10)
"""How long processes wait for all to have started."""
PATIENCE = timedelta(days=7)
"""How long followers wait for the leader, which may prepare a run for long; a process that died is noticed at once."""
FAILURE = "failure"
"""The key under which a process that fails leaves its sentence for the leader."""


class LeaderEnded(Exception):
    """The leader ended a run, and followers end it with it."""


class Alone:
    """A process that trains by itself; the interface of a group."""

    place = ALONE

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        return tensor

    def joined(self, tensor: Tensor) -> Tensor:
        """The processes' tensors (N, ...), of any N each, in the order of their ranks."""
        return tensor

    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the leader's values, in place."""

    def gathered(self, value: Any) -> list[Any]:
        """Each process's value."""
        return [value]

    def told(self, flag: bool) -> bool:
        """The leader's flag."""
        return flag

    @contextmanager
    def led(self) -> Iterator[None]:
        """What the leader does meanwhile. If that raises, LeaderEnded is raised in the others."""
        yield

    @contextmanager
    def together(self) -> Iterator[None]:
        """Preparations of all. If they raise in one process, the others raise AblateError with its sentence."""
        yield

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """In the leader: what ends in all processes alike, or leaves them out of step, so that they cannot train again.

        Raises AblateError with the reason if it ends because another process died or failed.
        """
        yield

    def send(self, message: Any) -> None:
        """Tell the followers what to do; None ends them."""

    def check(self) -> None:
        """Raise AblateError if the processes are out of step."""

    def end(self) -> None:
        """Leave the group; the leader lets the others end."""


class Group(Alone):
    """Several processes. Tensors travel by NCCL between GPUs and by gloo otherwise, messages always by gloo."""

    def __init__(self, here: Place) -> None:
        self.place = here
        self.lost = False  # whether the processes are out of step, or may be
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        try:
            store, _, _ = next(rendezvous("env://", here.rank, here.size, timeout=JOINING))
            self.store = PrefixStore("ablate", store)
            dist.init_process_group(backend, store=self.store, rank=here.rank, world_size=here.size)
            self.messages = cast(ProcessGroup, dist.new_group(backend="gloo", timeout=PATIENCE))
        except (RuntimeError, ValueError) as error:
            where = ":".join(os.environ[name] for name in ADDRESS)
            raise AblateError(
                f"process {here.rank} of {here.size} cannot join the others at {where}: {one_line(error)}"
            ) from error

    def total(self, tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        return tensor

    def joined(self, tensor: Tensor) -> Tensor:
        parts = self.gathered(tensor.cpu())
        return torch.cat(parts).to(tensor.device)

    def copy(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            dist.broadcast(tensor, 0)

    def gathered(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.place.size
        dist.all_gather_object(values, value, group=self.messages)
        return values

    def told(self, flag: bool) -> bool:
        message = torch.tensor([flag], dtype=torch.uint8)
        dist.broadcast(message, 0, group=self.messages)
        return bool(message.item())

    @contextmanager
    def led(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):  # a follower died
                self.told(True)
                self.lost = False
            raise
        if self.told(False):
            self.lost = False
            raise LeaderEnded

    @contextmanager
    def together(self) -> Iterator[None]:
        failed: BaseException | None = None
        try:
            yield
        except (Exception, SystemExit) as error:  # custom code may end the process
            failed = error
        reasons = self.gathered(None if failed is None else sentence(failed))
        self.lost = self.lost and reasons.count(None) == len(reasons)  # otherwise all end the run here
        if failed is not None:
            raise failed
        for rank, reason in enumerate(reasons):
            if reason is not None:
                raise AblateError(f"process {rank} of {self.place.size}: {reason}")

    @contextmanager
    def in_step(self) -> Iterator[None]:
        self.lost = True
        try:
            yield
        except (Exception, SystemExit) as error:
            if self.lost and self.place.rank == 0 and (found := self._cause(error)) is not None:
                raise AblateError(f"{found}; run the same command again to resume") from error
            raise
        self.lost = False

    def _cause(self, error: BaseException) -> str | None:
        """Why another process is gone, if it is; None if `error` is this process's own."""
        if isinstance(error, (AblateError, torch.OutOfMemoryError)):
            return None
        lost = disconnected(error)
        try:
            self.store.wait([FAILURE], timedelta(seconds=2 if lost else 0.1))
            return self.store.get(FAILURE).decode()
        except RuntimeError:
            return lost

    def failed(self, error: BaseException) -> None:
        """In a follower: leave the leader a sentence."""
        words = f"process {self.place.rank} of {self.place.size} on {socket.gethostname()} failed: {sentence(error)}"
        with suppress(RuntimeError):  # the leader is gone, and the store with it
            self.store.set(FAILURE, words)

    def send(self, message: Any) -> None:
        dist.broadcast_object_list([message], 0, group=self.messages)

    def receive(self) -> Any:
        """In a follower: the leader's next message."""
        messages = [None]
        dist.broadcast_object_list(messages, 0, group=self.messages)
        return messages[0]

    def check(self) -> None:
        if self.lost:
            raise AblateError("not begun: the processes are out of step after a failure; run the same command again")

    def end(self) -> None:
        if self.lost:  # the others end when this process does; to destroy the group would wait for them
            return
        with suppress(RuntimeError):  # another process died, when all was done
            if self.place.rank == 0:
                self.send(None)
            dist.destroy_process_group()


def disconnected(error: BaseException) -> str | None:
    """In words, that another process is gone, if an error says so: errors of gloo have no class of their own."""
    if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
        return None
    why = f" ({one_line(error)})" if isinstance(error, dist.DistBackendError) else ""  # or NCCL does not work here
    return f"a process of this run died, or cannot be reached any more{why}"


def sentence(error: BaseException) -> str:
    """What an error says."""
    return str(error) if isinstance(error, AblateError) else one_line(error)


@functools.cache
def group() -> Alone:
    """The group that this process is in; the first call joins it."""
    here = place()
    return Alone() if here.alone else Group(here)

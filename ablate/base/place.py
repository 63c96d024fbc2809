"""This process's place among those that train one run together, as torchrun's variables say it."""

import os
from typing import NamedTuple

from ablate.base.errors import AblateError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


class Place(NamedTuple):
    """Process `rank` of `size`, and `local_rank` of the `local_size` on this machine. Process 0 leads."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def alone(self) -> bool:
        return self.size == 1

    def part(self, count: int) -> slice:
        """Which of `count` things are this process's; the parts of all differ in size by 1 at most."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)


ALONE = Place()


def place() -> Place:
    """Read the variables. Raises AblateError if they do not say a place; without any, a process is alone."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return ALONE
    if missing := [name for name in (*VARIABLES, *ADDRESS) if name not in os.environ]:
        raise AblateError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']} is set and {', '.join(missing)} is not: start the processes of a "
            "run with torchrun, or unset WORLD_SIZE"
        )
    words = [os.environ[name] for name in VARIABLES]
    if not all(word.isdigit() for word in words):
        raise AblateError(f"{', '.join(VARIABLES)} are {', '.join(words)}: they must be whole numbers, as of torchrun")
    rank, size, local_rank, local_size = map(int, words)
    if not (rank < size and local_rank < local_size <= size):
        raise AblateError(f"{', '.join(VARIABLES)} are {', '.join(words)}: a rank must be below its size")
    return Place(rank, size, local_rank, local_size)

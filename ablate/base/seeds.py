"""Seeds that do not fall on each other: one stream of random numbers for each purpose of a run."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """A seed of 32 bits, which is what torch's CPU generator takes, for one purpose of the run with this seed.

    Two generators seeded alike would give a network's shortcuts and residual functions the same numbers; a hash keeps
    (seed, purpose) pairs apart, as sums would not.
    """
    key = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")

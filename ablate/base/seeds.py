"""A separate stream of random numbers for each purpose of a run."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """The seed of one purpose of the run with this seed: 32 bits, as torch's CPU generator takes.

    With one seed for all, shortcuts and residual functions would start from the same numbers. A hash gives each pair of
    seed and purpose its own; a sum would not.
    """
    key = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")

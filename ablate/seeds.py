"""Seeds that do not fall on each other: one stream of random numbers for each purpose of a run."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """A seed of 32 bits, which is what torch's CPU generator takes, for one purpose of the run with this seed.

    A net whose shortcuts and residual functions were drawn from one seed by two generators would have the same numbers
    in both; a hash keeps (seed, purpose) pairs apart, as sums would not.
    """
    key = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")

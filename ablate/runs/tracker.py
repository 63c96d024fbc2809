"""The interface of an experiment tracker, which shows runs beside their records."""

from pathlib import Path


class NullTracker:
    """Shows runs nowhere. A tracker neither raises nor waits, whatever happens to its server."""

    def follow(self, folder: Path) -> None:
        """A run's record is there and grows."""

    def ended(self, folder: Path) -> None:
        """Nothing more is written to it."""

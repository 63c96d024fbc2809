"""The interface of an experiment tracker, which shows runs beside their records."""

from pathlib import Path


class NullTracker:
    """Does nothing; the interface of a tracker, which neither raises nor waits, whatever its server does."""

    def follow(self, folder: Path) -> None:
        """A run's record exists and is being written."""

    def ended(self, folder: Path) -> None:
        """Nothing more is written to it."""

"""Console output that survives closed pipes and missing glyphs."""

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str, *, error: bool = False) -> None:
    """Print a line without control characters, to the error stream if `error`. Never raises: see `Quiet`."""
    stream = sys.stderr if error else sys.stdout
    if stream is not None:  # it is None where the process was started with the stream closed
        print(plain(text), file=Quiet(stream), flush=True)


def plain(text: str) -> str:
    """`text` with control characters replaced, for terminals, figures and pages."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def is_terminal() -> bool:
    """Whether the error stream is a terminal, on which a progress bar can be drawn."""
    return _on_terminal(sys.stderr)


WIDE = 260
"""Columns of what is not printed on a terminal: rich takes 80, or what FORCE_COLOR makes it take for a terminal."""


def console(*, error: bool = False) -> "Console":
    """Rich's console on one of the streams. Never raises: see `Quiet`."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if _on_terminal(stream) or "COLUMNS" in os.environ else WIDE
    return Console(file=Quiet(stream or open(os.devnull, "w")), width=width)  # type: ignore[arg-type]


def _on_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that takes no more."""


class Quiet:
    """A stream that writes '?' for a character that its encoding lacks, and nothing once its reader is gone.

    `lost` is why output could not be written although it has a reader; empty if it could.
    """

    lost = ""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = self.stream.encoding or "ascii"
            return self.write(text.encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self._discard(error)
        return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._discard(error)

    def _discard(self, error: OSError | ValueError) -> None:
        """Redirect the stream to /dev/null; otherwise Python flushes its buffer at exit and prints an error."""
        if isinstance(error, OSError) and error.errno in FULL:
            Quiet.lost = str(error.strerror)
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

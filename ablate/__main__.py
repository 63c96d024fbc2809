"""The command line: `ablate KEY=VALUE ...` is a run, with -m a grid; `ablate WORD ...` is a command.

Imports nothing that takes time before it knows what is asked for.
"""

import atexit
import difflib
import os
import signal
import sys

DASHES = ("\u2013", "\u2014", "\u2212")
"""What word processors and web pages make of hyphens."""


def main() -> int:
    """Carry out sys.argv and return the exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until a run handles signals itself: a KeyboardInterrupt in the middle of imports surfaces as anything.
        signal.signal(signal.SIGINT, _interrupted)
    words = sys.argv[1:]
    try:
        os.getcwd()
    except FileNotFoundError:
        print("ablate: the working directory was removed: change to one that exists", file=sys.stderr)
        return 1
    for word in words:
        if word.startswith(DASHES):
            hyphens = ("--" if len(word) > 2 else "-") + word.lstrip("-" + "".join(DASHES))
            print(f"ablate: {word} begins with a typographic dash: write {hyphens}", file=sys.stderr)
            return 2
    if words and "=" not in words[0] and not words[0].startswith(("-", "+", "~")):
        return _command(words[0], words[1:])
    if {"--help", "-h"} & set(words):
        return _command("help", [])
    if "--version" in words:
        from ablate.base.version import __version__

        print(f"ablate {__version__}")
        return 0
    from ablate.commands import guarded
    from ablate.commands.run import main as train

    return guarded("ablate", lambda: train(words))


def _command(name: str, words: list[str]) -> int:
    from ablate import commands

    known = commands.names()
    if name not in known:
        match = difflib.get_close_matches(name, known, 1)
        meant = f"did you mean '{match[0]}'? " if match else ""
        print(
            f"ablate: there is no command '{name}'; {meant}Commands: {', '.join(known)}; a run is KEY=VALUE, as in "
            "ablate shortcut=gate",
            file=sys.stderr,
        )
        return 2
    return commands.carry_out(name, words)


def _interrupted(*_: object) -> None:
    os.write(2, b"ablate: interrupted\n")
    os._exit(130)


def script() -> None:
    """The console script: exit with the status of `main`."""
    sys.path.insert(0, "")  # custom modules in the working directory, as `python -m ablate` finds them
    status = None

    def end() -> None:
        if status is not None:
            leave(status)

    atexit.register(end)  # first, so it is the last that is called: for Python to take torch down takes half a second
    status = main()
    from ablate.base.process import leave, leave_group

    if "wandb" in sys.modules:  # its exit handlers may wait for a server
        leave(status)
    leave_group(status)
    sys.exit(status)


if __name__ == "__main__":
    script()

"""Parts of a benchmark that go wrong in every way, and two that do not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ablate.base.errors import AblateError
from ablate.bench.parts import LeftOut

SLEEP = "import time; time.sleep(600)"
ORPHAN = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {SLEEP!r}], stdout=subprocess.DEVNULL).pid)
"""


def works(keep, until, sentence):
    keep("numbers", {"a": 1.5})
    print("printed")
    return sentence


def raises(keep, until):
    keep("numbers", {"a": 2})
    raise KeyError("no such thing")


def refuses(keep, until):
    raise AblateError("the disk is full")


def exits(keep, until):
    sys.exit("custom code")


def needs(keep, until):
    raise LeftOut("it needs images")


def hangs(keep, until, pids):
    """With a process in a session of its own, and one whose parent has ended; their numbers go into a file."""
    keep("numbers", {"a": 3})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    apart = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    orphan = subprocess.run([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, check=True).stdout
    Path(pids).write_text(f"{orphan}{apart.pid}\n{os.getpid()}\n")
    time.sleep(600)


def dies(keep, until):
    keep("numbers", {"a": 4})
    os.kill(os.getpid(), signal.SIGKILL)


def tidies(keep, until, file):
    """Ends itself at its deadline."""
    time.sleep(max(0.0, until - time.monotonic() - 0.5))
    Path(file).write_text("done")
    return "ended by itself"

"""A real SLURM cluster of two nodes on this machine, from Debian's packages, in a folder.

    python slurm_cluster.py FOLDER     # prints the setting that sbatch and squeue need, and runs until Ctrl-C

All daemons listen on 127.0.0.1 and run as the calling user, who need not be root. Only the folder is written to.
"""

import argparse
import atexit
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

CLUSTER = "ablate-test"
INSTALL = "apt-get install --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo")
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # the daemons' folders are not on every user's PATH
NODES = ("n1", "n2")
START_S = 300  # longer than any slow start
KILL_WAIT_S = 5  # from SIGTERM to SIGKILL

# cred_expire sets how long a requeued job waits (5: 6 s); without sched_interval=1 it waits for half a minute.
# A node whose slurmd does not answer for SlurmdTimeout is DOWN, and its jobs are requeued.
CONF = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=100000,batch_sched_delay=0
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
KillWait={kill_wait}
MaxArraySize={array_size}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000 Gres=gpu:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000 Gres=gpu:2
PartitionName=low Nodes=n[1-2] Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=300
PartitionName=high Nodes=n[1-2] PriorityTier=10 PreemptMode=OFF
PartitionName=short Nodes=n[1-2] MaxTime=1
"""
GRES = "NodeName=n[1-2] Name=gpu File=/dev/null,/dev/zero\n"  # stand-ins for GPUs: two devices that always exist


class NotInstalled(Exception):
    """This machine has no SLURM."""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def reason_to_skip() -> str:
    """Why tests on a cluster are skipped, or '' if they run. In CI they run, and fail with what is missing."""
    missing = missing_programs()
    return f"no SLURM on this machine: {', '.join(missing)} not found" if missing and not os.environ.get("CI") else ""


class Cluster:
    """Two nodes with two CPUs and two stand-ins for GPUs each.

    Partition `high` preempts `low`, the default; `short` takes jobs of one minute.
    """

    def __init__(self, folder: Path, array_size: int = 1001) -> None:
        self.folder = folder.resolve()
        self.array_size = array_size
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        if not re.fullmatch(r"[\w./+-]{1,75}", str(self.folder)):  # slurm.conf has no quotes, a socket's path 107 bytes
            raise ValueError(f"{self.folder}: the folder of a SLURM needs a short path of plain characters")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Return once both nodes are idle."""
        if missing := missing_programs():
            raise NotInstalled(f"not found: {', '.join(missing)}; on Debian, {INSTALL}")
        try:
            self._begin()
        except ChildProcessError:  # another process may take a port after it was chosen
            self._begin()

    def _begin(self) -> None:
        self.stop()  # what a killed process left running in this folder
        atexit.register(self.stop)  # a second Ctrl-C may interrupt the stop of the first one
        try:
            self._write()
            self._start_munged()
            self._spawn("slurmctld", "slurmctld", "-D", "-c")
            for name in NODES:
                self._spawn(name, "slurmd", "-D", "-c", "-N", name)
            self._wait_until_idle()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Cancel all jobs, then end every process of the cluster and of its jobs. May be called again."""
        controller = self._daemons.get("slurmctld")
        if controller and controller.poll() is None:
            self._ask("scancel", "--user", _user())
            _wait(lambda: not self._processes(b"SLURM_JOB_ID="), KILL_WAIT_S + 2)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()
        if not _wait(self._kill_rest, START_S):
            raise TimeoutError(f"processes of {self.folder} outlived SIGKILL: {self._processes()}")
        atexit.unregister(self.stop)

    def kill_node(self, name: str) -> None:
        """Kill the node's slurmd; its jobs go on."""
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def start_node(self, name: str, *options: str) -> None:
        """Start the slurmd of a killed node, and return once it has registered."""
        before = self._registered(name)
        self._spawn(name, "slurmd", "-D", *options, "-N", name)
        if not _wait(lambda: self._registered(name) != before, START_S):
            raise TimeoutError(self._output(name))

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:  # each port stays open until the last is known, so that they differ
            sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(1 + len(NODES))]
            ports = [listener.getsockname()[1] for listener in sockets]
        host = socket.gethostname().partition(".")[0]
        values = {"cluster": CLUSTER, "kill_wait": KILL_WAIT_S, "array_size": self.array_size}
        conf = CONF.format(folder=self.folder, host=host, user=_user(), ports=ports, **values)
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "gres.conf").write_text(GRES)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(exist_ok=True)
        key = self.folder / "munge.key"
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

    def _start_munged(self) -> None:
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={self.folder}/munge.{ending}" for option, ending in files.items()]
        # --force: munged refuses folders that other users cannot enter, as pytest's are.
        self._spawn("munged", "munged", "--foreground", "--force", *options)
        if not _wait((self.folder / "munge.socket").is_socket, START_S):
            raise TimeoutError(self._output("munged"))

    def _spawn(self, name: str, program: str, *options: str) -> None:
        command = [shutil.which(program, path=PATH) or program, *options]
        env = os.environ | self.environment | {"SLURM_CLUSTER_NAME": CLUSTER}  # _processes() looks for both
        with (self.folder / f"{name}.out").open("ab") as out:
            # A session of its own: otherwise Ctrl-C in the terminal would end the daemons before the jobs.
            self._daemons[name] = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _wait_until_idle(self) -> None:
        def idle() -> bool:
            for name, daemon in self._daemons.items():
                if daemon.poll() is not None:
                    raise ChildProcessError(self._output(name))
            states = self._ask("sinfo", "--noheader", "--Node", "--partition=low", "--format=%T").split()
            return states == ["idle"] * len(NODES)

        if not _wait(idle, START_S):
            raise TimeoutError("\n".join(map(self._output, self._daemons)))

    def _registered(self, name: str) -> str:
        node = self._ask("scontrol", "--oneliner", "show", "node", name)
        return node.partition("SlurmdStartTime=")[2].partition(" ")[0]

    def _output(self, name: str) -> str:
        return f"{name} printed:\n{(self.folder / f'{name}.out').read_text(errors='replace')[-2000:]}"

    def _ask(self, *command: str) -> str:
        env = os.environ | self.environment
        try:
            return subprocess.run(command, env=env, capture_output=True, text=True, timeout=START_S).stdout
        except subprocess.TimeoutExpired:
            return ""

    def _processes(self, mark: bytes = b"") -> list[int]:
        """The daemons and jobs of this folder, found by their environment, which is empty for a zombie."""
        marks = (f"SLURM_CONF={self.folder}/slurm.conf\0".encode(), f"SLURM_CLUSTER_NAME={CLUSTER}\0".encode(), mark)
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes()
            except OSError:  # ended, or another user's
                continue
            if all(mark in environment for mark in marks):
                found.append(int(process.name))
        return found

    def _kill_rest(self) -> bool:
        """Kill what is left, such as the jobs of a killed node; return whether nothing was."""
        found = self._processes()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--array-size", type=int, default=1001, help="MaxArraySize: one more than the last index")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background job inherits it ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with Cluster(arguments.folder, arguments.array_size) as cluster:
            for name, value in cluster.environment.items():
                print(f"export {name}={shlex.quote(value)}", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except NotInstalled as error:
        print(error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())

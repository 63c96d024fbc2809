"""How many threads a run gets: its share of the cores, less what other processes use."""

import pytest

from ablate.base import machine
from ablate.base.machine import _Sample, threads
from ablate.base.place import Place


@pytest.fixture
def eight_cores(monkeypatch):
    """Eight cores, and what other processes used of them over the last ten seconds: `eight_cores(others=3.0)`."""
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr("psutil.cpu_count", lambda: 8)

    def used(others, own=2.0):
        monkeypatch.setattr(machine, "_before", _Sample(100.0, 5000.0, 50.0))
        monkeypatch.setattr(machine, "_sample", lambda: _Sample(110.0, 5000.0 + 10 * (others + own), 50.0 + 10 * own))

    return used


@pytest.mark.parametrize(
    ("others", "wanted"), [(0.0, 8), (0.3, 8), (1.0, 7), (2.6, 5), (7.0, 1), (8.0, 1), (9.0, 1), (-0.2, 8)]
)
def test_run_alone_gets_the_cores_that_others_leave_idle(eight_cores, others, wanted):
    eight_cores(others)
    chosen, why = threads()
    assert chosen == wanted
    assert why == (f"other processes use {others:.1f} of 8 cores" if wanted < 8 else "")


def test_each_call_measures_since_the_last(eight_cores, monkeypatch):
    eight_cores(4.0)
    assert threads()[0] == 4
    monkeypatch.setattr(machine, "_sample", lambda: _Sample(120.0, 5060.0 + 20.0, 70.0 + 20.0))
    assert threads()[0] == 8  # the load of the first ten seconds has gone


@pytest.mark.parametrize(("workers", "wanted"), [(2, 4), (3, 2), (8, 1), (20, 1)])
def test_runs_side_by_side_share_the_cores(eight_cores, workers, wanted):
    eight_cores(7.0)  # the other runs of the grid, among others
    assert threads(workers) == (wanted, "")


@pytest.mark.parametrize(("name", "value"), [("OMP_NUM_THREADS", "3"), ("SLURM_CPUS_PER_TASK", "8")])
def test_what_the_environment_gives_is_taken(eight_cores, monkeypatch, name, value):
    eight_cores(7.0)
    monkeypatch.setenv(name, value)
    assert threads() == (int(value), "")


def test_processes_of_torchrun_share_what_slurm_gives(monkeypatch):
    monkeypatch.setattr(machine, "place", lambda: Place(1, 4, 1, 4))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert machine.cores() == 8  # of each process, which is a task
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert machine.cores() == 2


def test_own_use_is_not_that_of_others():
    # In this very process, which is at work while it is sampled.
    before = machine._sample()
    total = sum(number * number for number in range(300_000))
    after = machine._sample()
    assert total > 0
    assert 0 < after.own - before.own <= after.clock - before.clock + 0.02

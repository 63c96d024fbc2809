"""Every file name in a run's folder, results/runs/NAME-SIGNATURE/, and in the folder that holds the runs."""

CONFIG = "config.yaml"
"""The resolved configuration."""
METRICS = "metrics.jsonl"
"""One line for each evaluation."""
SIGNAL = "signal.jsonl"
"""With probes=signal: one line for each step that was measured, as `ablate.probes.training` says."""
RESULT = "result.json"
"""Once the run has ended: its status, its errors, and exactly what ran."""
WEIGHTS = "weights.pt"
"""The trained network's state dict."""
PREDICTIONS = "predictions.npy"
"""The class given to each test image at the last epoch, and its true class: uint8 or uint16 (2, N)."""
MEAN = "mean.npy"
"""The per-pixel mean that is subtracted from every image, in [0, 1]: float32 (C, H, W)."""
SOURCE = "source"
"""The modules of custom code, with which the run can be repeated elsewhere."""
LOG = "run.log"
"""What was printed, and tracebacks."""
CHECKPOINT, OLD_CHECKPOINT = "checkpoint.pt", "checkpoint.old.pt"
"""While the run is unfinished: everything needed to resume. A broken one is renamed to *.pt.broken."""
LOCK = "lock-{}.json"
"""While the run is being trained: by which process, and how far it is."""
WANDB, WANDB_LEDGER = "wandb", "wandb.json"
"""W&B's own files; which W&B run the record was sent to, and how far."""


def source_diff(session: int) -> str:
    """The uncommitted changes of the package's source in the 1-based session."""
    return "source.diff" if session == 1 else f"source-{session}.diff"


PLANS, ARCHIVED, JOBS = "_grids", "_archived", "_jobs"
"""Beside the runs: what each experiment asked for, the runs that rerun= replaced, and SLURM submissions."""


def is_run(name: str) -> bool:
    """Whether a folder beside the runs can be one."""
    return not name.startswith((".", "_"))

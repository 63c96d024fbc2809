"""Draws an offline W&B run as `wandb leet` shows it in a terminal. Needs tmux.

WANDB_MODE=offline ablate shortcut=gate depth=20 epochs=20 probes=signal threads=1 tracker=wandb
python results/wandb/picture.py results/runs/digits-gate-d20-s0-*/wandb/latest-run results/wandb/leet.svg
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 126, 52
TMUX = ["tmux", "-L", "ablate-picture"]
VIEW = {
    "left_sidebar_visible": False,  # it shows paths of this machine
    "right_sidebar_visible": False,
    "metrics_grid": {"rows": 5, "cols": 3},
}


def main() -> None:
    run, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as home:
        settings = Path(home) / ".config" / "wandb" / "wandb-leet.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(VIEW))
        view = [sys.executable, "-m", "wandb", "leet", "run", str(run)]
        place = ["-x", str(COLUMNS), "-y", str(ROWS)]
        subprocess.run(
            [*TMUX, "new-session", "-d", *place, *view],
            env=os.environ | {"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config", "COLORTERM": "truecolor"},
            check=True,
        )
        try:
            time.sleep(5)  # until it has read the run and drawn it
            seen = subprocess.run([*TMUX, "capture-pane", "-e", "-p"], capture_output=True, text=True, check=True)
        finally:
            subprocess.run([*TMUX, "kill-server"], check=False)
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(seen.stdout.rstrip("\n")), no_wrap=True)
    # No font from the network: the viewer's own monospaced one.
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    out.write_text(console.export_svg(title="wandb leet", code_format=form.replace("Fira Code, ", "")))


if __name__ == "__main__":
    main()

"""A launcher of its own process: ``python -m tests.system.launcher SPEC STORAGE ADDRESS`` runs a study."""

from __future__ import annotations

import sys
from pathlib import Path

from optical_ray.config.load import load
from optical_ray.sweep.study import run_study

if __name__ == "__main__":
    run_study(load(Path(sys.argv[1])), Path(sys.argv[2]), address=sys.argv[3])

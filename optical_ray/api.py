"""Studies from Python: what ``optical-ray run`` does, without the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import load
from optical_ray.sweep.study import StudyResult, check_storage
from optical_ray.sweep.study import run_study as run_experiment
from optical_ray.types import InputError


def run_study(
    spec: Path | str | Experiment,
    *,
    storage: Path | str = "runs",
    address: str = "auto",
    settings: Sequence[str] = (),
) -> StudyResult:
    """Run a study, or resume it.

    ``spec`` is the path of a study's YAML or an ``Experiment``. ``settings`` change the YAML, one ``a.b=value`` each.
    ``storage`` is the folder that holds studies and their cache; all nodes share it. ``address`` is ``auto``
    (``RAY_ADDRESS`` if it is set, else a cluster on this machine), ``local`` or ``host:port``. The study's folder is
    ``result.ledger.folder``, which ``load_study`` reads.

    Raises ``InputError`` (a ``ValueError``) for a study that cannot be run and ``LeaseHeld`` if another launcher runs
    it.
    """
    if not isinstance(spec, Experiment):
        spec = load(Path(spec), settings)
    elif settings:
        raise InputError("settings: got an Experiment, which they cannot change. Give the path of a YAML file.")
    return run_experiment(spec, check_storage(str(storage)), address=address)

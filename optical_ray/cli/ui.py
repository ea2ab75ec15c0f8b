"""The verb ``ui``: the study in MLflow's page."""

from __future__ import annotations

from typing import Annotated

import typer

from optical_ray.cli.options import StudyDir


def command(
    study_dir: StudyDir, port: Annotated[int, typer.Option(help="A port of this machine; 0: a free one.")] = 5000
) -> None:
    """Serve the study's MLflow page on this machine until interrupted."""
    from optical_ray.study.records import Ledger
    from optical_ray.tracking.mlflow.ui import serve

    Ledger.open(study_dir)
    serve(study_dir, port)

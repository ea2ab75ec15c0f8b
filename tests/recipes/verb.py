"""A complete verb. As a file in ``optical_ray/cli/`` it is a verb of the file's name, and no other file changes."""

from __future__ import annotations

import typer

from optical_ray.cli.options import StudyDir


def command(study_dir: StudyDir) -> None:
    """Print the key and the state of each trial."""
    from optical_ray.study.records import Ledger

    for record in Ledger.open(study_dir).records:
        typer.echo(f"{record.key} {record.state.value}")

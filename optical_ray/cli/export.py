"""The verb ``export``: write a trial's student as a model folder of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optical_ray.cli.options import StudyDir, TrialKey


def command(
    study_dir: StudyDir,
    trial_key: TrialKey,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A new folder.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", help="pylate, colbert (Stanford, PLAID-X) or hf.")] = "pylate",
) -> None:
    """Write a trial's student as a model folder with a card, for PyLate, ColBERT or transformers."""
    from optical_ray.cli.screen.terminal import console
    from optical_ray.export.folder import export_trial
    from optical_ray.study.records import Ledger

    differences = export_trial(Ledger.open(study_dir), trial_key, dest, layout)
    screen = console()
    screen.print(f"{layout} folder: {dest}", soft_wrap=True, markup=False)
    for text in differences or ("scores are equal in both programs",):
        screen.print(f"note: {text}", soft_wrap=True, markup=False)

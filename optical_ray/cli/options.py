"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="The study's YAML.", show_default=False)]
StudyDir = Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="A study's folder.", show_default=False)]
TrialKey = Annotated[str, typer.Argument(metavar="TRIAL_KEY", help="A trial's key.", show_default=False)]
Storage = Annotated[str, typer.Option(help="Folder that holds studies and their cache; all nodes share it.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Change the spec: dotted path and YAML value.")
]
Address = Annotated[str, typer.Option(help="auto, local, or host:port of a Ray cluster.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]

"""``optical-ray``: the verbs and their exit codes. What a verb does is imported when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from optical_ray.study.lease import LeaseHeld
from optical_ray.types import InputError

DONE, TRIALS_FAILED, BAD_INPUT, LEASE_HELD, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="optical-ray",
    help="Which source languages help which low-resource target, by how much MAP, and is it significant?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

UsageError: Any = typer.BadParameter.__base__
"""What the command line's parser raises; which package it lives in depends on typer's version."""

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="The study's YAML.", show_default=False)]
StudyDir = Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="A study's folder.", show_default=False)]
TrialKey = Annotated[str, typer.Argument(metavar="TRIAL_KEY", help="A trial's key.", show_default=False)]
Storage = Annotated[str, typer.Option(help="Folder that holds studies and the cache; all nodes share it.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Change the spec: dotted path and YAML value.")
]
Address = Annotated[str, typer.Option(help="auto, local, or host:port of a Ray cluster.")]


@app.command()
def plan(spec: Spec, storage: Storage = "runs", set_: Settings = None, address: Address = "auto") -> None:
    """Check every corner of SPEC and show what a run would do; nothing is written."""
    from optical_ray.cli.studies import show_plan

    show_plan(spec, storage, set_ or [], address)


@app.command()
def data(
    spec: Spec,
    storage: Storage = "runs",
    set_: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Show what the data of SPEC is made of: pairs, pieces per word, leaks, topics, the AP of a random ranking."""
    from optical_ray.cli.data import show_data

    show_data(spec, storage, set_ or [], as_json=as_json)


@app.command()
def prepare(spec: Spec, storage: Storage = "runs", set_: Settings = None, address: Address = "auto") -> None:
    """Make all that trials share: pieces, teacher, teacher embeddings, the undistilled student's scores."""
    from optical_ray.cli.studies import prepare_study

    prepare_study(spec, storage, set_ or [], address)


@app.command()
def run(spec: Spec, storage: Storage = "runs", set_: Settings = None, address: Address = "auto") -> None:
    """Run the study, or go on with it; ends with the MAP table."""
    from optical_ray.cli.studies import run_or_resume

    raise typer.Exit(TRIALS_FAILED if run_or_resume(spec, storage, set_ or [], address) else DONE)


@app.command()
def submit(
    spec: Spec,
    address: Annotated[
        str, typer.Option(help="The cluster's dashboard, as in http://127.0.0.1:8265.", show_default=False)
    ],
    storage: Annotated[str, typer.Option(help="Folder that all nodes of the cluster share.", show_default=False)],
    set_: Settings = None,
    wait: Annotated[bool, typer.Option(help="Show the job's output until it ends.")] = True,  # noqa: FBT002 - an option
) -> None:
    """Run the study as a Ray job, its launcher on the cluster; the same command again goes on with it."""
    from optical_ray.cli.submitting import submit_study

    raise typer.Exit(submit_study(spec, storage, set_ or [], address, wait=wait))


@app.command()
def status(
    study_dir: StudyDir,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Trials by state, the best of each target, what is left to do."""
    from optical_ray.cli.reading import show_status

    show_status(study_dir, as_json=as_json)


@app.command()
def report(study_dir: StudyDir) -> None:
    """Write report/index.html and print a sentence for each target."""
    from optical_ray.cli.reading import make_report

    make_report(study_dir)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A student's folder.", show_default=False)],
    collection: Annotated[
        Path, typer.Option(help="YAML: one collection ({kind: ...}), or a study's spec.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="eval or test.")] = "test",
    metrics: Annotated[str, typer.Option(help="Names, separated by commas.")] = "AP,nDCG@20,RR,P@10,R@100",
    out: Annotated[Path, typer.Option(help="Where runs and per-query scores go.")] = Path("evaluation"),
) -> None:
    """Rank a collection with a student: TREC run, metrics, per-query scores."""
    from optical_ray.cli.evaluate import score_checkpoint

    score_checkpoint(checkpoint, collection, split, metrics.split(","), out)


@app.command()
def export(
    study_dir: StudyDir,
    trial_key: TrialKey,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A new folder.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", help="pylate, colbert (Stanford, PLAID-X) or hf.")] = "pylate",
) -> None:
    """Write a trial's student as a model folder with a card, for PyLate, ColBERT or transformers."""
    from optical_ray.cli.export import export_student

    export_student(study_dir, trial_key, dest, layout)


@app.command()
def align(
    study_dir: StudyDir,
    trial_key: TrialKey,
    english: Annotated[str, typer.Argument(metavar="ENGLISH", help="A sentence.", show_default=False)],
    foreign: Annotated[str, typer.Argument(metavar="FOREIGN", help="Its translation.", show_default=False)],
) -> None:
    """Show which English tokens a trial's student is pulled towards, before and after distillation."""
    from optical_ray.cli.align import show_alignment

    show_alignment(study_dir, trial_key, english, foreign)


@app.command()
def ui(study_dir: StudyDir, port: Annotated[int, typer.Option(help="On this machine only.")] = 5000) -> None:
    """Open the study in the MLflow UI, on loopback."""
    from optical_ray.cli.reading import open_ui

    open_ui(study_dir, port)


@app.command()
def doctor(
    study_dir: Annotated[
        Path | None, typer.Argument(metavar="STUDY_DIR", help="A study's folder.", show_default=False)
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Let go of what a dead launcher held.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Look at versions, hardware, disk and, of a study, its launcher and MLflow."""
    from optical_ray.cli.health import show_health

    raise typer.Exit(1 if show_health(study_dir, fix=fix) else DONE)


def main() -> None:
    """Run a verb; what the user can mend is one message and exit code 2, never a traceback."""
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        _fail(error.format_message(), BAD_INPUT)
    except InputError as error:
        _fail(str(error), BAD_INPUT)
    except LeaseHeld as error:
        _fail(str(error), LEASE_HELD)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # some versions of the parser return it, others raise
        _fail("interrupted; what was done is saved: run the same command again to go on", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else DONE)


def _fail(message: str, code: int) -> NoReturn:
    print(f"optical-ray: {message}", file=sys.stderr)
    sys.exit(code)

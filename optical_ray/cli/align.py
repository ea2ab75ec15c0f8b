"""The verb ``align``: show the optimal transport plan of one sentence pair before and after distillation."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import typer

from optical_ray.cli.options import StudyDir, TrialKey

if TYPE_CHECKING:
    from optical_ray.alignment import Alignment

SHADES = " ░▒▓█"


def command(
    study_dir: StudyDir,
    trial_key: TrialKey,
    english: Annotated[str, typer.Argument(metavar="ENGLISH", help="A sentence.", show_default=False)],
    foreign: Annotated[str, typer.Argument(metavar="FOREIGN", help="Its translation.", show_default=False)],
) -> None:
    """Show the English token that each foreign token is aligned with, before and after distillation."""
    from rich.table import Table

    from optical_ray.alignment import compare, save_comparison
    from optical_ray.cli.screen.terminal import console
    from optical_ray.export.students import student_folder
    from optical_ray.study.layout import StudyFolder
    from optical_ray.study.records import Ledger

    ledger = Ledger.open(study_dir)
    comparison = compare(ledger, ledger.find(trial_key), student_folder(ledger, trial_key), english, foreign)
    name = f"{trial_key}-{hashlib.sha256(f'{english} {foreign}'.encode()).hexdigest()[:8]}"
    saved = save_comparison(comparison, StudyFolder(study_dir).alignment, name)
    before, after = comparison.before, comparison.after
    table = Table(box=None, pad_edge=False)
    table.add_column("student's token")
    for column in ("before: best", "share", "after: best", "share"):
        table.add_column(column, justify="right" if column == "share" else "left")
    for row, token in enumerate(after.tokens):
        (first, first_share), (second, second_share) = before.best(row), after.best(row)
        table.add_row(token, first, f"{first_share:.0%}", second, f"{second_share:.0%}")
    screen = console()
    screen.print(table)
    screen.print(_heat_map(after), markup=False)
    for alignment in (before, after):
        screen.print(
            f"{alignment.stage}: transport cost {alignment.value:.4f}, mean best cosine {alignment.cosine:.3f}"
        )
    if comparison.own_loss is None:
        screen.print("note: the trial was trained with another loss; shown is optimal transport with default settings")
    elif comparison.own_loss != comparison.loss:
        screen.print(
            f"note: shown with uniform marginals, because {comparison.own_loss.marginals} weights are known only for "
            "the bitext"
        )
    screen.print(f"saved: {', '.join(map(str, saved.paths))}", soft_wrap=True, markup=False)
    if not saved.has_all_glyphs:
        screen.print(
            "note: the PNG shows boxes for some characters, because no installed font has them (on Debian install "
            "fonts-noto-core); the report shows the text"
        )


def _heat_map(alignment: Alignment) -> str:
    """The plan in shades: one row per student token, one numbered column per English token."""
    from rich.cells import cell_len

    largest = float(alignment.plan.max())
    width = max(map(cell_len, alignment.tokens))
    lines = ["", f"{'':{width}}  " + " ".join(f"{column:>2}" for column in range(1, len(alignment.pivot_tokens) + 1))]
    for token, masses in zip(alignment.tokens, alignment.plan.tolist(), strict=True):
        shades = (SHADES[round(mass / largest * (len(SHADES) - 1))] * 2 for mass in masses)
        lines.append(token + " " * (width - cell_len(token)) + "  " + " ".join(shades))
    legend = "  ".join(f"{column} {token}" for column, token in enumerate(alignment.pivot_tokens, start=1))
    return "\n".join([*lines, legend, ""])

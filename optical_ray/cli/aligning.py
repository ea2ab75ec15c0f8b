"""The verb that shows what optimal transport makes of one sentence pair."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.table import Table

from optical_ray.cli.exporting import find_trial, student_folder
from optical_ray.cli.terminal import console
from optical_ray.study.records import Ledger

if TYPE_CHECKING:
    from optical_ray.alignment import Alignment

SHADES = " ░▒▓█"


def show_alignment(study_dir: Path, key: str, english: str, foreign: str) -> None:
    """Print whom each foreign token is pulled to, and the plan in shades; save it as JSON (for the report) and PNG."""
    ledger = Ledger.open(study_dir)
    student = student_folder(ledger, key)
    from optical_ray.alignment import compare, save_comparison  # torch: after the words that need none

    found = compare(ledger, find_trial(ledger, key), student, english, foreign)
    name = f"{key}-{hashlib.sha256(f'{english} {foreign}'.encode()).hexdigest()[:8]}"
    paths, legible = save_comparison(found, study_dir / "alignment", name)
    table = Table(box=None, pad_edge=False)
    table.add_column("student's token")
    for column in ("before: pulled to", "share", "after: pulled to", "share"):
        table.add_column(column, justify="right" if column == "share" else "left")
    for row, token in enumerate(found.after.tokens):
        (first, before), (second, after) = found.before.best(row), found.after.best(row)
        table.add_row(token, first, f"{before:.0%}", second, f"{after:.0%}")
    screen = console()
    screen.print(table)
    screen.print(_heat_map(found.after), markup=False)
    for alignment in (found.before, found.after):
        screen.print(
            f"{alignment.stage}: transport cost {alignment.value:.4f}, mean best cosine {alignment.cosine:.3f}"
        )
    if found.own_loss is None:
        screen.print("this trial was trained with another loss: shown is optimal transport at its defaults")
    elif found.own_loss != found.loss:
        screen.print(f"shown with uniform marginals: {found.own_loss.marginals} is known of the bitext alone")
    screen.print(f"saved: {', '.join(map(str, paths))}", soft_wrap=True, markup=False)
    if not legible:
        screen.print(
            "no installed font has all of these characters (Debian: fonts-noto-core): "
            "the PNG shows boxes, the report the text"
        )


def _heat_map(alignment: Alignment) -> str:
    """The plan after distillation in shades, a row for each token of the student; English tokens by their number."""
    largest = float(alignment.plan.max())
    width = max(map(cell_len, alignment.tokens))
    lines = ["", f"{'':{width}}  " + " ".join(f"{place:>2}" for place in range(1, len(alignment.pivot_tokens) + 1))]
    for token, masses in zip(alignment.tokens, alignment.plan.tolist(), strict=True):
        shades = (SHADES[round(mass / largest * (len(SHADES) - 1))] * 2 for mass in masses)
        lines.append(token + " " * (width - cell_len(token)) + "  " + " ".join(shades))
    named = "  ".join(f"{place} {token}" for place, token in enumerate(alignment.pivot_tokens, start=1))
    return "\n".join([*lines, named, ""])

"""What optimal transport makes of one sentence pair: which English tokens the student's tokens are pulled towards.

Legend: ``M`` the student's tokens, ``N`` the teacher's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.config.load import trial_from_dict
from optical_ray.config.trial import BitextConfig
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.losses.interface import Loss
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.losses.weighted_sum import WeightedSum
from optical_ray.ot.cost import cost_matrix
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.study.files import write_json
from optical_ray.study.records import Ledger, TrialRecord
from optical_ray.types import InputError

WIDE_FONTS = ("Noto Sans", "FreeSans", "Lohit", "Mukta", "Unifont")
"""Families with the scripts that matplotlib's own font lacks."""


@dataclass(frozen=True)
class Alignment:
    """A transport plan between the tokens of two sentences, and what it costs.

    ``plan`` (M, N) sums to one; ``value`` is <P, C>; ``cosine`` the mean cosine of each student token's best match.
    """

    stage: str
    tokens: tuple[str, ...]
    pivot_tokens: tuple[str, ...]
    plan: Float[Tensor, "M N"]
    value: float
    cosine: float

    def best(self, row: int) -> tuple[str, float]:
        """The teacher token that most of a student token's mass goes to, and the share of it."""
        masses = self.plan[row]
        place = int(masses.argmax())
        return self.pivot_tokens[place], float(masses[place] / masses.sum().clamp_min(1e-30))


@dataclass(frozen=True)
class Comparison:
    """One pair before and after distillation, under the trial's own transport (or its default where it has none)."""

    key: str
    english: str
    foreign: str
    loss: OptimalTransport
    own_loss: OptimalTransport | None
    """The trial's; ``loss`` differs from it where it asks for what is not known of these sentences."""
    before: Alignment
    after: Alignment


def transport_of(loss: Loss) -> OptimalTransport | None:
    """The optimal transport in ``loss``: itself or a term of its sum; ``None`` where it has none."""
    if isinstance(loss, WeightedSum):
        return next((found for term in loss.terms if (found := transport_of(term.loss)) is not None), None)
    return loss if isinstance(loss, OptimalTransport) else None


def compare(ledger: Ledger, record: TrialRecord, student: Path, english: str, foreign: str) -> Comparison:
    """Align ``foreign`` (read by the undistilled and by the distilled student) with ``english`` (by the teacher).

    Raises ``InputError`` for an empty sentence, and where the study's cache is gone.
    """
    for name, text in (("English", english), ("foreign", foreign)):
        if not text.strip():
            raise InputError(f"the {name} sentence is empty; give two sentences that mean the same")
    trial = trial_from_dict(dict(record.config))
    own = transport_of(trial.loss)
    loss = own or OptimalTransport()
    if loss.marginals == "idf":  # which a sentence from outside of the bitext has not
        loss = replace(loss, marginals="uniform")
    digests = ledger.study["digests"]
    teacher, start = (_cached(ledger.folder, digests[role]) for role in ("teacher", "init"))
    pivot = _read(teacher, english, trial.data)
    stages = [
        _align(stage, loss, _read(folder, foreign, trial.data), pivot)
        for stage, folder in (("before distillation", start), ("after distillation", student))
    ]
    return Comparison(record.key, english, foreign, loss, own, *stages)


def _cached(study: Path, name: str) -> Path:
    folder = study.absolute().parent / "cache" / name
    if not (folder / "encoder.json").is_file():
        raise InputError(
            f"{folder}: the study's encoder is not there any more; `optical-ray prepare SPEC` makes it again"
        )
    return folder


@torch.inference_mode()
def _read(folder: Path, text: str, data: BitextConfig) -> tuple[TokenEmbeddings, tuple[str, ...]]:
    """The vectors of a sentence as training reads it, and their pieces."""
    checkpoint = Checkpoint.open(folder)
    tokenizer = checkpoint.tokenizer()
    [ids] = tokenizer.encode([text], data.read_as, data.max_length).ids
    cloud = checkpoint.load()(torch.tensor([ids]))
    real = cloud.mask[0]
    pieces = [str(tokenizer.backend.id_to_token(index)) for index, kept in zip(ids, real.tolist(), strict=True) if kept]
    return cloud.each(lambda array: array[:, real]), tuple(pieces)


def _align(
    stage: str,
    loss: OptimalTransport,
    student: tuple[TokenEmbeddings, tuple[str, ...]],
    teacher: tuple[TokenEmbeddings, tuple[str, ...]],
) -> Alignment:
    (x, tokens), (y, pivot) = student, teacher
    output = loss(x, y)
    cosine = 1 - cost_matrix(x.vectors, y.vectors, x.mask, y.mask).min(dim=2).values.mean()
    return Alignment(stage, tokens, pivot, loss.plan(x, y)[0], float(output.loss), float(cosine))


def save_comparison(found: Comparison, folder: Path, name: str) -> tuple[list[Path], bool]:
    """Write ``<name>-1-before.json``, ``<name>-2-after.json`` (the report shows them) and ``<name>.png``.

    The second value: whether installed fonts have every character. Where they do not, the PNG has boxes in their place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    solver = found.loss.solver
    paths = []
    for suffix, alignment in (("1-before", found.before), ("2-after", found.after)):
        content = {
            "trial": found.key,
            "stage": alignment.stage,
            "language": f"{found.foreign} ({alignment.stage})",
            "english": found.english,
            "solver": solver.kind,
            **{name: getattr(solver, name) for name in solver.cost_fields},
            "value": alignment.value,
            "pivot_tokens": list(alignment.pivot_tokens),
            "tokens": list(alignment.tokens),
            "plan": [[round(mass, 8) for mass in row] for row in alignment.plan.tolist()],
        }
        path = folder / f"{name}-{suffix}.json"
        write_json(path, content)
        paths.append(path)
    paths.append(folder / f"{name}.png")
    return paths, _draw((found.before, found.after), paths[-1])


def _draw(alignments: Sequence[Alignment], path: Path) -> bool:
    """Two heat maps side by side; whether no character was missing from the installed fonts."""
    from matplotlib import font_manager, rc_context  # seconds to import
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ["DejaVu Sans", *sorted(name for name in installed if name.startswith(WIDE_FONTS))]
    with rc_context({"font.family": fonts}), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _heat_maps(alignments, Figure, FigureCanvasAgg).savefig(path, dpi=150)
    return not any("missing from font" in str(warning.message) for warning in said)


def _heat_maps(alignments: Sequence[Alignment], figure_type: Any, canvas_type: Any) -> Any:
    rows = max(len(alignment.tokens) for alignment in alignments)
    columns = len(alignments[0].pivot_tokens)
    figure = figure_type(figsize=(2 * (2.4 + 0.34 * columns), 1.7 + 0.3 * rows), layout="constrained")
    canvas_type(figure)
    largest = max(float(alignment.plan.max()) for alignment in alignments)
    for axes, alignment in zip(figure.subplots(1, 2, squeeze=False)[0], alignments, strict=True):
        axes.imshow(alignment.plan.numpy(), cmap="cividis", vmin=0, vmax=largest, aspect="auto")
        axes.set_xticks(range(columns), alignment.pivot_tokens, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(len(alignment.tokens)), alignment.tokens, fontsize=8)
        axes.set_title(f"{alignment.stage}: cost {alignment.value:.3f}", fontsize=9)
        axes.set_xlabel("English, by the teacher", fontsize=8)
    return figure

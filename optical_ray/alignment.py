"""The transport plan of one sentence pair: which English tokens a student's tokens are aligned with.

Legend: ``M`` student tokens, ``N`` teacher tokens.
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
from optical_ray.encoders.checkpoint_files import has_checkpoint
from optical_ray.losses.interface import Loss
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.losses.weighted_sum import WeightedSum
from optical_ray.ot.cost import cost_matrix
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.study.files import replace_file, write_json
from optical_ray.study.layout import StorageFolder
from optical_ray.study.records import Ledger, TrialRecord
from optical_ray.types import InputError

WIDE_FONTS = ("Noto Sans", "FreeSans", "Lohit", "Mukta", "Unifont")
"""Font families with scripts that matplotlib's default font lacks."""


@dataclass(frozen=True)
class Alignment:
    """A transport plan between the tokens of two sentences.

    ``plan`` (M, N) sums to one; ``value`` is its cost <P, C>; ``cosine`` is the mean over student tokens of the cosine
    with the most similar teacher token. ``stage`` names the student, e.g. ``"before distillation"``.
    """

    stage: str
    tokens: tuple[str, ...]
    pivot_tokens: tuple[str, ...]
    plan: Float[Tensor, "M N"]
    value: float
    cosine: float

    def best(self, row: int) -> tuple[str, float]:
        """The teacher token that gets most of a student token's mass, and its share of that mass."""
        masses = self.plan[row]
        column = int(masses.argmax())
        return self.pivot_tokens[column], float(masses[column] / masses.sum().clamp_min(1e-30))


@dataclass(frozen=True)
class Comparison:
    """The alignments of one sentence pair before and after distillation.

    ``own_loss`` is the optimal transport in the trial's loss, or ``None`` if it has none. ``loss`` is the one that is
    shown: ``own_loss`` with uniform marginals if it weighs tokens by their frequency, else the default.
    """

    key: str
    english: str
    foreign: str
    loss: OptimalTransport
    own_loss: OptimalTransport | None
    before: Alignment
    after: Alignment


def transport_of(loss: Loss) -> OptimalTransport | None:
    """The optimal transport in ``loss``: itself or the first in a weighted sum, or ``None``."""
    if isinstance(loss, WeightedSum):
        terms = (transport_of(term.loss) for term in loss.terms)
        return next((transport for transport in terms if transport is not None), None)
    return loss if isinstance(loss, OptimalTransport) else None


def compare(ledger: Ledger, record: TrialRecord, student: Path, english: str, foreign: str) -> Comparison:
    """Align ``foreign`` (encoded by the undistilled and the distilled student) with ``english`` (by the teacher).

    ``student`` is the folder with the trial's weights. Raises ``InputError`` if a sentence is empty, or if the teacher
    or the undistilled student is no longer in the cache.
    """
    for name, text in (("English", english), ("foreign", foreign)):
        if not text.strip():
            raise InputError(f"the {name} sentence is empty. Give a sentence and its translation.")
    trial = trial_from_dict(dict(record.config))
    own = transport_of(trial.loss)
    loss = own or OptimalTransport()
    if loss.marginals == "idf":  # document frequencies are known only for the bitext
        loss = replace(loss, marginals="uniform")
    digests = ledger.info.digests
    teacher, start = (_cached(ledger.folder, digests[role]) for role in ("teacher", "init"))
    pivot = _read(teacher, english, trial.data)
    stages = [
        _align(stage, loss, _read(folder, foreign, trial.data), pivot)
        for stage, folder in (("before distillation", start), ("after distillation", student))
    ]
    return Comparison(record.key, english, foreign, loss, own, *stages)


def _cached(study: Path, name: str) -> Path:
    folder = StorageFolder(study.absolute().parent).cache / name
    if not has_checkpoint(folder):
        raise InputError(f"{folder}: the study's encoder was deleted. `optical-ray prepare SPEC` builds it again.")
    return folder


@torch.inference_mode()
def _read(folder: Path, text: str, data: BitextConfig) -> tuple[TokenEmbeddings, tuple[str, ...]]:
    """The token embeddings of a sentence as in training, without padding, and their pieces."""
    checkpoint = Checkpoint.open(folder)
    tokenizer = checkpoint.tokenizer()
    [ids] = tokenizer.encode([text], data.read_as, data.max_length).ids
    embeddings = checkpoint.load()(torch.tensor([ids]))
    real = embeddings.mask[0]
    pieces = [str(tokenizer.backend.id_to_token(index)) for index, kept in zip(ids, real.tolist(), strict=True) if kept]
    return embeddings.each(lambda array: array[:, real]), tuple(pieces)


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


@dataclass(frozen=True)
class SavedComparison:
    """The files of a comparison; ``has_all_glyphs``: whether the installed fonts have every character in the PNG."""

    paths: tuple[Path, ...]
    has_all_glyphs: bool


def save_comparison(comparison: Comparison, folder: Path, name: str) -> SavedComparison:
    """Write ``<name>-1-before.json``, ``<name>-2-after.json`` (which the report shows) and ``<name>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    solver = comparison.loss.solver
    paths = []
    for suffix, alignment in (("1-before", comparison.before), ("2-after", comparison.after)):
        content = {
            "trial": comparison.key,
            "stage": alignment.stage,
            "language": f"{comparison.foreign} ({alignment.stage})",
            "english": comparison.english,
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
    picture = folder / f"{name}.png"
    has_all_glyphs = _draw((comparison.before, comparison.after), picture)
    return SavedComparison((*paths, picture), has_all_glyphs)


def _draw(alignments: Sequence[Alignment], path: Path) -> bool:
    """Draw two heat maps side by side; returns whether the installed fonts have every character."""
    from matplotlib import font_manager, rc_context  # takes seconds to import
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ["DejaVu Sans", *sorted(name for name in installed if name.startswith(WIDE_FONTS))]
    with rc_context({"font.family": fonts}), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = _heat_maps(alignments, Figure, FigureCanvasAgg)
        with replace_file(path) as temporary:
            figure.savefig(temporary, dpi=150, format="png")
    return not any("missing from font" in str(warning.message) for warning in caught)


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

"""One optimisation step as plain torch: it knows neither Ray nor studies, and runs anywhere.

Legend: ``b`` pairs of one worker, ``B`` pairs of all workers, ``M``/``N`` tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.losses.interface import Loss
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import maxsim
from optical_ray.training.batches import PairBatch


@dataclass(frozen=True)
class StepOutput:
    """``loss``: scalar to be minimised; ``diagnostics``: detached scalars by name."""

    loss: Float[Tensor, ""]
    diagnostics: dict[str, Tensor] = field(default_factory=dict)


class Distillation(nn.Module):
    """A student learns the teacher's token embeddings on sentence pairs, and keeps them on the pivot's side.

    ``loss(foreign by student, pivot by teacher) + anchor_weight * mean over tokens of 1 - cos(student, teacher)`` on
    the pivot; where the two have different pieces (``same_pieces`` false) the anchor is ``loss`` itself.
    ``teacher`` is needed only where batches hold piece ids in place of vectors; ``autocast`` is the type that the
    student computes in (losses compute in float32 whatever it is).
    """

    def __init__(
        self,
        student: TokenEncoder,
        loss: Loss,
        *,
        anchor_weight: float,
        same_pieces: bool,
        teacher: TokenEncoder | None,
        autocast: torch.dtype | None = None,
    ):
        super().__init__()
        self.student = student
        self.loss = loss
        self.anchor_weight = anchor_weight
        self.same_pieces = same_pieces
        self.autocast = autocast
        self.teacher = None if teacher is None else teacher.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Distillation:  # noqa: FBT001, FBT002 - torch's own signature
        """Training mode for the student; the teacher stays as it is."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, batch: PairBatch) -> StepOutput:
        """Loss of one batch."""
        teacher = self._teacher_cloud(batch)
        foreign, pivot = self._student_clouds(batch)
        output = self.loss(gathered(foreign), gathered(teacher)) if self.loss.in_batch else self.loss(foreign, teacher)
        diagnostics = dict(output.diagnostics)
        total = output.loss
        if pivot is not None:
            anchor = token_distance(pivot, teacher) if self.same_pieces else self.loss(pivot, teacher).loss
            diagnostics["anchor"] = anchor.detach()
            total = total + self.anchor_weight * anchor
        diagnostics["distillation"] = output.loss.detach()
        return StepOutput(total, diagnostics)

    def _teacher_cloud(self, batch: PairBatch) -> TokenEmbeddings:
        idf = None if batch.idf is None else batch.idf.teacher
        if isinstance(batch.teacher, TokenEmbeddings):
            return replace(batch.teacher, idf=idf)
        assert self.teacher is not None, "batches of teacher ids need the teacher"
        with torch.no_grad():
            cloud = compact(replace(self.teacher(batch.teacher), idf=idf))
        return replace(cloud, vectors=cloud.vectors.half().float())  # as precise as the cache, so equal to it

    def _student_clouds(self, batch: PairBatch) -> tuple[TokenEmbeddings, TokenEmbeddings | None]:
        """Both sides in one pass of the student."""
        idf = batch.idf
        if self.anchor_weight == 0:
            return self._read(batch.foreign, None if idf is None else idf.foreign), None
        ids = _behind(batch.foreign, batch.pivot, self.student.pad)
        both = self._read(ids, None if idf is None else _behind(idf.foreign, idf.pivot, 0))
        size = batch.foreign.shape[0]
        return both.each(lambda array: array[:size]), compact(both.each(lambda array: array[size:]))

    def _read(self, ids: Int[Tensor, "b L"], idf: Float[Tensor, "b L"] | None) -> TokenEmbeddings:
        with torch.autocast(ids.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            cloud: TokenEmbeddings = self.student(ids)
        return replace(cloud, idf=idf)


class Relevance(nn.Module):
    """A late-interaction encoder learns relevance: softmax over the documents of the whole batch, hard negatives too.

    Source: Khattab & Zaharia (2020), ColBERT, with in-batch negatives; scores are the mean cosine of the best
    matches over the query's tokens, divided by ``temperature``. ``kl_weight`` times KL(judge || encoder) over a query's
    own documents is added where a judge has scored them: Santhanam et al. (2022), ColBERTv2, section 3.2.
    """

    def __init__(self, encoder: TokenEncoder, temperature: float, kl_weight: float = 0.0):
        super().__init__()
        self.encoder = encoder
        self.temperature = temperature
        self.kl_weight = kl_weight

    def forward(
        self,
        queries: Int[Tensor, "b M"],
        documents: Int[Tensor, "d N"],
        judged: Float[Tensor, "b n"] | None = None,
    ) -> StepOutput:
        """Mean cross-entropy of each query's own document against all documents of all workers.

        ``documents``: first the answer of each of the ``b`` queries, then the hard negatives, ``n - 1`` a query, query
        by query. ``judged``: scores of a query's answer and its own negatives.
        """
        size, device = len(queries), queries.device
        cloud, own = self.encoder(queries), self.encoder(documents)
        first = len(documents) * (dist.get_rank() if _is_distributed() else 0)
        tokens = cloud.mask.sum(dim=1, keepdim=True)
        scores = maxsim(cloud, gathered(replace(own, norms=None))) / tokens / self.temperature
        truth = torch.arange(size, device=device) + first
        loss = nn.functional.cross_entropy(scores, truth)
        diagnostics = {"accuracy": (scores.argmax(dim=1) == truth).float().mean().detach()}
        if judged is not None:
            negatives = torch.arange(size, len(documents), device=device).reshape(size, -1) + first
            mine = scores.gather(1, torch.cat([truth[:, None], negatives], dim=1)).log_softmax(dim=1)
            divergence = nn.functional.kl_div(mine, judged.log_softmax(dim=1), reduction="batchmean", log_target=True)
            diagnostics["kl"] = divergence.detach()
            loss = loss + self.kl_weight * divergence
        return StepOutput(loss, diagnostics)


def token_distance(student: TokenEmbeddings, teacher: TokenEmbeddings) -> Float[Tensor, ""]:
    """Mean over real tokens of 1 - cos, where both have the same tokens in the same order."""
    width = min(student.vectors.shape[1], teacher.vectors.shape[1])
    mask = student.mask[:, :width] & teacher.mask[:, :width]
    cosine = (student.vectors[:, :width] * teacher.vectors[:, :width]).sum(dim=-1)
    per_pair = ((1 - cosine) * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return per_pair.mean()


def compact(cloud: TokenEmbeddings) -> TokenEmbeddings:
    """The same clouds with the real tokens first and no column that is empty everywhere."""
    order = torch.argsort((~cloud.mask).to(torch.int8), dim=1, stable=True)[:, : int(cloud.mask.sum(dim=1).max())]
    return cloud.each(lambda array: torch.take_along_dim(array, order[:, :, None] if array.ndim == 3 else order, dim=1))


def gathered(cloud: TokenEmbeddings) -> TokenEmbeddings:
    """The clouds of all workers, by rank; gradients flow back to where each came from."""
    if not _is_distributed():
        return cloud
    width = torch.tensor(cloud.mask.shape[1], device=cloud.mask.device)
    dist.all_reduce(width, op=dist.ReduceOp.MAX)
    extra = int(width) - cloud.mask.shape[1]

    def from_all(array: Tensor) -> Tensor:
        wide = nn.functional.pad(array, (0, 0, 0, extra) if array.ndim == 3 else (0, extra)).contiguous()
        if array.ndim == 3:
            return torch.cat(list(all_gather(wide)))  # type: ignore[no-untyped-call]
        sent = wide.to(torch.uint8) if wide.dtype == torch.bool else wide
        parts = [torch.empty_like(sent) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, sent)
        return torch.cat(parts).to(wide.dtype)

    return cloud.each(from_all)


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _behind(first: Tensor, second: Tensor, pad: int) -> Tensor:
    """Two padded matrices as one, the rows of ``second`` behind those of ``first``."""
    width = max(first.shape[1], second.shape[1])
    return torch.cat([nn.functional.pad(one, (0, width - one.shape[1]), value=pad) for one in (first, second)])


@dataclass
class TrainState:
    """What an optimisation carries from step to step; ``step`` counts the finished ones.

    ``forward`` is ``objective``, wrapped by DDP where there are several workers.
    """

    objective: nn.Module
    forward: nn.Module
    optimizer: AdamW
    scheduler: LambdaLR
    clip: float
    step: int = 0


def new_state(
    objective: nn.Module,
    forward: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    steps: int,
    clip: float,
) -> TrainState:
    """AdamW with linear warm-up over ``warmup * steps`` steps and linear decay; no weight decay on biases, norms."""
    groups = [
        {"params": [p for _, p in _trained(objective) if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for _, p in _trained(objective) if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)
    rising = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        return min((step + 1) / rising, max(0.0, (steps - step) / max(1, steps - rising)))

    return TrainState(objective, forward, optimizer, LambdaLR(optimizer, factor), clip)


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)


def train_step(state: TrainState, *inputs: Any) -> dict[str, float]:
    """One step on ``inputs`` of the objective; the mean over workers of the loss and its diagnostics comes back.

    Raises ``FloatingPointError`` where the loss or its gradient is not finite: nothing is changed then.
    """
    output: StepOutput = state.forward(*inputs)
    values = {"loss": output.loss.detach(), **output.diagnostics}
    row = torch.stack([value.float().reshape(()) for value in values.values()])
    if _is_distributed():
        dist.all_reduce(row)
        row /= dist.get_world_size()
    if not torch.isfinite(row[0]):
        raise FloatingPointError(f"loss is {row[0].item()} at step {state.step + 1}")
    state.optimizer.zero_grad(set_to_none=True)
    output.loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_([p for _, p in _trained(state.objective)], state.clip)
    if not torch.isfinite(norm):  # of all workers: their gradients are averaged
        raise FloatingPointError(f"the gradient's norm is {norm.item()} at step {state.step + 1}")
    state.optimizer.step()
    state.scheduler.step()
    state.step += 1
    return {**dict(zip(values, row.tolist(), strict=True)), "gradient_norm": norm.item()}

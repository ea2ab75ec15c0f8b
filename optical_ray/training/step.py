"""One optimisation step in plain torch, independent of Ray and studies.

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
    """``loss``: the scalar to minimise; ``diagnostics``: detached scalars by name."""

    loss: Float[Tensor, ""]
    diagnostics: dict[str, Tensor] = field(default_factory=dict)


class Distillation(nn.Module):
    """Trains a student to reproduce the teacher's token embeddings on sentence pairs.

    ``loss(foreign by student, pivot by teacher) + anchor_weight * anchor``. The anchor is the mean over the pivot's
    tokens of ``1 - cos(student, teacher)``; if the two tokenize differently (``same_pieces`` is false), it is ``loss``
    on the pivot. ``teacher`` is needed only if batches contain token ids instead of its embeddings; ``autocast`` is
    the type that the student computes in (losses always compute in float32).
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
        """Set the mode of the student; the teacher stays in evaluation mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, batch: PairBatch) -> StepOutput:
        """Return the loss of one batch."""
        teacher = self._teacher_embeddings(batch)
        foreign, pivot = self._student_embeddings(batch)
        output = self.loss(gathered(foreign), gathered(teacher)) if self.loss.in_batch else self.loss(foreign, teacher)
        diagnostics = dict(output.diagnostics)
        total = output.loss
        if pivot is not None:
            anchor = token_distance(pivot, teacher) if self.same_pieces else self.loss(pivot, teacher).loss
            diagnostics["anchor"] = anchor.detach()
            total = total + self.anchor_weight * anchor
        diagnostics["distillation"] = output.loss.detach()
        return StepOutput(total, diagnostics)

    def _teacher_embeddings(self, batch: PairBatch) -> TokenEmbeddings:
        idf = None if batch.idf is None else batch.idf.teacher
        if isinstance(batch.teacher, TokenEmbeddings):
            return replace(batch.teacher, idf=idf)
        assert self.teacher is not None, "batches of teacher ids need the teacher"
        with torch.no_grad():
            embeddings = compact(replace(self.teacher(batch.teacher), idf=idf))
        return replace(embeddings, vectors=embeddings.vectors.half().float())  # the precision of the cache

    def _student_embeddings(self, batch: PairBatch) -> tuple[TokenEmbeddings, TokenEmbeddings | None]:
        """Encode both sides in one forward pass of the student."""
        idf = batch.idf
        if self.anchor_weight == 0:
            return self._encode(batch.foreign, None if idf is None else idf.foreign), None
        ids = _stack_padded(batch.foreign, batch.pivot, self.student.pad)
        both = self._encode(ids, None if idf is None else _stack_padded(idf.foreign, idf.pivot, 0))
        size = batch.foreign.shape[0]
        return both.each(lambda array: array[:size]), compact(both.each(lambda array: array[size:]))

    def _encode(self, ids: Int[Tensor, "b L"], idf: Float[Tensor, "b L"] | None) -> TokenEmbeddings:
        with torch.autocast(ids.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            embeddings: TokenEmbeddings = self.student(ids)
        return replace(embeddings, idf=idf)


class Relevance(nn.Module):
    """Trains a late-interaction encoder: softmax over all documents of the batch, including hard negatives.

    Source: Khattab & Zaharia (2020), ColBERT, with in-batch negatives; scores are the mean cosine of the best
    matches over the query's tokens, divided by ``temperature``. ``kl_weight`` times KL(judge || encoder) over a query's
    own documents is added if a judge has scored them: Santhanam et al. (2022), ColBERTv2, section 3.2.
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
        """Return the mean cross-entropy of each query's own document against all documents of all workers.

        ``documents``: first the relevant document of each of the ``b`` queries, then the hard negatives, ``n - 1`` per
        query, query by query. ``judged``: the judge's scores of a query's relevant document and its own negatives.
        """
        size, device = len(queries), queries.device
        embeddings, own = self.encoder(queries), self.encoder(documents)
        first = len(documents) * (dist.get_rank() if _is_distributed() else 0)
        tokens = embeddings.mask.sum(dim=1, keepdim=True)
        scores = maxsim(embeddings, gathered(replace(own, norms=None))) / tokens / self.temperature
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
    """Mean over tokens of 1 - cos; both must have the same tokens in the same order."""
    width = min(student.vectors.shape[1], teacher.vectors.shape[1])
    mask = student.mask[:, :width] & teacher.mask[:, :width]
    cosine = (student.vectors[:, :width] * teacher.vectors[:, :width]).sum(dim=-1)
    per_pair = ((1 - cosine) * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return per_pair.mean()


def compact(embeddings: TokenEmbeddings) -> TokenEmbeddings:
    """Move padding behind the tokens and remove columns that are all padding."""
    mask = embeddings.mask
    order = torch.argsort((~mask).to(torch.int8), dim=1, stable=True)[:, : int(mask.sum(dim=1).max())]
    return embeddings.each(
        lambda array: torch.take_along_dim(array, order[:, :, None] if array.ndim == 3 else order, dim=1)
    )


def gathered(embeddings: TokenEmbeddings) -> TokenEmbeddings:
    """Concatenate the token embeddings of all workers by rank; gradients flow back to their workers."""
    if not _is_distributed():
        return embeddings
    width = torch.tensor(embeddings.mask.shape[1], device=embeddings.mask.device)
    dist.all_reduce(width, op=dist.ReduceOp.MAX)
    extra = int(width) - embeddings.mask.shape[1]

    def from_all(array: Tensor) -> Tensor:
        wide = nn.functional.pad(array, (0, 0, 0, extra) if array.ndim == 3 else (0, extra)).contiguous()
        if array.ndim == 3:
            return torch.cat(list(all_gather(wide)))  # type: ignore[no-untyped-call]
        sent = wide.to(torch.uint8) if wide.dtype == torch.bool else wide
        parts = [torch.empty_like(sent) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, sent)
        return torch.cat(parts).to(wide.dtype)

    return embeddings.each(from_all)


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _stack_padded(first: Tensor, second: Tensor, pad: int) -> Tensor:
    """Stack the rows of two padded matrices, padded to the width of the wider one."""
    width = max(first.shape[1], second.shape[1])
    return torch.cat([nn.functional.pad(ids, (0, width - ids.shape[1]), value=pad) for ids in (first, second)])


@dataclass
class TrainState:
    """The state of an optimisation; ``step`` counts the finished steps.

    ``forward`` is ``objective``, wrapped by DDP if there are several workers.
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
    """Return a state with AdamW, linear warm-up over ``warmup * steps`` steps and linear decay.

    Biases and normalisation weights have no weight decay.
    """
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
    """Do one step on ``inputs`` of the objective; return the means over workers of the loss and its diagnostics.

    Raises ``FloatingPointError``, without changing the weights, if the loss or its gradient is not finite.
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
    if not torch.isfinite(norm):  # the same on all workers, which average their gradients
        raise FloatingPointError(f"the gradient's norm is {norm.item()} at step {state.step + 1}")
    state.optimizer.step()
    state.scheduler.step()
    state.step += 1
    return {**dict(zip(values, row.tolist(), strict=True)), "gradient_norm": norm.item()}

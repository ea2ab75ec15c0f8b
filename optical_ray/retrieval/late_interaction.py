"""Exact late interaction: MaxSim scores, and exhaustive ranking within bounded memory.

Shapes: ``Q`` queries, ``K`` documents, ``M`` query tokens, ``N`` document tokens, ``D`` embedding dim; ``T`` real query
tokens of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from optical_ray.retrieval.embeddings import TokenEmbeddings

CELLS_PER_BLOCK = 2**20
"""Token-by-token similarities held at a time: 4 MB of float32, which a processor's cache holds."""

SCORES_AT_ONCE = 2**22
"""Scores of all queries that are sorted at a time: about 150 MB, places and copies included."""


@dataclass(frozen=True)
class Ranking:
    """The best documents of each query, best first; equal scores in the order of the documents.

    ``scores`` (Q, k) and ``indices`` (Q, k), positions in the documents; k is ``top_k`` or the number of documents.
    """

    scores: Float[Tensor, "Q k"]
    indices: Int[Tensor, "Q k"]


def maxsim(queries: TokenEmbeddings, documents: TokenEmbeddings) -> Float[Tensor, "Q K"]:
    """Score of each document for each query: sum over query tokens of the largest similarity to a document token.

    score(q, d) = sum_i max_j <q_i, d_j> over real tokens; -inf for a document without tokens (unless the query has
    none either: 0). Differentiable; it holds all Q x M x K x N similarities, so it is for batches, and ``rank`` for
    collections. Source: Khattab and Zaharia 2020 (arXiv 2004.12832), equation 3.

    >>> one = TokenEmbeddings(torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool))
    >>> maxsim(one, one).tolist()
    [[2.0]]
    """
    q, m, d = queries.vectors.shape
    k, n, _ = documents.vectors.shape
    similarities = (queries.vectors.reshape(q * m, d) @ documents.vectors.reshape(k * n, d).T).view(q, m, k, n)
    best = similarities.masked_fill(~documents.mask[None, None], -torch.inf).amax(-1)
    return best.masked_fill(~queries.mask[:, :, None], 0).sum(1)


def rank(
    queries: TokenEmbeddings,
    documents: TokenEmbeddings | Iterable[TokenEmbeddings],
    *,
    top_k: int,
    queries_per_block: int = 64,
    cells_per_block: int = CELLS_PER_BLOCK,
) -> Ranking:
    """Score every document for every query with exact MaxSim and keep the best ``top_k``.

    ``documents`` may come in parts (each padded to its own length, best when of like length); positions count on from
    part to part. Never holds more than ``cells_per_block`` similarities (or one document's) at a time, nor scores of
    more than ``SCORES_AT_ONCE`` pairs (or ``top_k`` documents). Deterministic: equal scores keep the order of the
    documents. Raises ``ValueError`` for ``top_k`` < 1.

    >>> axes = TokenEmbeddings(torch.eye(3)[:, None], torch.ones(3, 1, dtype=torch.bool))
    >>> rank(axes, axes, top_k=1).indices.tolist()
    [[0], [1], [2]]
    """
    if top_k < 1:
        raise ValueError(f"top_k: must be >= 1, got {top_k}")
    parts = [documents] if isinstance(documents, TokenEmbeddings) else documents
    num_queries = len(queries.vectors)
    blocks = [
        _QueryBlock.of(queries, start, min(start + queries_per_block, num_queries))
        for start in range(0, num_queries, queries_per_block)
    ]
    scores = queries.vectors.new_empty(num_queries, 0)
    indices = torch.empty(num_queries, 0, dtype=torch.long, device=scores.device)
    offset = 0
    with torch.no_grad():
        for some in _few(parts, max(top_k, SCORES_AT_ONCE // max(num_queries, 1))):
            found = _score_part(blocks, some, num_queries, cells_per_block)
            positions = torch.arange(offset, offset + found.shape[1], device=scores.device).expand_as(found)
            offset += found.shape[1]
            scores, order = torch.cat([scores, found], 1).sort(dim=1, descending=True, stable=True)
            indices = torch.cat([indices, positions], 1).gather(1, order)[:, :top_k]
            scores = scores[:, :top_k]
    return Ranking(scores, indices)


def _few(parts: Iterable[TokenEmbeddings], most: int) -> Iterator[TokenEmbeddings]:
    """The documents of ``parts`` in turn, at most so many at a time."""
    for part in parts:
        for start in range(0, len(part.vectors), most):
            yield part.each(lambda array, start=start: array[start : start + most])  # type: ignore[misc]


@dataclass(frozen=True)
class _QueryBlock:
    """Real tokens of a few queries, side by side, and which query (T, Q) each belongs to."""

    tokens: Float[Tensor, "D T"]
    members: Float[Tensor, "T Q"]
    start: int
    end: int

    @classmethod
    def of(cls, queries: TokenEmbeddings, start: int, end: int) -> _QueryBlock:
        mask = queries.mask[start:end]
        owner = mask.nonzero()[:, 0]
        members = (owner[:, None] == torch.arange(end - start, device=mask.device)).to(queries.vectors.dtype)
        return cls(queries.vectors[start:end][mask].T.contiguous(), members, start, end)


def _score_part(
    blocks: list[_QueryBlock], documents: TokenEmbeddings, num_queries: int, cells_per_block: int
) -> Float[Tensor, "Q K"]:
    """Scores of one part, shortest documents first so that a block of them holds little padding."""
    lengths = _extents(documents)
    order = lengths.argsort(stable=True)
    sizes = lengths[order].tolist()
    vectors = _without_padding(documents)
    found = vectors.new_empty(len(order), num_queries)
    for block in blocks:
        tokens = max(block.tokens.shape[1], 1)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * sizes[end] * tokens <= cells_per_block:
                end += 1
            chosen, length = order[start:end], max(sizes[end - 1], 1)
            cells = vectors[chosen, :length].flatten(0, 1) @ block.tokens
            best = cells.view(end - start, length, -1).amax(1)
            found[chosen, block.start : block.end] = best @ block.members
            start = end
    has_tokens, has_query = documents.mask.any(1), torch.cat([b.members.any(0) for b in blocks])
    found[~has_tokens[:, None] & has_query] = -torch.inf
    return found.T


def _extents(documents: TokenEmbeddings) -> Int[Tensor, " K"]:
    positions = torch.arange(1, documents.mask.shape[1] + 1, device=documents.mask.device)
    return (documents.mask * positions).amax(1)


def _without_padding(documents: TokenEmbeddings) -> Float[Tensor, "K N D"]:
    """Padding replaced by the document's first real token: a maximum over tokens does not notice a repetition."""
    first = documents.mask.int().argmax(1)
    stand_in = documents.vectors[torch.arange(len(first), device=first.device), first]
    return torch.where(documents.mask[:, :, None], documents.vectors, stand_in[:, None])

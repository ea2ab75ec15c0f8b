"""Exact late interaction: MaxSim scores, and exhaustive ranking in bounded memory.

Shapes: ``Q`` queries, ``K`` documents, ``M`` query tokens, ``N`` document tokens, ``D`` embedding dimension;
``T`` real query tokens of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from optical_ray.retrieval.embeddings import TokenEmbeddings

CELLS_PER_BLOCK = 2**20
"""Token-by-token similarities in memory at a time: 4 MB of float32, which fits in a processor's cache."""

SCORES_AT_ONCE = 2**22
"""Scores sorted at a time: about 150 MB with their indices and copies."""


@dataclass(frozen=True)
class Ranking:
    """The best documents of each query, best first; documents with equal scores keep their order.

    ``scores`` (Q, k) and ``indices`` (Q, k) into the documents; k is ``top_k`` or, if smaller, their number.
    """

    scores: Float[Tensor, "Q k"]
    indices: Int[Tensor, "Q k"]


def maxsim(queries: TokenEmbeddings, documents: TokenEmbeddings) -> Float[Tensor, "Q K"]:
    """Score of each document for each query: sum over query tokens of the largest similarity to a document token.

    score(q, d) = sum_i max_j <q_i, d_j> over real tokens; -inf for a document without tokens, or 0 if the query has
    no tokens either. Differentiable. Holds all Q x M x K x N similarities in memory: use it for batches, and ``rank``
    for collections. Source: Khattab and Zaharia 2020 (arXiv 2004.12832), equation 3.

    >>> axes = TokenEmbeddings(torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool))
    >>> maxsim(axes, axes).tolist()
    [[2.0]]
    """
    q, m, d = queries.vectors.shape
    k, n, _ = documents.vectors.shape
    similarities = (queries.vectors.reshape(q * m, d) @ documents.vectors.reshape(k * n, d).T).view(q, m, k, n)
    best = similarities.masked_fill(~documents.mask[None, None], -torch.inf).amax(-1)
    return best.masked_fill(~queries.mask[:, :, None], 0).sum(1)


def mean_maxsim(queries: TokenEmbeddings, documents: TokenEmbeddings) -> Float[Tensor, "Q K"]:
    """``maxsim`` divided by the number of query tokens, which does not grow with the length of the query.

    >>> axes = TokenEmbeddings(torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool))
    >>> mean_maxsim(axes, axes).tolist()
    [[1.0]]
    """
    return maxsim(queries, documents) / queries.mask.sum(1, keepdim=True).clamp_min(1)


def rank(
    queries: TokenEmbeddings,
    documents: TokenEmbeddings | Iterable[TokenEmbeddings],
    *,
    top_k: int,
    queries_per_block: int = 64,
    cells_per_block: int = CELLS_PER_BLOCK,
) -> Ranking:
    """Score every document for every query with exact MaxSim and keep the best ``top_k``.

    ``documents`` can be an iterable of parts, each padded to its own length; indices continue from part to part. Parts
    of documents of similar length are fastest. At most ``cells_per_block`` similarities (or those of one document) and
    ``SCORES_AT_ONCE`` scores (or those of ``top_k`` documents) are in memory at a time. Documents with equal scores
    keep their order. Raises ``ValueError`` if ``top_k`` < 1.

    >>> axes = TokenEmbeddings(torch.eye(3)[:, None], torch.ones(3, 1, dtype=torch.bool))
    >>> rank(axes, axes, top_k=1).indices.tolist()
    [[0], [1], [2]]
    """
    if top_k < 1:
        raise ValueError(f"top_k: must be >= 1, got {top_k}")
    parts = [documents] if isinstance(documents, TokenEmbeddings) else documents
    num_queries = len(queries.vectors)
    blocks = [
        _QueryBlock.from_queries(queries, start, min(start + queries_per_block, num_queries))
        for start in range(0, num_queries, queries_per_block)
    ]
    scores = queries.vectors.new_empty(num_queries, 0)
    indices = torch.empty(num_queries, 0, dtype=torch.long, device=scores.device)
    offset = 0
    with torch.no_grad():
        for batch in _split(parts, max(top_k, SCORES_AT_ONCE // max(num_queries, 1))):
            batch_scores = _score_part(blocks, batch, num_queries, cells_per_block)
            positions = torch.arange(offset, offset + batch_scores.shape[1], device=scores.device).expand_as(
                batch_scores
            )
            offset += batch_scores.shape[1]
            scores, order = torch.cat([scores, batch_scores], 1).sort(dim=1, descending=True, stable=True)
            indices = torch.cat([indices, positions], 1).gather(1, order)[:, :top_k]
            scores = scores[:, :top_k]
    return Ranking(scores, indices)


def _split(parts: Iterable[TokenEmbeddings], size: int) -> Iterator[TokenEmbeddings]:
    """The documents of ``parts`` in batches of at most ``size``."""
    for part in parts:
        for start in range(0, len(part.vectors), size):
            yield part.each(lambda array, start=start: array[start : start + size])  # type: ignore[misc]


@dataclass(frozen=True)
class _QueryBlock:
    """The real tokens of several queries, and the query that each belongs to as an indicator matrix (T, Q)."""

    tokens: Float[Tensor, "D T"]
    members: Float[Tensor, "T Q"]
    start: int
    end: int

    @classmethod
    def from_queries(cls, queries: TokenEmbeddings, start: int, end: int) -> _QueryBlock:
        mask = queries.mask[start:end]
        owner = mask.nonzero()[:, 0]
        members = (owner[:, None] == torch.arange(end - start, device=mask.device)).to(queries.vectors.dtype)
        return cls(queries.vectors[start:end][mask].T.contiguous(), members, start, end)


def _score_part(
    blocks: list[_QueryBlock], documents: TokenEmbeddings, num_queries: int, cells_per_block: int
) -> Float[Tensor, "Q K"]:
    """Scores of one part, shortest documents first, so that blocks contain little padding."""
    lengths = _extents(documents)
    order = lengths.argsort(stable=True)
    sizes = lengths[order].tolist()
    vectors = _without_padding(documents)
    scores = vectors.new_empty(len(order), num_queries)
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
            scores[chosen, block.start : block.end] = best @ block.members
            start = end
    has_tokens, has_query = documents.mask.any(1), torch.cat([b.members.any(0) for b in blocks])
    scores[~has_tokens[:, None] & has_query] = -torch.inf
    return scores.T


def _extents(documents: TokenEmbeddings) -> Int[Tensor, " K"]:
    positions = torch.arange(1, documents.mask.shape[1] + 1, device=documents.mask.device)
    return (documents.mask * positions).amax(1)


def _without_padding(documents: TokenEmbeddings) -> Float[Tensor, "K N D"]:
    """Replace padding by the document's first real token, which does not change a maximum over tokens."""
    first = documents.mask.int().argmax(1)
    first_vectors = documents.vectors[torch.arange(len(first), device=first.device), first]
    return torch.where(documents.mask[:, :, None], documents.vectors, first_vectors[:, None])

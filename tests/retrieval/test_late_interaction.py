"""MaxSim and exhaustive ranking against plain loops over real tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from optical_ray.retrieval import late_interaction
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import maxsim, rank


def tokens(lengths, *, seed=0, dim=8, width=None):
    generator = torch.Generator().manual_seed(seed)
    width = width or max(*lengths, 1)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    vectors = functional.normalize(torch.randn(len(lengths), width, dim, generator=generator), dim=-1)
    return TokenEmbeddings(vectors * mask[:, :, None], mask)


def loop(queries, documents):
    scores = torch.zeros(len(queries.vectors), len(documents.vectors))
    for q, (q_vectors, q_mask) in enumerate(zip(queries.vectors, queries.mask, strict=True)):
        for k, (k_vectors, k_mask) in enumerate(zip(documents.vectors, documents.mask, strict=True)):
            for vector in q_vectors[q_mask]:
                scores[q, k] += max([float(vector @ other) for other in k_vectors[k_mask]], default=-torch.inf)
    return scores


lengths = st.lists(st.integers(0, 7), min_size=1, max_size=9)


@settings(deadline=None, max_examples=50)
@given(queries=lengths, documents=lengths, seed=st.integers(0, 99), cells=st.sampled_from([1, 40, 2**20]))
def test_scores_are_those_of_a_loop(queries, documents, seed, cells):
    queries, documents = tokens(queries, seed=seed), tokens(documents, seed=seed + 1)
    expected = loop(queries, documents)
    torch.testing.assert_close(maxsim(queries, documents), expected, rtol=0, atol=1e-5)
    ranking = rank(queries, documents, top_k=100, queries_per_block=2, cells_per_block=cells)
    torch.testing.assert_close(ranking.scores, expected.gather(1, ranking.indices), rtol=0, atol=1e-5)
    torch.testing.assert_close(ranking.scores, expected.sort(1, descending=True)[0], rtol=0, atol=1e-5)
    assert [sorted(row) for row in ranking.indices.tolist()] == [list(range(len(documents.mask)))] * len(queries.mask)


def test_a_padded_document_token_never_beats_a_negative_similarity():
    query = TokenEmbeddings(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]]))
    document = TokenEmbeddings(torch.tensor([[[-1.0, 0.0], [0.0, 0.0]]]), torch.tensor([[True, False]]))
    assert maxsim(query, document).item() == rank(query, document, top_k=1).scores.item() == -1.0


def test_masks_need_not_be_prefixes():
    documents = tokens([6, 6, 6])
    documents.mask[0, 0] = documents.mask[1, 3] = documents.mask[2, 5] = False
    queries = tokens([4, 2], seed=5)
    queries.mask[0, 1] = False
    expected = loop(queries, documents)
    torch.testing.assert_close(maxsim(queries, documents), expected)
    ranking = rank(queries, documents, top_k=3)
    torch.testing.assert_close(ranking.scores, expected.gather(1, ranking.indices))


def test_parts_form_one_collection_of_which_the_best_are_kept():
    queries, documents = tokens([4, 7, 1]), tokens([5] * 20, seed=1)
    parts = [TokenEmbeddings(documents.vectors[i : i + 7], documents.mask[i : i + 7]) for i in range(0, 20, 7)]
    whole, cut = rank(queries, documents, top_k=6), rank(queries, iter(parts), top_k=6)
    assert cut.indices.tolist() == whole.indices.tolist()
    assert whole.indices.shape == (3, 6)
    assert whole.indices.tolist() == loop(queries, documents).argsort(1, descending=True)[:, :6].tolist()


def test_equal_scores_keep_the_order_of_documents():
    single = tokens([3])
    copies = TokenEmbeddings(single.vectors.expand(50, -1, -1), single.mask.expand(50, -1))
    for cells in (1, 100, 2**20):
        assert rank(single, copies, top_k=10, cells_per_block=cells).indices.tolist() == [list(range(10))]


def test_maxsim_is_differentiable_with_padding():
    queries, documents = tokens([3, 1]), tokens([2, 4], seed=1)
    leaf = queries.vectors.double().requires_grad_()

    def score(vectors):
        doubled = TokenEmbeddings(documents.vectors.double(), documents.mask)
        return maxsim(TokenEmbeddings(vectors, queries.mask), doubled)

    assert torch.autograd.gradcheck(score, (leaf,))


def test_top_k_below_one_is_refused():
    with pytest.raises(ValueError, match="top_k: must be >= 1, got 0"):
        rank(tokens([1]), tokens([1]), top_k=0)


def test_scores_are_sorted_in_batches_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    queries = TokenEmbeddings(torch.randn(5, 3, 4), torch.ones(5, 3, dtype=torch.bool))
    documents = TokenEmbeddings(torch.randn(23, 6, 4), torch.rand(23, 6) < 0.8)
    whole = rank(queries, documents, top_k=4)
    taken: list[int] = []
    original = late_interaction._score_part

    def watched(blocks, part, *rest):  # type: ignore[no-untyped-def]
        taken.append(len(part.vectors))
        return original(blocks, part, *rest)

    monkeypatch.setattr(late_interaction, "_score_part", watched)
    monkeypatch.setattr(late_interaction, "SCORES_AT_ONCE", 35)
    batched = rank(queries, documents, top_k=4)
    assert taken == [7, 7, 7, 2]
    assert torch.equal(batched.indices, whole.indices)
    torch.testing.assert_close(batched.scores, whole.scores)

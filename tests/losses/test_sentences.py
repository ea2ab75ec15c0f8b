"""Losses on whole sentences, against plain loops."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from optical_ray.losses.contrastive import Contrastive
from optical_ray.losses.relevance_kl import RelevanceKL
from optical_ray.losses.sentence_mse import SentenceMSE
from optical_ray.retrieval.embeddings import TokenEmbeddings


def scores(queries, documents):
    table = torch.zeros(len(queries.mask), len(documents.mask))
    for i in range(len(queries.mask)):
        for k in range(len(documents.mask)):
            x, y = queries.vectors[i][queries.mask[i]], documents.vectors[k][documents.mask[k]]
            table[i, k] = (x @ y.T).amax(1).mean()
    return table


def test_sentence_mse_is_the_squared_distance_of_means(tokens):
    student, teacher = tokens([3, 6], seed=0), tokens([5, 2], seed=1)
    expected = 0.0
    for pair in range(2):
        x, y = student.vectors[pair][student.mask[pair]], teacher.vectors[pair][teacher.mask[pair]]
        expected += float((x.mean(0) - y.mean(0)).square().sum()) / 2
    assert SentenceMSE()(student, teacher).loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("directions", ["student", "both"])
def test_contrastive_is_the_cross_entropy_of_maxsim(tokens, directions):
    student, teacher = tokens([3, 6, 2], seed=0), tokens([5, 2, 4], seed=1)
    forth, back = scores(student, teacher) / 0.1, scores(teacher, student) / 0.1
    expected = functional.cross_entropy(forth, torch.arange(3))
    if directions == "both":
        expected = (expected + functional.cross_entropy(back, torch.arange(3))) / 2
    out = Contrastive(temperature=0.1, directions=directions)(student, teacher)
    assert out.loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_contrastive_is_small_if_the_student_equals_the_teacher(tokens):
    teacher = tokens([5, 2, 4], seed=1)
    out = Contrastive()(teacher, teacher)
    assert out.loss < 1e-2
    assert out.diagnostics["contrastive/accuracy"] == 1


def test_relevance_kl_is_the_divergence_of_rankings(tokens):
    student, teacher = tokens([3, 6, 2], seed=0), tokens([5, 2, 4], seed=1)
    target, predicted = (scores(s, teacher) / 0.1 for s in (teacher, student))
    p, q = target.softmax(1), predicted.softmax(1)
    expected = (p * (p.log() - q.log())).sum(1).mean()
    assert RelevanceKL(temperature=0.1)(student, teacher).loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert RelevanceKL()(teacher, teacher).loss.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [Contrastive(), RelevanceKL()])
def test_pairs_with_an_empty_side_are_left_out(tokens, loss):
    student, teacher = tokens([3, 6, 2], seed=0), tokens([5, 2, 4], seed=1)
    partial = TokenEmbeddings(student.vectors, student.mask & torch.tensor([True, False, True])[:, None])
    kept = [TokenEmbeddings(side.vectors[[0, 2]], side.mask[[0, 2]]) for side in (student, teacher)]
    torch.testing.assert_close(loss(partial, teacher).loss, loss(*kept).loss)
    empty = TokenEmbeddings(student.vectors.requires_grad_(), torch.zeros_like(student.mask))
    out = loss(empty, teacher)
    assert out.loss == 0
    out.loss.backward()


@pytest.mark.parametrize("loss", [Contrastive, RelevanceKL])
def test_a_temperature_of_zero_is_refused(loss):
    with pytest.raises(ValueError, match=r"temperature: must be > 0, got 0\.0"):
        loss(temperature=0.0)


def test_contrastive_ignores_negatives_with_the_same_pivot_sentence(tokens):
    student, teacher = tokens([3, 6, 2], seed=0), tokens([5, 2, 4], seed=1)
    repeated = teacher.each(lambda array: array[[0, 1, 0]])
    forth, back = scores(student, repeated) / 0.05, scores(repeated, student) / 0.05
    for logits in (forth, back):
        logits[0, 2] = logits[2, 0] = -torch.inf
    expected = sum(functional.cross_entropy(logits, torch.arange(3)) for logits in (forth, back)) / 2
    assert Contrastive()(student, repeated).loss.item() == pytest.approx(expected.item(), abs=1e-5)

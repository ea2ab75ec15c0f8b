"""Greedy and one-sided alignment against plain loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ray.losses.greedy import Greedy, match
from optical_ray.losses.softmax import Softmax


def greedy_by_hand(similarity):
    """Repeatedly take the largest cell and remove its row and column."""
    remaining = {(i, j): value for i, row in enumerate(similarity.tolist()) for j, value in enumerate(row)}
    taken = []
    while remaining:
        best = max(remaining, key=lambda cell: (remaining[cell], -cell[0], -cell[1]))
        taken.append(best)
        remaining = {cell: value for cell, value in remaining.items() if cell[0] != best[0] and cell[1] != best[1]}
    return sorted(taken)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5),
    seed=st.integers(0, 999),
    levels=st.sampled_from([2, 5, 10**6]),
)
def test_matching_is_that_of_a_plain_loop_ties_included(sizes, seed, levels):
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randint(levels, (len(sizes), 9, 9), generator=generator) / levels
    allowed = torch.zeros(similarity.shape, dtype=torch.bool)
    for pair, (m, n) in enumerate(sizes):
        allowed[pair, :m, :n] = True
    matched = match(similarity, allowed)
    for pair, (m, n) in enumerate(sizes):
        assert [tuple(cell) for cell in matched[pair].nonzero().tolist()] == greedy_by_hand(similarity[pair, :m, :n])


def test_greedy_is_the_mean_squared_distance_of_matched_tokens(tokens):
    student, teacher = tokens([3, 6, 1], seed=0), tokens([5, 2, 1], seed=1)
    expected = 0.0
    for pair in range(3):
        x, y = student.vectors[pair][student.mask[pair]], teacher.vectors[pair][teacher.mask[pair]]
        cells = greedy_by_hand(x @ y.T)
        expected += sum(float((x[i] - y[j]).square().sum()) for i, j in cells) / len(cells) / 3
    assert Greedy()(student, teacher).loss.item() == pytest.approx(expected, abs=1e-6)


def test_softmax_is_the_mean_expected_cost(tokens):
    student, teacher = tokens([3, 6], seed=0), tokens([5, 2], seed=1)
    expected = 0.0
    for pair in range(2):
        cost = 1 - student.vectors[pair][student.mask[pair]] @ teacher.vectors[pair][teacher.mask[pair]].T
        expected += float(((-cost / 0.2).softmax(1) * cost).sum(1).mean()) / 2
    out = Softmax(temperature=0.2)(student, teacher)
    assert out.loss.item() == pytest.approx(expected, abs=1e-6)
    assert 0 < out.diagnostics["softmax/unevenness"] < 1


def test_the_alignment_is_constant_to_gradients(tokens):
    student, teacher = tokens([2, 3], seed=0, dtype=torch.float64), tokens([3, 2], seed=1, dtype=torch.float64)
    leaf = student.vectors.requires_grad_()
    Greedy()(type(student)(leaf, student.mask), teacher).loss.backward()
    matched = match(torch.bmm(leaf.detach(), teacher.vectors.mT), student.mask[:, :, None] & teacher.mask[:, None, :])
    partners = matched.double() @ teacher.vectors
    expected = 2 * (leaf.detach() * matched.any(2, keepdim=True) - partners) / 2 / 2  # two matches, two pairs
    torch.testing.assert_close(leaf.grad, expected)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"temperature: must be > 0, got 0\.0"):
        Softmax(temperature=0.0)

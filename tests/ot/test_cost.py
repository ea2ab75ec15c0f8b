"""Costs against scipy's distances, token by token."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.distance import cdist
from torch.nn import functional

from optical_ray.ot.cost import bilinear_cost, canonical_cost, cost_matrix


def embeddings():
    generator = torch.Generator().manual_seed(0)
    x, y = (functional.normalize(torch.randn(3, n, 8, generator=generator).double(), dim=-1) for n in (4, 6))
    x_mask, y_mask = (
        torch.arange(4) < torch.tensor([4, 2, 1])[:, None],
        torch.arange(6) < torch.tensor([6, 3, 5])[:, None],
    )
    return x * x_mask[:, :, None], y * y_mask[:, :, None], x_mask, y_mask


@pytest.mark.parametrize(("kind", "metric"), [("cosine", "cosine"), ("squared_euclidean", "sqeuclidean")])
def test_cost_is_that_of_scipy(kind, metric):
    x, y, x_mask, y_mask = embeddings()
    cost = cost_matrix(x, y, x_mask, y_mask, kind)
    for pair in range(3):
        expected = torch.from_numpy(cdist(x[pair][x_mask[pair]], y[pair][y_mask[pair]], metric))
        torch.testing.assert_close(cost[pair][x_mask[pair]][:, y_mask[pair]], expected)
    assert cost.isfinite().all()


def test_centred_cosine_subtracts_the_mean_of_the_text():
    x, y, x_mask, y_mask = embeddings()
    cost = cost_matrix(x, y, x_mask, y_mask, "centred_cosine")
    a, b = (v[0] - v[0].mean(0) for v in (x, y))
    torch.testing.assert_close(cost[0], torch.from_numpy(cdist(a, b, "cosine")), atol=1e-9, rtol=0)
    torch.testing.assert_close(cost[2, 0, :5], torch.ones(5).double())  # a text of one token has no direction left


@pytest.mark.parametrize("kind", ["cosine", "squared_euclidean", "centred_cosine"])
def test_gradients_are_finite_and_right(kind):
    x, y, x_mask, y_mask = embeddings()
    x, y, x_mask, y_mask = x[:2], y[:2], x_mask[:2], y_mask[:2]

    def real_cells(vectors):
        cells = cost_matrix(vectors * x_mask[:, :, None], y, x_mask, y_mask, kind)
        return cells[x_mask[:, :, None] & y_mask[:, None, :]]

    assert torch.autograd.gradcheck(real_cells, (x.requires_grad_(),), atol=1e-5)


@pytest.mark.parametrize("kind", ["cosine", "squared_euclidean", "centred_cosine"])
def test_the_bilinear_and_the_canonical_form_have_the_same_cells(kind):
    x, y, x_mask, y_mask = embeddings()
    cells = cost_matrix(x, y, x_mask, y_mask, kind)
    left, right, p, q, scale = bilinear_cost(x, y, x_mask, y_mask, kind)
    torch.testing.assert_close(p[:, :, None] + q[:, None, :] - scale * left @ right.mT, cells)
    factor, canonical = canonical_cost(kind)
    real = x_mask[:, :, None] & y_mask[:, None, :]
    torch.testing.assert_close(factor * cost_matrix(x, y, x_mask, y_mask, canonical)[real], cells[real])

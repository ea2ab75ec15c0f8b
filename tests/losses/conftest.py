"""Random token embeddings."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from optical_ray.retrieval.embeddings import TokenEmbeddings


def draw(lengths, *, seed, dtype=torch.float32, dim=8, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    vectors = functional.normalize(torch.randn(*mask.shape, dim, generator=generator, dtype=torch.float64), dim=-1)
    return TokenEmbeddings((vectors * mask[:, :, None]).to(dtype).requires_grad_(requires_grad), mask)


@pytest.fixture(scope="session")
def tokens():
    """A function of lengths: ``tokens([3, 7], seed=0)``."""
    return draw

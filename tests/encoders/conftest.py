"""A vocabulary and small checkpoints for the tests of encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.encoders.tokenizer import PieceTokenizer, train_vocabulary
from tests.encoders.checkpoints import TEXTS, write_bert, write_xlmr


@pytest.fixture(scope="session")
def tokenizer() -> PieceTokenizer:
    """A vocabulary trained on the texts."""
    return train_vocabulary(TEXTS, 150)


@pytest.fixture(scope="session", params=[write_xlmr, write_bert], ids=["xlmr", "bert"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a download from the hub."""
    folder: Path = request.param(tmp_path_factory.mktemp("checkpoint"))
    return folder


@pytest.fixture(scope="session")
def xlmr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XLM-R checkpoint."""
    return write_xlmr(tmp_path_factory.mktemp("xlmr"))

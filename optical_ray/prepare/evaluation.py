"""Evaluates one encoder on collections outside of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from optical_ray.data.interface import CollectionDataset
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.evaluate import Evaluation, Evaluator
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.tokens import CollectionSource, Pieces, collection_tokens


def evaluate_checkpoint(
    checkpoint: Path, collections: Mapping[str, CollectionDataset], split: str, metrics: Sequence[str]
) -> Evaluation:
    """Rank and score ``collections`` with the student in the folder ``checkpoint``.

    Raises ``InputError`` if the folder is not a student or a collection cannot be read.
    """
    opened = Checkpoint.open(checkpoint)
    pieces = Pieces.from_tokenizer(opened.tokenizer(), opened.query_length, opened.document_length)
    with TemporaryDirectory(prefix="optical-ray-") as folder:
        cache = Cache(Path(folder))
        sources = [CollectionSource(name, dataset, name, split) for name, dataset in collections.items()]
        folders = [collection_tokens(source, pieces, cache) for source in sources]
        return Evaluator(folders, metrics).evaluate(opened.load(), (split,))

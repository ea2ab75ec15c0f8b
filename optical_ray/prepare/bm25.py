"""BM25 over a collection's documents, with the optional package bm25s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optical_ray.config.baselines import Bm25
from optical_ray.prepare.words import words
from optical_ray.types import Collection, InputError, Run


def bm25(collection: Collection, texts: Mapping[str, str], config: Bm25, depth: int) -> Run:
    """Return the best ``depth`` documents for each topic of ``texts``, without those that share no word with it.

    Texts are split by ``prepare.words``; English stop words are removed. Scores are Lucene's, with ``config.k1`` and
    ``config.b``. The run is empty if ``texts`` has none of the collection's topics. Raises ``InputError`` if bm25s is
    not installed.
    """
    bm25s = require_bm25s()
    stop_words = frozenset(bm25s.stopwords.STOPWORDS_EN) if config.language == "en" else frozenset()
    asked = [topic.topic_id for topic in collection.topics if texts.get(topic.topic_id)]
    if not asked:
        return {}
    vocabulary: dict[str, int] = {}
    documents = [
        [vocabulary.setdefault(word, len(vocabulary)) for word in words(document.text) if word not in stop_words]
        for document in collection.documents
    ]
    if not vocabulary:
        return {topic_id: {} for topic_id in asked}
    index = bm25s.BM25(method="lucene", k1=config.k1, b=config.b)
    index.index((documents, vocabulary), show_progress=False)
    queries = [[word for word in words(texts[topic_id]) if word in vocabulary] for topic_id in asked]
    depth = min(depth, len(collection.documents))
    positions, scores = index.retrieve(queries, k=depth, show_progress=False)
    return {
        topic_id: {
            collection.documents[position].doc_id: float(value)
            for position, value in zip(best.tolist(), values.tolist(), strict=True)
            if value > 0
        }
        for topic_id, best, values in zip(asked, positions, scores, strict=True)
    }


def require_bm25s() -> Any:
    """Return the package; raises ``InputError`` if it is not installed."""
    try:
        import bm25s
    except ImportError as error:
        raise InputError("kind: bm25 needs the package bm25s. Install it: pip install 'optical-ray[bm25]'") from error
    return bm25s

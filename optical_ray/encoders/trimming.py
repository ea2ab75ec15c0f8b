"""A vocabulary of the pieces that are used, and an embedding table of their rows: same outputs, less memory.

Of XLM-R's 250,002 pieces a few languages use a tenth, and with Adam every row costs sixteen bytes a dimension.
Source: Abdaoui et al. 2020 (arXiv 2010.05609), "Load What You Need: Smaller Versions of Multilingual BERT".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import tokenizers
import torch
from torch import nn

from optical_ray.encoders.conventions import WORD_START
from optical_ray.types import InputError


def trimmed(backend: tokenizers.Tokenizer, used: Collection[int]) -> tokenizers.Tokenizer:
    """``backend`` with the pieces in ``used`` alone, ids renumbered in their old order; text made of them is cut alike.

    Kept beside them: what was added to the vocabulary, the unknown piece, every piece of a single character that
    ``used`` knows (so that a new word falls apart rather than being unknown), and the least likely piece (the cost of
    an unknown character hangs on it). Raises ``InputError`` for a vocabulary other than Unigram or WordPiece.
    """
    content = json.loads(backend.to_str())
    model = content["model"]
    if model["type"] not in ("Unigram", "WordPiece"):
        raise InputError(f"trim_vocabulary: only Unigram and WordPiece vocabularies can be cut, not {model['type']}")
    kept = _kept(backend, model, set(used), {token["id"] for token in content["added_tokens"]})
    places = {old: new for new, old in enumerate(kept)}
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        model["unk_id"] = places[model["unk_id"]]
    else:
        model["vocab"] = {piece: places[old] for piece, old in model["vocab"].items() if old in places}
    content["added_tokens"] = [{**token, "id": places[token["id"]]} for token in content["added_tokens"]]
    _renumber(content.get("post_processor"), places)
    return tokenizers.Tokenizer.from_str(json.dumps(content))


def _kept(backend: tokenizers.Tokenizer, model: dict[str, Any], used: set[int], added: set[int]) -> list[int]:
    """Old ids that stay, in their order."""
    characters = {c for index in used for c in (backend.id_to_token(index) or "").replace("##", "")}
    kept = used | added
    for piece, index in backend.get_vocab(with_added_tokens=False).items():
        bare = piece.removeprefix(WORD_START).removeprefix("##")
        if len(bare or piece) == 1 and (bare or piece) in characters:
            kept.add(index)
    if model["type"] == "Unigram":
        kept |= {model["unk_id"], min(range(len(model["vocab"])), key=lambda index: model["vocab"][index][1])}
    else:
        kept.add(model["vocab"][model["unk_token"]])
    return sorted(kept)


def _renumber(node: Any, places: dict[int, int]) -> None:
    """Put the new ids into a post-processor: ``ids`` of a template, the pairs of BERT's and RoBERTa's kinds."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "ids" and isinstance(value, list):
                node[key] = [places[index] for index in value]
            elif key in ("sep", "cls") and isinstance(value, list):
                node[key] = [value[0], places[value[1]]]
            else:
                _renumber(value, places)
    elif isinstance(node, list):
        for value in node:
            _renumber(value, places)


def kept_rows(full: tokenizers.Tokenizer, small: tokenizers.Tokenizer, num_rows: int) -> list[int]:
    """Row in ``full``'s table of ``num_rows`` for every piece of ``small``, in ``small``'s order.

    Markers that were added behind the table have none: they come last, and are left out.
    """
    pieces = [str(small.id_to_token(index)) for index in range(small.get_vocab_size(with_added_tokens=True))]
    rows = [full.token_to_id(piece) for piece in pieces]
    known = [row for row in rows if row is not None and row < num_rows]
    assert rows[: len(known)] == known, "added pieces come last"
    return known


def resized(backbone: Any, size: int, rows: Sequence[int] | None = None) -> None:
    """Make the embedding table of ``backbone`` hold ``rows`` (all, where ``None``) and at least ``size`` rows.

    Rows beyond those that are there start at the whole table's mean.
    """
    old = backbone.get_input_embeddings()
    table, mean = old.weight.detach(), old.weight.detach().mean(dim=0)
    kept = table if rows is None else table[torch.tensor(rows)]
    if len(kept) < size:
        kept = torch.cat([kept, mean.expand(size - len(kept), -1)])
    if kept is table:
        return
    fresh: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        kept.clone(), freeze=False, padding_idx=old.padding_idx
    )
    backbone.set_input_embeddings(fresh)
    backbone.config.vocab_size = len(kept)

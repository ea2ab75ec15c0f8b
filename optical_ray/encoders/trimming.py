"""Trims a vocabulary to the pieces that are used, and the embedding table to their rows: same output, less memory.

A few languages use a tenth of XLM-R's 250,002 pieces; with Adam every row takes sixteen bytes per dimension.
Source: Abdaoui et al. 2020 (arXiv 2010.05609), "Load What You Need: Smaller Versions of Multilingual BERT".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

import tokenizers
import torch
from torch import nn

from optical_ray.encoders.conventions import WORD_START
from optical_ray.types import InputError

BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
"""A byte of a character that is not in the vocabulary (SentencePiece's byte fallback)."""


def trim_vocabulary(backend: tokenizers.Tokenizer, used: Collection[int]) -> tokenizers.Tokenizer:
    """Keep the pieces with the ids ``used``, renumbered in their old order; text made of them is split as before.

    In addition it keeps added tokens, the unknown piece, byte pieces of a vocabulary with byte fallback, every piece of
    a single character that occurs in a used piece (so that a new word is split instead of being unknown), and the least
    likely piece, because a unigram model derives the cost of an unknown character from it. Raises ``InputError`` if the
    vocabulary is neither Unigram nor WordPiece.
    """
    content = json.loads(backend.to_str())
    model = content["model"]
    if model["type"] not in ("Unigram", "WordPiece"):
        raise InputError(
            f"trim_vocabulary: cannot trim this vocabulary (got {model['type']}, expected Unigram or WordPiece). "
            "Set trim_vocabulary: false."
        )
    kept = _kept(backend, model, set(used), {token["id"] for token in content["added_tokens"]})
    new_ids = {old: new for new, old in enumerate(kept)}
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        model["unk_id"] = new_ids[model["unk_id"]]
    else:
        model["vocab"] = {piece: new_ids[old] for piece, old in model["vocab"].items() if old in new_ids}
    content["added_tokens"] = [{**token, "id": new_ids[token["id"]]} for token in content["added_tokens"]]
    _renumber(content.get("post_processor"), new_ids)
    return tokenizers.Tokenizer.from_str(json.dumps(content))


def _kept(backend: tokenizers.Tokenizer, model: dict[str, Any], used: set[int], added: set[int]) -> list[int]:
    """Old ids that are kept, sorted."""
    characters = {c for index in used for c in (backend.id_to_token(index) or "").replace("##", "")}
    kept = used | added
    for piece, index in backend.get_vocab(with_added_tokens=False).items():
        bare = piece.removeprefix(WORD_START).removeprefix("##")
        is_known_character = len(bare or piece) == 1 and (bare or piece) in characters
        if is_known_character or (model.get("byte_fallback") and BYTE_PIECE.fullmatch(piece)):
            kept.add(index)
    if model["type"] == "Unigram":
        kept |= {model["unk_id"], min(range(len(model["vocab"])), key=lambda index: model["vocab"][index][1])}
    else:
        kept.add(model["vocab"][model["unk_token"]])
    return sorted(kept)


def _renumber(node: Any, new_ids: dict[int, int]) -> None:
    """Put the new ids into a post-processor: ``ids`` of a template, ``sep`` and ``cls`` of BERT's and RoBERTa's."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "ids" and isinstance(value, list):
                node[key] = [new_ids[index] for index in value]
            elif key in ("sep", "cls") and isinstance(value, list):
                node[key] = [value[0], new_ids[value[1]]]
            else:
                _renumber(value, new_ids)
    elif isinstance(node, list):
        for value in node:
            _renumber(value, new_ids)


def kept_rows(full: tokenizers.Tokenizer, small: tokenizers.Tokenizer, num_rows: int) -> list[int]:
    """Rows in the table of ``full`` (with ``num_rows`` rows) for the pieces of ``small``, in the order of ``small``.

    Markers that were added after the last row are left out; their ids are the largest.
    """
    pieces = [str(small.id_to_token(index)) for index in range(small.get_vocab_size(with_added_tokens=True))]
    rows = [full.token_to_id(piece) for piece in pieces]
    known = [row for row in rows if row is not None and row < num_rows]
    assert rows[: len(known)] == known, "added pieces come last"
    return known


def resize_embeddings(
    backbone: Any, size: int, rows: Sequence[int] | None = None, new_pieces: Collection[int] = ()
) -> None:
    """Reduce the embedding table of ``backbone`` to ``rows`` (``None``: all) and extend it to at least ``size`` rows.

    Rows that are added, and the rows of ``new_pieces``, start at the mean of the original table. A table that is padded
    to a round number already has a row for a new piece, but that row was never trained.
    """
    old = backbone.get_input_embeddings()
    table, mean = old.weight.detach(), old.weight.detach().mean(dim=0)
    kept = table if rows is None else table[torch.tensor(rows)]
    if len(kept) < size:
        kept = torch.cat([kept, mean.expand(size - len(kept), -1)])
    if kept is table and not new_pieces:
        return
    kept = kept.clone()
    kept[list(new_pieces)] = mean
    embedding: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        kept, freeze=False, padding_idx=old.padding_idx
    )
    backbone.set_input_embeddings(embedding)
    backbone.config.vocab_size = len(kept)

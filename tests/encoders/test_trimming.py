"""A trimmed vocabulary splits its text as the full one does, and gives the same vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
import torch

from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, from_backend
from optical_ray.encoders.trimming import trim_vocabulary
from optical_ray.training.batches import pad_ids
from optical_ray.types import InputError
from tests.encoders.checkpoints import TEXTS
from tests.export.students import student_of

KEPT = list(TEXTS[:4])


def full_and_trimmed(config: PretrainedEncoder) -> tuple[PieceTokenizer, PieceTokenizer]:
    full = config.tokenizer()
    assert full is not None
    used = {index for text in KEPT for index in full.backend.encode(text, add_special_tokens=False).ids}
    small = from_backend(trim_vocabulary(full.backend, used), markers=full.marker_pieces)
    return full, small


@pytest.mark.parametrize("kind", ["xlmr", "bert"])
def test_outputs_are_the_same_on_kept_pieces(tmp_path: Path, kind: str) -> None:
    student_of(tmp_path, kind, "pieces")
    folder = str(tmp_path / kind)
    full, small = full_and_trimmed(PretrainedEncoder(checkpoint=folder, dim=8))
    assert small.size < full.size
    one = PretrainedEncoder(checkpoint=folder, dim=8).build(full).eval()
    other = PretrainedEncoder(checkpoint=folder, dim=8, trim_vocabulary=True).build(small).eval()
    assert other.input_embeddings.num_embeddings == small.size
    for role in ("query", "document"):
        rows, trimmed_rows = (tokenizer.encode(KEPT, role, 24).ids for tokenizer in (full, small))  # type: ignore[arg-type]
        pieces = [[full.backend.id_to_token(index) for index in row] for row in rows]
        assert [[small.backend.id_to_token(index) for index in row] for row in trimmed_rows] == pieces
        embeddings = [
            encoder(pad_ids([torch.tensor(row).numpy() for row in ids], tokenizer.pad))
            for encoder, tokenizer, ids in ((one, full, rows), (other, small, trimmed_rows))
        ]
        assert torch.equal(embeddings[0].mask, embeddings[1].mask)
        assert torch.allclose(embeddings[0].vectors, embeddings[1].vectors, atol=1e-6)


@pytest.mark.parametrize("kind", ["xlmr", "bert"])
def test_a_new_word_of_known_letters_is_split(tmp_path: Path, kind: str) -> None:
    student_of(tmp_path, kind, "pieces")
    _, small = full_and_trimmed(PretrainedEncoder(checkpoint=str(tmp_path / kind)))
    unknown = small.backend.token_to_id("<unk>" if kind == "xlmr" else "[UNK]")
    ids = small.backend.encode("senga rvbar", add_special_tokens=False).ids
    assert len(ids) > 2
    if kind == "xlmr":
        assert unknown not in ids


def test_the_post_processor_has_the_new_ids(tmp_path: Path) -> None:
    student_of(tmp_path, "xlmr", "pieces")
    full = tokenizers.Tokenizer.from_file(str(tmp_path / "xlmr" / "tokenizer.json"))
    full.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A <mask>", special_tokens=[("<s>", 0), ("<mask>", full.token_to_id("<mask>"))]
    )
    full.no_padding()
    small = trim_vocabulary(full, full.encode("bread", add_special_tokens=False).ids)
    assert small.encode("bread").tokens == full.encode("bread").tokens
    assert small.encode("bread").ids[-1] == small.token_to_id("<mask>")


def test_other_kinds_of_vocabulary_are_refused() -> None:
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    assert json.loads(backend.to_str())["model"]["type"] == "BPE"
    with pytest.raises(InputError, match=r"cannot trim this vocabulary \(got BPE, expected Unigram or WordPiece\)"):
        trim_vocabulary(backend, [])


def test_byte_pieces_are_kept_for_new_characters() -> None:
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "b", "c"]
    vocabulary = [(piece, -1.0 - index / 1000) for index, piece in enumerate(pieces)]
    full = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    small = trim_vocabulary(full, full.encode("a").ids)
    assert small.token_to_id("b") is None
    assert full.encode("a\u00fc").tokens == ["a", "<0xC3>", "<0xBC>"]
    assert small.encode("a\u00fc").tokens == full.encode("a\u00fc").tokens

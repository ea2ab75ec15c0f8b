"""Small checkpoints in the layout of the Hugging Face hub: XLM-R, BERT and others, with random weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import tokenizers
import torch
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.pre_tokenizers import ByteLevel, Metaspace, Whitespace
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

TEXTS = (
    "the river runs to the sea",
    "bread and salt on the table",
    "a small bird sings in the garden",
    "mto unakwenda baharini",
    "ndege mdogo anaimba bustanini",
    "der Fluss fließt ins Meer",
    "नदी समुद्र की ओर बहती है",
)
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZE = {
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 200,
}


def write_xlmr(
    folder: Path, dtype: torch.dtype = torch.float32, texts: Sequence[str] = TEXTS, pieces: Sequence[str] = ()
) -> Path:
    """``pieces`` are added to the vocabulary that is trained on the texts."""
    backend = tokenizers.Tokenizer(Unigram())
    backend.pre_tokenizer = Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = UnigramTrainer(vocab_size=150, special_tokens=specials, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(texts, trainer)
    if pieces:
        content = json.loads(backend.to_str())
        known = {piece for piece, _ in content["model"]["vocab"]}
        content["model"]["vocab"] += [[piece, -2.0] for piece in pieces if piece not in known]
        backend = tokenizers.Tokenizer.from_str(json.dumps(content))
    config = XLMRobertaConfig(vocab_size=backend.get_vocab_size(), type_vocab_size=1, pad_token_id=1, **SIZE)
    return _write(folder, backend, XLMRobertaModel(config), dtype)


def word_pieces(texts: Sequence[str]) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(WordPiece(unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    backend.train_from_iterator(texts, WordPieceTrainer(vocab_size=150, special_tokens=SPECIALS, show_progress=False))
    return backend


def write_bert(folder: Path, dtype: torch.dtype = torch.float32, texts: Sequence[str] = TEXTS) -> Path:
    backend = word_pieces(texts)
    config = BertConfig(vocab_size=backend.get_vocab_size(), pad_token_id=0, **SIZE)
    return _write(folder, backend, BertModel(config), dtype)


OTHERS = {
    "deberta": (DebertaV2Config, DebertaV2Model, {"relative_attention": True, "position_biased_input": False}),
    "electra": (ElectraConfig, ElectraModel, {"embedding_size": 12}),
    "albert": (AlbertConfig, AlbertModel, {"embedding_size": 12}),
    "mpnet": (MPNetConfig, MPNetModel, {}),
}
"""Other architectures with the vocabulary of BERT."""


def write_other(folder: Path, kind: str) -> Path:
    backend = word_pieces(TEXTS)
    config, model, settings = OTHERS[kind]
    made = config(vocab_size=backend.get_vocab_size(), pad_token_id=0, **SIZE, **settings)
    return _write(folder, backend, model(made), torch.float32)


def write_modernbert(folder: Path) -> Path:
    """Its vocabulary is byte-level."""
    backend = tokenizers.Tokenizer(BPE(unk_token="[UNK]"))
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator([*TEXTS, "one , two ."], trainer)
    specials = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    config = ModernBertConfig(vocab_size=backend.get_vocab_size(), **SIZE, **specials)
    return _write(folder, backend, ModernBertModel(config), torch.float32)


def _write(folder: Path, backend: tokenizers.Tokenizer, model: PreTrainedModel, dtype: torch.dtype) -> Path:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.to(dtype).save_pretrained(folder)
    backend.enable_truncation(8)  # as in files of the hub; a study ignores it
    backend.enable_padding(length=12)
    backend.save(str(folder / "tokenizer.json"))
    return folder

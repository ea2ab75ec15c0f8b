"""Small encoders as the Hugging Face hub would give them: XLM-R's kind and BERT's, with weights and tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tokenizers
import torch
from tokenizers.models import Unigram, WordPiece
from tokenizers.pre_tokenizers import Metaspace, Whitespace
from tokenizers.trainers import UnigramTrainer, WordPieceTrainer
from transformers import BertConfig, BertModel, PreTrainedModel, XLMRobertaConfig, XLMRobertaModel

TEXTS = (
    "the river runs to the sea",
    "bread and salt on the table",
    "a small bird sings in the garden",
    "mto unakwenda baharini",
    "ndege mdogo anaimba bustanini",
    "der Fluss fließt ins Meer",
    "नदी समुद्र की ओर बहती है",
)
SIZE = {
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 80,
}


def write_xlmr(folder: Path, dtype: torch.dtype = torch.float32, texts: Sequence[str] = TEXTS) -> Path:
    backend = tokenizers.Tokenizer(Unigram())
    backend.pre_tokenizer = Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = UnigramTrainer(vocab_size=150, special_tokens=specials, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(texts, trainer)
    config = XLMRobertaConfig(vocab_size=backend.get_vocab_size(), type_vocab_size=1, pad_token_id=1, **SIZE)
    return _write(folder, backend, XLMRobertaModel(config), dtype)


def write_bert(folder: Path, dtype: torch.dtype = torch.float32, texts: Sequence[str] = TEXTS) -> Path:
    backend = tokenizers.Tokenizer(WordPiece(unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend.train_from_iterator(texts, WordPieceTrainer(vocab_size=150, special_tokens=specials, show_progress=False))
    config = BertConfig(vocab_size=backend.get_vocab_size(), pad_token_id=0, **SIZE)
    return _write(folder, backend, BertModel(config), dtype)


def _write(folder: Path, backend: tokenizers.Tokenizer, model: PreTrainedModel, dtype: torch.dtype) -> Path:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.to(dtype).save_pretrained(folder)
    backend.enable_truncation(8)  # as files of the hub do; a study's own limits hold
    backend.enable_padding(length=12)
    backend.save(str(folder / "tokenizer.json"))
    return folder

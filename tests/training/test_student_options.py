"""Adapters, frozen embeddings, checkpointing, bfloat16: each does what it says, and what stays is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from optical_ray.config.trial import LoraConfig, StudentConfig
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.training.batches import PairBatch, pad_ids
from optical_ray.training.checkpoint import load_state, save_state
from optical_ray.training.step import Distillation, TrainState, new_state, train_step
from optical_ray.training.student import adapt, autocast_dtype, finish_training
from tests.encoders.checkpoints import TEXTS, write_xlmr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_xlmr(tmp_path / "xlmr")


def built(folder: Path) -> tuple[TokenEncoder, PairBatch]:
    config = PretrainedEncoder(checkpoint=str(folder), dim=8)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    encoder, teacher = config.build(tokenizer), config.build(tokenizer).eval()
    ids = pad_ids([torch.tensor(row).numpy() for row in tokenizer.encode(TEXTS, "query", 16).ids], tokenizer.pad)
    with torch.no_grad():
        cloud = teacher(ids)
    shifted = torch.nn.functional.normalize(cloud.vectors.roll(1, -1), dim=-1) * cloud.mask.unsqueeze(-1)
    return encoder, PairBatch(ids, ids, TokenEmbeddings(shifted, cloud.mask))


def training(encoder: TokenEncoder, config: StudentConfig) -> TrainState:
    torch.manual_seed(0)
    adapt(encoder, config)
    objective = Distillation(
        encoder, OptimalTransport(), anchor_weight=0.0, same_pieces=True, teacher=None, autocast=autocast_dtype(config)
    )
    settings: dict[str, Any] = {"learning_rate": 1e-2, "weight_decay": 0.0, "warmup": 0.0, "steps": 20, "clip": 1.0}
    return new_state(objective, objective.train(), **settings)


def after(folder: Path, config: StudentConfig, steps: int = 5) -> tuple[TokenEncoder, PairBatch, list[float]]:
    encoder, batch = built(folder)
    state = training(encoder, config)
    losses = [train_step(state, batch)["loss"] for _ in range(steps)]
    return encoder.eval(), batch, losses


def weights(encoder: TokenEncoder) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in encoder.state_dict().items()}


def test_adapters_learn_and_leave_all_else_alone(folder: Path) -> None:
    pytest.importorskip("peft")
    start, _ = built(folder)
    encoder, batch, losses = after(folder, StudentConfig(lora=LoraConfig(rank=4)))
    assert losses[-1] < losses[0]
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert {name.rpartition(".lora_")[0].rpartition(".")[2] for name in trained if "lora_" in name} == {
        "query",
        "value",
    }
    assert {name for name in trained if "lora_" not in name} == {"projection.weight"}
    adapted = encoder(batch.foreign).vectors
    finish_training(encoder)
    assert torch.allclose(encoder(batch.foreign).vectors, adapted, atol=1e-5)
    before, merged = weights(start), weights(encoder)
    assert set(before) == set(merged)
    changed = {name for name in before if not torch.equal(before[name], merged[name])}
    assert changed
    assert all(name == "projection.weight" or ".query." in name or ".value." in name for name in changed)


def test_adapters_come_back_from_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    config = StudentConfig(lora=LoraConfig(rank=2, modules=("dense",)))
    encoder, batch = built(folder)
    state = training(encoder, config)
    train_step(state, batch)
    (tmp_path / "saved").mkdir()
    save_state(tmp_path / "saved", state, [])
    other, _ = built(folder)
    again = training(other, config)
    load_state(tmp_path / "saved", again)
    assert train_step(again, batch) == train_step(state, batch)


def test_adapters_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"lora: needs the package peft: pip install 'optical-ray\[lora\]'"):
        LoraConfig()


def test_frozen_embeddings_stay_and_all_else_learns(folder: Path) -> None:
    start, _ = built(folder)
    encoder, _, _ = after(folder, StudentConfig(freeze_embeddings=True))
    assert torch.equal(encoder.input_embeddings.weight, start.input_embeddings.weight)
    name = "backbone.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(weights(encoder)[name], weights(start)[name])


def test_checkpointing_changes_no_number(folder: Path) -> None:
    plain, _, losses = after(folder, StudentConfig())
    encoder, _, again = after(folder, StudentConfig(gradient_checkpointing=True))
    assert encoder.backbone.is_gradient_checkpointing
    assert again == losses
    finish_training(encoder)
    assert not encoder.backbone.is_gradient_checkpointing
    for name, value in weights(plain).items():
        assert torch.equal(weights(encoder)[name], value), name


def test_bfloat16_is_the_student_s_alone(folder: Path) -> None:
    seen: list[tuple[torch.dtype, bool]] = []

    class Watched(OptimalTransport):
        def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> Any:
            seen.append((student.vectors.dtype, torch.is_autocast_enabled("cpu")))
            return super().__call__(student, teacher)

    encoder, batch = built(folder)
    inside: list[torch.dtype] = []
    assert encoder.projection is not None
    encoder.projection.register_forward_hook(lambda *hooked: inside.append(hooked[2].dtype))
    config = StudentConfig(precision="bfloat16")
    state = training(encoder, config)
    state.objective.loss = Watched()
    first = train_step(state, batch)["loss"]
    assert inside == [torch.bfloat16]
    assert seen == [(torch.float32, False)]
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert first == pytest.approx(after(folder, StudentConfig(), steps=1)[2][0], abs=2e-2)
    inside.clear()
    encoder(batch.foreign)
    assert inside == [torch.float32]


def test_the_options_keep_old_keys() -> None:
    from optical_ray.config.key import canonical

    assert canonical(StudentConfig()) == {"init": "teacher", "freeze_embeddings": False}
    assert canonical(StudentConfig(precision="bfloat16"))["precision"] == "bfloat16"

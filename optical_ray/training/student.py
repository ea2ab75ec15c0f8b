"""Which weights of a student are trained: all, all but its input embeddings, or low-rank adapters."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from optical_ray.config.trial import LoraConfig, StudentConfig
from optical_ray.encoders.token_encoder import TokenEncoder


def adapt(student: TokenEncoder, config: StudentConfig) -> None:
    """Select the weights of ``student`` that are trained, add adapters, enable gradient checkpointing."""
    if config.lora is not None:
        _add_adapters(student.backbone, config.lora)
    elif config.freeze_embeddings:
        student.input_embeddings.requires_grad_(False)
    if config.gradient_checkpointing:
        arguments = {"use_reentrant": False}
        student.backbone.gradient_checkpointing_enable(arguments)  # type: ignore[operator]


def finish_training(student: TokenEncoder) -> None:
    """Merge adapters into the weights that they adapt, and disable gradient checkpointing."""
    if student.backbone.is_gradient_checkpointing:
        student.backbone.gradient_checkpointing_disable()  # type: ignore[operator]
    for parent in list(student.backbone.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "lora_A"):
                layer: Any = child
                layer.merge()
                setattr(parent, name, layer.get_base_layer())


def _add_adapters(backbone: nn.Module, config: LoraConfig) -> None:
    import peft  # an optional dependency

    adapters = peft.LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=list(config.modules), lora_dropout=0.0, bias="none"
    )
    backbone.requires_grad_(False)
    peft.inject_adapter_in_model(adapters, backbone)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_("lora_" in name)


def autocast_dtype(config: StudentConfig) -> torch.dtype | None:
    """The type that the student computes in, or None for the type of its weights."""
    return torch.bfloat16 if config.precision == "bfloat16" else None

"""Hugging Face encoders by their configuration: with random weights or with those of a folder."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from optical_ray.encoders.checkpoint_files import CONFIG
from optical_ray.encoders.layouts import Layout
from optical_ray.types import InputError

DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "embedding_dropout", "mlp_dropout", "attention_dropout",
)  # fmt: skip
"""Names of dropout probabilities; the configuration of every model type has some of them."""


def new_backbone(config: Any) -> torch.nn.Module:
    """The encoder of ``config`` in float32 without a pooling head; its weights are drawn from a forked random state."""
    from transformers import MODEL_MAPPING, AutoModel  # takes seconds to import

    options: dict[str, Any] = {"trust_remote_code": False, "dtype": torch.float32}
    known = MODEL_MAPPING.get(type(config), None)
    if inspect.isclass(known) and "add_pooling_layer" in inspect.signature(known).parameters:
        options["add_pooling_layer"] = False
    with torch.random.fork_rng(devices=[]):
        backbone: torch.nn.Module = AutoModel.from_config(config, **options)
    return backbone.float()


def load_backbone(layout: Layout, config: Any) -> torch.nn.Module:
    """The encoder of ``config`` in float32 with the folder's weights.

    Raises ``InputError`` if tensors are missing or have other shapes than ``config`` implies.
    """
    backbone = new_backbone(config)
    where = f"checkpoint {str(layout.folder)!r}"
    try:
        missing, _ = backbone.load_state_dict(layout.backbone_weights(), strict=False)
    except RuntimeError as error:  # one line per tensor
        first, *rest = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        more = f" and {len(rest)} more" if rest else ""
        message = f"{where}: its weights do not fit its {CONFIG}: {first[:300]}{more}"
        raise InputError(f"{message}. Give the weights and the {CONFIG} of one model.") from error
    if missing:
        raise InputError(
            f"{where}: {len(missing)} tensors are missing, e.g. {', '.join(missing[:3])}. Check that the download is "
            f"complete and that {CONFIG} is of the same model."
        )
    return backbone


def set_dropout(config: Any, probability: float) -> None:
    """Set every dropout probability of ``config`` to ``probability``."""
    for name in DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, probability)

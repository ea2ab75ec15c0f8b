"""Training checkpoints: model, optimiser, scheduler, random states, step and the logged rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from optical_ray.study.files import read_json, write_json
from optical_ray.training.step import TrainState


def save_state(folder: Path, state: TrainState, rows: list[dict[str, Any]]) -> None:
    """Write ``state``. The position in the data is not stored, because the pairs of a step are a function of it."""
    trained = {name for name, parameter in state.objective.named_parameters() if parameter.requires_grad}
    content = {
        "model": {name: value for name, value in state.objective.state_dict().items() if name in trained},
        "optimizer": state.optimizer.state_dict(),
        "scheduler": state.scheduler.state_dict(),
        "rng": torch.get_rng_state(),
        "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    torch.save(content, folder / "state.pt")
    write_json(folder / "progress.json", {"step": state.step, "rows": rows})


def load_state(folder: Path, state: TrainState) -> list[dict[str, Any]]:
    """Restore ``state`` from what ``save_state`` wrote, and return the logged rows."""
    content = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    missing, unexpected = state.objective.load_state_dict(content["model"], strict=False)
    frozen = {name for name, parameter in state.objective.named_parameters() if not parameter.requires_grad}
    assert not unexpected, f"checkpoint has unknown weights: {unexpected}"
    assert set(missing) <= frozen | {name for name, _ in state.objective.named_buffers()}, missing
    state.optimizer.load_state_dict(content["optimizer"])
    state.scheduler.load_state_dict(content["scheduler"])
    torch.set_rng_state(content["rng"])
    if content["rng_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["rng_cuda"])
    progress = read_json(folder / "progress.json")
    state.step = progress["step"]
    rows: list[dict[str, Any]] = progress["rows"]
    return rows

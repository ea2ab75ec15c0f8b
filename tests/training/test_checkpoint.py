"""A training that was interrupted goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.training.checkpoint import load_state, save_state
from optical_ray.training.step import Distillation, TrainState, train_step
from tests.training.students import batch, encoder, state_of, tokenizer

PIECES = tokenizer()
TEACHER = encoder(PIECES)


def fresh(*, dropout: float = 0.3, frozen: bool = False, inside: bool = False) -> TrainState:
    """A student that drops out, so that the random numbers count."""
    torch.manual_seed(3)
    student = encoder(PIECES, dropout=dropout)
    student.input_embeddings.requires_grad_(not frozen)
    teacher = encoder(PIECES) if inside else None
    objective = Distillation(student, OptimalTransport(), anchor_weight=0.5, same_pieces=True, teacher=teacher)
    return state_of(objective.train(), steps=6)


def run(state: TrainState, until: int, *, inside: bool = False) -> list[dict[str, float]]:
    rows = []
    while state.step < until:
        rows.append(train_step(state, batch(PIECES, None if inside else TEACHER, step=state.step)))
    return rows


@pytest.mark.parametrize("settings", [{}, {"frozen": True}, {"inside": True}], ids=["whole", "frozen", "inside"])
def test_what_was_interrupted_ends_like_what_was_not(tmp_path: Path, settings: dict[str, Any]) -> None:
    inside = settings.get("inside", False)
    undisturbed = fresh(**settings)
    expected = run(undisturbed, 6, inside=inside)
    first = fresh(**settings)
    before = run(first, 3, inside=inside)
    save_state(tmp_path, first, [{"step": 3, "loss": before[-1]["loss"]}])
    second = fresh(**settings)
    torch.manual_seed(12345)  # another process begins with other random numbers
    assert load_state(tmp_path, second) == [{"step": 3, "loss": before[-1]["loss"]}]
    assert second.step == 3
    assert [*before, *run(second, 6, inside=inside)] == expected
    for (name, one), (_, other) in zip(
        undisturbed.objective.state_dict().items(), second.objective.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name


def test_what_is_not_trained_is_not_written(tmp_path: Path) -> None:
    state = fresh(frozen=True, inside=True)
    save_state(tmp_path, state, [])
    names = set(torch.load(tmp_path / "state.pt", weights_only=True)["model"])
    assert "student.projection.weight" in names
    assert not any(name.startswith("teacher.") or "word_embeddings" in name for name in names)


def test_a_state_of_another_model_is_not_taken(tmp_path: Path) -> None:
    save_state(tmp_path, fresh(frozen=True), [])
    with pytest.raises(AssertionError, match="word_embeddings"):
        load_state(tmp_path, fresh(frozen=False))

"""A pretrained encoder through Ray: trimmed vocabulary, adapters, bfloat16, layers that are computed again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from optical_ray.config.load import from_dict
from optical_ray.study.records import Ledger, TrialRecord, TrialState
from tests.encoders.checkpoints import write_xlmr
from tests.system.conftest import Run
from tests.tiny_study import WORDS, spelt

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Tiny = Callable[..., dict[str, Any]]
Check = Callable[[Ledger, TrialRecord], None]


def test_all_options_of_a_student_at_once(run: Run, tiny: Tiny, assert_undisturbed: Check, tmp_path: Path) -> None:
    texts = [" ".join(spelt(word, language) for word in WORDS) for language in ("de", "sw")]
    # pieces of another language, which the study's text does not have
    folder = write_xlmr(tmp_path / "xlmr", texts=[" ".join(WORDS), *texts, "zzyzx qwrtp zzyzx qwrtp"])
    raw = tiny(
        evaluation={"targets": ["sw"], "metrics": ["AP"], "every": 4},
        search={"num_trials": 1, "start_with": [{"data.source_languages": "de"}]},
    )
    lengths = {"query_length": 32, "document_length": 32}
    raw["trial"]["teacher"] = {
        "kind": "pretrained", "checkpoint": str(folder), "dim": 16, "trim_vocabulary": True, **lengths
    }  # fmt: skip
    raw["trial"]["student"] = {"lora": {"rank": 2}, "precision": "bfloat16", "gradient_checkpointing": True}
    ledger = run(from_dict(raw), tmp_path / "storage")
    (record,) = ledger.records
    assert record.state is TrialState.COMPLETE, record.error
    assert_undisturbed(ledger, record)
    with safe_open(ledger.trial_folder(record.key) / "student" / "model.safetensors", "pt") as weights:
        names = list(weights.keys())
        embedding = next(name for name in names if name.endswith("word_embeddings.weight"))
        rows = weights.get_slice(embedding).get_shape()[0]
    assert not [name for name in names if "lora" in name]
    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = list(weights.keys())
        whole = weights.get_slice(next(name for name in names if "word_embeddings" in name)).get_shape()[0]
    assert rows < whole + 2  # its markers were added

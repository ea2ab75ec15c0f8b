"""Languages and names are text: nothing that YAML reads as something else is dropped or renamed silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.load import check_corners, from_dict, load
from optical_ray.types import InputError
from tests.config.test_load import put

Write = Callable[[Any], Path]
SOURCES = "data.source_languages"
CLDR = {"kind": "cldr_annotations"}
TARGET = {**CLDR, "language": "so"}


@pytest.mark.parametrize("value", [False, None, 7])
@pytest.mark.parametrize(
    ("path", "listed"),
    [
        ("trial/data/source_languages", True),
        ("trial/data/bitext", True),
        (f"space/{SOURCES}/of", True),
        ("evaluation/targets", True),
        ("baselines", True),
        ("data/bitext", CLDR),
        ("data/collections", TARGET),
        ("data/relevance", CLDR),
        ("baselines", {"kind": "en"}),
    ],
)
def test_a_name_that_yaml_does_not_read_as_text_has_to_be_quoted(
    raw: dict[str, Any], path: str, listed: Any, value: Any
) -> None:
    with pytest.raises(InputError, match="Quote it in YAML") as caught:
        from_dict(put(raw, path, ["de", value] if listed is True else {value: listed}))
    assert path.replace("/", ".").removesuffix(".of") in str(caught.value)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("path", ["data/bitext", "data/collections", "data/relevance", "baselines"])
def test_a_name_is_not_empty(raw: dict[str, Any], path: str, blank: str) -> None:
    block = {"kind": "en"} if path == "baselines" else TARGET if path == "data/collections" else CLDR
    with pytest.raises(InputError, match=rf"^{path.replace('/', '.')}.*must not be empty"):
        from_dict(put(raw, path, {blank: block}))


@pytest.mark.parametrize("label", ["de+", "+de", "de++hi", "", "de+ "])
def test_a_label_does_not_drop_an_empty_language(raw: dict[str, Any], label: str) -> None:
    with pytest.raises(InputError, match="language's code without blanks"):
        from_dict(put(raw, "trial/data/source_languages", label))


@pytest.mark.parametrize("option", [False, None, 7, ["de", False], ""])
def test_a_choice_of_languages_is_checked(raw: dict[str, Any], option: Any) -> None:
    raw["space"] = {SOURCES: {"kind": "choice", "of": ["de", option]}}
    with pytest.raises(InputError, match=r"^space.*source_languages"):
        check_corners(from_dict(raw))


def test_a_list_of_languages_keeps_them_all(write: Write, raw: dict[str, Any]) -> None:
    experiment = load(write(raw), ["trial.data.source_languages=[mr, de, mr]"])
    assert experiment.trial.data.source_languages == ("de", "mr")
    with pytest.raises(InputError, match='Quote it in YAML: "no"'):
        load(write(raw), ["trial.data.source_languages=[de, no]"])


@pytest.mark.parametrize("name", ["a/b", "../a", ".a", "a b", "a" * 101, "ä", "sw\n"])
def test_the_name_of_a_target_can_be_the_name_of_a_file(raw: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=r"(?s)^data\.collections.*is used for files"):
        from_dict(put(raw, "data/collections", {name: TARGET}))


def test_no_target_is_called_like_the_mean_of_targets(raw: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^data\.collections\.mean.*'mean' means the mean"):
        from_dict(put(raw, "data/collections", {"mean": TARGET}))


@pytest.mark.parametrize("name", ["cache", "logs", "mlflow.db", "mlartifacts"])
def test_a_study_is_not_called_like_a_part_of_the_storage(raw: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=rf"^name: '{name}' is a name that the storage uses"):
        from_dict(put(raw, "name", name))

"""Language codes in specs: YAML reads some of them as something else."""

from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from optical_ray.data.datasets.lareqa import LareqaCollection
from optical_ray.data.datasets.massive import MassiveBitext
from optical_ray.data.datasets.msmarco import MsMarcoBitext
from optical_ray.data.datasets.parallel_text import ParallelText
from optical_ray.data.languages import document_language
from optical_ray.types import InputError


@pytest.mark.parametrize(
    ("member", "spec", "quoted"),
    [
        (ParallelText, "{path: x, language: no}", '"no"'),
        (ParallelText, "{path: x, pivot: on}", '"on"'),
        (LareqaCollection, "{root: x, language: 2020-01-01}", '"2020-01-01"'),
        (LareqaCollection, "{root: x, language: null}", '"null"'),
        (LareqaCollection, "{root: x, language: de, document_languages: [en, no]}", '"no"'),
        (MassiveBitext, "{root: x, parallel_languages: [de, no]}", '"no"'),
        (MassiveBitext, "{root: x, limits: {no: 100}}", '"no"'),
        (MsMarcoBitext, "{root: x, files: {en: a.tsv, no: b.tsv}}", '"no"'),
    ],
)
def test_a_code_that_yaml_reads_as_something_else_has_to_be_quoted(member: type, spec: str, quoted: str) -> None:
    with pytest.raises(ValidationError, match=f"Quote it in YAML: {quoted}"):
        TypeAdapter(member).validate_python(yaml.safe_load(spec))
    text = spec.replace("no", '"no"').replace("on}", '"on"}').replace("null", '"null"').replace("2020-01-01", '"x"')
    TypeAdapter(member).validate_python(yaml.safe_load(text.replace('"no""', '"no"')))


@pytest.mark.parametrize("blank", ["", " ", "s w", "sw\n"])
def test_a_code_has_no_blanks(blank: str) -> None:
    with pytest.raises(ValidationError, match="expected a language's code without blanks"):
        TypeAdapter(ParallelText).validate_python({"path": "x", "language": blank})


@pytest.mark.parametrize("value", [False, "", 0, "kiswahili sanifu", ["sw"]])
def test_a_document_states_a_code_or_nothing(value: Any) -> None:
    assert document_language({}, "language", "en", "f:1") == "en"
    assert document_language({"language": None}, "language", "en", "f:1") == "en"
    assert document_language({"language": "zh-TW"}, "language", "en", "f:1") == "zh-TW"
    with pytest.raises(InputError, match="f:1: language must be a code"):
        document_language({"language": value}, "language", "en", "f:1")

from __future__ import annotations

import subprocess
import sys

import pytest

from optical_ray.languages import is_supervised, language_label, language_name, same_language


@pytest.mark.parametrize(
    "codes",
    [
        ("swh_Latn", "swa", "sw-KE", "sw", "SW"),
        ("hin_Deva", "hi", "hin"),
        ("zho_Hans", "zh-CN", "zh", "chi"),
        ("cmn_Hans", "zh"),
        ("fil", "tl", "tgl", "fil_Latn"),
        ("nb", "no", "nob_Latn"),
        ("pes", "fa", "fas", "pes_Arab"),
        ("ory_Orya", "or"),
        ("iw", "he", "heb"),
        ("arb_Arab", "ar"),
    ],
    ids=lambda codes: codes[0],
)
def test_spellings_of_one_language(codes: tuple[str, ...]) -> None:
    for other in codes:
        assert same_language(codes[0], other)
        assert same_language(other, codes[0])
    assert is_supervised(codes[0], ["de", codes[-1]])
    assert not is_supervised(codes[0], ["de", "fr"])


@pytest.mark.parametrize("pair", [("nb", "nn"), ("sr", "hr"), ("pt", "es"), ("arz", "ary"), ("so", "sw"), ("mr", "hi")])
def test_different_languages(pair: tuple[str, str]) -> None:
    assert not same_language(*pair)


def test_an_unknown_code_equals_only_itself() -> None:
    assert same_language("elvish", "Elvish")
    assert not same_language("elvish", "dwarvish")
    assert not same_language("elvish", "sw")
    assert not same_language("", "sw")
    assert language_name("elvish") == language_label("elvish") == "elvish"
    assert not is_supervised("elvish", [])


def test_names() -> None:
    names = {"ha": "Hausa", "sw": "Swahili", "swh_Latn": "Swahili", "el": "Modern Greek", "mr": "Marathi", "th": "Thai"}
    assert {code: language_name(code) for code in names} == names
    assert language_label("ha") == "Hausa (ha)"


def test_the_libraries_are_imported_on_first_use() -> None:
    code = "import sys, optical_ray.languages; print({'langcodes', 'iso639'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"

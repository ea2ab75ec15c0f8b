"""Properties of languages that may go with the gain: script, pretraining text, URIEL distances, subword overlap.

Legend of array shapes: ``L`` languages (sources and targets together).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from optical_ray.languages import same_language, short_code
from optical_ray.statistics.arrays import FloatArray
from optical_ray.study.files import read_json

SCRIPTS = """
Latn af az bs ca cs cy da de en eo es et eu ff fi fil fr ga gl ha hr hu id ig is it jv lt lv ms mt ny nl no om
pl pt ro rw sk sl sn so sq su sv sw tl tr uz vi wo xh yo zu; Deva hi mr ne sa; Arab ar fa ps sd ug ur; Cyrl be
bg kk ky mk mn ru sr tg uk; Ethi am ti; Beng as bn; Hebr he yi; Hans zh; Thai th; Taml ta; Telu te; Grek el;
Geor ka; Armn hy; Gujr gu; Guru pa; Knda kn; Mlym ml; Sinh si; Khmr km; Laoo lo; Mymr my; Jpan ja; Kore ko; Orya
or
"""
"""Scripts (ISO 15924), each followed by the languages that usually have it (CLDR likely subtags)."""

PRETRAINING_GIB = """
af 1.3 am 0.8 ar 28 as 0.1 az 6.5 be 4.3 bg 57.5 bn 8.4 br 0.1 bs 0.1 ca 10.1 cs 16.3 cy 0.8 da 45.6 de 66.6
el 46.9 en 300.8 eo 0.9 es 53.3 et 6.1 eu 2 fa 111.6 fi 54.3 fil 3.1 fr 56.8 fy 0.2 ga 0.5 gd 0.1 gl 2.9 gu 1.9
ha 0.3 he 31.6 hi 20.2 hr 20.5 hu 58.4 hy 5.5 id 148.3 is 3.2 it 30.2 ja 69.3 jv 0.2 ka 9.1 kk 6.4 km 1.5 kn 3.3
ko 54.2 ku 0.4 ky 1.2 lo 0.6 lt 13.7 lv 8.8 mg 0.2 mk 4.8 ml 7.6 mn 3 mr 2.8 ms 8.5 my 1.6 ne 3.8 nl 29.3 no 49
om 0.1 or 0.6 pa 0.8 pl 44.6 ps 0.7 pt 49.1 ro 61.4 ru 278 sa 0.3 sd 0.4 si 3.6 sk 23.2 sl 10.3 so 0.4 sq 5.4
sr 9.1 su 0.1 sv 85 sw 1.6 ta 12.2 te 4.7 th 71.7 tl 3.1 tr 20.9 ug 0.4 uk 84.6 ur 5.7 uz 0.7 vi 137.3 xh 0.1
yi 0.3 zh 46.9
"""
"""GiB of text per language that XLM-R was pretrained on (Conneau et al. 2020, table 6: CC-100)."""

URIEL = {
    "syntactic distance (URIEL)": ("feature_predictions.npz", "predicted", "S_"),
    "phonological distance (URIEL)": ("feature_predictions.npz", "predicted", "P_"),
    "genetic distance (URIEL)": ("family_features.npz", "FAM", ""),
    "geographic distance (URIEL)": ("geocoord_features.npz", "GEOCOORDS", ""),
}
"""Predictor -> lang2vec's file, the source in it and the prefix of its features; a distance is 1 - cosine."""


def script_of(language: str) -> str | None:
    """Return the ISO 15924 code of the language's usual script; None if it is not in the table."""
    rows = (row.split() for row in SCRIPTS.split(";"))
    return next((row[0] for row in rows if short_code(language) in row[1:]), None)


def pretraining_gib(language: str) -> float:
    """Return the GiB of the language's text in XLM-R's pretraining; NaN if it had no text."""
    sizes = PRETRAINING_GIB.split()
    code = short_code(language)
    return float(sizes[sizes.index(code) + 1]) if code in sizes else float("nan")


def shared_script(languages: Sequence[str]) -> FloatArray:
    """Return L x L: 1 if two languages share their usual script, else 0; NaN if either script is unknown."""
    scripts = [script_of(language) for language in languages]
    return np.array(
        [[np.nan if row is None or column is None else float(row == column) for column in scripts] for row in scripts]
    )


def source_pretraining(languages: Sequence[str]) -> FloatArray:
    """Return L x L: the logarithm of the GiB of the row language (the source) in XLM-R's pretraining."""
    sizes = np.array([np.log(pretraining_gib(language)) for language in languages])
    return np.repeat(sizes[:, None], len(languages), axis=1)


def subword_overlap(languages: Sequence[str], path: Path) -> FloatArray | None:
    """Return L x L shares from ``overlap.json`` (``{"de": {"sw": 0.21}}``, source -> target); None without it."""
    if not path.is_file():
        return None
    known: Mapping[str, Mapping[str, float]] = read_json(path)
    return np.array([[_overlap(known, source, target) for target in languages] for source in languages])


def _overlap(known: Mapping[str, Mapping[str, float]], source: str, target: str) -> float:
    row = next((row for name, row in known.items() if same_language(name, source)), {})
    return float(next((share for name, share in row.items() if same_language(name, target)), np.nan))


def uriel(languages: Sequence[str]) -> dict[str, FloatArray]:
    """Return L x L distances from the tables of the ``lang2vec`` package; empty if it is not installed.

    Source: Littell et al. 2017 (URIEL and lang2vec, CC BY-SA 4.0; its tables are read and not copied).
    """
    spec = find_spec("lang2vec")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    codes = json.loads((folder / "letter_codes.json").read_text(encoding="utf-8"))
    short = [short_code(language) for language in languages]
    names = [{"fil": "tgl"}.get(code, str(codes.get(code, code))) for code in short]
    return {name: _distances(folder / file, source, prefix, names) for name, (file, source, prefix) in URIEL.items()}


def _distances(path: Path, source: str, prefix: str, names: Sequence[str]) -> FloatArray:
    with np.load(path) as table:
        known = [str(name) for name in table["langs"]]
        features = np.array([str(name).startswith(prefix) for name in table["feats"]])
        column = [str(name) for name in table["sources"]].index(source)
        positions = [known.index(name) if name in known else -1 for name in names]
        rows = np.asarray(table["data"][positions][:, features, column], dtype=np.float64)
    rows = np.where(rows < 0, 0.0, rows) if "geo" not in path.name else rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = rows / norms
        distances = 1.0 - unit @ unit.T
    missing = np.array([position < 0 for position in positions])
    distances[missing] = distances[:, missing] = np.nan
    return np.asarray(distances)

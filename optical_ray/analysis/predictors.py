"""What goes with the gain: language distances against the gain of single-source sets, tested by relabelling languages.

Legend of array shapes: ``L`` languages (sources and targets together), ``S`` sources, ``J`` targets.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import factorial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from optical_ray.analysis.study import FloatArray

MOST_RELABELLINGS = 5040
"""All relabellings are counted up to this many (7 languages), else 4,999 are drawn."""

SCRIPTS = """
Latn af az bs ca cs cy da de en eo es et eu ff fi fil fr ga gl ha hr hu id ig is it jv lt lv ms mt ny nl no om
pl pt ro rw sk sl sn so sq su sv sw tl tr uz vi wo xh yo zu; Deva hi mr ne sa; Arab ar fa ps sd ug ur; Cyrl be
bg kk ky mk mn ru sr tg uk; Ethi am ti; Beng as bn; Hebr he yi; Hans zh; Thai th; Taml ta; Telu te; Grek el;
Geor ka; Armn hy; Gujr gu; Guru pa; Knda kn; Mlym ml; Sinh si; Khmr km; Laoo lo; Mymr my; Jpan ja; Kore ko; Orya
or
"""
"""The usual script (ISO 15924) and its languages (CLDR likely subtags)."""

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
"""Name -> file of lang2vec's tables, source, prefix of the features; a distance is 1 - cosine."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho between a predictor and the gain, with a QAP p over ``num_relabellings``.

    ``critical``: the |rho| that the top 5 % of relabellings reach: what these languages could show at all.
    """

    name: str
    rho: float
    p: float
    critical: float
    num_cells: int
    num_languages: int
    num_relabellings: int
    values: FloatArray


def script_of(language: str) -> str | None:
    """The ISO 15924 code of the language's usual script, ``None`` if not in the table."""
    rows = (row.split() for row in SCRIPTS.split(";"))
    return next((row[0] for row in rows if language in row[1:]), None)


def pretraining_gib(language: str) -> float:
    """GiB of the language's text in XLM-R's pretraining, NaN if there was none."""
    words = PRETRAINING_GIB.split()
    return float(words[words.index(language) + 1]) if language in words else float("nan")


def shared_script(languages: Sequence[str]) -> FloatArray:
    """L x L: 1 where two languages share their usual script, NaN where one is unknown."""
    scripts = [script_of(language) for language in languages]
    return np.array(
        [[np.nan if one is None or two is None else float(one == two) for two in scripts] for one in scripts]
    )


def source_pretraining(languages: Sequence[str]) -> FloatArray:
    """L x L: the logarithm of the row language's (the source's) GiB in XLM-R's pretraining."""
    sizes = np.array([np.log(pretraining_gib(language)) for language in languages])
    return np.repeat(sizes[:, None], len(languages), axis=1)


def subword_overlap(languages: Sequence[str], path: Path) -> FloatArray | None:
    """L x L from ``overlap.json`` (``{"de": {"sw": 0.21}}``, source -> target -> share); ``None`` without the file."""
    if not path.is_file():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))
    return np.array([[float(known.get(one, {}).get(two, np.nan)) for two in languages] for one in languages])


def uriel(languages: Sequence[str]) -> dict[str, FloatArray]:
    """L x L distances from the tables of the ``lang2vec`` package, read at run time; empty where it is not installed.

    Source: Littell et al. 2017 (URIEL and lang2vec, CC BY-SA 4.0: read, never copied).
    """
    spec = find_spec("lang2vec")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    codes = json.loads((folder / "letter_codes.json").read_text(encoding="utf-8"))
    names = [{"fil": "tgl"}.get(language, str(codes.get(language, language))) for language in languages]
    return {name: _distances(folder / file, source, prefix, names) for name, (file, source, prefix) in URIEL.items()}


def _distances(path: Path, source: str, prefix: str, names: Sequence[str]) -> FloatArray:
    with np.load(path) as table:
        known = [str(name) for name in table["langs"]]
        features = np.array([str(name).startswith(prefix) for name in table["feats"]])
        column = [str(name) for name in table["sources"]].index(source)
        places = [known.index(name) if name in known else -1 for name in names]
        rows = np.asarray(table["data"][places][:, features, column], dtype=np.float64)
    rows = np.where(rows < 0, 0.0, rows) if "geo" not in path.name else rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = rows / norms
        distances = 1.0 - unit @ unit.T
    missing = np.array([place < 0 for place in places])
    distances[missing] = distances[:, missing] = np.nan
    return np.asarray(distances)


def qap(
    gains: FloatArray,
    predictor: FloatArray,
    sources: Sequence[int],
    targets: Sequence[int],
    *,
    name: str = "",
    seed: int = 0,
) -> Correlation | None:
    """Mantel's test of S x J gains against an L x L predictor: the languages are relabelled, rows and columns together.

    NaN gains (own-language cells, sets not trained) are no cells. Two-sided; p is exact up to seven languages, else
    (1 + hits) / 5000. ``None`` with fewer than four cells or where a side does not vary. OLS p-values over pairs would
    treat pairs that share a language as independent. Source: Mantel 1967; Krackhardt 1988.
    """
    rows, columns = np.asarray(sources), np.asarray(targets)
    values = predictor[np.ix_(rows, columns)]
    cells = ~np.isnan(gains) & ~np.isnan(values)
    if cells.sum() < 4 or np.ptp(values[cells]) == 0 or np.ptp(gains[cells]) == 0:
        return None
    count = len(predictor)
    orders, exhaustive = _relabellings(count, seed)
    moved = np.array([predictor[np.ix_(order[rows], order[columns])] for order in orders])
    null = _spearman(gains, moved)
    rho = float(_spearman(gains, values[None])[0])
    usable = null[~np.isnan(null)]
    hits = int((np.abs(usable) >= abs(rho) - 1e-12).sum())
    p = hits / len(usable) if exhaustive else (hits + 1) / (len(usable) + 1)
    critical = float(np.quantile(np.abs(usable), 0.95))
    return Correlation(name, rho, p, critical, int(cells.sum()), count, len(usable), values)


def _relabellings(count: int, seed: int) -> tuple[list[NDArray[np.int64]], bool]:
    if factorial(count) <= MOST_RELABELLINGS:
        return [np.array(order) for order in itertools.permutations(range(count))], True
    random = np.random.default_rng(seed)
    return [random.permutation(count) for _ in range(4999)], False


def _spearman(gains: FloatArray, tables: FloatArray) -> FloatArray:
    """Spearman's rho of S x J gains with each of K x S x J tables, over the cells that both have; NaN below four."""
    there = ~np.isnan(gains)
    one, others = gains[there], tables[:, there]
    if not np.isnan(others).any():
        return _pearson(stats.rankdata(one)[None, :], stats.rankdata(others, axis=1))
    found = np.full(len(others), np.nan)
    for index, two in enumerate(others):
        both = ~np.isnan(two)
        if both.sum() >= 4:
            found[index] = _pearson(stats.rankdata(one[both])[None, :], stats.rankdata(two[both])[None, :])[0]
    return found


def _pearson(one: FloatArray, two: FloatArray) -> FloatArray:
    one, two = one - one.mean(axis=1, keepdims=True), two - two.mean(axis=1, keepdims=True)
    scale = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(scale > 0, (one * two).sum(axis=1) / scale, np.nan))

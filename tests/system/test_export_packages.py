"""Exported folders in the real packages, each in a virtual environment of its own.

They take minutes and gigabytes to install, so this runs only where OPTICAL_EXPORT_VENVS names a folder for them:

    OPTICAL_EXPORT_VENVS=~/.cache/optical-venvs pytest tests/system/test_export_packages.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from optical_ray.encoders.conventions import Conventions
from optical_ray.export.colbert import skipped_pieces
from optical_ray.export.interface import Format, Student
from optical_ray.registry import members
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import maxsim
from tests.export.students import (
    CONVENTIONS,
    KINDS,
    embeddings,
    plain_texts,
    reading_as,
    real_vectors,
    skipping,
    student_of,
    texts,
)

pytestmark = pytest.mark.slow

FOLDER = os.environ.get("OPTICAL_EXPORT_VENVS")
TORCH = "torch>=2.10,<2.14"
INSTALLS = {
    "pylate": [  # 1.6.0 asks for a fast-plaid of one exact torch, which encoding does not need
        ["pylate==1.1.2", TORCH],
        ["--no-deps", "pylate==1.6.0", "sentence-transformers==5.3.0"],
    ],
    "sentence_transformers": [["sentence-transformers>=6,<7", TORCH]],
    "colbert": [["colbert-ai==0.2.22", "transformers>=4.45,<5", TORCH]],
    "plaid_x": [  # it asks for torchvision and torchaudio too, which fit one build of torch alone and read no text
        ["transformers>=4.45,<5", TORCH, "faiss-cpu==1.9.0", "bitarray", "datasets", "gitpython", "ninja", "scipy"],
        ["spacy", "tqdm", "ujson", "more_itertools", "ir_datasets", "ir_measures"],
        ["--no-deps", "PLAID-X==0.3.3"],
    ],
}
FORMATS = members("optical_ray.export", Format)  # type: ignore[type-abstract]
PROBES = Path(__file__).parent / "export_probes"
LOADS = [("pylate", "pylate"), ("hf", "sentence_transformers"), ("pylate", "sentence_transformers")]
STUDENTS = [(kind, name) for kind in KINDS for name in CONVENTIONS]


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path | str]:
    """Interpreter of each package, or why there is none."""
    if FOLDER is None:
        pytest.skip("OPTICAL_EXPORT_VENVS is not set: name a folder for the packages' environments (minutes, 6 GB)")
    return {package: _environment(Path(FOLDER).expanduser() / package, package) for package in INSTALLS}


def _environment(folder: Path, package: str) -> Path | str:
    python, done = folder / "bin" / "python", folder / "installed"
    if done.is_file():
        return python
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    for arguments in INSTALLS[package]:
        command = [str(python), "-m", "pip", "install", "--quiet", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            return f"{package} does not install: {result.stderr.strip().splitlines()[-1]}"
    done.touch()
    return python


Students = dict[tuple[str, str], Student]
Sides = dict[str, list[str]]
Found = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="session")
def students(tmp_path_factory: pytest.TempPathFactory) -> Students:
    folder = tmp_path_factory.mktemp("students")
    return {(kind, name): student_of(folder / name, kind, name) for kind, name in STUDENTS}


@pytest.fixture(scope="session")
def found(
    students: Students, pythons: dict[str, Path | str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Found]:
    """What ``package`` makes of texts with a student in ``layout``; each is started once for all students."""
    results: dict[tuple[str, str, str], dict[tuple[str, str], Path]] = {}

    def run(layout: str, package: str, written: str) -> dict[tuple[str, str], Path]:
        folder = tmp_path_factory.mktemp(f"{layout}-{package}")
        sides = folder / "texts.json"
        sides.write_text(written, encoding="utf-8")
        outs, arguments = {}, []
        for name, student in students.items():
            place = folder / "-".join(name)
            place.mkdir()
            FORMATS[layout]().write(student, place)
            outs[name] = place.with_suffix(".npz")
            arguments += [str(place), str(outs[name])]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [
            str(pythons[package]),
            "-P",
            str(PROBES / f"{package}.py"),
            str(sides),
            *arguments,
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert result.returncode == 0, result.stderr[-3000:]
        return outs

    def one(layout: str, package: str, kind: str, conventions: str, sides: Sides) -> Found:
        if isinstance(pythons[package], str):
            pytest.skip(str(pythons[package]))
        key = layout, package, json.dumps(sides, ensure_ascii=False)
        if key not in results:
            results[key] = run(*key)
        with np.load(results[key][kind, conventions]) as arrays:
            return dict(arrays)

    return one


def split(found: Found, side: str) -> list[NDArray[np.float32]]:
    return np.split(found[side], np.cumsum(found[f"{side}_lengths"])[:-1])


def assert_same_vectors(found: list[NDArray[np.float32]], expected: list[NDArray[np.float32]]) -> None:
    assert [len(some) for some in found] == [len(some) for some in expected]
    largest = max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
    print(f"largest difference {largest:.1e}")
    assert largest <= 1e-5


def assert_same_ranking(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Equal up to documents whose scores do not differ by more than the two differ themselves."""
    assert np.abs(found - expected).max() <= 1e-4
    for theirs, ours in zip(found, expected, strict=True):
        order = np.argsort(-theirs, kind="stable")
        assert (np.diff(ours[order]) <= 1e-4).all()


def plain_scores(found: Found) -> NDArray[np.float32]:
    """MaxSim of the vectors that a package kept."""
    queries, documents = split(found, "queries"), split(found, "documents")
    return np.array([[(q @ d.T).max(axis=1).sum() for d in documents] for q in queries])


def same_as(theirs: Found, queries: TokenEmbeddings, documents: TokenEmbeddings) -> None:
    """The package keeps these vectors, scores by their MaxSim and ranks by that."""
    assert_same_vectors(split(theirs, "queries"), real_vectors(queries))
    assert_same_vectors(split(theirs, "documents"), real_vectors(documents))
    assert_same_ranking(theirs.get("scores", plain_scores(theirs)), maxsim(queries, documents).numpy())


@pytest.mark.parametrize(("kind", "conventions"), STUDENTS)
@pytest.mark.parametrize(("layout", "package"), LOADS)
def test_a_package_reads_and_ranks_as_we_do(
    students: Students, found: Callable[..., Found], layout: str, package: str, kind: str, conventions: str
) -> None:
    """But for PyLate's folder of a student with ``support: pieces``, where all tokens of a query count."""
    student = students[kind, conventions]
    counts_more = layout == "pylate" and CONVENTIONS[conventions].get("support") != "all"
    assert bool(FORMATS[layout]().differences(student)) == counts_more
    theirs = found(layout, package, kind, conventions, texts())
    queries, documents = embeddings(student, texts())
    if counts_more:
        queries = embeddings(reading_as(student, Conventions(support="all")), texts())[0]
    same_as(theirs, queries, documents)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("package", ["colbert", "plaid_x"])
def test_stanford_s_descendants_read_and_rank_as_we_do_by_their_conventions(
    students: Students, found: Callable[..., Found], package: str, kind: str
) -> None:
    """Texts without the pieces that only one of the two skips; with them, as this program would by their list."""
    student = students[kind, "stanford"]
    assert bool(FORMATS["colbert"]().differences(student)) == (kind == "xlmr")
    plain = plain_texts([students[each, "stanford"] for each in KINDS])
    same_as(found("colbert", package, kind, "stanford", plain), *embeddings(student, plain))
    theirs, _ = skipped_pieces(student)
    same_as(found("colbert", package, kind, "stanford", texts()), *embeddings(skipping(student, theirs), texts()))

"""Corpora, collections and checkpoints behind a URI, on a local server that speaks S3; data sets of the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from optical_ray.config.load import from_dict
from optical_ray.data.datasets.parallel_text import ParallelText
from optical_ray.data.datasets.trec import TrecCollection
from optical_ray.data.input_files import find_files
from optical_ray.data.interface import Counts
from optical_ray.data.storage import hub_folder, listing
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.checkpoints import local
from optical_ray.prepare.text import prepare_text
from optical_ray.types import InputError
from tests.tiny_study import SOURCES, spec, write_data

VARIABLES = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The endpoint of a moto server; the variables that lead there are set."""
    moto = pytest.importorskip("moto.server")
    threaded = moto.ThreadedMotoServer(port=0, verbose=False)
    threaded.start()
    host, port = threaded.get_host_and_port()
    variables = {**VARIABLES, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    fs.S3FileSystem(endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True).create_dir("corpora")
    yield variables["AWS_ENDPOINT_URL"]
    threaded.stop()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def upload(folder: Path, uri: str) -> str:
    system, path = fs.FileSystem.from_uri(uri)
    fs.copy_files(str(folder), path, destination_filesystem=system)
    return uri


def rows(dataset: ParallelText, language: str) -> list[dict[str, str]]:
    return [row for batch in dataset.batches(language, Counts()) for row in batch.to_pylist()]


def test_corpora_and_collections_equal_those_of_a_folder(server: str, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    uri = upload(data, "s3://corpora/study")
    near, far = ParallelText(root=str(data / "bitext")), ParallelText(root=f"{uri}/bitext")
    assert far.languages() == near.languages() == tuple(sorted(SOURCES))
    assert rows(far, "hi") == rows(near, "hi")
    assert far.fingerprint() == near.fingerprint()
    assert [file.base for file in find_files(f"{uri}/bitext/*.tsv")] == [f"{k}.tsv" for k in sorted(SOURCES)]
    here, there = (TrecCollection(language="sw", root=root) for root in (str(data / "sw"), f"{uri}/sw"))
    assert there.load("test") == here.load("test")
    assert there.fingerprint() == here.fingerprint()


def test_a_study_over_uris_has_the_keys_of_one_over_folders(server: str, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    uri = upload(data, "s3://corpora/keys")
    raw = spec(data)
    far = spec(data)
    far["data"]["bitext"]["made"]["root"] = f"{uri}/bitext"
    for target, block in far["data"]["collections"].items():
        block["root"] = f"{uri}/{target}"
    near_text = prepare_text(from_dict(raw), tmp_path / "near", lambda stage: None)
    far_text = prepare_text(from_dict(far), tmp_path / "far", lambda stage: None)
    assert far_text.inputs.digests == near_text.inputs.digests


def test_a_missing_path_is_one_message(server: str) -> None:
    with pytest.raises(InputError, match=r"s3://corpora/nowhere.*no such file or folder"):
        find_files("s3://corpora/nowhere")
    with pytest.raises(InputError, match=r"s3://no-such-bucket/x"):
        find_files("s3://no-such-bucket/x")
    with pytest.raises(InputError, match=r"s3://corpora/nowhere: no such folder"):
        listing("s3://corpora/nowhere")


def test_a_checkpoint_is_copied_once_and_again_if_it_changed(server: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "1_Dense").mkdir()
    (model / "1_Dense" / "config.json").write_text("{}")
    uri = upload(model, "s3://corpora/model")
    cache = Cache(tmp_path / "cache")
    encoder = PretrainedEncoder(checkpoint=uri)
    found = local(encoder, cache)
    assert isinstance(found, PretrainedEncoder)
    folder = Path(found.checkpoint)
    assert (folder / "1_Dense" / "config.json").read_text() == "{}"
    assert local(encoder, cache) == found
    (model / "config.json").write_text('{"changed": true}')
    upload(model, uri)
    again = local(encoder, cache)
    assert isinstance(again, PretrainedEncoder)
    assert (Path(again.checkpoint) / "config.json").read_text() == '{"changed": true}'
    assert local(PretrainedEncoder(checkpoint="owner/name"), cache).checkpoint == "owner/name"  # type: ignore[attr-defined]
    with pytest.raises(InputError):
        Checkpoint.open(folder)


def test_a_data_set_of_the_hub_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path / "data")
    asked: list[object] = []

    def snapshot(name: str, **options: object) -> str:
        asked.append((name, options["repo_type"], options["revision"]))
        return str(data)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    dataset = ParallelText(root="hub:owner/corpus@v1.2/bitext")
    assert dataset.languages() == tuple(sorted(SOURCES))
    assert rows(dataset, "hi") == rows(ParallelText(root=str(data / "bitext")), "hi")
    assert set(asked) == {("owner/corpus", "dataset", "v1.2")}
    assert hub_folder("hub:owner/corpus") == str(data)


def test_an_unreachable_hub_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def snapshot(name: str, **options: object) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(InputError, match=r"hub:owner/corpus: the Hugging Face hub does not give.*its folder as root"):
        find_files("hub:owner/corpus")
    with pytest.raises(InputError, match=r"expected hub:owner/name"):
        find_files("hub:corpus")

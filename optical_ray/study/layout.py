"""Names of the files and folders of a storage, a study and a trial; no other module spells them.

::

    <storage>/cache/<kind>-<digest>/       shared by all studies: vocabulary, tokens, teacher, embeddings
    <storage>/logs/<study>.log
    <storage>/mlflow.db  mlartifacts/      the default MLflow store
    <storage>/<study>/study.json           what the study is, see `optical_ray.study.info`
                      lease.json           which launcher runs it, see `optical_ray.study.lease`
                      teacher.json  topics.parquet  overlap.json  qrels.<target>.txt
                      trials/<key>/        trial.json, see `optical_ray.study.records`
                                           metrics.jsonl   rows {"step": 50, "loss": 0.4, "AP/sw": 0.1, ...}
                                           scores.json     {"eval": {"AP": {"sw": 0.12}}, "test": {...}}
                                           per_query.parquet, run.<target>.trec.gz, student/
                      baselines/<name>/    baseline.json and the same result files; a control's are means
                                           over seed-<n>/, one folder for each of its students
                      train/  tune/        what Ray Train and Ray Tune keep while they run
                      report/  alignment/
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SPLITS = ("eval", "test")
"""Choices are made on the eval split and reported on the test split."""

UNDISTILLED = "undistilled"
"""The baseline that every study has: the student before any distillation."""

PER_QUERY_COLUMNS = ("split", "target", "metric", "topic_id", "value")
"""Columns of ``per_query.parquet``."""

METRICS_FILE = "metrics.jsonl"
MANIFEST_FILE = "manifest.json"
"""Written last into a folder of the cache, so that its presence means that the folder is complete."""

RUN_PATTERN = "run.*.trec.gz"


@dataclass(frozen=True)
class ResultFolder:
    """The folder of a trial, a baseline or one seed of a control."""

    path: Path

    @property
    def trial(self) -> Path:
        """The trial's state."""
        return self.path / "trial.json"

    @property
    def baseline(self) -> Path:
        """The baseline's state."""
        return self.path / "baseline.json"

    @property
    def metrics(self) -> Path:
        """Metrics of training by step, one JSON object a line."""
        return self.path / METRICS_FILE

    @property
    def scores(self) -> Path:
        """Mean scores: ``split -> metric -> target -> value``."""
        return self.path / "scores.json"

    @property
    def per_query(self) -> Path:
        """Scores by topic, with the columns ``PER_QUERY_COLUMNS``."""
        return self.path / "per_query.parquet"

    @property
    def student(self) -> Path:
        """The distilled student's weights, tokenizer and settings."""
        return self.path / "student"

    def run(self, target: str) -> Path:
        """The TREC run of ``target`` on the test split."""
        return self.path / f"run.{target}.trec.gz"

    def seed(self, seed: int) -> ResultFolder:
        """The folder of one seed of a control."""
        return ResultFolder(self.path / f"seed-{seed}")


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a study."""

    path: Path

    @property
    def info(self) -> Path:
        """What the study is."""
        return self.path / "study.json"

    @property
    def lease(self) -> Path:
        """Which launcher runs the study."""
        return self.path / "lease.json"

    @property
    def teacher(self) -> Path:
        """Where the teacher's training metrics are."""
        return self.path / "teacher.json"

    @property
    def topics(self) -> Path:
        """Texts of the evaluation topics."""
        return self.path / "topics.parquet"

    def qrels(self, target: str, split: str) -> Path:
        """The relevance judgements of ``target`` in TREC's format."""
        return self.path / (f"qrels.{target}.txt" if split == "test" else f"qrels.{split}.{target}.txt")

    @property
    def overlap(self) -> Path:
        """Subword overlap of source and target languages."""
        return self.path / "overlap.json"

    @property
    def trials(self) -> Path:
        """One folder per trial."""
        return self.path / "trials"

    @property
    def baselines(self) -> Path:
        """One folder per baseline."""
        return self.path / "baselines"

    @property
    def train(self) -> Path:
        """Ray Train's runs: the checkpoints of trials that are not finished."""
        return self.path / "train"

    @property
    def tune(self) -> Path:
        """Ray Tune's files, one folder per launch; no later launch reads them."""
        return self.path / "tune"

    @property
    def report(self) -> Path:
        """The report's page and tables."""
        return self.path / "report"

    @property
    def alignment(self) -> Path:
        """Alignments that ``optical-ray align`` saved."""
        return self.path / "alignment"

    def trial(self, key: str) -> ResultFolder:
        """The folder of trial ``key``."""
        return ResultFolder(self.trials / key)

    def baseline(self, name: str) -> ResultFolder:
        """The folder of baseline ``name``."""
        return ResultFolder(self.baselines / name)


@dataclass(frozen=True)
class StorageFolder:
    """The folder that holds studies and what they share."""

    path: Path

    @property
    def cache(self) -> Path:
        """What is computed once and shared by all studies."""
        return self.path / "cache"

    @property
    def mlflow_database(self) -> Path:
        """The default MLflow store."""
        return self.path / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Artifacts of the default MLflow store."""
        return self.path / "mlartifacts"

    def study(self, name: str) -> StudyFolder:
        """The folder of study ``name``."""
        return StudyFolder(self.path / name)

    def log(self, name: str) -> Path:
        """What Ray, MLflow and torch print while study ``name`` runs."""
        return self.path / "logs" / f"{name}.log"

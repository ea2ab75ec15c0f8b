"""The recipe of a tracker fulfils the contract, and a spec that names it follows a study."""

from __future__ import annotations

from pathlib import Path

from tests.recipes.overlay import RECIPES, run_contract, run_with_recipe
from tests.tracking.written_study import DONE, DONE_TOO, RUNNING, complete, write_study

PACKAGE = "optical_ray.tracking.trackers"
FOLLOW = """
import sys
from pathlib import Path
from optical_ray.config.load import load
from optical_ray.study.info import StudyInfo
from optical_ray.tracking.configs import configs_of, open_trackers
experiment = load(Path("experiments/quickstart.yaml"), ["tracking=[{kind: csv, file: done.csv}]"])
folder = Path(sys.argv[1])
[tracker] = open_trackers(experiment.tracking, folder)
tracker.close(10)
assert tracker.behind() == ()
assert tuple(configs_of(StudyInfo.read(folder))) == experiment.tracking
print(tracker.name)
"""


def test_the_recipe_is_short() -> None:
    assert len((RECIPES / "tracker.py").read_text(encoding="utf-8").splitlines()) < 50


def test_the_recipe_fulfils_the_contract(tmp_path: Path) -> None:
    assert run_contract("tracker.py", PACKAGE, "test_trackers.py", "csv", tmp_path) >= 8


def test_a_study_is_followed_by_the_tracker_that_its_spec_names(tmp_path: Path) -> None:
    ledger = write_study(tmp_path / "small", experiment={"tracking": [{"kind": "csv", "file": "done.csv"}]})
    for launch in ("first", "second"):
        (tmp_path / launch).mkdir()
        result = run_with_recipe("tracker.py", PACKAGE, ["-c", FOLLOW, str(ledger.folder)], tmp_path / launch)
        assert (result.returncode, result.stdout) == (0, "Csv\n"), result.stderr
        rows = (ledger.folder / "done.csv").read_text().splitlines()
        assert rows == [f"{DONE},de,40", f"{DONE_TOO},hi+mr,40", *([f"{RUNNING},so,40"] if launch == "second" else [])]
        if launch == "first":
            complete(ledger, RUNNING)

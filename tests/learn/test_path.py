"""The learner's path in the README names every exercise and experiment, and only files that exist."""

import re
from pathlib import Path

import pytest

import minunet
from minunet.cli import COMMANDS
from minunet.learn.exercises import EXERCISES
from minunet.learn.experiments import EXPERIMENTS

ROOT = Path(minunet.__file__).parent.parent


@pytest.fixture
def steps():
    """The table's rows, as lists of what stands `so`."""
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("the README lies beside the package only in a clone")
    path = readme.read_text(encoding="utf-8").split("## Learn it, step by step")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in path.splitlines() if line.startswith("| **")]
    assert len(rows) == 8
    return [[re.findall(r"`([^`]+)`", cell) for cell in row[1:]] for row in rows]


def names(cells, command):
    """["skips", "memory"] of the cells that read `minunet experiment skips`, `memory`."""
    prefix = f"minunet {command} "
    chosen = [cell for cell in cells if cell and cell[0].startswith(prefix)]
    return [name.removeprefix(prefix) for cell in chosen for name in cell]


def test_every_exercise_and_experiment_is_a_part_of_a_step(steps):
    cells = [cell for row in steps for cell in row]
    exercises, experiments = names(cells, "exercise"), names(cells, "experiment")
    names_alone = {
        name for name in exercises if re.fullmatch("[a-z0-9_]+", name)
    }  # a cell may name files and flags, too
    assert set(EXERCISES) == names_alone and len(set(exercises)) == len(exercises)
    assert set(EXPERIMENTS) <= set(experiments) and len(set(experiments)) == len(experiments)


def test_the_files_of_a_step_exist(steps):
    for files, *_ in steps:
        folder = ""
        for file in files:
            folder = file.rpartition("/")[0] if "/" in file else folder  # `ops/relu.py`, `sigmoid.py`
            path = file if "/" in file or not folder else f"{folder}/{file}"
            found = [root / path for root in (ROOT, ROOT / "minunet") if (root / path).is_file()]
            assert found or (ROOT / "minunet" / file).is_file(), file


def test_the_commands_of_a_step_exist(steps):
    mentioned = {words.split()[1] for row in steps for cell in row for words in cell if words.startswith("minunet ")}
    assert mentioned <= set(COMMANDS)
